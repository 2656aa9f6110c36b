import { callable, intArgument } from "../calls.ts";
import { fail } from "../errors.ts";
import { equals, order } from "../operators.ts";
import { repr } from "../repr.ts";
import { type Callable, iterate, truth } from "../values.ts";

function position(list: readonly unknown[], value: unknown, start: unknown): number {
  const from = intArgument(start, 0);
  const index = list.findIndex((item, at) => at >= from && equals(item, value));
  return index < 0 ? fail(`${repr(value)} is not in list`) : index;
}

/** Python's methods of list (and, where they do not change it, of tuple); the first argument is the list. */
export const listMethods: Readonly<Record<string, Callable>> = {
  append: callable(["self", "value"], (self: unknown[], value: unknown) => {
    self.push(value);
    return null;
  }),
  extend: callable(["self", "values"], (self: unknown[], values: unknown) => {
    self.push(...iterate(values));
    return null;
  }),
  insert: callable(["self", "index", "value"], (self: unknown[], index: unknown, value: unknown) => {
    self.splice(intArgument(index, 0), 0, value);
    return null;
  }),
  remove: callable(["self", "value"], (self: unknown[], value: unknown) => {
    self.splice(position(self, value, 0), 1);
    return null;
  }),
  pop: callable(["self", "index"], (self: unknown[], index: unknown) => {
    const at = intArgument(index, -1);
    if (self.length === 0) return fail("pop from empty list");
    const found = at < 0 ? self.length + at : at;
    return found in self ? self.splice(found, 1)[0] : fail("pop index out of range");
  }),
  clear: callable(["self"], (self: unknown[]) => {
    self.length = 0;
    return null;
  }),
  copy: callable(["self"], (self: unknown[]) => [...self]),
  count: callable(
    ["self", "value"],
    (self: unknown[], value: unknown) => self.filter((item) => equals(item, value)).length,
  ),
  index: callable(["self", "value", "start"], position),
  reverse: callable(["self"], (self: unknown[]) => {
    self.reverse();
    return null;
  }),
  sort: callable(["self", "reverse"], (self: unknown[], reverse: unknown = false) => {
    const direction = truth(reverse) ? -1 : 1;
    self.sort((a, b) => direction * order(a, b));
    return null;
  }),
};
