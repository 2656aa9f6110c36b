import type { Memo } from "./action.ts";

/** A Memo that lives as long as its run. */
export function createMemo(): Memo {
  const values = new Map<string, Promise<unknown>>();
  return {
    get<T>(key: string, make: () => Promise<T>): Promise<T> {
      const known = values.get(key);
      if (known !== undefined) return known as Promise<T>;
      const made = make();
      values.set(key, made);
      // A failure is not a value: the next to ask tries again.
      made.catch(() => values.delete(key));
      return made;
    },
    forget: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}
