import { UNSAFE } from "./values/characters.ts";

/** Stable names of errors. Programs branch on these, never on messages. */
export type ErrorCode =
  | "USAGE"
  | "INVENTORY_INVALID"
  | "INVENTORY_MISSING"
  | "PATTERN_UNKNOWN"
  | "PLAYBOOK_INVALID"
  | "PLAYBOOK_MISSING"
  | "BUILD_FAILED"
  | "BUNDLE_FORBIDDEN"
  | "BUNDLE_INVALID"
  | "ASSET_MISSING"
  | "SECRET_FAILED"
  | "VARS_INVALID"
  | "PARAMS_INVALID"
  | "TEMPLATE_FAILED"
  | "ACTION_FAILED"
  | "PROCESS_FAILED"
  | "FILE_FAILED"
  | "LOCKED"
  | "TIMEOUT"
  | "CONNECT_FAILED"
  | "AUTH_FAILED"
  | "BECOME_FAILED"
  | "HOST_KEY_UNKNOWN"
  | "HOST_KEY_CHANGED"
  | "UPLOAD_FAILED"
  | "DELEGATE_REFUSED"
  | "SIGNATURE_REFUSED"
  | "SIGNING_FAILED"
  | "SFTP_FAILED"
  | "SFTP_UNAVAILABLE"
  | "SESSION_REFUSED"
  | "NODE_MISSING"
  | "PROTOCOL_INVALID"
  | "CONNECTION_LOST"
  | "CANCELLED"
  | "OTHERS_FAILED"
  | "COMPARE_FAILED"
  | "RUNTIME_FAILED"
  | "PULL_FAILED"
  | "HOSTS_FAILED"
  | "QUEUE_REFUSED"
  | "QUEUE_FAILED"
  | "STARVED"
  | "INTERNAL";

/** The place of a fault in a file of the user's. */
export interface SourceLocation {
  readonly file: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;
}

/** Details of a {@link VolleyError} beside its message. */
export interface ErrorDetails {
  readonly cause?: unknown;
  readonly location?: SourceLocation;
  /** Advice on what to do, where the message alone does not say. */
  readonly hint?: string;
}

/** An error with a stable code and a message that a person can act on. Reporters format errors; errors do not. */
export class VolleyError extends Error {
  override readonly name: string = "VolleyError";
  readonly code: ErrorCode;
  readonly location: SourceLocation | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.location = details.location;
    this.hint = details.hint;
  }
}

/** An error as it crosses the wire: bounded plain data, never revived as a class. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly location?: SourceLocation;
  readonly stack?: string;
}

const MAX_MESSAGE = 8_192;
const MAX_STACK = 8_192;

/** True for a VolleyError, also for one of another copy of this module: a bundle has its own. */
export function isVolleyError(value: unknown): value is VolleyError {
  return (
    value instanceof Error &&
    typeof (value as Partial<VolleyError>).code === "string" &&
    (value.name === "VolleyError" || value.name === "TaskFailed")
  );
}

/**
 * Thrown by code that cannot wait, such as a template, where it needs to know what only a question can tell. `ask` puts
 * the question; then the whole work begins anew, and finds the answer. No error: nothing may swallow it.
 */
export class NeedsAnswer extends Error {
  override readonly name = "NeedsAnswer";
  readonly ask: () => Promise<void>;
  constructor(question: string, ask: () => Promise<void>) {
    super(`${question} is known only once it has been asked`);
    this.ask = ask;
  }
}

/** Turn a thrown value into bounded plain data. Other values than a VolleyError get the code `INTERNAL`; errors keep their stack. */
export function serializeError(thrown: unknown): SerializedError {
  if (isVolleyError(thrown)) {
    return {
      code: thrown.code,
      message: thrown.message.slice(0, MAX_MESSAGE),
      ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
      // The controller has the source map, and turns the stack into a location in the playbook.
      ...(thrown.location === undefined
        ? { stack: thrown.stack?.slice(0, MAX_STACK) ?? "" }
        : { location: thrown.location }),
    };
  }
  if (thrown instanceof Error) {
    return {
      code: "INTERNAL",
      message: `${thrown.name === "Error" ? "" : `${thrown.name}: `}${thrown.message}`.slice(0, MAX_MESSAGE),
      ...(thrown.stack === undefined ? {} : { stack: thrown.stack.slice(0, MAX_STACK) }),
    };
  }
  return { code: "INTERNAL", message: messageOf(thrown).slice(0, MAX_MESSAGE) };
}

/** Return the message of whatever was thrown. Never fails: a thrown object may have no text. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return "an object without a text was thrown";
  }
}

/**
 * Return a foreign text for the one line of an error: characters that no terminal may get become `\u202e` or
 * `\u{e0001}`, and the text is cut at `max` characters (default 1,000).
 */
export function printable(text: string, max = 1_000): string {
  const shown = text.slice(0, max).replace(UNSAFE, (character) => {
    const number = character.codePointAt(0)!.toString(16);
    return `\\u${number.length > 4 ? `{${number}}` : number.padStart(4, "0")}`;
  });
  return text.length > max || shown.length > max ? `${shown.slice(0, max)}…` : shown;
}

/** Return `file:line:column` on one line, as far as the parts are known. */
export function formatLocation({ file: path, line, column }: SourceLocation): string {
  const file = printable(path);
  if (line === undefined) return file;
  return column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
}

/** Return one line for a person: the place, the message and the hint. */
export function describeError(thrown: unknown): string {
  if (!isVolleyError(thrown)) return messageOf(thrown);
  const where = thrown.location === undefined ? "" : `${formatLocation(thrown.location)}: `;
  return `${where}${thrown.message}${thrown.hint === undefined ? "" : ` (${thrown.hint})`}`;
}

/**
 * Return the exit code for an error that ends a program: 70 (EX_SOFTWARE of sysexits.h) for a run that would never have
 * ended, 130 for one that the person at the terminal cancelled before it began, else 1.
 */
export function exitCodeFor(thrown: unknown): number {
  if (!isVolleyError(thrown)) return 1;
  return thrown.code === "STARVED" ? 70 : thrown.code === "CANCELLED" ? 130 : 1;
}

/** Return the number of single-character edits between two words; a swap of neighbours is one edit. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** Return the candidate that a mistyped word most likely means, undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** Return `; did you mean "web"?`, or an empty text when no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const candidate = nearest(word, candidates);
  return candidate === undefined ? "" : `; did you mean "${candidate}"?`;
}
