/** What the check-up page of the extension has Element's page do: ask its homeserver, as it would. */
import {
  abortController,
  clearTimer,
  controllerSignal,
  decodeWith,
  headersForEach,
  NativeAbortController,
  nativeFetch,
  NativeTextDecoder,
  page,
  parseJson,
  readChunk,
  responseBody,
  responseHeaders,
  responseStatus,
  setTimer,
  slice,
  streamReader,
  stringify,
} from "../primordials/primordials.ts";
import {
  type CheckUpAnswer,
  type CheckUpCommand,
  type CheckUpOutcome,
  type CheckUpTask,
  type HomeserverRequest,
  MAX_ANSWER_LENGTH,
  MAX_ROOMS,
} from "../../protocol/check-up.ts";
import { addressAt, type PageClient, runningClient } from "../room-state/element/client.ts";
import { RefusedRoom, type RoomConversion, sentenceOf } from "../room-state/conversion.ts";
import { HomeserverError } from "../room-state/homeserver.ts";

const NOTHING = new Uint8Array(0);
/** The relay waits a little longer. */
const ASK_LIMIT_MS = 110_000;

export async function runTask(
  conversion: RoomConversion,
  { wish, task }: CheckUpCommand,
): Promise<CheckUpAnswer> {
  let outcome: CheckUpOutcome;
  try {
    outcome = await outcomeOf(conversion, task);
  } catch (error) {
    outcome = { is: "failed", why: sentenceOf(error) };
  }
  return { kind: "check-up-answer", wish, outcome };
}

async function outcomeOf(conversion: RoomConversion, task: CheckUpTask): Promise<CheckUpOutcome> {
  const client = runningClient();
  const user = client?.getUserId();
  if (client === undefined || typeof user !== "string" || client.getAccessToken() === null) {
    return { is: "nobody" };
  }
  if (task.do !== "account" && task.user !== user) return { is: "nobody" };
  switch (task.do) {
    case "account": {
      const device = client.getDeviceId() ?? "";
      const convertible = await conversion.convertible().catch(() => []);
      const some = convertible.slice(0, MAX_ROOMS);
      return { is: "account", user, device, homeserver: client.baseUrl, convertible: some };
    }
    case "ask":
      return ask(client, task.request);
    case "preview":
      return { is: "preview", lines: await conversion.preview(user, task.rooms) };
    case "convert":
      return convert(conversion, user, task.room);
    case "judge":
      return judge(client, task.backup);
  }
}

async function ask(client: PageClient, request: HomeserverRequest): Promise<CheckUpOutcome> {
  const headers: Record<string, string> = {};
  if (request.signed) headers["Authorization"] = `Bearer ${client.getAccessToken() ?? ""}`;
  if (request.body !== null) headers["Content-Type"] = "application/json";
  const controller = new NativeAbortController();
  const timer = setTimer(() => abortController(controller), ASK_LIMIT_MS);
  try {
    const response = await nativeFetch(page, addressAt(client, request.path), {
      method: request.method,
      headers,
      credentials: "omit",
      cache: "no-store",
      signal: controllerSignal(controller),
      ...(request.body === null ? {} : { body: request.body }),
    });
    const body = await textOf(response);
    if (body === undefined) return answered(0);
    let lines = "";
    headersForEach(responseHeaders(response), (value, name) => {
      lines += `${name}: ${value}\n`;
    });
    return answered(responseStatus(response), body, slice(lines, 0, 100_000));
  } catch {
    return answered(0);
  } finally {
    clearTimer(timer);
    // What is left of a body that is too long is not fetched.
    abortController(controller);
  }
}

/** The text of an answer; nothing, as soon as it is too long. */
async function textOf(response: Response): Promise<string | undefined> {
  const stream = responseBody(response);
  if (stream === null) return "";
  const reader = streamReader(stream);
  const decoder = new NativeTextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await readChunk(reader);
    text += done ? decodeWith(decoder, NOTHING) : decodeWith(decoder, value, { stream: true });
    if (text.length > MAX_ANSWER_LENGTH) return undefined;
    if (done) return text;
  }
}

/** As a status of HTTP, which the repair knows what to do about. */
async function convert(
  conversion: RoomConversion,
  user: string,
  room: string,
): Promise<CheckUpOutcome> {
  try {
    await conversion.convertOne(user, room);
    return answered(200);
  } catch (error) {
    if (error instanceof HomeserverError) {
      return answered(error.status, stringify({ retry_after_ms: error.retryAfter }));
    }
    // What the network or a page that is still starting does is tried again.
    return answered(error instanceof RefusedRoom ? 403 : 0);
  }
}

/**
 * By what the session knows itself: its own keys, and the person's as far as it verified them. A
 * session whose crypto is not ready says nothing.
 */
async function judge(client: PageClient, backup: string): Promise<CheckUpOutcome> {
  try {
    const said = await client.getCrypto()?.isKeyBackupTrusted?.(parseJson(backup) as object);
    if (said === undefined) return answered(0);
    const trusted = said.trusted === true;
    const matchesDecryptionKey = said.matchesDecryptionKey === true;
    return answered(200, stringify({ trusted, matchesDecryptionKey }));
  } catch {
    return answered(0);
  }
}

function answered(status: number, body = "", headers = ""): CheckUpOutcome {
  return { is: "answer", status, headers, body };
}
