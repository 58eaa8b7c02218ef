/** Runs in the page: what every case has at hand. */
import { outcome } from "../e2e/fixtures/case-kit.ts";
import type { Program } from "./program.ts";

export { describeError, outcome, shown, XhrWatch } from "../e2e/fixtures/case-kit.ts";

export const SITE = "https://chat.example.org";
export const HOMESERVER = "https://hs.example.org";
export const ELSEWHERE = "https://files.example.net";

/** A way through Mantle, by what it does with a request there. */
const ways = {
  /** Nothing. */
  passed: `${HOMESERVER}/_matrix/client/v3/keys/query`,
  /** Reads the body, whatever it is. */
  scanned: `${HOMESERVER}/plain`,
  /** Reads a JSON body, and the answer. */
  "looked-at": `${HOMESERVER}/_matrix/client/v3/login`,
  /** Reads the answer. */
  watched: `${HOMESERVER}/_matrix/client/v3/voip/turnServer`,
  /** Nothing, on the page's own origin. */
  own: `${SITE}/echo`,
  /** Reads a JSON body, and the answer, on the page's own origin. */
  "own, looked-at": `${SITE}/_matrix/client/v3/login`,
} as const;

export type Way = keyof typeof ways;

/** In an alphabet that no address is spelled with: one inside a query is another matter. */
function inQuery(text: string): string {
  const letters = [...new TextEncoder().encode(text)].map((byte) => String.fromCharCode(byte));
  return btoa(letters.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** One run of a case. */
export class Trial {
  readonly number: number;
  readonly #way: Way;

  constructor(number: number, way: Way) {
    this.number = number;
    this.#way = way;
  }

  url(program: Program = {}, base: string = ways[this.#way]): string {
    const asked = JSON.stringify(program);
    return `${base}?case=${this.number}${asked === "{}" ? "" : `&program=${inQuery(asked)}`}`;
  }

  /** Waits until that many requests of this case came to the server. */
  async reached(count = 1): Promise<void> {
    await this.#until(({ seen }) => seen >= count);
  }

  /** Waits until the server holds an answer of this case back. */
  async held(): Promise<void> {
    await this.#until(({ waiting }) => waiting > 0);
  }

  async release(): Promise<void> {
    await this.#ask("release");
  }

  async #until(holds: (state: { seen: number; waiting: number }) => boolean): Promise<void> {
    while (!holds(await this.#ask("seen"))) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async #ask(what: string): Promise<{ seen: number; waiting: number }> {
    const response = await fetch(`${SITE}/control/${what}?case=${this.number}`);
    return (await response.json()) as { seen: number; waiting: number };
  }
}

export interface SuiteCase {
  readonly name: string;
  readonly way: Way;
  /** Everything a page can observe, as JSON can hold it. */
  run(trial: Trial): Promise<unknown>;
}

/** The same for each row: [what it is, the value]. A text is its own description. */
export function rows<Value>(
  prefix: string,
  on: readonly Way[],
  list: readonly (string | readonly [string, Value])[],
  run: (trial: Trial, value: Value) => Promise<unknown>,
): SuiteCase[] {
  return list.flatMap((row) => {
    const [label, value] =
      typeof row === "string" ? [JSON.stringify(row), row as unknown as Value] : row;
    return on.map((way) => ({
      name: `${prefix}: ${label} (${way})`,
      way,
      run: (trial: Trial) => run(trial, value),
    }));
  });
}

/** Cases that have nothing in common but their ways. */
export function cases(
  prefix: string,
  on: readonly Way[],
  list: Readonly<Record<string, (trial: Trial) => Promise<unknown>>>,
): SuiteCase[] {
  return rows(prefix, on, Object.entries(list), (trial, run) => run(trial));
}

export const JSON_BODY = '{"type":"m.login.password","password":"pässword"}';

export function post(body: unknown, more: RequestInit = {}): RequestInit {
  return { method: "POST", body: body as BodyInit, ...more };
}

/** The answer's every property, and its text. */
export async function described(response: Response): Promise<unknown> {
  return {
    ...head(response),
    used: response.bodyUsed,
    text: await outcome(() => response.text()),
    after: response.bodyUsed,
  };
}

export function head(response: Response): Record<string, unknown> {
  const headers: string[] = [];
  response.headers.forEach((value, name) => headers.push(`${name}: ${value}`));
  return {
    url: response.url,
    status: response.status,
    statusText: response.statusText,
    ok: response.ok,
    type: response.type,
    redirected: response.redirected,
    hasBody: response.body !== null,
    headers,
  };
}

export function reading(work: () => Promise<Response>): Promise<unknown> {
  return outcome(async () => described(await work()));
}
