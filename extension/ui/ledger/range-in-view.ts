/** Which rows of a long list are to be in the document. */

/** Rows above and below the view that are there already. */
const SPARE = 8;

export interface Range {
  readonly first: number;
  /** The first that is not there any more. */
  readonly end: number;
}

export interface View {
  readonly scrollTop: number;
  readonly clientHeight: number;
  /** Of each row; above 0. */
  readonly height: number;
}

/** Never empty: by a row that is there the height of all is measured. */
export function rangeInView({ scrollTop, clientHeight, height }: View, count: number): Range {
  const last = Math.max(0, count - 1);
  const first = Math.min(last, Math.max(0, Math.floor(scrollTop / height) - SPARE));
  const end = Math.min(count, Math.ceil((scrollTop + clientHeight) / height) + SPARE);
  return { first, end: Math.max(first + 1, end) };
}
