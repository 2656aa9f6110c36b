import { randomBytes } from "node:crypto";
import { quote } from "../../core/unix/shell.ts";

// A line that every host's shell runs: asking, finding the answer in the terminal's output, and the text that is typed.

/** The answer to a line that a host's shell ran. */
export type Answer =
  | { readonly kind: "exited"; readonly code: number }
  /** No answer, and why. */
  | { readonly kind: "none"; readonly reason: string };

/** A line that a shell in a terminal runs. */
export interface Question {
  /** The text to type, without Enter. */
  readonly typed: string;
  readonly answer: Promise<Answer>;
  /** True once the shell has started the line. */
  readonly hasBegun: boolean;
  /** Take output of the host; returns the part to show. */
  take(chunk: Buffer): Promise<Buffer>;
  /** Give up waiting for the answer. */
  giveUp(reason: string): void;
}

/** Receives the output of a question. */
interface QuestionListener {
  /** Take output of the line. */
  output(chunk: Buffer): Promise<void> | undefined;
  /** Show held output when the shell does not start the line soon. */
  show(held: Buffer): void;
}

/** Output is held for at most this time, to hide the echo of the typed text. */
const HOLD_MS = 1_000;

/** Make a question; holding output starts now. */
export function createQuestion(line: string, { output, show }: QuestionListener): Question {
  const token = randomBytes(8).toString("hex");
  let settle!: (answer: Answer) => void;
  const answer = new Promise<Answer>((resolve) => {
    settle = resolve;
  });
  const end = (how: Answer): void => {
    clearTimeout(holding);
    settle(how);
  };
  const reader = createAnswerReader(line, token, {
    output,
    ended: (code) => end({ kind: "exited", code }),
  });
  const release = (): void => {
    const held = reader.release();
    if (held.length > 0) show(held);
  };
  const holding = setTimeout(release, HOLD_MS);
  return {
    typed: askedLine(line, token),
    answer,
    get hasBegun() {
      return reader.hasBegun;
    },
    take: (chunk) => reader.take(chunk),
    giveUp: (reason) => {
      release();
      end({ kind: "none", reason });
    },
  };
}

/** Receives the answer to a line. */
interface AnswerListener {
  /** Take output of the line, with its original line ends. */
  output(chunk: Buffer): Promise<void> | undefined;
  /** The line has ended with this exit code. */
  ended(code: number): void;
}

/** Extracts the answer to a line from a terminal's output. */
interface AnswerReader {
  /** True once the shell has started the line. */
  readonly hasBegun: boolean;
  /** Take output of the host; returns the part to show, without marks and without the echo of the typed text. */
  take(chunk: Buffer): Promise<Buffer>;
  /** Stop holding output, and return the held part. */
  release(): Buffer;
}

