/** How values are distributed; all 0 where there are none. */
export interface Spread {
  readonly count: number;
  readonly total: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** The distribution of values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  return {
    count: sorted.length,
    total: sorted.reduce((sum, value) => sum + value, 0),
    min: sorted[0] ?? 0,
    median: quantile(sorted, 0.5),
    max: sorted.at(-1) ?? 0,
  };
}

/** A quantile of sorted values, between neighbours in proportion (Hyndman and Fan's type 7, as in most tools); 0 of none. */
export function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? 0;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}
