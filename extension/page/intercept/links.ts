/**
 * Links that lead to another server only to come back: they are followed in this Element. Element
 * takes most of them itself; what is left are new tabs, and places where it does not.
 */
import {
  addListener,
  apply,
  capturedGetter,
  capturedSetter,
  NativeString,
  page,
  preventDefault,
  startsWith,
  then,
  uncurry,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";
import type { AskPerson } from "./permission.ts";
import { resolve } from "./resolve.ts";
import { replaceMethod } from "./wrap.ts";

const anchorHref = capturedGetter<HTMLAnchorElement, string>(
  page.HTMLAnchorElement.prototype,
  "href",
);
const setAnchorHref = capturedSetter<HTMLAnchorElement, string>(
  page.HTMLAnchorElement.prototype,
  "href",
);
const eventPath = uncurry(Event.prototype.composedPath);
const wasPrevented = capturedGetter<Event, boolean>(Event.prototype, "defaultPrevented");
const pressedButton = capturedGetter<MouseEvent, number>(MouseEvent.prototype, "button");
const heldCtrl = capturedGetter<MouseEvent, boolean>(MouseEvent.prototype, "ctrlKey");
const heldMeta = capturedGetter<MouseEvent, boolean>(MouseEvent.prototype, "metaKey");
const heldShift = capturedGetter<MouseEvent, boolean>(MouseEvent.prototype, "shiftKey");

const nativeOpen = page.open as AnyFunction;

export function installLinkHook(gate: RequestPolicy, askPerson: AskPerson): void {
  const follow = (event: Event): void => {
    // Element's own listeners came first.
    if (wasPrevented(event)) return;
    const found = anchorOf(event);
    if (found === undefined) return;
    const own = gate.link(found.href);
    if (own === undefined) {
      hold(event, found.href);
      return;
    }
    const mouse = event as MouseEvent;
    const isPlain =
      pressedButton(mouse) === 0 && !heldCtrl(mouse) && !heldMeta(mouse) && !heldShift(mouse);
    if (isPlain && page === page.top) {
      // In this tab: a second one would take the session over.
      preventDefault(event);
      page.location.href = own;
    } else {
      setAnchorHref(found.anchor, own);
    }
  };
  /** A link that is followed, in a tab of its own, only if the person agrees. */
  const hold = (event: Event, href: string): void => {
    const delegate = gate.prompt(href);
    if (delegate === undefined) return;
    preventDefault(event);
    void then(askPerson(delegate), (isGranted) => {
      if (isGranted) apply(nativeOpen, page, [href, "_blank", "noopener,noreferrer"]);
    });
  };
  addListener(page, "click", follow);
  addListener(page, "auxclick", follow);
  replaceMethod(page, "open", (native, self, args) => {
    if (args.length === 0 || args[0] === undefined) return apply(native, self, args);
    const text = NativeString(args[0]);
    let own: string | undefined;
    try {
      own = gate.link(resolve(text));
    } catch {
      // The browser refuses the address in its own words.
    }
    return apply(native, self, [own ?? text, args[1], args[2]]);
  });
}

/** The link an event came through, with its absolute address. */
function anchorOf(event: Event): { anchor: HTMLAnchorElement; href: string } | undefined {
  const path = eventPath(event);
  for (let index = 0; index < path.length; index += 1) {
    try {
      const href = anchorHref(path[index] as HTMLAnchorElement);
      return startsWith(href, "http")
        ? { anchor: path[index] as HTMLAnchorElement, href }
        : undefined;
    } catch {
      // Not a link.
    }
  }
  return undefined;
}
