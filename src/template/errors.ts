import { isVolleyError, VolleyError } from "../core/errors.ts";

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

/** Raised where a template is about to change a list or a dict that may be its caller's: it is begun anew, with copies. */
export class NeedsCopies extends Error {
  override readonly name = "NeedsCopies";
}

/** Raises an error whose location is added on its way out of the template. */
export function fail(message: string): never {
  throw new TemplateFailure(message);
}

/** The error as a VolleyError `TEMPLATE_FAILED` that says where; one that already says so is left alone. */
export function locate(thrown: unknown, position: Position): VolleyError | NeedsCopies {
  if (thrown instanceof NeedsCopies || (isVolleyError(thrown) && thrown.location !== undefined))
    return thrown;
  const message =
    thrown instanceof RangeError && thrown.message.startsWith("Maximum call stack")
      ? "the template calls itself without end"
      : thrown instanceof Error
        ? thrown.message
        : String(thrown);
  return new VolleyError("TEMPLATE_FAILED", message, {
    ...(thrown instanceof TemplateFailure ? {} : { cause: thrown }),
    location: { file: position.template, line: position.line },
  });
}
