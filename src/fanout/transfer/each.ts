/** Files that are worked on together per host: enough to hide the distance with small ones. */
export const FILES_AT_ONCE = 32;

/** Does something for each item, so many at a time, in their order; rejects with the first that did, when all have settled. */
export async function each<Item>(
  items: Iterable<Item>,
  atOnce: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const thrown: unknown[] = [];
  const work = async (): Promise<void> => {
    while (thrown.length === 0) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        await act(next.value);
      } catch (error) {
        thrown.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (thrown.length > 0) throw thrown[0];
}
