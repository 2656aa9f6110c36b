import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { modeAfterChown } from "../../core/unix/permissions.ts";
import { bytesToText, crc32 } from "../../core/values/bytes.ts";
import { failureText } from "../shared/run-tool.ts";

/** Options for unpacking an archive. */
export interface UnpackOptions {
  /** Patterns of members to leave out. */
  readonly exclude: readonly string[];
  /** Patterns of members to unpack; empty for all. */
  readonly include: readonly string[];
  readonly keep_newer: boolean;
  readonly extra_opts: readonly string[];
  /** Attributes that are set afterwards anyway, and thus not compared. */
  readonly ignore: { readonly owner: boolean; readonly group: boolean; readonly mode: boolean };
}

/** An archive: a file on the system, or bytes to send there. */
export interface ArchiveSource {
  /** For messages. */
  readonly name: string;
  /** Path on the system; else `bytes` is given. */
  readonly path?: string;
  readonly bytes?: Buffer;
}

/** A kind of archive. */
export interface ArchiveKind {
  /** Return Ansible's name of the kind, by the first bytes of an archive, in hex. */
  handler(magic: string): string;
  /** The command that unpacks it. */
  readonly command: string;
  /** True where `keep_newer` counts no newer file as a change; as in Ansible, tar's are counted each time. */
  readonly skipsNewer?: true;
  /** List the selected paths; directories end with `/`. */
  list(system: ReadSystem, source: ArchiveSource, options: UnpackOptions): Promise<readonly string[]>;
  /** List the paths that are missing below the destination or differ there; null when that cannot be known. */
  differing(
    system: ReadSystem,
    source: ArchiveSource,
    dest: string,
    options: UnpackOptions,
  ): Promise<readonly string[] | null>;
  /** Unpack an archive that lies on the system. */
  extract(system: System, path: string, dest: string, options: UnpackOptions): Promise<ProcessResult>;
}

const MAX_LISTING_BYTES = 64 << 20;

// GNU tar detects the compression of a file, but not of a pipe.
const COMPRESSIONS: readonly (readonly [magic: string, option: string, handler: string])[] = [
  ["1f8b", "--gzip", "TgzArchive"],
  ["425a68", "--bzip2", "TarBzipArchive"],
  ["fd377a585a00", "--xz", "TarXzArchive"],
  ["28b52ffd", "--zstd", "TarZstdArchive"],
];

const DIFFERENCE =
  /^(?:tar: )?(.*?): (?:Warning: )?(?:(Mode|Uid|Gid) differs|Size differs|Contents differ|File type differs|Symlink differs|Not linked to .*|Device number differs|Cannot (?:stat|readlink|open): No such file or directory|Cannot (?:stat|readlink|open): Not a directory)$/;

