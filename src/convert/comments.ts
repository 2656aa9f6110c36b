import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FileNode, Node } from "../ansible/ir.ts";
import type { Statement } from "./code.ts";
import type { RoleSource } from "./role-source.ts";

/** The comments of a role's files of tasks and handlers, each at the statement that it is about. */
export class RoleComments {
  readonly #source: RoleSource;
  /** By file and line: `tasks/main.yml:3`. */
  readonly #found = new Map<string, readonly string[]>();
  readonly #read = new Set<string>();

  constructor(source: RoleSource) {
    this.#source = source;
  }

  /** Return the comments of the statement at a place, `tasks/main.yml:3:5`. */
  at(at: string): readonly Statement[] {
    const [, file = "", line = ""] = /^(.*?):(\d+)(?::\d+)?$/.exec(at) ?? [];
    if (!this.#read.has(file)) this.#readFile(file);
    return (this.#found.get(`${file}:${line}`) ?? []).map((text) => ({ kind: "comment", text }));
  }

  #readFile(file: string): void {
    this.#read.add(file);
    const { tasks, handlers, role } = this.#source;
    const nodes: FileNode<readonly Node[]> | undefined = tasks[file] ?? handlers[file];
    if (nodes === undefined || "error" in nodes) return;
    const lines = readFileSync(join(role.directory, file), "utf8").split(/\r?\n/);
    const starts = linesOf(nodes.content, file).sort((a, b) => a - b);
    for (const [index, text] of commentsIn(lines)) {
      const start = placeOf(index + 1, lines, starts);
      if (start === undefined) continue;
      const key = `${file}:${start}`;
      this.#found.set(key, [...(this.#found.get(key) ?? []), text]);
    }
  }
}

/** The lines that statements of a file begin in. */
function linesOf(nodes: readonly Node[], file: string): number[] {
  return nodes.flatMap((node) => {
    const [, path, line] = /^(.*?):(\d+)(?::\d+)?$/.exec(node.at) ?? [];
    // The statements of an imported file are in that one.
    const own = path === file ? [Number(line)] : [];
    return node.kind === "block"
      ? [...own, ...[node.block, node.rescue, node.always].flatMap((each) => linesOf(each, file))]
      : own;
  });
}

/** Comments that say nothing of a statement: marks for programs, and the first line of every new role. */
const NO_WORDS = /^(?:$|[-=#*\s]+$|noqa\b|yamllint\b|code:|(?:tasks|handlers) file for\b|vim?:)/;

/** List the lines that are a comment alone, with its text; those of block scalars are content. */
function commentsIn(lines: readonly string[]): readonly (readonly [index: number, text: string])[] {
  const found: (readonly [number, string])[] = [];
  /** The columns before the key of the block scalar that the line is in. */
  let scalar: number | undefined;
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const columns = line.search(/\S/);
    if (scalar !== undefined && columns > scalar) continue;
    scalar = undefined;
    const comment = /^\s*#+\s?(.*)$/.exec(line)?.[1]?.trimEnd();
    if (comment === undefined) {
      if (/(?:^|[\s:-])[|>][-+\d]*\s*(?:#.*)?$/.test(line))
        scalar = columns + (/^\s*((?:-\s+)+)/.exec(line)?.[1]?.length ?? 0);
    } else if (!NO_WORDS.test(comment)) found.push([index, comment]);
  }
  return found;
}

/** The statement that a comment is about: the next one where it stands right above, else the one that it is in. */
function placeOf(line: number, lines: readonly string[], starts: readonly number[]): number | undefined {
  const next = starts.find((start) => start > line);
  const before = starts.findLast((start) => start < line);
  if (next === undefined) return before;
  const between = lines.slice(line, next - 1);
  const isAbove = between.every((each) => /^\s*(?:#.*)?$|^\s*(?:block|rescue|always|-)\s*:?\s*$/.test(each));
  return isAbove ? next : (before ?? next);
}
