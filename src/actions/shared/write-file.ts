import { createHash } from "node:crypto";
import { posix } from "node:path";
import { ActionFailure, type Change } from "../../core/action.ts";
import { type Asset, INLINE_ASSET_BYTES } from "../../core/asset.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { Content, ReadSystem, Stat, System, WriteOptions } from "../../core/system.ts";
import { textToBytes } from "../../core/values/bytes.ts";
import type { FileContext } from "../accounts/accounts.ts";
import {
  type AttributeChange,
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
  setFlags,
} from "./attributes.ts";
import { followLinks, missingDirectories, parentOf } from "./paths.ts";
import { commandWords } from "./run-tool.ts";

/** The wanted state of a whole file. */
export interface FileRequest extends FileAttributes {
  readonly system: ReadSystem;
  /** Without it nothing is cached, and check mode is off. */
  readonly context?: FileContext | undefined;
  readonly path: string;
  readonly content: FileContent;
  /** The current content, when the caller has read it: null for no file. */
  readonly current?: Uint8Array | null | undefined;
  /** Follow a link at `path`, or replace it. Default: true. */
  readonly follow?: boolean | undefined;
  /**
   * The file's directory: it must exist (`required`, the default; check mode assumes that an earlier task makes it), it
   * is made with its parents (`make`), or the caller makes it (`given`).
   */
  readonly parents?: "required" | "make" | "given" | undefined;
  /** Keep a copy of the replaced file. */
  readonly backup?: boolean | undefined;
  /** A command that must accept the new content, with `%s` for a file with that content. */
  readonly validate?: string | undefined;
  /** Keep the content out of the diff: for secrets, and where the diff is long already. */
  readonly secret?: boolean | undefined;
}

/** A change of content or attributes of one file. */
export interface FileChange extends Change {
  readonly path: string;
  /** Absent when only attributes differ. */
  readonly content?: FileContent;
  readonly attributes: AttributeChange | null;
  /** Flags of the new file, as chattr(1) takes them. */
  readonly flags?: string;
  /** Directories to make first, outermost first. */
  readonly directories: readonly string[];
  readonly backup: boolean;
  readonly validate?: string;
  readonly inPlace?: boolean;
  /** Cancels the validation. */
  readonly signal?: AbortSignal;
  readonly diff: Diff;
}

/** The outcome of writing a file; `message` when the file was not replaced atomically. */
export interface FileApplied {
  readonly data: {
    /** Path of the copy of the replaced file, if wanted. */
    readonly backup_file?: string;
  };
  readonly message?: string;
}

/**
 * Compare a file with the wanted content and attributes; null when nothing differs. Fails with `ACTION_FAILED` when the
 * path is no file, or its directory is missing (check mode assumes that an earlier task makes it).
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
    ...(request.attributes ? { flags: request.attributes } : {}),
    directories: stat === null ? await directoriesFor(request, path) : [],
    backup: request.backup === true,
    ...(request.validate === undefined ? {} : { validate: request.validate }),
    ...(request.unsafe_writes === true ? { inPlace: true } : {}),
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
  content: ByteContent,
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
      `Destination directory ${parent} does not exist; make it first with file({ path, state: "directory" })`,
    );
  }
  return missing;
}

async function diffContent(
  { system, current, secret }: FileRequest,
  path: string,
  stat: Stat | null,
  content: ByteContent,
): Promise<Pick<Diff, "before" | "after" | "binary">> {
  if (secret === true) return { binary: true };
  // A link to be replaced has no text before: its target stays.
  const isFile = stat?.type === "file";
  const isShort = isFile && stat.size <= MAX_DIFF_BYTES;
  const before = isShort ? shownText(current ?? (await system.readFile(path))) : isFile ? undefined : null;
  const after =
    isStreamed(content) && content.size > MAX_DIFF_BYTES ? undefined : shownText(await gather(content));
  if (before !== undefined && after !== undefined) return { before, after };
  return { binary: true, ...(before === null ? { before } : {}) };
}

/** A diff shows no content longer than this, in bytes. */
const MAX_DIFF_BYTES = 100_000;

/** Decode UTF-8 for a diff; undefined for other and for too long content. A byte order mark stays part of the text. */
function shownText(bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_DIFF_BYTES || bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The message for a file that was not replaced atomically. */
export function writtenInPlace(path: string): string {
  return `${path} cannot be replaced, so it was written in place`;
}

/** Carry out the change that {@link inspectFile} found: content and attributes at once, atomically. */
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
    ...(change.inPlace === true ? { inPlace: true } : {}),
  };
  if (change.validate !== undefined)
    await validateContent(system, change.validate, { path, content, options, signal: change.signal });
  for (const directory of change.directories) await system.makeDirectory(directory);
  const backup = change.backup ? await makeBackup(system, path) : undefined;
  const written = await system.writeFile(path, toContent(content), options);
  // A file that was replaced lost its flags.
  if (change.flags !== undefined) await setFlags(system, path, change.flags);
  const said = [change.message, writtenInPlace(path)].filter(Boolean).join("; ");
  return {
    data: backup === undefined ? {} : { backup_file: backup },
    ...(written === "in place" ? { message: said } : {}),
  };
}

