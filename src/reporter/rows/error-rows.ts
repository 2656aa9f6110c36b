import { formatLocation, type SerializedError } from "../../core/errors.ts";
import { BOLD, DIM, line, type Row, segment } from "./row.ts";
import { safeError, safeErrorLines, safeLines } from "./sanitize.ts";

const MAX_MESSAGE_LINES = 30;
const MAX_STACK_LINES = 12;

/** An error as rows: its message, where it is, what to do about it, and for a fault of our own its stack. */
export function errorRows(error: SerializedError): readonly Row[] {
  const message = safeErrorLines(error.message);
  return [
    ...message.slice(0, MAX_MESSAGE_LINES).map((text) => line(text, { color: "red" })),
    ...(message.length > MAX_MESSAGE_LINES
      ? [line(`(${message.length - MAX_MESSAGE_LINES} more lines)`, DIM)]
      : []),
    ...(error.location === undefined ? [] : [line(`at ${safeError(formatLocation(error.location))}`, DIM)]),
    ...(error.hint === undefined ? [] : hintRows(error.hint)),
    ...(error.code === "INTERNAL" && error.stack !== undefined ? stackRows(error.stack) : []),
  ];
}

/** The last lines something printed, as rows behind a gutter. */
export function outputRows(output: readonly string[], gutter: string): readonly Row[] {
  return output.flatMap((text) => safeLines(text)).map((text) => [segment(`${gutter} `, DIM), segment(text)]);
}

function hintRows(hint: string): readonly Row[] {
  return safeErrorLines(hint).map((text, index) => [
    segment(index === 0 ? "hint: " : "      ", BOLD),
    segment(text),
  ]);
}

function stackRows(stack: string): readonly Row[] {
  return safeLines(stack)
    .filter((text) => text.trimStart().startsWith("at "))
    .slice(0, MAX_STACK_LINES)
    .map((text) => line(`  ${text.trim()}`, DIM));
}
