import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";

// Sources of packages in the one-line style of sources.list(5), as Ansible's apt_repository reads and writes them.

/** A line of a sources.list. */
export type SourceLine =
  | { readonly kind: "other"; readonly text: string }
  | {
      readonly kind: "source";
      /** Without the comment, and with single spaces. */
      readonly source: string;
      /** False for a source in a comment. */
      readonly enabled: boolean;
      readonly comment: string;
    };

/** A file of sources. */
export interface SourcesFile {
  readonly path: string;
  /** Null for a file that does not exist. */
  readonly text: string | null;
  readonly lines: readonly SourceLine[];
}

const LIST = "/etc/apt/sources.list";
/** The directory of all other lists. */
export const PARTS = "/etc/apt/sources.list.d";

/** Parse a line of a sources.list. */
export function parseSourceLine(text: string): SourceLine {
  let line = text.trim();
  const enabled = !line.startsWith("#");
  if (!enabled) line = line.slice(1);
  const hash = line.indexOf("#");
  const comment = hash === -1 ? "" : line.slice(hash + 1).trim();
  const source = (hash === -1 ? line : line.slice(0, hash)).trim().replace(/\s+/g, " ");
  if (/^deb(?:-src)? \S/.test(source)) return { kind: "source", source, enabled, comment };
  return { kind: "other", text };
}

/** Return the source of a repository's line. Fails with `ACTION_FAILED` for other text. */
export function parseRepository(text: string): string {
  const line = parseSourceLine(text);
  if (line.kind === "source" && line.enabled) return line.source;
  throw new VolleyError("ACTION_FAILED", `Invalid repository string: ${text}`, {
    hint: 'a source begins with "deb" or "deb-src", a URL, and a suite: "deb http://deb.debian.org/debian bookworm main"',
  });
}

function formatLine(line: SourceLine): string {
  if (line.kind === "other") return line.text;
  const { source, enabled, comment } = line;
  return `${enabled ? "" : "# "}${source}${comment === "" ? "" : ` # ${comment}`}`;
}

/** Return the text of a file with these lines; null for no lines: such a file is removed. */
export function formatSources(lines: readonly SourceLine[]): string | null {
  return lines.length === 0 ? null : lines.map((line) => `${formatLine(line)}\n`).join("");
}

/** Read a sources.list that may not exist. */
export async function readSourcesFile(system: ReadSystem, path: string): Promise<SourcesFile> {
  const text = (await system.readIfExists(path))?.toString("utf8") ?? null;
  const lines = text === null || text === "" ? [] : text.replace(/\n$/, "").split("\n");
  return { path, text, lines: lines.map(parseSourceLine) };
}

/** Read sources.list and every list beside it. */
export async function readSources(system: ReadSystem): Promise<readonly SourcesFile[]> {
  const names =
    (await system.stat(PARTS))?.type === "directory"
      ? (await system.list(PARTS)).filter((name) => name.endsWith(".list"))
      : [];
  const files: SourcesFile[] = [];
  for (const path of [LIST, ...names.map((name) => `${PARTS}/${name}`)]) {
    if ((await system.stat(path))?.type === "file") files.push(await readSourcesFile(system, path));
  }
  return files;
}

/** Return the path of the list for a new source: named by the user, else by the source's URL. */
export function listPath(source: string, filename: string | undefined): string {
  if (filename !== undefined) return `${filename.startsWith("/") ? "" : `${PARTS}/`}${filename}.list`;
  const [, location = source] = source
    .replace(/\[[^\]]*\]/g, " ")
    .split(/\s+/)
    .filter(Boolean)
    .slice(0, 2);
  const place = location.replace(/https?:\/\//, "").replace(/^[^/@]*@/, "");
  return `${PARTS}/${place
    .split(/[\W_]+/)
    .filter(Boolean)
    .join("_")}.list`;
}

/** Return the files that change so that a source is there and enabled, with their new lines. */
export function addSource(
  files: readonly SourcesFile[],
  source: string,
  fallback: SourcesFile,
): readonly SourcesFile[] {
  const holds = (line: SourceLine): boolean => line.kind === "source" && line.source === source;
  const holders = files.filter(({ lines }) => lines.some(holds));
  if (holders.length === 0) {
    const added: SourceLine = { kind: "source", source, enabled: true, comment: "" };
    return [{ ...fallback, lines: [...fallback.lines, added] }];
  }
  return holders
    .filter(({ lines }) => lines.some((line) => holds(line) && line.kind === "source" && !line.enabled))
    .map((file) => ({
      ...file,
      lines: file.lines.map((line) =>
        line.kind === "source" && line.source === source ? { ...line, enabled: true } : line,
      ),
    }));
}

/** Return the files that change so that an enabled source is gone, with their new lines. */
export function removeSource(files: readonly SourcesFile[], source: string): readonly SourcesFile[] {
  const goes = (line: SourceLine): boolean =>
    line.kind === "source" && line.source === source && line.enabled;
  return files
    .filter(({ lines }) => lines.some(goes))
    .map((file) => ({ ...file, lines: file.lines.filter((line) => !goes(line)) }));
}
