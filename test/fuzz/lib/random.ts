import { seededRandom } from "../../chaos/random.ts";

/** Choices that only look random: the same seed gives the same ones. */
export interface Draw {
  /** A whole number from 0, below a bound. */
  below(bound: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
}

/** Makes a {@link Draw} of a seed. */
export function drawFrom(seed: number): Draw {
  const random = seededRandom(seed);
  // The first numbers of neighbouring seeds are much alike.
  for (let index = 0; index < 8; index++) random();
  const below = (bound: number): number => Math.floor(random() * bound);
  return {
    below,
    chance: (probability) => random() < probability,
    pick: (items) => items[below(items.length)]!,
  };
}
