import { isVolleyError, VolleyError } from "../core/errors.ts";
import type { VarOrigin } from "../vars/scope.ts";

/** Where a template is being read or carried out; one per compiled template, moved along as it runs. */
export interface Position {
  readonly template: string;
  /** Counted from 1. */
  line: number;
}

/** An error of the template's author, raised where the line is not yet known; {@link locate} adds it. */
export class TemplateFailure extends Error {
  override readonly name = "TemplateFailure";
}

/** Raised by the use of what is not defined. */
class UndefinedFailure extends TemplateFailure {}

/** The errors that come of something not defined, which `default()` and `is defined` look over. */
const ofUndefined = new WeakSet<Error>();

/** Whether an error comes of something that is not defined. */
export function isOfUndefined(thrown: unknown): thrown is VolleyError {
  return isVolleyError(thrown) && ofUndefined.has(thrown);
}

/** Raises what the use of an undefined value is: the error it comes of, where it is a var that could not be rendered. */
export function failUndefined({
  message,
  cause,
}: {
  readonly message: string;
  readonly cause?: Error | undefined;
}): never {
  throw cause ?? new UndefinedFailure(message);
}

/** Says of an error about a text of a var which var it is, and where that is set; others are left alone. */
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

/** Raised where a template is about to change a list or a dict that may be its caller's: it is begun anew, with copies. */
export class NeedsCopies extends Error {
  override readonly name = "NeedsCopies";
}

/** Raises an error whose location is added on its way out of the template. */
export function fail(message: string): never {
  throw new TemplateFailure(message);
}

/** The error as a VolleyError `TEMPLATE_FAILED` that says where; one that already says so is left alone. */
export function locate(thrown: unknown, position: Position): Error {
  // What is raised to begin anew is no error.
  if (thrown instanceof NeedsCopies || (thrown instanceof Error && thrown.name === "NeedsLook"))
    return thrown;
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
  if (thrown instanceof UndefinedFailure) ofUndefined.add(error);
  return error;
}
