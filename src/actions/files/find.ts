import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { defineAction } from "../define.ts";
import { modeProblem, parseMode } from "../shared/attributes.ts";
import { type StatFacts, statFacts } from "../shared/file-facts.ts";
import { flag, oneOf, optionalText, textList } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";

/** A file that find found. */
interface FoundFile extends StatFacts {
  readonly path: string;
  readonly checksum?: string;
}

/** The data of a find task. */
interface FindData {
  readonly files: readonly FoundFile[];
  readonly matched: number;
  /** Number of entries looked at. */
  readonly examined: number;
  /** The paths that could not be searched, and why. */
  readonly skipped_paths: Readonly<Record<string, string>>;
}

const AGE = /^(-?\d+)([smhdw]?)$/i;
const SIZE = /^(-?\d+)([bkmgt]?)$/i;
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };
const BYTES: Readonly<Record<string, number>> = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

const quantity = (form: RegExp, problem: string, description: string) =>
  v.optional(
    v.pipe(
      v.union([v.string(), v.number()]),
      v.transform((value) => String(value).trim()),
      v.regex(form, problem),
      v.description(description),
    ),
  );

const params = v.strictObject({
  paths: textList("The directories to search."),
  patterns: v.optional(
    textList(
      "Take only entries whose name matches one of these shell patterns, or with `use_regex` expressions.",
    ),
  ),
  excludes: v.optional(textList("Leave out entries whose name matches one of these.")),
  use_regex: flag(
    "`patterns` and `excludes` are Python regular expressions, which match from the name's beginning.",
  ),
  file_type: oneOf(["file", "directory", "link", "any"], "file", "The type of the entries to take."),
  recurse: flag("Search the directories below as well."),
  depth: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.description(
        "With `recurse`, the number of levels to search: 1 for the directory itself. Default: all.",
      ),
    ),
  ),
  follow: flag("With `recurse`, search the directories that links lead to."),
  hidden: flag(
    "Take entries whose name begins with a dot, too. Directories of such a name are searched in any case.",
  ),
  age: quantity(
    AGE,
    "failed to process age; write a number with s, m, h, d or w behind it",
    "Take entries of at least this age: `3600`, `90m`, `2d`, `1w`; with a minus of at most this age.",
  ),
  age_stamp: oneOf(["mtime", "atime", "ctime"], "mtime", "The time that `age` is counted from."),
  size: quantity(
    SIZE,
    "failed to process size; write a number with b, k, m, g or t behind it",
    "Take files of at least this size: `100`, `10k`, `1m`, `1g`; with a minus of at most this size.",
  ),
  contains: optionalText(
    "Take only files with a line that this Python regular expression matches from its beginning. For `file_type: file`.",
  ),
  read_whole_file: flag("Search the whole content for `contains`, as one text."),
  encoding: optionalText("The encoding of the files for `contains`. Default: UTF-8."),
  mode: v.optional(
    v.pipe(
      v.union([v.number(), v.string()]),
      v.check(
        (mode) => modeProblem(mode) === undefined,
        ({ input }) => modeProblem(input) ?? "",
      ),
      v.description("Take only entries with these permission bits, octal or symbolic."),
    ),
  ),
  exact_mode: flag("`mode` gives all bits; false takes entries with further bits as well.", true),
  get_checksum: flag("Calculate the checksum of each file found."),
  checksum_algorithm: oneOf(
    ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
    "sha1",
    "The checksum's algorithm.",
  ),
  limit: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.description("Stop after this many matches. Default: never."),
    ),
  ),
});

type Params = v.InferOutput<typeof params>;