/** tar archives, plain or compressed, through GNU tar. */
export const tarArchive: ArchiveKind = {
  handler: (magic) => COMPRESSIONS.find(([start]) => magic.startsWith(start))?.[2] ?? "TarArchive",
  command: "tar",

  async list(system, source, options) {
    const from = await sourceArguments(system, source, "/");
    const { stdout } = await ask(
      system,
      source,
      ["--list", "--show-transformed-names", ...from.args, ...selection(options)],
      from.process,
    );
    return stdout
      .split("\n")
      .filter((name) => name !== "")
      .map(unescapeName);
  },

  async differing(system, source, dest, options) {
    const from = await sourceArguments(system, source, dest);
    const selected = selection(options);
    const diff = ["--diff", "--verbose", "--show-transformed-names", ...from.args, ...selected];
    const result = await ask(system, source, diff, from.process);
    const isRoot = system.uid === 0;
    const found = new Set<string>();
    const modes = new Set<string>();
    let members = 0;
    for (const line of `${result.stdout}\n${result.stderr}`.split("\n")) {
      const [, path, kind] = DIFFERENCE.exec(line) ?? [];
      if (path === undefined) {
        // The name of the next member. Of a member that occurs twice the last one counts.
        if (line !== "" && !line.startsWith("tar: ")) members++;
        for (const set of [found, modes]) set.delete(placeOf(line));
        continue;
      }
      if (kind === "Mode" && options.ignore.mode) continue;
      // Only root can give files away: other users own everything they unpack.
      if (kind === "Uid" && (options.ignore.owner || !isRoot)) continue;
      if (kind === "Gid" && (options.ignore.group || !isRoot)) continue;
      const place = placeOf(path);
      if (kind === "Mode" && (options.ignore.owner || options.ignore.group)) modes.add(place);
      else found.add(place);
    }
    // GNU tar takes a few bytes, or zeros, for an archive without members.
    if (members === 0 && selected.length === 0) throw emptyArchive(source.name);
    if (modes.size === 0) return [...found];
    const kept = await modesAfterChown(system, source, from, options);
    for (const place of modes)
      if (kept.get(place) !== (await system.lstat(posix.join(dest, place)))?.mode) found.add(place);
    return [...found];
  },

  async extract(system, path, dest, options) {
    const { args, process } = await sourceArguments(system, { name: path, path }, dest);
    const flags = ["--same-permissions", ...(options.keep_newer ? ["--keep-newer-files"] : [])];
    const result = await system.run(["tar", "--extract", ...flags, ...args, ...selection(options)], process);
    if (result.code !== 0) throw explain(result, path);
    return result;
  },
};

/** Return a member's path below the destination. */
function placeOf(printed: string): string {
  return unescapeName(printed).replace(/^\.\/|\/$/g, "") || ".";
}

const SHOWN = /^(.)([-r][-w][-xsS][-r][-w][-xsS][-r][-w][-xtT]) \S+ +\S+ \S+ \S+ (.*)$/;

/** Read the permission bits that members keep after a change of owner or group. */
async function modesAfterChown(
  system: ReadSystem,
  source: ArchiveSource,
  { args, process }: SourceArguments,
  options: UnpackOptions,
): Promise<ReadonlyMap<string, number>> {
  const list = ["--list", "--verbose", "--show-transformed-names", ...args, ...selection(options)];
  const { stdout } = await ask(system, source, list, process);
  const modes = new Map<string, number>();
  for (const line of stdout.split("\n")) {
    const [, kind, letters = "", name] = SHOWN.exec(line) ?? [];
    if (name === undefined) continue;
    let mode = 0;
    for (const [index, letter] of [...letters].entries()) {
      if (/[rwxst]/.test(letter)) mode |= 0o400 >> index;
      if (/[st]/i.test(letter)) mode |= 0o4000 >> ((index - 2) / 3);
    }
    modes.set(placeOf(name), modeAfterChown({ mode, type: kind === "d" ? "directory" : "file" }));
  }
  return modes;
}

function selection({ exclude, include, extra_opts }: UnpackOptions): readonly string[] {
  return [
    ...extra_opts,
    ...exclude.map((pattern) => `--exclude=${pattern}`),
    ...(include.length > 0 ? ["--wildcards", "--", ...include] : []),
  ];
}

const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, "\\": 92 };

/** Decode a name printed with `--quoting-style=escape`, which keeps every name on one line. */
function unescapeName(printed: string): string {
  if (!printed.includes("\\")) return printed;
  const bytes = printed
    .match(/\\[0-7]{3}|\\[\s\S]|[^\\]+/g)!
    .map((part) =>
      part[0] !== "\\"
        ? Buffer.from(part)
        : Buffer.from([ESCAPES[part.slice(1)] ?? Number.parseInt(part.slice(1), 8)]),
    );
  return bytesToText(Buffer.concat(bytes));
}

interface SourceArguments {
  readonly args: readonly string[];
  readonly process: ProcessOptions;
}