/** Content to write. */
interface Candidate {
  /** The file that will get it. */
  readonly path: string;
  readonly content: FileContent;
  readonly options: WriteOptions;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Run a command on content before it replaces a file; `%s` stands for a temporary file, as in Ansible. No shell is
 * involved. Fails with `ACTION_FAILED`, with the command's output.
 */
async function validateContent(
  system: System,
  command: string,
  { path, content, options, signal }: Candidate,
): Promise<void> {
  const directory = await system.temporaryDirectory();
  const temporary = posix.join(directory, posix.basename(path));
  await system.writeFile(temporary, toContent(content), options);
  try {
    const argv = commandWords(command).map((word) => word.replaceAll("%s", temporary));
    const { code, stdout, stderr } = await system.run(argv, signal === undefined ? {} : { signal });
    if (code === 0) return;
    const said = `${stderr}\n${stdout}`
      .trim()
      .replaceAll(temporary, path)
      .split("\n")
      .slice(0, 5)
      .join(" | ");
    throw new ActionFailure(
      "ACTION_FAILED",
      `failed to validate: ${path} was left as it is: \`${command}\` rejects the new content with exit code ${code}${said === "" ? "" : `: ${said}`}`,
      { exit_status: code, stdout, stderr },
    );
  } finally {
    await system.remove(directory);
  }
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Return the path of a file's backup, named as Ansible does: `PATH.PID.YYYY-MM-DD@HH:MM:SS~`, in local time. */
export function backupPath(path: string, now: Date, pid: number): string {
  const date = [now.getFullYear(), twoDigits(now.getMonth() + 1), twoDigits(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(twoDigits).join(":");
  return `${path}.${pid}.${date}@${time}~`;
}

/** Return a path for a file's backup that nothing has yet: tasks of one process and second must not share one. */
export async function freeBackupPath(system: System, path: string): Promise<string> {
  const now = new Date();
  let pid = process.pid;
  while ((await system.lstat(backupPath(path, now, pid))) !== null) pid++;
  return backupPath(path, now, pid);
}

/** Copy a file beside itself with its owner, times and mode, without setuid and setgid, which would keep an old program usable. Returns the copy's path; undefined without a file. */
export async function makeBackup(system: System, path: string): Promise<string | undefined> {
  const stat = await system.stat(path);
  if (stat?.type !== "file") return undefined;
  const backup = await freeBackupPath(system, path);
  const { mode, uid, gid } = stat;
  await system.writeFile(backup, { copyOf: path }, { mode: mode & 0o777, uid, gid });
  await system.setTimes(backup, stat.atimeMs, stat.mtimeMs);
  return backup;
}

/** Content too large to hold in memory; it can be streamed any number of times. */
interface StreamedContent {
  /** Bytes. */
  readonly size: number;
  /** Hex digest. Default: that of the streamed bytes. */
  checksum?(algorithm: string): Promise<string>;
  /** The file of the machine itself that has this content. */
  readonly copyOf?: string;
  stream(): AsyncIterable<Uint8Array>;
}

/** The wanted content of a file. */
export type FileContent = string | ByteContent;

type ByteContent = Uint8Array | StreamedContent;

const CHECKSUM_ALGORITHM = "sha256";

/** Tell whether content is a {@link StreamedContent}. */
export function isStreamed(content: FileContent): content is StreamedContent {
  return typeof content !== "string" && !(content instanceof Uint8Array);
}

/** Convert content to the form that a System writes. */
function toContent(content: FileContent): Content {
  if (!isStreamed(content)) return content;
  return content.copyOf === undefined ? content.stream() : { copyOf: content.copyOf };
}

/** Return an asset's content: in memory when small, else streamed. */
export async function assetContent(asset: Asset): Promise<FileContent> {
  return asset.size <= INLINE_ASSET_BYTES ? asset.read() : asset;
}

/** Return a file's content for another file: in memory when small, else compared by checksum. */
export async function systemContent(system: ReadSystem, path: string, stat: Stat): Promise<FileContent> {
  if (stat.size <= INLINE_ASSET_BYTES) return system.readFile(path);
  return {
    size: stat.size,
    copyOf: path,
    checksum: (algorithm) => system.checksum(path, algorithm),
    stream: async function* () {
      yield await system.readFile(path);
    },
  };
}

/** Return content as bytes. */
async function gather(content: ByteContent): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Return the checksum of content, as hex digits. */
export async function contentChecksum(content: FileContent, algorithm: string): Promise<string> {
  if (!isStreamed(content))
    return createHash(algorithm)
      .update(typeof content === "string" ? textToBytes(content) : content)
      .digest("hex");
  return content.checksum?.(algorithm) ?? hashStream(content.stream(), algorithm);
}

/** Tell whether a file of a size has the streamed content. */
async function sameAsStreamed(
  system: ReadSystem,
  path: string,
  size: number,
  content: StreamedContent,
): Promise<boolean> {
  if (size !== content.size) return false;
  const wanted = await contentChecksum(content, CHECKSUM_ALGORITHM);
  return wanted === (await system.checksum(path, CHECKSUM_ALGORITHM));
}

async function hashStream(stream: AsyncIterable<Uint8Array>, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}
