import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import type { RequestPolicy } from "./decision.ts";

const ELEMENT = "https://chat.example.org/";
const SIGN_IN = "https://hs.example.org/_matrix/client/v3/login/sso/redirect";
const KEY = "mantle_after_sign_in";

/** Of one tab. */
const kept = new Map<string, string>();
class Storage {
  getItem(name: string): string | null {
    return kept.get(name) ?? null;
  }

  setItem(name: string, value: string): void {
    kept.set(name, value);
  }

  removeItem(name: string): void {
    kept.delete(name);
  }
}

class History {
  readonly state = null;

  replaceState(): void {
    // Nobody comes back here.
  }
}

class NavigateEvent extends Event {
  readonly #url: string;

  constructor(url: string) {
    super("navigate", { cancelable: true });
    this.#url = url;
  }

  get destination(): NavigationDestination {
    return new NavigationDestination(this.#url);
  }
}

class NavigationDestination {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  get url(): string {
    return this.#url;
  }
}

const navigation = new EventTarget();
Object.assign(globalThis, { Storage, History });
Object.assign(window, { navigation, NavigateEvent, NavigationDestination });
Object.assign(window, { sessionStorage: new Storage(), history: new History() });
// Natives are captured when a file is first read.
const { installSignInHook } = await import("./sign-in-link.ts");
installSignInHook({ link: () => SIGN_IN } as unknown as RequestPolicy);

/** False: the hook took it over. */
function follow(fragment: string): boolean {
  const back = encodeURIComponent(`${ELEMENT}${fragment}`);
  return navigation.dispatchEvent(new NavigateEvent(`${SIGN_IN}?redirectUrl=${back}`));
}

const remembered = (): unknown =>
  (JSON.parse(kept.get(KEY) ?? "{}") as { fragment?: unknown }).fragment;

describe("the room one was about to open", () => {
  beforeEach(() => kept.clear());

  test("is remembered in the tab, the one of the last try alone", () => {
    for (const room of ["#/room/!a:hs", "#/room/!b:hs"]) {
      assert.equal(follow(room), false);
      assert.equal(remembered(), room);
    }
  });

  test("is forgotten for one that is too long to be remembered", () => {
    const longest = `#${"x".repeat(2047)}`;
    follow(longest);
    assert.equal(remembered(), longest);
    assert.equal(follow(`${longest}x`), false);
    assert.deepEqual([...kept], []);
  });
});
