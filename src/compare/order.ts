/**
 * The order of a round, counted from 1: as given, and in every second round the other way round, so that what drifts in
 * the course of time (a processor that grows warm, a cache that fills) weighs on all alike.
 */
export function orderOfRound<T>(entries: readonly T[], round: number): readonly T[] {
  return round % 2 === 1 ? entries : [...entries].reverse();
}
