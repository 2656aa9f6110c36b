// Texts that stay texts although they look like lists, dicts or numbers: to_json, string and filters like them made them.
// Which of the items of a list or dict are such texts is noted beside it, so that they are plain texts to all others.

// Types of text that `type_debug` tells apart may be noted there as well.

const kept = new WeakMap<object, Map<string | number, string>>();

/** The type of a text that stays text. */
const KEPT = "NativeJinjaText";

/** Note whether the text at a key of a list or dict stays text; or else, by Ansible's name, the type it has. */
export function keepText(holder: object, key: string | number, type: boolean | string): void {
  const types = kept.get(holder) ?? new Map<string | number, string>();
  if (type === false) types.delete(key);
  else kept.set(holder, types.set(key, type === true ? KEPT : type));
}

/** Return the type that was noted for the text at a key. */
export function notedType(holder: unknown, key: unknown): string | undefined {
  return typeof holder === "object" && holder !== null
    ? kept.get(holder)?.get(key as string | number)
    : undefined;
}

/** Tell whether the value at a key is a text that stays text. */
export function keepsText(holder: unknown, key: unknown): boolean {
  return notedType(holder, key) === KEPT;
}

/** Note of what was copied from one list or dict to another that the same texts stay texts. */
export function copyKept(from: object, to: object): void {
  for (const key of Array.isArray(from) ? from.keys() : Object.keys(from)) {
    const type = notedType(from, key);
    if (type !== undefined || kept.has(to)) keepText(to, key, type ?? false);
  }
}