/** Make tar's arguments, with paths relative to its working directory, so that they hold on a System with its own root. */
async function sourceArguments(
  system: ReadSystem,
  { path, bytes }: ArchiveSource,
  directory: string,
): Promise<SourceArguments> {
  const cwd = await system.realPath(directory);
  const process: ProcessOptions = {
    cwd,
    env: { LC_ALL: "C", TAR_OPTIONS: undefined },
    maxOutput: MAX_LISTING_BYTES,
  };
  if (path !== undefined) {
    const relative = posix.relative(cwd, await system.realPath(path));
    return { args: ["--quoting-style=escape", "--force-local", `--file=${relative}`], process };
  }
  const magic = bytes?.toString("hex", 0, 6) ?? "";
  const option = COMPRESSIONS.find(([start]) => magic.startsWith(start))?.[1];
  return {
    args: ["--quoting-style=escape", ...(option === undefined ? [] : [option]), "--file=-"],
    process: { ...process, input: bytes ?? "" },
  };
}

async function ask(
  system: ReadSystem,
  { name }: ArchiveSource,
  args: readonly string[],
  options: ProcessOptions,
): Promise<ProcessResult> {
  const result = await system.query(["tar", ...args], options);
  // Exit code 1 means a difference.
  if (result.code > 1) throw explain(result, name);
  return result;
}

function explain(result: ProcessResult, name: string): VolleyError {
  const missing = /^(?:tar \(child\): )?(?:\/bin\/sh: .*)?(\w+): (?:Cannot exec|not found)/m.exec(
    result.stderr,
  )?.[1];
  if (missing !== undefined)
    return new VolleyError("ACTION_FAILED", `unpacking ${name} needs ${missing}; install it first`);
  if (/unrecognized option|invalid option/.test(result.stderr) && /BusyBox/.test(result.stderr))
    return new VolleyError("ACTION_FAILED", "unpacking needs GNU tar; install the package tar first");
  return new VolleyError("ACTION_FAILED", `cannot unpack ${name}: ${failureText(result)}`);
}

/** Make the error for an archive without members; Ansible refuses it too. */
function emptyArchive(name: string): VolleyError {
  return new VolleyError(
    "ACTION_FAILED",
    `${name} holds no files: it is no tar or zip archive (a single compressed file is none), or an empty one`,
  );
}

const SIZE_IN_EXTRA = 0xffffffff;

/** zip archives: compared from their central directory, unpacked with unzip. */
export const zipArchive: ArchiveKind = {
  handler: () => "ZipArchive",
  command: "unzip",
  skipsNewer: true,

  list: async (system, source, options) => (await entriesOf(system, source, options)).map(({ name }) => name),

  async differing(system, source, dest, options) {
    // Options such as -j change the paths.
    if (options.extra_opts.length > 0) return null;
    const found: string[] = [];
    for (const entry of await entriesOf(system, source, options)) {
      if (await differs(system, posix.join(dest, entry.name), entry, options))
        found.push(entry.name.replace(/\/$/, ""));
    }
    return found;
  },

  async extract(system, path, dest, { keep_newer, extra_opts, include, exclude }) {
    const cwd = await system.realPath(dest);
    const relative = posix.relative(cwd, await system.realPath(path));
    const argv = [
      "unzip",
      "-q",
      keep_newer ? "-uo" : "-o",
      ...extra_opts,
      `./${relative}`,
      ...include.map(noOption),
    ];
    const excluded = exclude.length > 0 ? ["-x", ...exclude.map(noOption)] : [];
    const result = await system.run([...argv, ...excluded], {
      cwd,
      env: { LC_ALL: "C.UTF-8", UNZIP: undefined },
    });
    // Exit code 1 means a warning.
    if (result.code > 1)
      throw new VolleyError("ACTION_FAILED", `cannot unpack ${path}: ${failureText(result)}`);
    return result;
  },
};

/** Rewrite a pattern so that unzip, which has no `--`, does not take it for an option. */
function noOption(pattern: string): string {
  return pattern.replace(/^-/, "[-]");
}

