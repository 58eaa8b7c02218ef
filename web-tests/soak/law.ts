/** What "it does not grow" means in figures. */

/** A figure after so many cycles of use. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

/** Fewer say nothing about a slope. */
export const MIN_SAMPLES = 12;

/**
 * By how much a figure grew over the last two thirds of a run; the first third is warm-up. The larger
 * of two views: the median slope between any two samples (Theil and Sen), which a single odd sample
 * does not move, and the median of the last quarter beside that of the first, which also sees one
 * large step. Negative where it fell.
 */
export function growth(samples: readonly Sample[]): number {
  if (samples.length < MIN_SAMPLES) {
    throw new Error(`${samples.length} samples are too few; ${MIN_SAMPLES} are the least.`);
  }
  const warm = samples.slice(Math.floor(samples.length / 3));
  const slopes = warm.flatMap((from, index) =>
    warm.slice(index + 1).map((to) => (to.value - from.value) / (to.at - from.at)),
  );
  const span = (warm.at(-1)?.at ?? 0) - (warm[0]?.at ?? 0);
  const quarter = Math.ceil(warm.length / 4);
  const values = warm.map(({ value }) => value);
  const step = median(values.slice(-quarter)) - median(values.slice(0, quarter));
  return Math.max(median(slopes) * span, step);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** One figure through a run, and by how much it may grow. */
export interface Series {
  readonly what: string;
  readonly unit: string;
  readonly samples: readonly Sample[];
  readonly bound: number;
}

/** A series judged. */
export interface Verdict extends Series {
  readonly first: number;
  readonly warm: number;
  readonly last: number;
  readonly growth: number;
  /** False for what is no number, too. */
  readonly isFlat: boolean;
}

export function judge(series: Series): Verdict {
  const { samples, bound } = series;
  const grown = growth(samples);
  return {
    ...series,
    first: samples[0]?.value ?? Number.NaN,
    warm: samples[Math.floor(samples.length / 3)]?.value ?? Number.NaN,
    last: samples.at(-1)?.value ?? Number.NaN,
    growth: grown,
    isFlat: grown <= bound,
  };
}
