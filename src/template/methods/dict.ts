import { callable } from "../calls.ts";
import { fail } from "../errors.ts";
import { repr } from "../repr.ts";
import {
  type Callable,
  type Dict,
  dictDelete,
  dictEntries,
  dictGet,
  dictKeys,
  dictSet,
  isDict,
  iterate,
  type Keywords,
  tuple,
} from "../values.ts";

function update(target: Dict, other: unknown, keywords: Keywords): null {
  if (other !== undefined) {
    const pairs = isDict(other)
      ? dictEntries(other)
      : iterate(other).map((pair) => iterate(pair) as [unknown, unknown]);
    for (const [key, value] of pairs) dictSet(target, key, value);
  }
  for (const [key, value] of Object.entries(keywords)) dictSet(target, key, value);
  return null;
}

function take(dict: Dict, key: unknown, fallback: unknown): unknown {
  const value = dictGet(dict, key);
  dictDelete(dict, key);
  return (
    value ??
    (value === null
      ? null
      : (fallback ?? (fallback === null ? null : fail(`the dict has no key ${repr(key)}`))))
  );
}

/** Python's methods of dict; the first argument is the dict. */
export const dictMethods: Readonly<Record<string, Callable>> = {
  keys: callable(["self"], (self: Dict) => dictKeys(self)),
  values: callable(["self"], (self: Dict) => dictEntries(self).map(([, value]) => value)),
  items: callable(["self"], (self: Dict) => dictEntries(self).map(([key, value]) => tuple(key, value))),
  get: callable(["self", "key", "default"], (self: Dict, key: unknown, fallback: unknown = null) => {
    const value = dictGet(self, key);
    return value === undefined ? fallback : value;
  }),
  update: ([self, other], keywords) => update(self as Dict, other, keywords),
  copy: callable(["self"], (self: Dict) => new Map(dictEntries(self))),
  pop: callable(["self", "key", "default"], take),
  popitem: callable(["self"], (self: Dict) => {
    const [key, value] = dictEntries(self).at(-1) ?? fail("popitem(): the dict is empty");
    dictDelete(self, key);
    return tuple(key, value);
  }),
  setdefault: callable(["self", "key", "default"], (self: Dict, key: unknown, fallback: unknown = null) => {
    if (dictGet(self, key) === undefined) dictSet(self, key, fallback);
    return dictGet(self, key);
  }),
  clear: callable(["self"], (self: Dict) => {
    for (const key of dictKeys(self)) dictDelete(self, key);
    return null;
  }),
};
