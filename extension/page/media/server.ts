import {
  abortController,
  clearTimer,
  controllerSignal,
  create,
  fillRandom,
  NativeAbortController,
  nativeFetch,
  NativeUint16Array,
  NativeUint8Array,
  now,
  page,
  parseJson,
  pinned,
  responseStatus,
  responseText,
  result,
  setTimer,
  slice,
  startsWith,
  toIsoDay,
} from "../primordials/primordials.ts";
import type { HeaderList } from "../primordials/header-list.ts";
import { headersFrom } from "../primordials/header-list.ts";
import { askRelay } from "../channel/relay-requests.ts";
import { recall, remember } from "./memory.ts";
import { guarded, mediaModule } from "./module.ts";

/** To whom a homeserver gives what is uploaded now. */
export interface ServerMedia {
  readonly server: "public" | "closed" | "unknown";
  /** It says that media needs signing in. */
  readonly promises: boolean;
  /** Day of the last try; empty without one. */
  readonly tried: string;
}

const MXC = "mxc://";
const ANSWER_TIMEOUT_MS = 8_000;
const PROBE_TIMEOUT_MS = 20_000;
/** Size of what is uploaded to be fetched again without credentials. */
const SAMPLE = 32;

const versionsOf = create(null) as Record<string, Promise<string | undefined> | undefined>;
const triesOf = create(null) as Record<string, Promise<ServerMedia> | undefined>;

/**
 * What the homeserver at this base URL does: as tried before, or tried now by uploading a few
 * random bytes with the page's own credentials and fetching them without any.
 */
export function serverMedia(base: string, authorization: HeaderList): Promise<ServerMedia> {
  const running = triesOf[base];
  if (running !== undefined) return running;
  const tried = pinned(find(base, authorization));
  triesOf[base] = tried;
  void forgetWhenDone(base, tried);
  return tried;
}

async function forgetWhenDone(base: string, tried: Promise<ServerMedia>): Promise<void> {
  try {
    await tried;
  } finally {
    triesOf[base] = undefined;
  }
}

async function find(base: string, authorization: HeaderList): Promise<ServerMedia> {
  const glue = await pinned(mediaModule());
  versionsOf[base] ??= pinned(fetchText(`${base}/_matrix/client/versions`, "GET", [], undefined));
  const versions = await versionsOf[base];
  // Asked again by the next upload.
  if (versions === undefined) versionsOf[base] = undefined;
  const key = `probe/${base}`;
  const known = await pinned(recall(key));
  const print = guarded(() => glue.fingerprint(versions ?? ""));
  const isKnown =
    known !== undefined &&
    (versions === undefined || guarded(() => glue.isFresh(known, now(), print)));
  if (isKnown) return readTried(known);
  const promises = guarded(() => glue.promisesAuthentication(versions ?? "{}"));
  const statuses = await pinned(tryWithout(base, authorization));
  const tried = guarded(() => glue.tried(statuses, promises, print, now()));
  if (tried === undefined) return result<ServerMedia>({ server: "unknown", promises, tried: "" });
  await pinned(remember(key, tried));
  return readTried(tried);
}

function readTried(text: string): ServerMedia {
  const { media, promises, time } = parseJson(text) as {
    media: ServerMedia["server"];
    promises: boolean;
    time: number;
  };
  return result({ server: media, promises, tried: toIsoDay(time) });
}

/** HTTP statuses that a stranger gets for a new item; empty where none could be made. */
async function tryWithout(base: string, authorization: HeaderList): Promise<Uint16Array> {
  const none = result(new NativeUint16Array(0));
  const sample = new NativeUint8Array(SAMPLE);
  fillRandom(sample);
  const headers: HeaderList = [
    authorization[0] ?? ["Accept", "application/json"],
    ["Content-Type", "application/octet-stream"],
  ];
  const answer = await pinned(
    fetchText(`${base}/_matrix/media/v3/upload`, "POST", headers, sample),
  );
  const uri = uriIn(answer);
  if (uri === undefined) return none;
  try {
    const urls = [
      `${base}/_matrix/media/v3/download/${uri}`,
      // The page's service worker would add the token to the first; no one does to this.
      `${base}/_matrix/media/r0/download/${uri}`,
    ];
    const probed = await askRelay({ kind: "probe", urls }, PROBE_TIMEOUT_MS);
    if (probed.kind !== "probed") return none;
    const { statuses } = probed;
    const list = new NativeUint16Array(statuses.length);
    for (let index = 0; index < statuses.length; index += 1) list[index] = statuses[index] ?? 0;
    return result(list);
  } catch {
    return none;
  }
}

/** `server/mediaId` of an upload's answer. */
function uriIn(answer: string | undefined): string | undefined {
  try {
    const { content_uri: uri } = parseJson(answer ?? "{}") as { content_uri?: unknown };
    return typeof uri === "string" && startsWith(uri, MXC) ? slice(uri, MXC.length) : undefined;
  } catch {
    return undefined;
  }
}

/** The text of a good answer; undefined for any other. */
async function fetchText(
  url: string,
  method: string,
  headers: HeaderList,
  body: Uint8Array<ArrayBuffer> | undefined,
): Promise<string | undefined> {
  const controller = new NativeAbortController();
  const timer = setTimer(() => abortController(controller), ANSWER_TIMEOUT_MS);
  try {
    const init = create(null) as RequestInit;
    init.method = method;
    init.headers = headersFrom(headers);
    init.credentials = "omit";
    init.cache = "no-store";
    init.signal = controllerSignal(controller);
    if (body !== undefined) init.body = body;
    const response = await pinned(nativeFetch(page, url, init));
    return responseStatus(response) === 200 ? await pinned(responseText(response)) : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimer(timer);
  }
}
