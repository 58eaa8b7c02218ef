/**
 * The way to a homeserver's own sign-in (Client-Server API, 'SSO client login') says where to come
 * back to. The room one was about to open stays out of it: it is remembered in this tab, and put in
 * its place when one comes back.
 */
import {
  addListener,
  capturedGetter,
  capturedSetter,
  indexOf,
  now,
  page,
  parseJson,
  preventDefault,
  quoteJson,
  runInTask,
  slice,
  startsWith,
  uncurry,
  urlHash,
  urlParameter,
  NativeURL,
} from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";

/** In this tab's session storage. */
const KEY = "mantle_after_sign_in";
/** Longest fragment that is remembered. */
const MAX_FRAGMENT = 2048;
/** How long somebody may take to sign in. */
const MAX_AGE_MS = 3_600_000;
const PARAMETER = "redirectUrl";

/** Of the Navigation API. */
interface NavigationWindow {
  readonly navigation?: EventTarget;
  readonly NavigateEvent?: { readonly prototype: object };
  readonly NavigationDestination?: { readonly prototype: object };
}

const { navigation, NavigateEvent, NavigationDestination } = page as unknown as NavigationWindow;
const destination = capturedGetter<Event, object>(NavigateEvent?.prototype ?? {}, "destination");
const destinationUrl = capturedGetter<object, string>(
  NavigationDestination?.prototype ?? {},
  "url",
);
const getItem = uncurry(Storage.prototype.getItem);
const setItem = uncurry(Storage.prototype.setItem);
const removeItem = uncurry(Storage.prototype.removeItem);
const replaceState = uncurry(History.prototype.replaceState);
const setLocation = capturedSetter<Location, string>(page.location, "href");

export function installSignInHook(gate: RequestPolicy): void {
  if (page !== page.top) return;
  comeBack();
  if (navigation === undefined) return;
  addListener(navigation, "navigate", (event) => {
    const url = destinationUrl(destination(event));
    if (!event.cancelable || indexOf(url, `${PARAMETER}=`) === -1) return;
    const own = gate.link(url);
    if (own === undefined) return;
    remember(url);
    preventDefault(event);
    runInTask(() => setLocation(page.location, own));
  });
}

function remember(url: string): void {
  try {
    // Of an earlier try in this tab.
    removeItem(page.sessionStorage, KEY);
    const back = urlParameter(new NativeURL(url), PARAMETER);
    const fragment = back === null ? "" : urlHash(new NativeURL(back));
    if (fragment.length > MAX_FRAGMENT) return;
    setItem(page.sessionStorage, KEY, quoteJson({ fragment, time: now() }));
  } catch {
    // Without storage one comes back to Element's first page.
  }
}

/** Before any script of the page reads its own address. */
function comeBack(): void {
  const { search, hash, href } = page.location;
  if (indexOf(search, "loginToken=") === -1) return;
  try {
    const text = getItem(page.sessionStorage, KEY);
    if (text === null) return;
    removeItem(page.sessionStorage, KEY);
    const { fragment, time } = parseJson(text) as { fragment?: unknown; time?: unknown };
    const isFresh = typeof time === "number" && now() - time < MAX_AGE_MS;
    if (hash !== "" || !isFresh || typeof fragment !== "string") return;
    if (!startsWith(fragment, "#")) return;
    const end = indexOf(href, "#");
    const address = end === -1 ? href : slice(href, 0, end);
    replaceState(page.history, page.history.state, "", `${address}${fragment}`);
  } catch {
    // One lands where Element leads then.
  }
}
