import { isVolleyError, NeedsAnswer, VolleyError } from "../core/errors.ts";
import type { VarOrigin } from "../vars/scope.ts";

/** The position in a template that is read or rendered. Each compiled template has one, which moves as it runs. */
export interface Position {
  readonly template: string;
  /** Counted from 1. */
  line: number;
}

/** An error of the template's author, thrown where the line is not known yet; {@link locate} adds the line. */
export class TemplateFailure extends Error {
  override readonly name = "TemplateFailure";
}

/** The use of an undefined value. */
class UndefinedFailure extends TemplateFailure {}

/** The errors that come from an undefined value, which `default()` and `is defined` ignore. */
const ofUndefined = new WeakSet<Error>();

/** Tell whether an error comes from an undefined value. */
export function isOfUndefined(thrown: unknown): thrown is VolleyError {
  return isVolleyError(thrown) && ofUndefined.has(thrown);
}

/** Throw the error for the use of an undefined value: its cause, for a var that could not be rendered. */
export function failUndefined({
  message,
  cause,
}: {
  readonly message: string;
  readonly cause?: Error | undefined;
}): never {
  throw cause ?? new UndefinedFailure(message);
}

/** Return an error with other words and without a location; it stays one of an undefined value. */
export function reword(thrown: unknown, words: (message: string) => string): unknown {
  if (!isVolleyError(thrown)) return thrown;
  const { code, hint, message, cause } = thrown;
  const error = new VolleyError(code, words(message), {
    ...(cause === undefined ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
  });
  if (ofUndefined.has(thrown)) ofUndefined.add(error);
  return error;
}

/** Add to an error about the text of a var which var it is and where it is set; return any other error unchanged. */
export function nameVar(thrown: unknown, text: string, { name, file, line }: VarOrigin): unknown {
  if (!isVolleyError(thrown) || thrown.location?.file !== text) return thrown;
  const error = new VolleyError(
    "TEMPLATE_FAILED",
    `the var "${name}" cannot be rendered: ${thrown.message}`,
    {
      ...(thrown.cause === undefined ? {} : { cause: thrown.cause }),
      ...(file === undefined ? {} : { location: { file, ...(line === undefined ? {} : { line }) } }),
    },
  );
  if (ofUndefined.has(thrown)) ofUndefined.add(error);
  return error;
}

/** Thrown where a template is about to change a list or dict that may be its caller's: rendering begins anew, with copies. */
export class NeedsCopies extends Error {
  override readonly name = "NeedsCopies";
}

/** Tell whether something thrown makes the rendering begin anew, and so is no error. */
export function beginsAnew(thrown: unknown): thrown is Error {
  return thrown instanceof NeedsCopies || thrown instanceof NeedsAnswer;
}

/** Throw an error whose location is added on its way out of the template. */
export function fail(message: string): never {
  throw new TemplateFailure(message);
}

/** Return the error as a VolleyError `TEMPLATE_FAILED` with a location; an error that has a location stays unchanged. */
export function locate(thrown: unknown, position: Position): Error {
  if (beginsAnew(thrown)) return thrown;
  if (isVolleyError(thrown) && thrown.location !== undefined) return thrown;
  const message =
    thrown instanceof RangeError && thrown.message.startsWith("Maximum call stack")
      ? "the template calls itself without end"
      : thrown instanceof Error
        ? thrown.message
        : String(thrown);
  const error = new VolleyError("TEMPLATE_FAILED", message, {
    ...(thrown instanceof TemplateFailure ? {} : { cause: thrown }),
    location: { file: position.template, line: position.line },
  });
  if (thrown instanceof UndefinedFailure || isOfUndefined(thrown)) ofUndefined.add(error);
  return error;
}
