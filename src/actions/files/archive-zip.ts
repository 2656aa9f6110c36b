import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";
import { type ArchiveKind, type ArchiveSource, emptyArchive, type UnpackOptions } from "./archive.ts";
import { crc32, listZip, type ZipEntry } from "./zip-listing.ts";

const SIZE_IN_EXTRA = 0xffffffff;

/** zip archives: compared from their central directory, unpacked with unzip. */
export const zipArchive: ArchiveKind = {
  handler: "ZipArchive",
  command: "unzip",

  list: async (system, source, options) => (await entriesOf(system, source, options)).map(({ name }) => name),

  async differing(system, source, dest, options) {
    // Such as -j, which makes other paths of them.
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
    // 1: unpacked, with a warning.
    if (result.code > 1)
      throw new VolleyError("ACTION_FAILED", `cannot unpack ${path}: ${failureText(result)}`);
  },
};

/** A pattern for the same names that unzip, which has no `--`, does not take for an option. */
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
  // Of those that the archive holds twice the last counts.
  return [...new Map(named.map((entry) => [entry.name, entry])).values()];
}

/** unzip's `*` and `?` match `/` too. */
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
