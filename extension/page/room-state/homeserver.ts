/** Requests Mantle itself makes of the homeserver, in the name of the running client. */
import {
  abortController,
  clearTimer,
  controllerSignal,
  NativeAbortController,
  nativeFetch,
  page,
  parseJson,
  setTimer,
} from "../primordials/primordials.ts";
import { addressAt } from "./element/client.ts";
import type { PageClient } from "./element/client.ts";
import { text } from "../texts/texts.ts";

/**
 * How long an answer may take, all of it: what asks holds up other tabs' writes meanwhile. A room's
 * state may have megabytes, and a line little.
 */
const ANSWER_LIMIT = 110_000;

/** An answer that is not 2xx. */
export class HomeserverError extends Error {
  readonly status: number;
  readonly errcode: string;
  /** What the homeserver asks to wait, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(status: number, answer: unknown) {
    const { errcode, retry_after_ms: wait } = (answer ?? {}) as {
      errcode?: unknown;
      retry_after_ms?: unknown;
    };
    super(text("homeserverRefused"));
    this.status = status;
    this.errcode = typeof errcode === "string" ? errcode : "";
    const isWait = typeof wait === "number" && wait >= 0 && wait < Infinity;
    this.retryAfter = isWait ? wait : undefined;
  }
}

/** True for an answer that would be the same if it were asked again. */
export function isFinal(error: unknown): boolean {
  if (!(error instanceof HomeserverError)) return false;
  const { status } = error;
  return status >= 400 && status < 500 && ![401, 408, 429].includes(status);
}

/** Sends with the client's access token; the answer's JSON. `path` starts with `/_matrix`. */
export async function sendAsClient(
  client: PageClient,
  method: string,
  path: string,
  body?: string,
): Promise<unknown> {
  const controller = new NativeAbortController();
  const timer = setTimer(() => abortController(controller), ANSWER_LIMIT);
  try {
    const response = await nativeFetch(page, addressAt(client, path), {
      method,
      headers: {
        Authorization: `Bearer ${client.getAccessToken() ?? ""}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body }),
      signal: controllerSignal(controller),
    });
    return await answerOf(response);
  } finally {
    clearTimer(timer);
  }
}

/** The JSON of an answer; throws `HomeserverError` when it is not 2xx. */
async function answerOf(response: Response): Promise<unknown> {
  const said = await response.text();
  let answer: unknown;
  try {
    answer = parseJson(said);
  } catch {
    answer = undefined;
  }
  if (response.status < 200 || response.status > 299) {
    throw new HomeserverError(response.status, answer);
  }
  return answer;
}
