/** Fetches ciphertext of pictures from the homeserver, in the name of the running client. */
import {
  abortController,
  clearTimer,
  controllerSignal,
  nativeFetch,
  NativeAbortController,
  NativeUint8Array,
  page,
  readChunk,
  responseBody,
  responseStatus,
  setTimer,
  streamReader,
} from "../primordials/primordials.ts";
import { addressAt } from "../room-state/element/client.ts";
import { MAX_BYTES } from "./file.ts";

/** As far as downloads use it. */
export interface DownloadClient {
  readonly baseUrl: string;
  getAccessToken(): string | null;
}

/** It is longer than any picture that is shown. */
export class TooLong extends Error {}

/** Of Matrix 1.11, and before; homeservers have one of them at least. */
const PATHS = ["/_matrix/client/v1/media/download/", "/_matrix/media/v3/download/"];
const TIMEOUT_MS = 60_000;

/** `place`: `server/mediaId`. Reads no more than a picture may have. */
export async function download(
  client: DownloadClient,
  place: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const controller = new NativeAbortController();
  const timer = setTimer(() => abortController(controller), TIMEOUT_MS);
  try {
    let status = 0;
    for (const path of PATHS) {
      const response = await nativeFetch(page, addressAt(client, `${path}${place}`), {
        headers: { Authorization: `Bearer ${client.getAccessToken() ?? ""}` },
        credentials: "omit",
        signal: controllerSignal(controller),
      });
      status = responseStatus(response);
      if (status === 200) return await bytesIn(response);
    }
    throw new Error(`status ${String(status)}`);
  } finally {
    clearTimer(timer);
    // What is left of an answer is not waited for.
    abortController(controller);
  }
}

async function bytesIn(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const body = responseBody(response);
  if (body === null) return new NativeUint8Array(0);
  const reader = streamReader(body);
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await readChunk(reader);
    if (done) break;
    length += value.length;
    if (length > MAX_BYTES) throw new TooLong("too long");
    parts.push(value);
  }
  const bytes = new NativeUint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
