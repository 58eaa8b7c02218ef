/** What the server does with a request; without anything it tells what it was asked. */
export interface Program {
  readonly status?: number;
  /** Reason phrase. */
  readonly reason?: string;
  /** Content type; null: none. Without it JSON. */
  readonly type?: string | null;
  readonly text?: string;
  readonly bytes?: readonly number[];
  /** That many bytes. */
  readonly size?: number;
  /** The number of requests of this case so far. */
  readonly counted?: boolean;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Who may read: any origin but without credentials, the asking one without them, or nobody. */
  readonly cors?: "any" | "bare" | "none";
  readonly expose?: string;
  readonly location?: string;
  readonly etag?: string;
  /** Lets the browser keep the answer. */
  readonly caching?: boolean;
  readonly gzip?: boolean;
  readonly chunked?: boolean;
  /** Answers only once the page says so; or says the first half before. */
  readonly hold?: "head" | "body";
  /** Breaks off before an answer, or in its middle once the page says so. */
  readonly cut?: "head" | "body";
}