/** Find files. */
export const find = defineAction({
  name: "find",
  doc: `Find files, directories or links on the host by name, age, size, mode and content.

It never changes anything. \`data.files\` lists the matches, with facts as those of \`stat\`: of each directory first its
files, then its directories, by name. A path that is no directory, or that cannot be read, is no error: \`skipped_paths\`
says why. Size counts for files only, and so does content, which only \`file_type: file\` looks at.`,
  params,
  aliases: {
    ...{ path: "paths", name: "paths", pattern: "patterns", exclude: "excludes" },
    checksum_algo: "checksum_algorithm",
  },
  examples: [
    { paths: "/var/log/app", patterns: "*.log", age: "30d", recurse: true },
    { paths: ["/etc/app"], file_type: "any", use_regex: true, patterns: [".*\\.(bak|old)$"] },
  ],
  title: ({ paths }) => paths.join(", "),

  async inspect(given, system, context) {
    const search: Search = {
      given,
      system,
      context,
      nowMs: Date.now(),
      files: [],
      skipped_paths: {},
      examined: 0,
    };
    for (const path of given.paths) await searchPath(search, path);
    const { files, examined, skipped_paths } = search;
    const all = Object.keys(skipped_paths).length === 0;
    return unchanged<FindData>(
      { files, matched: files.length, examined, skipped_paths },
      all ? "All paths examined" : "Not all paths examined, check warnings for details",
    );
  },
});

/** True for a name that is wanted. */
type Test = (name: string) => Promise<boolean>;

/** A search with what it found so far. */
interface Search {
  readonly given: Params;
  readonly system: ReadSystem;
  readonly context: ActionContext;
  readonly nowMs: number;
  readonly files: FoundFile[];
  readonly skipped_paths: Record<string, string>;
  examined: number;
}

function isDone({ files, given }: Search): boolean {
  return files.length >= (given.limit ?? Number.POSITIVE_INFINITY);
}

/** Search one of the paths. */
async function searchPath(search: Search, path: string): Promise<void> {
  const { given, system, context, skipped_paths } = search;
  try {
    const directory = await expandPath(system, path);
    if ((await system.stat(directory))?.type !== "directory") {
      skipped_paths[path] = `'${path}' is not a directory`;
      return;
    }
    const wanted = nameTest(given, context.signal);
    await searchDirectory(search, directory, [await system.realPath(directory)], wanted);
  } catch (thrown) {
    context.signal.throwIfAborted();
    skipped_paths[path] = messageOf(thrown);
  }
}

/** Search a directory; `above` are the real paths of this one and those above it, against circles of links. */
async function searchDirectory(
  search: Search,
  directory: string,
  above: readonly string[],
  wanted: Test,
): Promise<void> {
  const { given, system, context, files } = search;
  const { recurse, depth = 0, follow } = given;
  context.signal.throwIfAborted();
  const entries = await entriesOf(search, directory);
  const directories = entries.filter(({ isDirectory }) => isDirectory);
  search.examined += entries.length;
  // As Ansible counts: the entries one level below the last are looked at, too.
  if (depth > 0 && above.length > depth && recurse) return;
  for (const entry of [...entries.filter(({ isDirectory }) => !isDirectory), ...directories]) {
    if (isDone(search)) return;
    const found = (await wanted(entry.name)) ? await matchEntry(search, entry) : null;
    if (found !== null) files.push(found);
  }
  if (!recurse) return;
  for (const { path, name, stat } of directories) {
    if (isDone(search)) return;
    if (stat.type === "link" && !follow) continue;
    const real = stat.type === "link" ? await system.realPath(path) : posix.join(above.at(-1)!, name);
    if (!above.includes(real)) await searchDirectory(search, path, [...above, real], wanted);
  }
}

async function entriesOf({ system, skipped_paths }: Search, directory: string): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  let names: readonly string[] = [];
  try {
    names = await system.list(directory);
  } catch (thrown) {
    skipped_paths[directory] = messageOf(thrown);
  }
  for (const name of names) {
    const path = posix.join(directory, name);
    const stat = await system.lstat(path);
    if (stat === null) continue;
    const leadsTo = stat.type === "link" ? await system.stat(path) : stat;
    entries.push({ path, name, stat, isDirectory: leadsTo?.type === "directory" });
  }
  return entries;
}

