import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { modeAfterChown } from "../../core/permissions.ts";
import type { ProcessOptions, ProcessResult, ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/text.ts";
import { failureText } from "../shared/run-tool.ts";
import { type ArchiveKind, type ArchiveSource, emptyArchive, type UnpackOptions } from "./archive.ts";

const MAX_LISTING_BYTES = 64 << 20;

// GNU tar finds out a file's compression by itself, but not that of a pipe.
const COMPRESSIONS: readonly (readonly [magic: string, option: string])[] = [
  ["1f8b", "--gzip"],
  ["425a68", "--bzip2"],
  ["fd377a585a00", "--xz"],
  ["28b52ffd", "--zstd"],
];

const DIFFERENCE =
  /^(?:tar: )?(.*?): (?:Warning: )?(?:(Mode|Uid|Gid) differs|Size differs|Contents differ|File type differs|Symlink differs|Not linked to .*|Device number differs|Cannot (?:stat|readlink|open): No such file or directory|Cannot (?:stat|readlink|open): Not a directory)$/;

/** tar archives, plain or compressed, through GNU tar. */
export const tarArchive: ArchiveKind = {
  handler: "TarArchive",
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
        // The name of the next member: of those that the archive holds twice the last counts.
        if (line !== "" && !line.startsWith("tar: ")) members++;
        for (const set of [found, modes]) set.delete(placeOf(line));
        continue;
      }
      if (kind === "Mode" && options.ignore.mode) continue;
      // Only root can give files away: for others everything unpacked is their own.
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
  },
};

/** A member's path below the destination. */
function placeOf(printed: string): string {
  return unescapeName(printed).replace(/^\.\/|\/$/g, "") || ".";
}

const SHOWN = /^(.)([-r][-w][-xsS][-r][-w][-xsS][-r][-w][-xtT]) \S+ +\S+ \S+ \S+ (.*)$/;

/** The permission bits that the archive's members keep when they are given to another owner or group afterwards. */
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

/** A name as `--quoting-style=escape` prints it, so that every name is one line. */
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

/** Paths are given relative to where tar runs, so that they hold on a System with a root of its own. */
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
  // 1 says that something differs.
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
