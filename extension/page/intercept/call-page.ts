/**
 * Element Call in a frame of Element's site asks Element, and not the homeserver, which call servers
 * the homeserver names (MSC4515, by the widget API). The frame's core learns them from Element's
 * answer, or it would take one's own call server for a stranger's.
 */
import {
  addListener,
  capturedGetter,
  encodeText,
  indexOf,
  isTrusted,
  messageData,
  messageSource,
  NativeURL,
  page,
  quoteJson,
  slice,
  startsWith,
  urlParameter,
} from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";

const ACTION = "org.matrix.msc4515.get_rtc_transports";
/** Where Element itself asks (MSC4143). */
const PATH = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
/** Longest list that is looked at, as JSON. */
const MAX_LIST = 65_536;

const messageOrigin = capturedGetter<MessageEvent, string>(MessageEvent.prototype, "origin");

/** Of the widget API: the request, with what was answered. */
interface WidgetAnswer {
  readonly action?: unknown;
  readonly response?: unknown;
}

export function installCallPageHook(gate: Pick<RequestPolicy, "answer">): void {
  const { parent } = page;
  if (page === parent) return;
  const homeserver = homeserverIn(page.location.hash);
  if (homeserver === undefined) return;
  addListener(
    page,
    "message",
    (event) => {
      const message = event as MessageEvent;
      // Another site's page has no say in whom this one trusts.
      if (!isTrusted(event) || messageSource(message) !== parent) return;
      if (messageOrigin(message) !== page.origin) return;
      const answer = messageData(message) as WidgetAnswer | null;
      if (typeof answer !== "object" || answer === null || answer.action !== ACTION) return;
      if (typeof answer.response !== "object" || answer.response === null) return;
      const list = quoteJson(answer.response);
      if (list.length > MAX_LIST) return;
      gate.answer("GET", `${homeserver}${PATH}`, 200, encodeText(list));
    },
    true,
  );
}

/** What Element tells its call page behind the `#`: the homeserver's address. */
function homeserverIn(hash: string): string | undefined {
  const at = indexOf(hash, "?");
  if (at === -1) return undefined;
  const given = urlParameter(new NativeURL(slice(hash, at), page.origin), "baseUrl");
  // On this very device people try one over http.
  const isServer =
    given !== null && (startsWith(given, "https://") || startsWith(given, "http://"));
  return isServer ? withoutSlash(given) : undefined;
}

function withoutSlash(url: string): string {
  return slice(url, -1) === "/" ? slice(url, 0, -1) : url;
}
