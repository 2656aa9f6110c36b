import { createHash, type Hash, randomBytes } from "node:crypto";
import { posix } from "node:path";
import { type ActionContext, ActionFailure } from "../../core/action.ts";
import type { Stat, System, Written } from "../../core/system.ts";
import {
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
  NEW_FILE_MODE,
} from "../shared/attributes.ts";
import { parentOf } from "../shared/paths.ts";
import { makeBackup } from "../shared/write-file.ts";
import type { Checksum } from "./checksum.ts";
import type { DownloadResponse } from "./download.ts";
import { decodeName, nameInUrl } from "./web-url.ts";

/** The file that receives an answer's body. */
interface StoreRequest extends FileAttributes {
  readonly path: string;
  readonly checksum?: Checksum | undefined;
  readonly backup: boolean;
  /** The directory of the temporary file. Default: that of the file. */
  readonly tmp_dest?: string | undefined;
}

/** The outcome of {@link storeBody}. */
export interface Stored {
  /** False when the file had the same content already. */
  readonly replaced: boolean;
  readonly written?: Written;
  /** Bytes. */
  readonly size: number;
  /** Hex, of the new content; of the replaced file null when there was none. */
  readonly sha1: string;
  readonly md5: string;
  readonly sha1Before: string | null;
  /** Where the body lay while it was checked. */
  readonly temporary: string;
  readonly backup?: string;
}

/**
 * Write an answer's body beside its file, check it, set the attributes, then replace the file. The
 * temporary file is removed when the body fails its check or equals the file.
 */
export async function storeBody(
  response: DownloadResponse,
  request: StoreRequest,
  system: System,
  context: ActionContext,
): Promise<Stored> {
  const { path, checksum } = request;
  const before = await system.lstat(path);
  const temporary = posix.join(
    request.tmp_dest ?? parentOf(path),
    `.volley-download-${randomBytes(6).toString("hex")}`,
  );
  const [sha1, md5] = [createHash("sha1"), md5Hash()];
  const checked = checksum === undefined ? undefined : createHash(checksum.algorithm);
  let size = 0;
  let broken: unknown;
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body) {
        sha1.update(chunk);
        md5?.update(chunk);
        checked?.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    } catch (thrown) {
      broken = thrown;
      throw thrown;
    }
  };
  try {
    try {
      await system.writeFile(temporary, body(), { mode: 0o600 });
    } catch (thrown) {
      // The download's own error says more than the error of writing.
      throw broken ?? thrown;
    }
    const digest = sha1.digest("hex");
    const sha1Before = before?.type === "file" ? await system.checksum(path, "sha1") : null;
    const common = { size, sha1: digest, md5: md5?.digest("hex") ?? "", sha1Before, temporary };
    const found = checked?.digest("hex");
    if (checksum !== undefined && found !== checksum.hex) {
      throw new ActionFailure(
        "ACTION_FAILED",
        `The checksum for ${path} did not match ${checksum.hex}; it was ${found}.`,
        { checksum_src: digest, checksum_dest: sha1Before, src: temporary },
        { hint: `its ${checksum.algorithm} is that of ${response.url.href}; the file was left as it was` },
      );
    }
    if (sha1Before === digest) return { ...common, replaced: false };
    // Flags such as immutable would keep the temporary file from being removed.
    await dress(temporary, before, { ...request, attributes: undefined }, system, context);
    const backup = request.backup ? await makeBackup(system, path) : undefined;
    const { mode, uid, gid } = (await system.lstat(temporary))!;
    const written = await system.writeFile(path, { copyOf: temporary }, { mode, uid, gid });
    const flags =
      request.attributes === undefined
        ? null
        : await inspectAttributes(system, path, await system.lstat(path), request, context);
    if (flags !== null) await applyAttributes(flags, system);
    return { ...common, replaced: true, written, ...(backup === undefined ? {} : { backup }) };
  } finally {
    await system.remove(temporary);
  }
}

/** Make an MD5 hash, for its return value alone; undefined where the system's policy forbids it. */
function md5Hash(): Hash | undefined {
  try {
    return createHash("md5");
  } catch {
    return undefined;
  }
}

async function dress(
  path: string,
  before: Stat | null,
  wanted: FileAttributes,
  system: System,
  context: ActionContext,
): Promise<void> {
  if (before?.type === "file" && (before.uid !== system.uid || before.gid !== system.gid))
    await system.chown(path, before.uid, before.gid);
  await system.chmod(path, before?.type === "file" ? before.mode : NEW_FILE_MODE);
  const attributes = await inspectAttributes(system, path, await system.lstat(path), wanted, context);
  if (attributes !== null) await applyAttributes(attributes, system);
}

/** Return the path of a download within a directory: named by the server (RFC 6266), else by the URL. */
export function pathIn(directory: string, { headers, url }: DownloadResponse): string {
  const disposition = headers["content-disposition"] ?? "";
  const encoded = /filename\*=(?:UTF-8|utf-8)''([^;\s]+)/.exec(disposition)?.[1];
  const plain =
    /filename="((?:[^"\\]|\\.)*)"/.exec(disposition)?.[1] ?? /filename=([^;\s]+)/.exec(disposition)?.[1];
  const name = posix.basename(
    encoded === undefined ? (plain ?? "").replace(/\\(.)/g, "$1") : decodeName(encoded),
  );
  return posix.join(directory, /^\.{0,2}$/.test(name) ? nameInUrl(url) : name);
}
