import type { Change } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat, System } from "../../core/system.ts";
import { textToBytes } from "../../core/text.ts";
import type { FileContext } from "../accounts/ownership.ts";
import { contentDiff, MAX_DIFF_BYTES } from "../files/text.ts";
import {
  type AttributeChange,
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
} from "./attributes.ts";
import { makeBackup } from "./backup.ts";
import { type FileContent, gatherForDiff, isStreamed, sameAsStreamed, toContent } from "./content.ts";
import { followLinks, missingDirectories, parentOf } from "./paths.ts";
import { validateContent } from "./validate.ts";

/** A whole file as it should be. */
export interface FileRequest extends FileAttributes {
  readonly system: ReadSystem;
  /** Without it nothing is cached and it is not check mode. */
  readonly context?: FileContext | undefined;
  readonly path: string;
  readonly content: FileContent;
  /** The content it has now, when the caller has read it: null for no file. */
  readonly current?: Uint8Array | null | undefined;
  /** Whether a link at `path` is followed (the default) or replaced. */
  readonly follow?: boolean | undefined;
  /**
   * What of the directory it is in: it is `required` (the default; in check mode an earlier task would make it), it is
   * to be made with all above it (`make`), or the caller sees to it (`given`).
   */
  readonly parents?: "required" | "make" | "given" | undefined;
  /** Keeps a copy of the file replaced. */
  readonly backup?: boolean | undefined;
  /** A command that must accept the new content, with `%s` for the file it is in. */
  readonly validate?: string | undefined;
  /** Keeps the content out of the diff: for files that hold secrets, and where too much is shown already. */
  readonly secret?: boolean | undefined;
}

/** That content or attributes of one file differ. */
export interface FileChange extends Change {
  readonly path: string;
  /** Absent when only attributes differ. */
  readonly content?: FileContent;
  readonly attributes: AttributeChange | null;
  /** Directories to be made first, outermost first. */
  readonly directories: readonly string[];
  readonly backup: boolean;
  readonly validate?: string;
  /** Ends the validation when the run is cancelled. */
  readonly signal?: AbortSignal;
  readonly diff: Diff;
}

/** What came of writing a file: `message` when it was not replaced as files are. */
export interface FileApplied {
  readonly data: {
    /** Where the copy of the file replaced is, if one was asked for and there was one. */
    readonly backup_file?: string;
  };
  readonly message?: string;
}

/**
 * Compares a file with the content and attributes wanted; null when nothing differs. Fails with `ACTION_FAILED` when
 * something else than a file is there, or no directory for it (in check mode an earlier task would make that).
 */
export async function inspectFile(request: FileRequest): Promise<FileChange | null> {
  const { system, context, content } = request;
  let path = request.path;
  let stat = await system.lstat(path);
  if (stat?.type === "link" && request.follow !== false) {
    path = await followLinks(system, path);
    stat = await system.lstat(path);
  }
  if (stat !== null && stat.type !== "file" && stat.type !== "link") {
    throw new VolleyError("ACTION_FAILED", `${path} is a ${stat.type}; remove it first, or name a file`);
  }
  const file = stat?.type === "file" ? stat : null;
  const bytes = typeof content === "string" ? textToBytes(content) : content;
  const same = file !== null && (await hasContent(request, path, file, bytes));
  const attributes = await inspectAttributes(system, path, file, request, context);
  if (same && attributes === null) return null;
  const differing = {
    ...(stat?.type === "link" ? { type: ["link", "file"] as const } : {}),
    ...attributes?.diff.attributes,
  };
  return {
    path,
    ...(same ? {} : { content: bytes }),
    attributes,
    directories: stat === null ? await directoriesFor(request, path) : [],
    backup: request.backup === true,
    ...(request.validate === undefined ? {} : { validate: request.validate }),
    ...(context === undefined ? {} : { signal: context.signal }),
    diff: {
      path,
      ...(same ? {} : await diffContent(request, path, stat, bytes)),
      ...(Object.keys(differing).length === 0 ? {} : { attributes: differing }),
    },
    ...(attributes?.message === undefined ? {} : { message: attributes.message }),
  };
}

async function hasContent(
  { system, current }: FileRequest,
  path: string,
  stat: Stat,
  content: Exclude<FileContent, string>,
): Promise<boolean> {
  if (isStreamed(content)) return sameAsStreamed(system, path, stat.size, content);
  if (current != null) return Buffer.compare(current, content) === 0;
  return stat.size === content.length && Buffer.compare(await system.readFile(path), content) === 0;
}

async function directoriesFor(
  { system, context, parents }: FileRequest,
  path: string,
): Promise<readonly string[]> {
  if (parents === "given") return [];
  const parent = parentOf(path);
  const stat = await system.stat(parent);
  if (stat?.type === "directory") return [];
  const missing = await missingDirectories(system, parent);
  if (parents !== "make" && context?.check !== true) {
    throw new VolleyError(
      "ACTION_FAILED",
      `${parent} does not exist; make it first with file({ path, state: "directory" })`,
    );
  }
  return missing;
}

async function diffContent(
  { system, current, secret }: FileRequest,
  path: string,
  stat: Stat | null,
  content: FileContent,
): Promise<Pick<Diff, "before" | "after" | "binary">> {
  if (secret === true) return { binary: true };
  // Of a link that is to be replaced there is no text before: its target keeps its own.
  const before =
    stat?.type !== "file"
      ? null
      : stat.size > MAX_DIFF_BYTES
        ? "unshown"
        : (current ?? (await system.readFile(path)));
  return contentDiff(before, await gatherForDiff(content));
}

/** Says that a file was not replaced. */
export function writtenInPlace(path: string): string {
  return `${path} is a mount, so it was written in place`;
}

/** Makes a file what {@link inspectFile} found it should be: content and attributes at once, atomically. */
export async function applyFile(change: FileChange, system: System): Promise<FileApplied> {
  const { path, content, attributes } = change;
  if (content === undefined) {
    if (attributes !== null) await applyAttributes(attributes, system);
    return { data: {} };
  }
  const options = {
    ...(attributes?.mode === undefined ? {} : { mode: attributes.mode }),
    ...(attributes === null || attributes.uid === -1 ? {} : { uid: attributes.uid }),
    ...(attributes === null || attributes.gid === -1 ? {} : { gid: attributes.gid }),
  };
  if (change.validate !== undefined)
    await validateContent(system, change.validate, { path, content, options, signal: change.signal });
  for (const directory of change.directories) await system.makeDirectory(directory);
  const backup = change.backup ? await makeBackup(system, path) : undefined;
  const written = await system.writeFile(path, toContent(content), options);
  const said = [change.message, writtenInPlace(path)].filter(Boolean).join("; ");
  return {
    data: backup === undefined ? {} : { backup_file: backup },
    ...(written === "in place" ? { message: said } : {}),
  };
}
