import { decodeUtf8 } from "../core/text.ts";
import { SecretProblem } from "./problem.ts";

/** Bytes of a secret as text. Fails with a {@link SecretProblem} that calls what they are of `what`. */
export function secretText(bytes: Uint8Array, what: string): string {
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return decoded.text;
  throw new SecretProblem(`line ${decoded.line} of ${what} is not UTF-8`);
}
