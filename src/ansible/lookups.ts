import { VolleyError } from "../core/errors.ts";
import type { LookupQuestion } from "../core/lookup.ts";
import { matchesGlob, setGlobPieces } from "../core/unix/shell.ts";
import { bytesToText } from "../core/values/bytes.ts";
import { isDict } from "../core/values/value.ts";
import type { PlaybookFiles } from "./files.ts";
import { candidates, type SearchRoots } from "./files.ts";
import type { PlaybookTree } from "./ir.ts";

/** What a playbook has. */
interface Known {
  readonly files: PlaybookFiles;
  readonly tree: PlaybookTree;
}

// Lookups of files that the bundle holds: the controller need not be asked.

/** Answer a lookup from the playbook's files; undefined where only the controller can answer. */
export function lookUpHere(
  known: Known,
  roots: SearchRoots,
  { plugin, terms, options }: LookupQuestion,
): readonly unknown[] | undefined {
  switch (plugin) {
    case "first_found":
      return firstFound(known, roots, terms, options);
    case "fileglob":
      return terms.flatMap((term) => glob(known, roots, String(term)));
    case "file":
    case "template": {
      const texts = terms.map((term) => read(known, roots, String(term), plugin));
      return texts.includes(undefined) ? undefined : texts;
    }
    default:
      return undefined;
  }
}

function read(
  { files }: Known,
  roots: SearchRoots,
  name: string,
  kind: "file" | "template",
): string | undefined {
  for (const path of candidates(files, name, `${kind}s`, roots)) {
    const found = files.file(path);
    if (found !== null) return bytesToText(found.read());
  }
  return undefined;
}

/** Return whether the playbook has a file, be it sent or read into the tree. */
function exists({ files, tree }: Known, path: string): boolean {
  return files.file(path) !== null || tree.vars[path] !== undefined || tree.tasks[path] !== undefined;
}

/** The names that terms of `first_found` stand for, and whether finding none is no error. */
function wantedNames(
  terms: readonly unknown[],
  options: Readonly<Record<string, unknown>>,
): { readonly names: readonly string[]; readonly skip: boolean } {
  const names: string[] = [];
  let skip = false;
  const split = (value: unknown, at: RegExp): readonly string[] => {
    if (value === undefined || value === null) return [];
    return (Array.isArray(value) ? value : String(value).split(at)).map((each) => String(each).trim());
  };
  const take = (term: unknown): void => {
    if (Array.isArray(term)) {
      for (const each of term) take(each);
    } else if (isDict(term)) {
      const given = (term instanceof Map ? Object.fromEntries(term) : term) as Readonly<
        Record<string, unknown>
      >;
      if (/^(?:true|yes|1)$/i.test(String(given.skip ?? ""))) skip = true;
      const files = split(given.files, /[,;]/);
      const paths = split(given.paths, /[,:;]/).filter((path) => path !== "");
      if (paths.length === 0) names.push(...files);
      else
        for (const path of paths)
          names.push(...files.map((file) => (file === "" ? path : `${path.replace(/\/$/, "")}/${file}`)));
    } else names.push(...split(term, /[,;]/));
  };
  if (options.files !== undefined || options.skip !== undefined) take(options);
  for (const term of terms) take(term);
  return { names: names.filter((name) => name !== ""), skip };
}

function firstFound(
  known: Known,
  roots: SearchRoots,
  terms: readonly unknown[],
  options: Readonly<Record<string, unknown>>,
): readonly unknown[] {
  const { names, skip } = wantedNames(terms, options);
  for (const name of names) {
    for (const kind of ["files", "templates", "vars", "tasks"]) {
      const found = candidates(known.files, name, kind, roots).find((path) => exists(known, path));
      if (found !== undefined) return [known.files.fullPath(found)];
    }
  }
  if (skip) return [];
  throw new VolleyError("TEMPLATE_FAILED", "No file was found when using first_found.");
}

function glob({ files }: Known, roots: SearchRoots, term: string): readonly string[] {
  const at = term.lastIndexOf("/");
  const directory = at < 0 ? "" : term.slice(0, at);
  const pieces = setGlobPieces(term.slice(at + 1), "fnmatch");
  for (const path of candidates(files, directory === "" ? "." : directory, "files", roots)) {
    const names = (files.tree(path) ?? []).filter((name) => !name.includes("/") && matchesGlob(pieces, name));
    if (names.length > 0) return names.map((name) => files.fullPath(path === "." ? name : `${path}/${name}`));
  }
  return [];
}
