import { randomBytes } from "node:crypto";
import { createAnswerReader } from "./answer-reader.ts";
import { askedLine } from "./asked-line.ts";

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
export interface QuestionListener {
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
