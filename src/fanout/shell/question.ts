import { randomBytes } from "node:crypto";
import { quote } from "../../core/shell-quote.ts";

/** How a line went that a host's shell was asked to run. */
export type Answer =
  | { readonly kind: "exited"; readonly code: number }
  /** There is none, and why. */
  | { readonly kind: "none"; readonly reason: string };

/** A line that is being run in the shell of a terminal. */
export interface Question {
  /** What is to be typed for it, without the Enter. */
  readonly typed: string;
  readonly answer: Promise<Answer>;
  /** Whether the shell has begun with it. */
  readonly hasBegun: boolean;
  /** Takes what the host sent, and gives what is to be shown of it. */
  take(chunk: Buffer): Promise<Buffer>;
  /** There will be no answer. */
  giveUp(reason: string): void;
}

/** Who follows one. */
interface QuestionListener {
  /** Takes output of the line. */
  output(chunk: Buffer): Promise<void> | undefined;
  /** Gives what was held back, where the shell does not begin with the line soon or not at all. */
  show(held: Buffer): void;
}

/** What a terminal shows is held back no longer than this, to hide the echo of what is typed. */
const HOLD_MS = 1_000;

/** Makes one; its time begins now. */
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

/** What comes of a line that was asked. */
interface AnswerListener {
  /** Takes output of the line, with the line ends that it was written with. */
  output(chunk: Buffer): Promise<void> | undefined;
  /** It has ended with this exit status. */
  ended(code: number): void;
}

/** Takes the answer to an asked line out of what a terminal gets. */
interface AnswerReader {
  /** Whether the shell has begun with the line. */
  readonly hasBegun: boolean;
  /** Takes what the host sent and gives what is to be shown of it, without marks and without the echo of what was typed. */
  take(chunk: Buffer): Promise<Buffer>;
  /** Holds nothing back any more, and gives what was. */
  release(): Buffer;
}

const MAX_HELD_BYTES = 64 * 1024;
const MAX_MARK_BYTES = 64;
const NEWLINE = "\r\n";
/** What shells switch when a line is entered: bracketed pastes off, keys as usual. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control sequences is its purpose
const MODES = /\x1b(?:\[\?[\d;]+[hl]|[=>])/g;

/** A reader for one line, which is shown in place of what was typed for it. */
export function createAnswerReader(line: string, token: string, listener: AnswerListener): AnswerReader {
  const start = Buffer.from(markStart(token));
  let phase: "typed" | "running" | "answering" | "over" = "typed";
  let isHolding = true;
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** What may be the beginning of a mark. */
  let pending: Buffer = Buffer.alloc(0);
  /** A carriage return whose line feed may follow. */
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
    // What came before the echo is not of the line.
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
  /** The terminal has made CR LF of LF. */
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

/** How many bytes at the end of some are the beginning of others. */
function beginning(bytes: Buffer, of: Buffer): number {
  const most = Math.min(bytes.length, of.length - 1);
  for (let length = most; length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(of.subarray(0, length))) return length;
  return 0;
}

/** A terminal without a line editor takes no longer lines in (N_TTY_BUF_SIZE is 4096, with the line end). */
export const MAX_TYPED_BYTES = 4_000;

/** What a mark of {@link askedLine} begins with: an OSC that no terminal knows, and shows nothing of. */
function markStart(token: string): string {
  return `\x1b]volley;${token};`;
}

/** What a mark ends with. */
const MARK_END = "\x07";

/** What is typed begins so: it is known by that when it is echoed. The blank keeps it out of many a history. */
const TYPED_START = " _v=$(umask 077;";
/** As `volley exec` does: in /tmp, where others can write, only where there is no home to write in. */
const MAKE_FILE = `mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/fold.XXXXXX" 2>/dev/null||mktemp`;

/** A line end that is typed would be taken for the end of what is typed. */
function onOneLine(text: string): string {
  if (!text.includes("\n")) return quote(text);
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\012");
  return `"$(printf %b ${quote(escaped)})"`;
}

/**
 * What is typed into a shell of the Bourne kind so that it runs a line where it is, keeping directory, variables and
 * functions the line changes, and tells what came of it between marks: `b` when it begins, `a` before the answer, and
 * `e;CODE` at the end. The line has a nameless file for output and an empty input: no pagers, no colours, no columns as
 * wide as the terminal. `command`, in zsh `builtin`, keeps a syntax error from ending more than the line.
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