/** Return the facts of an entry whose name is wanted; null where the rest does not fit. */
async function matchEntry(search: Search, { path, stat }: Entry): Promise<FoundFile | null> {
  const { given, system, context, nowMs } = search;
  const { file_type, get_checksum, checksum_algorithm } = given;
  const isFile = stat.type === "file";
  if (file_type !== "any" && stat.type !== file_type) return null;
  if (!hasMode(stat, given) || (isFile && !hasSize(stat, given.size))) return null;
  // An exact Stat may cost a process: only what the name and the size leave gets one.
  const exact = await system.lstat(path, true);
  if (exact === null || !hasAge(exact, given, nowMs)) return null;
  if (file_type === "file" && !(await hasContent(search, path))) return null;
  const checksum = isFile && get_checksum ? await system.checksum(path, checksum_algorithm) : undefined;
  return {
    path,
    ...(await statFacts(system, exact, context)),
    ...(checksum === undefined ? {} : { checksum }),
  };
}

function hasAge({ mtimeMs, atimeMs, ctimeMs }: Stat, { age, age_stamp }: Params, nowMs: number): boolean {
  if (age === undefined) return true;
  const seconds = amount(age, AGE, SECONDS);
  const oldMs = nowMs - { mtime: mtimeMs, atime: atimeMs, ctime: ctimeMs }[age_stamp];
  return age.startsWith("-") ? oldMs <= seconds * 1000 : oldMs >= seconds * 1000;
}

async function hasContent({ given, system, context, skipped_paths }: Search, path: string): Promise<boolean> {
  const { contains, read_whole_file, encoding } = given;
  if (contains === undefined) return true;
  let content: string;
  try {
    content = decode(await system.readFile(path), encoding);
  } catch (thrown) {
    skipped_paths[path] = messageOf(thrown);
    return false;
  }
  const regex = pythonRegex(contains, { unicode: true, ...(read_whole_file ? {} : { anchored: "start" }) });
  const texts = read_whole_file ? [content] : (content.match(/[^\n]*\n|[^\n]+$/g) ?? []);
  const found = await findMatches(regex, texts, context.signal);
  return found.some((matches) => matches.length > 0);
}

interface Entry {
  readonly path: string;
  readonly name: string;
  /** Of the entry itself. */
  readonly stat: Stat;
  /** True also for a link that leads to one. */
  readonly isDirectory: boolean;
}

function decode(bytes: Buffer, encoding: string | undefined): string {
  if (encoding === undefined || /^utf-?8$/i.test(encoding)) return bytesToText(bytes);
  try {
    return new TextDecoder(encoding.replaceAll("_", "-"), { fatal: true }).decode(bytes);
  } catch {
    throw new VolleyError("ACTION_FAILED", `the content is not ${encoding}`);
  }
}

/** Make the test of names by `patterns`, `excludes` and `hidden`. */
function nameTest({ patterns = [], excludes = [], use_regex, hidden }: Params, signal: AbortSignal): Test {
  const matcher = (pattern: string): Test => {
    if (use_regex) {
      const regex = pythonRegex(pattern, { unicode: true, anchored: "start" });
      return async (name) => (await findMatches(regex, [name], signal))[0]!.length > 0;
    }
    const pieces = setGlobPieces(pattern, "fnmatch");
    return async (name) => matchesGlob(pieces, name);
  };
  const [wanted, unwanted] = [patterns.map(matcher), excludes.map(matcher)];
  const some = async (tests: readonly Test[], name: string): Promise<boolean> => {
    for (const test of tests) if (await test(name)) return true;
    return false;
  };
  return async (name) =>
    (hidden || !name.startsWith(".")) &&
    (wanted.length === 0 || (await some(wanted, name))) &&
    !(await some(unwanted, name));
}

function amount(written: string, form: RegExp, units: Readonly<Record<string, number>>): number {
  const [, number = "0", unit = ""] = form.exec(written) ?? [];
  return Math.abs(Number(number)) * (units[unit.toLowerCase()] ?? 1);
}

function hasSize({ size }: Stat, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  const bytes = amount(wanted, SIZE, BYTES);
  return wanted.startsWith("-") ? size <= bytes : size >= bytes;
}

/** Symbolic bits count against those of the entry: with `u=r` all others are as they are. */
function hasMode({ mode: current, type }: Stat, { mode, exact_mode }: Params): boolean {
  if (mode === undefined) return true;
  const wanted = parseMode(mode, current, type === "directory");
  return exact_mode ? wanted === current : (current & wanted) === wanted;
}
