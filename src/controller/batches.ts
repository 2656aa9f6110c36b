import type { Host } from "../core/inventory.ts";
import { type BatchSize, type PlayOrder, percentageOf } from "../core/play-schedule.ts";

/** The hosts of a play in the order they begin; `shuffle` gives the same order for the same seed and hosts. */
export function orderHosts(
  hosts: readonly Host[],
  order: PlayOrder = "inventory",
  seed = "",
): readonly Host[] {
  switch (order) {
    case "inventory":
      return hosts;
    case "reverse_inventory":
      return [...hosts].reverse();
    case "sorted":
      return [...hosts].sort(byName);
    case "reverse_sorted":
      return [...hosts].sort(byName).reverse();
    case "shuffle":
      return shuffle(hosts, seed);
  }
}

/** Takes hosts apart into batches, as Ansible's `serial` does; without sizes they are one. */
export function splitBatches<T>(
  hosts: readonly T[],
  serial?: BatchSize | readonly BatchSize[],
): readonly (readonly T[])[] {
  if (hosts.length === 0) return [];
  const sizes = serial === undefined ? [] : typeof serial === "object" ? serial : [serial];
  const batches: (readonly T[])[] = [];
  let from = 0;
  while (from < hosts.length) {
    const size = sizes[Math.min(batches.length, sizes.length - 1)];
    const count = size === undefined ? hosts.length : hostsIn(size, hosts.length);
    batches.push(hosts.slice(from, from + count));
    from += count;
  }
  return batches;
}

function hostsIn(size: BatchSize, total: number): number {
  const percentage = percentageOf(size);
  return percentage === undefined ? (size as number) : Math.max(1, Math.floor((total * percentage) / 100));
}

function byName(one: Host, other: Host): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

/** Fisher and Yates's shuffle. */
function shuffle<T>(values: readonly T[], seed: string): readonly T[] {
  const shuffled = [...values];
  const random = createRandom(seed);
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}

/** Numbers from 0 up to 1, the same for the same seed: a 32-bit xorshift (Marsaglia 2003), begun with an FNV-1a hash. */
function createRandom(seed: string): () => number {
  let state = 0x811c9dc5;
  for (const byte of Buffer.from(seed)) state = Math.imul(state ^ byte, 0x01000193);
  // It never leaves 0.
  state = state === 0 ? 1 : state;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
