import { VolleyError } from "../../core/errors.ts";

/** Fail as a lookup does. */
export function failLookup(message: string): never {
  throw new VolleyError("TEMPLATE_FAILED", message);
}
