import {
  abortController,
  apply,
  blobSize,
  controllerSignal,
  isGecko,
  nativeFetch,
  NativeAbortController,
  NativeBlob,
  NativeString,
  page,
  startsWith,
  then,
} from "../primordials/primordials.ts";
import { headersFrom } from "../primordials/header-list.ts";
import { takeBody } from "./request-body.ts";
import type { TakenBody } from "./request-body.ts";
import { FAIL, DELEGATE, NEEDS_BODY, REPLY, REDIRECT, REWRITTEN } from "./decision.ts";
import type { RequestPolicy } from "./decision.ts";
import { resolve } from "./resolve.ts";
import { replaceMethod } from "./wrap.ts";

/** Most bytes of requests that outlive their page; Chromium refuses larger beacons. */
const MAX_KEEPALIVE_BYTES = 65_536;

/** Of beacons whose data is being read. */
let beingRead = 0;
/** Of beacons that were sent from here so that they outlive the page, and are not over. */
let outliving = 0;

/**
 * `sendBeacon` wants to know at once whether the data was queued, and nobody reads the answer: a
 * beacon that is stopped counts as queued.
 */
export function installBeaconHook(gate: RequestPolicy): void {
  replaceMethod(page.navigator, "sendBeacon", (native, self, args) => {
    let url: string | undefined;
    try {
      // A symbol is no address; the browser says so.
      if (args.length > 0 && self === page.navigator && typeof args[0] !== "symbol") {
        args[0] = NativeString(args[0]);
        url = resolve(args[0] as string);
      }
    } catch {
      // The browser refuses the URL in its own words.
    }
    if (url === undefined || !startsWith(url, "http")) return apply(native, self, args);
    const flags = gate.decide("POST", url);
    if (isStopped(flags)) return true;
    if ((flags & NEEDS_BODY) === 0) {
      const target = targetOf(gate, flags, url);
      return target === undefined ? true : apply(native, self, [target, args[1]]);
    }

    const body = takeBody(args[1]);
    if (body.bytes === undefined) return sendLater(gate, url, body, args[1] as Blob | FormData);
    const decided = gate.decideBody("POST", url, headerLines(body), body.bytes);
    if (isStopped(decided)) return true;
    const target = targetOf(gate, decided, url);
    if (target === undefined) return true;
    return apply(native, self, [
      target,
      (decided & REWRITTEN) === 0 ? args[1] : changed(gate, body),
    ]);
  });
}

/** A body that cannot be read at once goes by fetch, as the browser would send the beacon. */
function sendLater(
  gate: RequestPolicy,
  url: string,
  body: TakenBody,
  data: Blob | FormData,
): boolean {
  let size = 0;
  try {
    size = blobSize(data as Blob);
  } catch {
    // A form; its size is known only once it is read.
  }
  // Chromium counts what is under way together.
  if (size + beingRead + outliving > MAX_KEEPALIVE_BYTES && !isGecko) return false;
  beingRead += size;
  const isRead = (): undefined => {
    beingRead -= size;
    return undefined;
  };
  void then(
    body.read(),
    (bytes) => {
      isRead();
      const decided = gate.decideBody("POST", url, headerLines(body), bytes);
      const target = isStopped(decided) ? undefined : targetOf(gate, decided, url);
      if (target === undefined) return undefined;
      const content = (decided & REWRITTEN) === 0 ? bytes : gate.takeBody();
      // What cannot outlive the page is at least sent as long as that is there.
      const isKept = content.length + outliving <= MAX_KEEPALIVE_BYTES;
      const counted = isKept ? content.length : 0;
      outliving += counted;
      const controller = new NativeAbortController();
      const over = (): undefined => {
        // A response that nobody reads is under way for ever, and no further beacon would leave.
        abortController(controller);
        outliving -= counted;
        return undefined;
      };
      const sent = nativeFetch(page, target, {
        method: "POST",
        body: content as Uint8Array<ArrayBuffer>,
        // A Blob would write its type, and with it a form's boundary, in lower case.
        headers: headersFrom(body.contentType === null ? [] : [["Content-Type", body.contentType]]),
        keepalive: isKept,
        signal: controllerSignal(controller),
        priority: "low",
        credentials: "include",
        mode: isSafelisted(body.contentType) ? "no-cors" : "cors",
      });
      return then(sent, over, over);
    },
    isRead,
  );
  return true;
}

/** A beacon cannot wait for a handler, and nobody would read its answer. */
function isStopped(flags: number): boolean {
  return (flags & (REPLY | FAIL | DELEGATE)) !== 0;
}

/** undefined: the core that wanted another URL is broken. */
function targetOf(gate: RequestPolicy, flags: number, url: string): string | undefined {
  return (flags & REDIRECT) === 0 ? url : gate.takeUrl();
}

function changed(gate: RequestPolicy, body: TakenBody): Blob {
  return new NativeBlob([gate.takeBody() as Uint8Array<ArrayBuffer>], {
    type: body.contentType ?? "",
  });
}

function headerLines(body: TakenBody): string {
  return body.contentType === null ? "" : `content-type: ${body.contentType}\n`;
}

/** Content types that a page may send to any origin without asking it (Fetch standard, 2.2.2). */
function isSafelisted(contentType: string | null): boolean {
  return (
    contentType === null ||
    startsWith(contentType, "text/plain") ||
    startsWith(contentType, "multipart/form-data") ||
    startsWith(contentType, "application/x-www-form-urlencoded")
  );
}
