import type { ActionContext } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { contentChecksum, type FileContent, isStreamed } from "../shared/write-file.ts";

/** The data of copy and template, under Ansible's names. */
export interface CopiedData extends Partial<FileDescription> {
  /** The file, or the directory of a tree. */
  readonly dest: string;
  /** The source as given; of given content, the file itself. */
  readonly src?: string;
  /** The file, where its content was right already. */
  readonly path?: string;
  /** SHA-1 of the content; null for a directory of the host, absent for large content that nobody registers. */
  readonly checksum?: string | null;
  readonly md5sum?: string | null;
  readonly backup_file?: string;
}

/** A file that was copied or looked at. */
interface Copied {
  readonly src: string;
  readonly dest: string;
  readonly content: FileContent;
  /** True when its content was written. */
  readonly written: boolean;
}

/** Describe a file that was copied to the host. */
export async function copiedData(
  { src, dest, content, written }: Copied,
  system: ReadSystem,
  context: ActionContext,
): Promise<CopiedData> {
  return {
    dest,
    ...(written ? { src } : { path: dest }),
    ...(await checksumsOf(content, context, written)),
    ...(await describeFile(system, dest, context)),
  };
}

/** Describe what was copied on the host itself; content is null for a tree. */
export async function remoteData(
  { src, dest, content }: Omit<Copied, "content" | "written"> & { readonly content: FileContent | null },
  system: ReadSystem,
  context: ActionContext,
): Promise<CopiedData> {
  const sums =
    content === null ? { checksum: null, md5sum: null } : await checksumsOf(content, context, true);
  return { src, dest, ...sums, ...(await describeFile(system, dest, context)) };
}

/** Return checksums of content: of a large one only where the result is registered. */
async function checksumsOf(
  content: FileContent,
  { registered }: ActionContext,
  withMd5: boolean,
): Promise<Pick<CopiedData, "checksum" | "md5sum">> {
  if (isStreamed(content) && registered !== true) return {};
  const checksum = await contentChecksum(content, "sha1");
  return withMd5 ? { checksum, md5sum: await md5Of(content) } : { checksum };
}

/** Return the MD5 of content; null where the host's policy forbids MD5, as in Ansible. */
async function md5Of(content: FileContent): Promise<string | null> {
  try {
    return await contentChecksum(content, "md5");
  } catch {
    return null;
  }
}
