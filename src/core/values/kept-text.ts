// Texts that stay texts although they look like lists, dicts or numbers: to_json, string and filters like them made them.
// Which of the items of a list or dict are such texts is noted beside it, so that they are plain texts to all others.

const kept = new WeakMap<object, Set<string | number>>();

/** Note whether the text at a key of a list or dict stays text. */
export function keepText(holder: object, key: string | number, isKept: boolean): void {
  const keys = kept.get(holder);
  if (!isKept) keys?.delete(key);
  else if (keys === undefined) kept.set(holder, new Set([key]));
  else keys.add(key);
}

/** Tell whether the value at a key is a text that stays text. */
export function keepsText(holder: unknown, key: unknown): boolean {
  if (typeof holder !== "object" || holder === null) return false;
  return kept.get(holder)?.has(key as string | number) === true;
}

/** Note of what was copied from one list or dict to another that the same texts stay texts. */
export function copyKept(from: object, to: object): void {
  for (const key of Array.isArray(from) ? from.keys() : Object.keys(from)) {
    const isKept = keepsText(from, key);
    if (isKept || kept.has(to)) keepText(to, key, isKept);
  }
}
