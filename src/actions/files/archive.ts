import { posix } from "node:path";
import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { matchesGlob, quote, setGlobPieces } from "../../core/unix/shell.ts";
import { defineAction } from "../define.ts";
import { applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { attributeAliases, fileAttributes, flag, oneOf, optionalText, textList } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const params = v.strictObject({
  path: textList("Files and directories, or globs of them."),
  dest: optionalText(
    "The archive. Needed for all but a single file, whose default is its name with the format's ending.",
  ),
  format: oneOf(
    ["bz2", "gz", "tar", "xz", "zip"],
    "gz",
    "The kind of archive, or of compression for a single file.",
  ),
  exclude_path: v.optional(textList("Of what `path` names, those to leave out, or globs of them."), []),
  exclusion_patterns: v.optional(
    textList("Globs of names within the archive to leave out; a `*` stands for `/`, too."),
    [],
  ),
  force_archive: flag("Make an archive of a single file, too, in place of compressing it."),
  remove: flag("Remove what is in the archive from where it was."),
  ...fileAttributes,
});

type Params = v.InferOutput<typeof params>;

/** The data of an archive task. */
interface ArchiveData extends Partial<FileDescription> {
  readonly dest: string;
  readonly dest_state: "absent" | "archive" | "compress" | "incomplete";
  readonly arcroot: string;
  readonly archived: readonly string[];
  readonly missing: readonly string[];
  readonly expanded_paths: readonly string[];
  readonly expanded_exclude_paths: readonly string[];
}

interface ArchiveChange extends Change {
  readonly data: ArchiveData;
  /** The shell's command that writes the archive; absent where that is as it should be. */
  readonly script?: string;
  readonly names: readonly string[];
  readonly remove: readonly string[];
}

/** The programs that compress and decompress; what they write is the same for the same input. */
const COMPRESSORS = {
  bz2: ["bzip2", "bzip2 -dc"],
  gz: ["gzip -n", "gzip -dc"],
  tar: ["cat", "cat"],
  xz: ["xz", "xz -dc"],
} as const;

const MAX_NAMES = 64 * 1024 * 1024;

/** Make an archive of files, or compress a file. */
export const archive = defineAction<typeof params, ArchiveChange, ArchiveData>({
  name: "archive",
  doc: `Make an archive of files and directories, or compress a single file, with the host's \`tar\`, \`gzip\`, \`bzip2\`, \`xz\` or \`zip\`.

The archive is made anew when what it would hold differs from what it holds: names, contents, times, owners and permissions; of a compressed file the content.`,
  params,
  aliases: attributeAliases,
  examples: [
    { path: "/etc/app", dest: "/var/backups/app.tgz" },
    { path: "/var/log/app.log", format: "xz", remove: true },
  ],
  title: ({ dest, path }) => dest ?? path.join(" "),

  async inspect(given, system, context): Promise<ArchiveChange | Unchanged<ArchiveData>> {
    const expanded = await expand(system, given.path);
    const excluded = await expand(system, given.exclude_path);
    const wanted = expanded.filter((path) => !excluded.includes(path));
    if (wanted.length === 0) throw new VolleyError("ACTION_FAILED", "Error, no source paths were found");
    const stats = await Promise.all(wanted.map((path) => system.lstat(path.replace(/(?<=.)\/$/, ""))));
    const isSingle =
      given.path.length === 1 &&
      !MAGIC.test(given.path[0]!) &&
      stats.every((stat) => stat?.type !== "directory");
    if (given.dest === undefined && !isSingle)
      throw new VolleyError(
        "ACTION_FAILED",
        'Error, must specify "dest" when archiving multiple files or trees',
      );
    const dest =
      given.dest === undefined ? `${wanted[0]}.${given.format}` : await expandPath(system, given.dest);
    const isArchive = !isSingle || given.force_archive || given.format === "tar" || given.format === "zip";
    const arcroot = rootOf(wanted);
    const found = wanted.filter((_, index) => stats[index] !== null);
    const missing = wanted.filter((_, index) => stats[index] === null);
    const names = await namesBelow(system, found, { arcroot, dest, given, signal: context.signal });
    const before = await system.lstat(dest);
    const state = isArchive ? (missing.length > 0 ? "incomplete" : "archive") : "compress";
    const data = {
      dest,
      arcroot,
      // As in Ansible, a given directory is not listed itself.
      archived: names
        .map((name) => posix.join(arcroot, name))
        .filter((path) => stats[wanted.indexOf(path)]?.type !== "directory"),
      missing,
      expanded_paths: expanded,
      expanded_exclude_paths: excluded,
    };
    const described = async (): Promise<Partial<FileDescription>> =>
      before === null ? {} : await describeFile(system, dest, context);
    if (found.length === 0)
      return unchanged({ ...data, dest_state: before === null ? "absent" : state, ...(await described()) });
    await requirePrograms(system, given.format, isArchive);
    const made = madeBy(given, arcroot, isArchive ? undefined : found[0]!);
    const isSame = before?.type === "file" && (await hasContent(system, dest, made, names, context.signal));
    const attributes = await inspectAttributes(system, dest, before, given, context);
    const remove = given.remove ? found : [];
    const all = { ...data, dest_state: state } as const;
    if (isSame && attributes === null && remove.length === 0)
      return unchanged({ ...all, ...(await described()) });
    const states = [before === null ? "absent" : "archive", "archive"] as const;
    return {
      data: context.check ? { ...all, dest_state: before === null ? "absent" : state } : all,
      ...(isSame ? {} : { script: `set -e; cd ${quote(arcroot)}; ${made.write}` }),
      names,
      remove,
      diff: {
        path: dest,
        attributes: { ...attributes?.diff?.attributes, ...(isSame ? {} : { state: states }) },
      },
    };
  },

  async apply({ data, script, names, remove }, given, system, context) {
    const { dest } = data;
    if (script !== undefined) {
      const made = posix.join(await system.temporaryDirectory(), "archive");
      await runTool(system, ["sh", "-c", `{ ${script}; } > ${quote(made)}`], `make ${dest}`, {
        input: names.map((name) => `${name}\0`).join(""),
        signal: context.signal,
      });
      await system.writeFile(dest, { copyOf: made });
      await system.remove(made);
    }
    const attributes = await inspectAttributes(system, dest, await system.lstat(dest), given, context);
    if (attributes !== null) await applyAttributes(attributes, system);
    for (const path of remove) await system.remove(path.replace(/(?<=.)\/$/, ""));
    return { data: { ...data, ...(await describeFile(system, dest, context)) } };
  },
});

const MAGIC = /[*?[]/;

/** Return the paths that globs stand for; a path without their signs stands for itself. */
async function expand(system: ReadSystem, paths: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const each of paths) {
    const path = await expandPath(system, each);
    if (!MAGIC.test(path)) found.push(path);
    else {
      const globbed = `for f in ${path.replace(/[^\w/*?[\]!.,:@%+-]/g, "\\$&")}; do printf '%s\\0' "$f"; done`;
      const { stdout } = await system.query(["sh", "-c", globbed], { maxOutput: MAX_NAMES });
      // A glob without a match stays as it is.
      found.push(...stdout.split("\0").filter((one) => one !== "" && one !== path));
    }
  }
  return found;
}

/** The directory that all paths are in, with a slash. */
function rootOf(paths: readonly string[]): string {
  const [first = [], ...rest] = paths.map((path) =>
    path
      .replace(/[^/]*$/, "")
      .split("/")
      .slice(0, -1),
  );
  const differs = first.findIndex((part, index) => rest.some((other) => other[index] !== part));
  return `${first.slice(0, differs < 0 ? first.length : differs).join("/")}/`;
}

/** Return the names of all files as the archive is to have them, sorted. */
async function namesBelow(
  system: ReadSystem,
  paths: readonly string[],
  {
    arcroot,
    dest,
    given: { exclusion_patterns, format },
    signal,
  }: {
    readonly arcroot: string;
    readonly dest: string;
    readonly given: Params;
    readonly signal: AbortSignal;
  },
): Promise<readonly string[]> {
  if (paths.length === 0) return [];
  // An archive in zip lists files alone.
  const listed = await system.query(
    ["find", ...paths, ...(format === "zip" ? ["!", "-type", "d"] : []), "-print0"],
    { maxOutput: MAX_NAMES, signal },
  );
  if (listed.code !== 0 || listed.truncated === true)
    throw new VolleyError("ACTION_FAILED", `cannot list what to archive: ${failureText(listed)}`);
  const patterns = exclusion_patterns.map((pattern) => setGlobPieces(pattern, "fnmatch"));
  const names = listed.stdout
    .split("\0")
    .filter((path) => path !== "" && path !== dest)
    .map((path) => path.slice(arcroot.length))
    .filter((name) => name !== "" && !patterns.some((pattern) => matchesGlob(pattern, name)));
  return [...new Set(names)].sort();
}

/** The commands that write an archive, and that read what is compared of it. */
interface Made {
  readonly write: string;
  /** Writes what `read` reads of an archive that is as it should be. */
  readonly plain: string;
  readonly read: string;
}

function madeBy({ format }: Params, arcroot: string, single: string | undefined): Made {
  const directory = `cd ${quote(arcroot)}`;
  if (format === "zip") {
    const zip = "tr '\\0' '\\n' | zip -q -X -y - -@";
    return { write: zip, plain: `${directory}; ${zip}`, read: "cat" };
  }
  const [compress, read] = COMPRESSORS[format];
  const plain =
    single === undefined
      ? "tar --create --format=gnu --no-recursion --null --verbatim-files-from --files-from=-"
      : `cat < ${quote(single)}`;
  return { write: `${plain} | ${compress}`, plain: `${directory}; ${plain}`, read };
}

async function hasContent(
  system: ReadSystem,
  dest: string,
  { plain, read }: Made,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const sum = async (script: string): Promise<string> => {
    const input = names.map((name) => `${name}\0`).join("");
    const { stdout } = await system.query(["sh", "-c", `{ ${script}; } 2>/dev/null | sha256sum`], {
      input,
      signal,
    });
    return stdout;
  };
  const [now, wanted] = [await sum(`${read} < ${quote(dest)}`), await sum(plain)];
  return now === wanted;
}

/** Fails with `ACTION_FAILED` for a program that the host does not have. */
async function requirePrograms(
  system: ReadSystem,
  format: Params["format"],
  isArchive: boolean,
): Promise<void> {
  const needed =
    format === "zip" ? ["zip"] : [...(isArchive ? ["tar"] : []), COMPRESSORS[format][0].split(" ")[0]!];
  for (const program of needed)
    if ((await system.which(program)) === null)
      throw new VolleyError(
        "ACTION_FAILED",
        `there is no ${program} on this host; install the package that has it`,
      );
}
