import { BECOME_WORDS, type BecomeMethod } from "./become.ts";

/** What was heard: a word meant for this end, or that a password is asked for. */
export type BecomeHeard = "ask" | "ready" | "want";

/** What a piece of output came to. */
export interface BecomePiece {
  /** What is none of ours. */
  readonly text: string;
  readonly heard: readonly BecomeHeard[];
}

/** Finds the words of becoming another user in what is written to standard error. */
export interface BecomeReader {
  push(text: string): BecomePiece;
  /** What was held back because it might have become a word. */
  end(): string;
}

const PROMPT_END = /[:?] ?$/;

/** What is kept of a line that may become a prompt, in characters. */
const MAX_PROMPT = 1_000;

const WORDS = Object.values(BECOME_WORDS);

/** Listens until `ready` or `want` is heard; what follows passes through untouched. */
export function createBecomeReader(nonce: string, method: BecomeMethod): BecomeReader {
  const begins = `${nonce}:`;
  let held = "";
  let begun = false;
  let done = false;
  /** The end of the line that a word stood on may still come. */
  let endsLine = false;
  let line = "";
  const push = (text: string): BecomePiece => {
    if (done && !endsLine) return { text, heard: [] };
    const heard: BecomeHeard[] = [];
    let passed = "";
    let rest = held + text;
    held = "";
    for (;;) {
      if (endsLine) {
        if (rest === "" || rest === "\r") break;
        rest = rest.replace(/^\r?\n/, "");
        endsLine = false;
      }
      const at = done ? -1 : rest.indexOf(begins);
      if (at < 0) break;
      passed += rest.slice(0, at);
      rest = rest.slice(at);
      const said = rest.slice(begins.length);
      const word = WORDS.find((candidate) => said.startsWith(candidate));
      if (word === undefined) {
        // It may be cut off; what can become no word is not waited for.
        if (WORDS.some((candidate) => candidate.startsWith(said))) break;
        passed += begins;
        rest = said;
        continue;
      }
      // sudo's prompt ends no line; what stands before it on its own is none of ours.
      rest = said.slice(word.length);
      endsLine = true;
      line = "";
      if (word === "begin") begun = true;
      else if (word === "password:") heard.push("ask");
      else {
        heard.push(word);
        done = true;
      }
    }
    if (endsLine || !done) {
      const cut = endsLine || rest.startsWith(begins) ? 0 : rest.length - overlap(rest, begins);
      held = rest.slice(cut);
      rest = rest.slice(0, cut);
    }
    if (begun && !done && method !== "sudo") {
      line = (line + rest).split(/\r?\n/).at(-1)!.slice(-MAX_PROMPT);
      if (held === "" && PROMPT_END.test(line)) {
        heard.push("ask");
        rest = rest.slice(0, Math.max(0, rest.length - line.length));
        line = "";
      }
    }
    return { text: passed + rest, heard };
  };
  return {
    push,
    end: () => {
      const left = held;
      held = "";
      return left;
    },
  };
}

/** How much of a text's end is the beginning of a word. */
function overlap(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--)
    if (word.startsWith(text.slice(-length))) return length;
  return 0;
}
