/** Return the middle value, or the mean of the two in the middle; undefined without values. */
export function median(values: readonly number[]): number | undefined {
  return quantile(values, 0.5);
}

/**
 * Return a quantile by linear interpolation between order statistics: definition 7 of Hyndman and Fan, "Sample
 * Quantiles in Statistical Packages" (The American Statistician 50, 1996). Undefined without values.
 */
export function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = ascending(values);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return undefined;
  return below + (above - below) * (position - Math.floor(position));
}

/** Return the distance between the quartiles (see {@link quantile}): half of the values lie within. */
export function interquartileRange(values: readonly number[]): number | undefined {
  const [low, high] = [quantile(values, 0.25), quantile(values, 0.75)];
  return low === undefined || high === undefined ? undefined : high - low;
}

/** An interval, and how often, in the long run, such an interval holds the true value. */
export interface Interval {
  readonly low: number;
  readonly high: number;
  /** At least the wanted confidence: order statistics come in steps. */
  readonly coverage: number;
}

/**
 * Return the sign test's confidence interval of a median: from the k-th smallest value to the k-th largest, where k is
 * the greatest with 1 − 2·P(B ≤ k − 1) ≥ confidence and B is binomial with n trials of probability 1/2. The test
 * assumes independent values, and no distribution (Conover, "Practical Nonparametric Statistics", 3rd edition, section
 * 3.2). Undefined for too few values: 95 % needs six.
 */
export function medianInterval(values: readonly number[], confidence: number): Interval | undefined {
  const sorted = ascending(values);
  const count = sorted.length;
  let probability = 0.5 ** count;
  let tail = 0;
  let found: Interval | undefined;
  for (let rank = 1; rank <= count / 2; rank++) {
    tail += probability;
    const coverage = 1 - 2 * tail;
    if (coverage < confidence) break;
    found = { low: sorted[rank - 1]!, high: sorted[count - rank]!, coverage };
    // P(B = rank) from P(B = rank − 1).
    probability *= (count - rank + 1) / rank;
  }
  return found;
}

/** Return the least number of values for which {@link medianInterval} returns an interval. */
export function leastForInterval(confidence: number): number {
  return Math.ceil(1 - Math.log2(1 - confidence));
}

/** The ratio of two series, pair by pair. */
export interface PairedRatio {
  /** Median of the pairs' ratios. */
  readonly median: number;
  readonly pairs: number;
  /** Undefined for too few pairs. */
  readonly interval: Interval | undefined;
}

/**
 * Return the median of `values[i] / baseline[i]` with its {@link medianInterval}. Pairs with a value that is missing or
 * not above 0 are left out. Undefined when no pair is left.
 */
export function pairedRatio(
  values: readonly (number | undefined)[],
  baseline: readonly (number | undefined)[],
  confidence: number,
): PairedRatio | undefined {
  const ratios = values.flatMap((value = 0, index) => {
    const base = baseline[index] ?? 0;
    return value > 0 && base > 0 ? [value / base] : [];
  });
  const middle = median(ratios);
  if (middle === undefined) return undefined;
  return { median: middle, pairs: ratios.length, interval: medianInterval(ratios, confidence) };
}

/** Return whether a ratio differs from 1 by more than chance: its interval leaves 1 out. False without an interval. */
export function isDistinct({ interval }: Pick<PairedRatio, "interval">): boolean {
  return interval !== undefined && (interval.low > 1 || interval.high < 1);
}

/**
 * Return the slope of a line through points: the median of the slopes between all pairs of points with different x,
 * which outliers hardly move (Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", Journal of the
 * American Statistical Association 63, 1968). Undefined when no two points differ in x.
 */
export function medianSlope(points: readonly (readonly [x: number, y: number])[]): number | undefined {
  const slopes = points.flatMap(([x, y], index) =>
    points
      .slice(index + 1)
      .flatMap(([otherX, otherY]) => (otherX === x ? [] : [(otherY - y) / (otherX - x)])),
  );
  return median(slopes);
}

function ascending(values: readonly number[]): readonly number[] {
  return [...values].sort((one, other) => one - other);
}
