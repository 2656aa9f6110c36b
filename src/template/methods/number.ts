import { callable } from "../calls.ts";
import { type Callable, Float, isInt } from "../values.ts";

/** Python's methods of int and float that templates use; the first argument is the number. */
export const numberMethods: Readonly<Record<string, Callable>> = {
  is_integer: callable(["self"], (self: unknown) => isInt(self) || self instanceof Float),
  bit_length: callable(["self"], (self: unknown) =>
    isInt(self) && Number(self) !== 0 ? BigInt(self).toString(2).replace("-", "").length : 0,
  ),
};
