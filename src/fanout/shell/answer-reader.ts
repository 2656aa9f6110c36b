import { MARK_END, markStart, TYPED_START } from "./asked-line.ts";

/** What comes of a line that was asked. */
export interface AnswerListener {
  /** Takes output of the line, with the line ends that it was written with. */
  output(chunk: Buffer): Promise<void> | undefined;
  /** It has ended with this exit status. */
  ended(code: number): void;
}

/** Takes the answer to an asked line out of what a terminal gets. */
export interface AnswerReader {
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
