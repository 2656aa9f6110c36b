import type { InputToken } from "./input.ts";

/** The effect of a key in a line editor. */
export type EditResult =
  | { readonly kind: "edited" }
  /** Enter: the line is returned, and the editor is empty. */
  | { readonly kind: "entered"; readonly line: string }
  /** Ctrl-C, Ctrl-D on an empty line, Escape. */
  | { readonly kind: "left" }
  /** Tab with several possible words. */
  | { readonly kind: "candidates"; readonly words: readonly string[] }
  /** An unknown key. */
  | { readonly kind: "ignored" };

/** An editor for a line, or the lines of a paste, with the keys of readline's Emacs mode. */
export interface LineEditor {
  readonly text: string;
  /** Index into `text` of the next character. */
  readonly cursor: number;
  handle(token: InputToken): EditResult;
}

/** Options of {@link createLineEditor}. */
interface LineEditorOptions {
  /** Earlier lines, oldest first; entered lines are added. */
  readonly history: string[];
  /** Keep the lines of a paste instead of joining them. Default: false. */
  readonly keepsLines?: boolean;
  /** Words for completion, besides those of earlier lines. */
  readonly words: readonly string[];
}

const MAX_HISTORY = 1_000;

/** Make an empty line editor. */
export function createLineEditor({ history, words, keepsLines = false }: LineEditorOptions): LineEditor {
  let text = "";
  let cursor = 0;
  let killed = "";
  /** Index of the shown line in the history; its length for the new line. */
  let place = history.length;
  let draft = "";

  const set = (next: string, at = next.length): EditResult => {
    text = next;
    cursor = at;
    return { kind: "edited" };
  };
  const insert = (added: string): EditResult =>
    set(text.slice(0, cursor) + added + text.slice(cursor), cursor + added.length);
  const kill = (from: number, to: number): EditResult => {
    if (from < to) killed = text.slice(from, to);
    return set(text.slice(0, from) + text.slice(to), from);
  };
  const before = (): number => cursor - ([...text.slice(0, cursor)].at(-1)?.length ?? 0);
  const after = (): number => cursor + ([...text.slice(cursor)][0]?.length ?? 0);
  const wordStart = (): number => /\S*\s*$/.exec(text.slice(0, cursor))!.index;
  const recall = (to: number): EditResult => {
    if (to < 0 || to > history.length) return { kind: "edited" };
    if (place === history.length) draft = text;
    place = to;
    return set(history[to] ?? draft);
  };
  const enter = (): EditResult => {
    const line = text;
    if (line.trim() !== "" && history.at(-1) !== line) history.push(line);
    if (history.length > MAX_HISTORY) history.splice(0, history.length - MAX_HISTORY);
    place = history.length;
    set("");
    return { kind: "entered", line };
  };
  const complete = (): EditResult => {
    const start = /\S*$/.exec(text.slice(0, cursor))!.index;
    const known = [...words, ...history.flatMap((line) => line.split(/\s+/))];
    const { added, candidates } = completeWord(text.slice(start, cursor), known);
    if (added !== "") return insert(added);
    return candidates.length > 1 ? { kind: "candidates", words: candidates } : { kind: "edited" };
  };
  const handleKey = (name: string): EditResult => {
    switch (name) {
      case "enter":
        return enter();
      case "tab":
        return complete();
      case "up":
      case "ctrl-p":
        return recall(place - 1);
      case "down":
      case "ctrl-n":
        return recall(place + 1);
      case "left":
      case "ctrl-b":
        return set(text, before());
      case "right":
      case "ctrl-f":
        return set(text, after());
      case "home":
      case "ctrl-a":
        return set(text, 0);
      case "end":
      case "ctrl-e":
        return set(text);
      case "backspace":
        return set(text.slice(0, before()) + text.slice(cursor), before());
      case "delete":
        return set(text.slice(0, cursor) + text.slice(after()), cursor);
      case "ctrl-d":
        return text === "" ? { kind: "left" } : set(text.slice(0, cursor) + text.slice(after()), cursor);
      case "ctrl-k":
        return kill(cursor, text.length);
      case "ctrl-u":
        return kill(0, cursor);
      case "ctrl-w":
        return kill(wordStart(), cursor);
      case "ctrl-y":
        return insert(killed);
      case "ctrl-c":
      case "escape":
        return { kind: "left" };
      default:
        return { kind: "ignored" };
    }
  };
  return {
    get text() {
      return text;
    },
    get cursor() {
      return cursor;
    },
    handle: (token) => {
      if (token.kind === "paste") return insert(pasted(token.bytes.toString("utf8"), keepsLines));
      if (token.text !== undefined) return insert(printable(token.text));
      return token.name === undefined ? { kind: "ignored" } : handleKey(token.name);
    },
  };
}

/** Clean a paste; a newline at its end is dropped, so that only the Enter key sends the line. */
function pasted(text: string, keepsLines: boolean): string {
  if (!keepsLines) return printable(text.replace(/\s+/g, " "));
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => printable(line.replaceAll("\t", " ")))
    .join("\n");
}

function printable(text: string): string {
  return text.replace(/\p{C}/gu, "");
}

/** The completion of a word. */
interface Completion {
  /** Text to insert; empty when nothing is certain. */
  readonly added: string;
  /** The possible words, sorted. */
  readonly candidates: readonly string[];
}

/** Complete a word as far as all candidates agree; a single candidate gets a blank. */
export function completeWord(beginning: string, known: readonly string[]): Completion {
  if (beginning === "") return { added: "", candidates: [] };
  // Complete the part after a sign: `web1,web`, `all:!web`, `user@web`.
  const part = /[^,:!&@=]*$/.exec(beginning)![0];
  const candidates = [...new Set(known)].filter((word) => word.startsWith(part) && word !== "").sort();
  if (part === "" || candidates.length === 0) return { added: "", candidates: [] };
  const [first] = candidates;
  if (candidates.length === 1) return { added: `${first!.slice(part.length)} `, candidates };
  let length = part.length;
  while (candidates.every((word) => word.length > length && word[length] === first![length])) length++;
  return { added: first!.slice(part.length, length), candidates };
}
