import { callable } from "../calls.ts";
import { type Callable, Float } from "../values.ts";

/** Python's methods of int and float that templates use; the first argument is the number. */
export const numberMethods: Readonly<Record<string, Callable>> = {
  is_integer: callable(["self"], (self: number | Float) =>
    Number.isInteger(self instanceof Float ? self.value : self),
  ),
  bit_length: callable(["self"], (self: number) => (self === 0 ? 0 : Math.abs(self).toString(2).length)),
};