const MAX_HELD_BYTES = 64 * 1024;
const MAX_MARK_BYTES = 64;
const NEWLINE = "\r\n";
/** Modes that shells set when a line is entered: no bracketed pastes, normal keys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control sequences is its purpose
const MODES = /\x1b(?:\[\?[\d;]+[hl]|[=>])/g;

/** Make a reader for one line, which is shown in place of the typed text. */
export function createAnswerReader(line: string, token: string, listener: AnswerListener): AnswerReader {
  const start = Buffer.from(markStart(token));
  let phase: "typed" | "running" | "answering" | "over" = "typed";
  let isHolding = true;
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** Bytes that may start a mark. */
  let pending: Buffer = Buffer.alloc(0);
  /** A carriage return, whose line feed may follow. */
  let isReturnPending = false;

  const hold = (bytes: Buffer): Buffer => {
    if (phase !== "typed" || !isHolding) return bytes;
    held.push(bytes);
    heldBytes += bytes.length;
    return heldBytes > MAX_HELD_BYTES ? giveUpHolding() : Buffer.alloc(0);
  };
  const giveUpHolding = (): Buffer => {
    isHolding = false;
    const bytes = Buffer.concat(held);
    held = [];
    return bytes;
  };
  const begin = (): Buffer => {
    if (!isHolding) return Buffer.alloc(0);
    const before = giveUpHolding();
    // Output before the echo does not belong to the line.
    const at = before.indexOf(TYPED_START);
    const echo = before.subarray(Math.max(0, at)).toString("latin1");
    const modes = [...echo.matchAll(MODES)].map(([mode]) => mode).join("");
    return Buffer.concat([before.subarray(0, Math.max(0, at)), Buffer.from(`${modes}${line}${NEWLINE}`)]);
  };
  const mark = (text: string): Buffer => {
    const [kind, code] = text.split(";");
    if (kind === "b" && phase === "typed") {
      const shown = begin();
      phase = "running";
      return shown;
    }
    if (kind === "a" && phase === "running") phase = "answering";
    if (kind === "e" && phase === "answering") {
      phase = "over";
      listener.ended(Number(code));
    }
    return Buffer.alloc(0);
  };
  /** Turn CR LF back into LF, which the terminal changed. */
  const withoutReturns = (bytes: Buffer): Buffer => {
    const text = `${isReturnPending ? "\r" : ""}${bytes.toString("latin1")}`;
    isReturnPending = text.endsWith("\r");
    const whole = isReturnPending ? text.slice(0, -1) : text;
    return Buffer.from(whole.replaceAll(NEWLINE, "\n"), "latin1");
  };
  const pass = async (bytes: Buffer): Promise<Buffer> => {
    if (bytes.length === 0) return bytes;
    if (phase === "answering") await listener.output(withoutReturns(bytes));
    return hold(bytes);
  };

  return {
    get hasBegun() {
      return phase !== "typed";
    },
    take: async (chunk) => {
      const shown: Buffer[] = [];
      let rest = Buffer.concat([pending, chunk]);
      pending = Buffer.alloc(0);
      while (rest.length > 0 && phase !== "over") {
        const at = rest.indexOf(start);
        const before = at === -1 ? rest.length - beginning(rest, start) : at;
        shown.push(await pass(rest.subarray(0, before)));
        rest = rest.subarray(before);
        const end = rest.indexOf(MARK_END);
        if (end === -1 && rest.length <= MAX_MARK_BYTES) {
          pending = rest;
          return Buffer.concat(shown);
        }
        if (end === -1) break;
        shown.push(mark(rest.subarray(start.length, end).toString("latin1")));
        rest = rest.subarray(end + 1);
      }
      return Buffer.concat([...shown, rest]);
    },
    release: () => {
      const bytes = Buffer.concat([giveUpHolding(), pending]);
      pending = Buffer.alloc(0);
      return bytes;
    },
  };
}

/** Return how many bytes at the end of `bytes` are the start of `of`. */
function beginning(bytes: Buffer, of: Buffer): number {
  const most = Math.min(bytes.length, of.length - 1);
  for (let length = most; length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(of.subarray(0, length))) return length;
  return 0;
}

/** Longest line for a terminal without a line editor (N_TTY_BUF_SIZE is 4096, with the line end). */
export const MAX_TYPED_BYTES = 4_000;

/** Return the start of a mark of {@link askedLine}: an OSC unknown to terminals, which show nothing of it. */
function markStart(token: string): string {
  return `\x1b]volley;${token};`;
}

/** The end of a mark. */
const MARK_END = "\x07";

/** The start of the typed text, by which its echo is found. The leading blank keeps it out of many shells' history. */
const TYPED_START = " _v=$(umask 077;";
/** As in `volley exec`: use /tmp, where other users can write, only without a writable home. */
const MAKE_FILE = `mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/fold.XXXXXX" 2>/dev/null||mktemp`;

/** Quote a text on one line: a typed newline would end the input. */
function onOneLine(text: string): string {
  if (!text.includes("\n")) return quote(text);
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\012");
  return `"$(printf %b ${quote(escaped)})"`;
}

/**
 * Return the text to type into a Bourne shell so that it runs a line in place, with its effects on directory, variables
 * and functions, and prints marks: `b` at the start, `a` before the answer, `e;CODE` at the end. The line writes into a
 * nameless file and reads empty input: no pagers, no colours, no columns of the terminal's width. `command`, in zsh
 * `builtin`, limits a syntax error to the line.
 */
export function askedLine(line: string, token: string): string {
  const mark = (text: string, ...words: readonly string[]): string =>
    `printf '\\033]volley;${token};${text}\\007'${words.map((word) => ` ${word}`).join("")}`;
  const steps = [
    `rm -f "$_v"`,
    mark("b"),
    `case \${ZSH_VERSION-} in "")_v=command;;*)_v=builtin;esac`,
    `$_v eval ${onOneLine(line)} >&8 2>&1 8>&- 9<&- </dev/null`,
    "_v=$?",
    mark("a"),
    "cat <&9",
    mark("e;%s", `"$_v"`),
  ];
  return `${TYPED_START}${MAKE_FILE})&&{ ${steps.join(";")};} 8>|"$_v" 9<"$_v"`;
}
