import type { LookupQuestion } from "../core/lookup.ts";
import { matchesGlob, setGlobPieces } from "../core/unix/shell.ts";
import { bytesToText } from "../core/values/bytes.ts";
import type { PlaybookFiles } from "./files.ts";
import { candidates, type SearchRoots } from "./files.ts";
import type { PlaybookTree } from "./ir.ts";

/** The files and the tree of a playbook. */
interface Known {
  readonly files: PlaybookFiles;
  readonly tree: PlaybookTree;
}

// Lookups of files that the bundle holds: the controller need not be asked.

/** Answer a lookup from the playbook's files; undefined where only the controller can answer. */
export function lookUpHere(
  known: Known,
  roots: SearchRoots,
  { plugin, terms }: LookupQuestion,
): readonly unknown[] | undefined {
  switch (plugin) {
    case "first_found":
      // The templates have looked for it among the playbook's files. Others are outside of them.
      return terms.some((term) => /^[/~]|\.\.\//.test(String(term))) ? undefined : [];
    case "fileglob": {
      // Other directories than the playbook's are listed by the controller, which does not read all that lies below.
      if (terms.some((term) => isOutside(known, String(term)))) return undefined;
      const found = terms.flatMap((term) => glob(known, roots, String(term)));
      return found.length === 0 ? undefined : found;
    }
    case "file":
    case "template": {
      const texts = terms.map((term) => read(known, roots, String(term), plugin));
      return texts.includes(undefined) ? undefined : texts;
    }
    case "stat": {
      // Paths of the playbook's own; of other paths only a controller knows.
      const path = known.files.treePath(String(terms[0]));
      if (exists(known, path)) return ["file"];
      return known.files.tree(path) === null ? undefined : ["directory"];
    }
    default:
      return undefined;
  }
}

function isOutside({ files }: Known, path: string): boolean {
  return path.startsWith("/") && files.treePath(path).startsWith("../");
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

/**
 * Return the controller's path of a file of the playbook, looked for in `directory` first; null for none. Any kind
 * of task may be meant by `first_found`.
 */
export function findHere(known: Known, roots: SearchRoots, name: string, directory: string): string | null {
  for (const kind of new Set([directory, "files", "templates", "vars", "tasks"])) {
    const found = candidates(known.files, name, kind, roots).find((path) => exists(known, path));
    if (found !== undefined) return known.files.fullPath(found);
  }
  return null;
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
