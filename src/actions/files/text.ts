import type { Diff } from "../../core/result.ts";

/** Content longer than this many bytes is not shown in a diff. */
export const MAX_DIFF_BYTES = 100_000;

/** Bytes as UTF-8, or null when they are not valid UTF-8. A byte order mark stays part of the text. */
function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Lines with their line endings; the last may have none, and empty text has no line. */
export function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** A line's ending: `\r\n`, `\n` or nothing. */
export function lineEnding(line: string): string {
  return line.endsWith("\r\n") ? "\r\n" : line.endsWith("\n") ? "\n" : "";
}

/** A line without its ending. */
export function lineText(line: string): string {
  return line.slice(0, line.length - lineEnding(line).length);
}

/** A line as Python's patterns see it: with `\n` for whatever it ended with. */
export function withNewline(line: string): string {
  return line.endsWith("\r\n") ? `${line.slice(0, -2)}\n` : line;
}

/** Text with a newline at its end unless it has one, or is empty. */
export function withFinalNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/** Bytes as a diff can show them, or undefined when they are not text or too long. */
function shownText(bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_DIFF_BYTES || bytes.includes(0)) return undefined;
  return decodeUtf8(bytes) ?? undefined;
}

/** The content part of a Diff; null stands for no file. What is not text, or longer than {@link MAX_DIFF_BYTES}, is `binary`. */
export function contentDiff(
  before: Uint8Array | "unshown" | null,
  after: Uint8Array | "unshown" | null,
): Pick<Diff, "before" | "after" | "binary"> {
  const show = (bytes: Uint8Array | "unshown" | null): string | null | undefined =>
    bytes === null ? null : bytes === "unshown" ? undefined : shownText(bytes);
  const [old, now] = [show(before), show(after)];
  if (old === undefined || now === undefined)
    return { binary: true, ...(old === null ? { before: null } : {}) };
  return { before: old, after: now };
}
