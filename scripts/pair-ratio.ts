/** How two things compare that were timed by turns. */

/** Of the second of each pair by the first. */
export interface PairRatio {
  /** The geometric mean over all pairs. */
  readonly ratio: number;
  /** Of the ratio, with 95 % confidence. */
  readonly least: number;
  readonly most: number;
}

export function ratioOf(pairs: readonly [number, number][]): PairRatio {
  const ratios = pairs.map(([one, other]) => Math.log(other / one));
  const mean = ratios.reduce((sum, one) => sum + one, 0) / ratios.length;
  const squares = ratios.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const error = Math.sqrt(squares / (ratios.length - 1) / ratios.length);
  return {
    ratio: Math.exp(mean),
    least: Math.exp(mean - 2 * error),
    most: Math.exp(mean + 2 * error),
  };
}