async function entriesOf(
  system: ReadSystem,
  source: ArchiveSource,
  { include, exclude }: UnpackOptions,
): Promise<readonly ZipEntry[]> {
  const bytes = source.bytes ?? (await system.readFile(source.path!));
  const [wanted, unwanted] = [include.map(unzipPattern), exclude.map(unzipPattern)];
  const entries = listZip(bytes, source.name);
  if (entries.length === 0) throw emptyArchive(source.name);
  const named = entries
    .map((entry) => ({ ...entry, name: posix.normalize(entry.name).replace(/^(\.*\/)+/, "") }))
    .filter(
      ({ name }) =>
        name !== "" &&
        (wanted.length === 0 || wanted.some((pattern) => pattern.test(name))) &&
        !unwanted.some((pattern) => pattern.test(name)),
    );
  // Of an entry that occurs twice the last one counts.
  return [...new Map(named.map((entry) => [entry.name, entry])).values()];
}

/** Translate a pattern of unzip's, whose `*` and `?` match `/` too. */
function unzipPattern(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".")
    .replace(/\[!/g, "[^");
  return new RegExp(`^${source}$`, "s");
}

async function differs(
  system: ReadSystem,
  path: string,
  entry: ZipEntry,
  { ignore }: UnpackOptions,
): Promise<boolean> {
  const stat = await system.lstat(path.replace(/\/$/, ""));
  if (stat === null) return true;
  if (entry.name.endsWith("/")) return stat.type !== "directory";
  if (entry.isLink) return stat.type !== "link";
  if (stat.type !== "file" || (entry.size !== SIZE_IN_EXTRA && stat.size !== entry.size)) return true;
  if (entry.mode !== undefined && !ignore.mode && (stat.mode & 0o777) !== entry.mode) return true;
  return crc32(await system.readFile(path)) !== entry.crc32;
}

/** An entry of a zip archive's central directory. */
interface ZipEntry {
  /** Directories end with `/`. */
  readonly name: string;
  /** Bytes, unpacked. */
  readonly size: number;
  readonly crc32: number;
  readonly isLink: boolean;
  /** Permission bits; undefined when the archive was not made on Unix. */
  readonly mode?: number;
}

const END = 0x06054b50;
const END_64_LOCATOR = 0x07064b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const MADE_ON_UNIX = 3;
const LINK = 0o120000;
const FORMAT = 0o170000;

/** Read a zip archive's central directory (PKWARE's APPNOTE, section 4.3). Fails with `ACTION_FAILED`. */
export function listZip(archive: Buffer, name: string): readonly ZipEntry[] {
  const end = findEnd(archive);
  if (end < 0) throw new VolleyError("ACTION_FAILED", `${name} is not a zip archive, or is incomplete`);
  let count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  if (
    (count === 0xffff || at === 0xffffffff) &&
    end >= 20 &&
    archive.readUInt32LE(end - 20) === END_64_LOCATOR
  ) {
    const end64 = Number(archive.readBigUInt64LE(end - 12));
    count = Number(archive.readBigUInt64LE(end64 + 32));
    at = Number(archive.readBigUInt64LE(end64 + 48));
  }
  const entries: ZipEntry[] = [];
  for (; count > 0; count--) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== ENTRY)
      throw new VolleyError("ACTION_FAILED", `${name} is damaged: its list of files ends early`);
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
      archive.readUInt16LE(at + offset),
    );
    const next = at + 46 + nameBytes! + extraBytes! + commentBytes!;
    const attributes = archive.readUInt32LE(at + 38) >>> 16;
    const isUnix = archive[at + 5] === MADE_ON_UNIX && attributes !== 0;
    entries.push({
      name: bytesToText(archive.subarray(at + 46, at + 46 + nameBytes!)),
      size: archive.readUInt32LE(at + 24),
      crc32: archive.readUInt32LE(at + 16),
      isLink: isUnix && (attributes & FORMAT) === LINK,
      // unzip never sets setuid, setgid or sticky unless asked with -K.
      ...(isUnix ? { mode: attributes & 0o777 } : {}),
    });
    at = next;
  }
  return entries;
}

function findEnd(archive: Buffer): number {
  const lowest = Math.max(0, archive.length - END_BYTES - 0xffff);
  for (let at = archive.length - END_BYTES; at >= lowest; at--)
    if (archive.readUInt32LE(at) === END) return at;
  return -1;
}
