import type { InputToken } from "./input.ts";

/** What a key did in a line editor. */
export type EditResult =
  | { readonly kind: "edited" }
  /** Enter: the line is handed over, and the editor empty. */
  | { readonly kind: "entered"; readonly line: string }
  /** Ctrl-C, Ctrl-D on an empty line, Escape. */
  | { readonly kind: "left" }
  /** Tab, where several words could be meant. */
  | { readonly kind: "candidates"; readonly words: readonly string[] }
  /** A key that it does not know. */
  | { readonly kind: "ignored" };

/** One line that is being typed, or the lines of a paste, with the keys of readline's Emacs mode. */
export interface LineEditor {
  readonly text: string;
  /** Where the next character goes: an index into `text`. */
  readonly cursor: number;
  handle(token: InputToken): EditResult;
}

/** What a line editor starts with. */
interface LineEditorOptions {
  /** Earlier lines, the oldest first; lines entered are added. */
  readonly history: string[];
  /** Whether what is pasted keeps its lines; else they become one. Default: no. */
  readonly keepsLines?: boolean;
  /** Words to complete beside those of earlier lines. */
  readonly words: readonly string[];
}

const MAX_HISTORY = 1_000;

/** An empty line. */
export function createLineEditor({ history, words, keepsLines = false }: LineEditorOptions): LineEditor {
  let text = "";
  let cursor = 0;
  let killed = "";
  /** Which of the earlier lines is shown; its length: the one that is being typed. */
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

/** The Enter at the end of a paste is left to the person: nothing is sent before it is pressed. */
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

/** What completing the beginning of a word comes to. */
interface Completion {
  /** To be inserted behind it; empty when nothing can be said. */
  readonly added: string;
  /** The words it could become, sorted. */
  readonly candidates: readonly string[];
}

/** Completes a word as far as all known words that begin so agree; a word that is whole gets a blank. */
export function completeWord(beginning: string, known: readonly string[]): Completion {
  if (beginning === "") return { added: "", candidates: [] };
  // `web1,web` and `all:!web` complete the part behind the sign; `user@web` the host.
  const part = /[^,:!&@=]*$/.exec(beginning)![0];
  const candidates = [...new Set(known)].filter((word) => word.startsWith(part) && word !== "").sort();
  if (part === "" || candidates.length === 0) return { added: "", candidates: [] };
  const [first] = candidates;
  if (candidates.length === 1) return { added: `${first!.slice(part.length)} `, candidates };
  let length = part.length;
  while (candidates.every((word) => word.length > length && word[length] === first![length])) length++;
  return { added: first!.slice(part.length, length), candidates };
}
