/** The in-page question: for the person alone, by mouse, keyboard and screen reader. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import type { Page } from "puppeteer-core";
import { violationsInPage } from "../support/axe.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { insideRoot, isAsked, noQuestion, openQuestion, press } from "../support/question.ts";
import { startRecorder } from "../support/recorder.ts";
import type { Recorder } from "../support/recorder.ts";
import { launchExtensionBrowser } from "./extension-pages.ts";
import type { ExtensionBrowser } from "./extension-pages.ts";
import { faultPage } from "./fixtures/fault-page.ts";
import type {} from "./fixtures/question-page.ts";

declare global {
  interface Window {
    /** How long after the question came up it was clicked at, in ms. */
    sooner?: number;
  }
}

const CLIENT = "https://chat.example.org";
const root = path.resolve(import.meta.dirname, "../..");
const shots = path.join(root, "build/screenshots");

const QUESTION = {
  title: "Anyone could open this picture. Send it?",
  text: [
    "hs.example.org hands out files to anyone who knows or guesses the link, without signing in.",
    "The picture says where it was taken (GPS), when, and with which camera.",
  ],
  choices: [
    { id: "clean", label: "Send without metadata", kind: "primary" },
    { id: "send", label: "Send as it is", kind: "danger" },
    { id: "cancel", label: "Cancel" },
  ],
  remember: [
    { id: "room", label: "Do the same in this room from now on" },
    { id: "server", label: "Do the same on hs.example.org from now on" },
  ],
} as const;

async function script(): Promise<string> {
  const outcome = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, "web-tests/e2e/fixtures/question-page.ts")],
    write: false,
    bundle: true,
    format: "iife",
    target: ["chrome119", "firefox128"],
  });
  return outcome.outputFiles[0]?.text ?? "";
}

for (const kind of bothBrowsers) {
  describe(`question in ${kind}`, { timeout: 180_000 }, () => {
    let recorder: Recorder;
    let browser: ExtensionBrowser;
    let page: Page;
    let source: string;

    before(async () => {
      source = await script();
      recorder = await startRecorder({
        hosts: { "chat.example.org": faultPage("'self' 'unsafe-inline'") },
      });
      browser = await launchExtensionBrowser(kind, { proxyPort: recorder.port });
      await mkdir(shots, { recursive: true });
    });
    after(async () => {
      await browser?.close();
      await recorder?.close();
    });

    beforeEach(async () => {
      await page?.close();
      page = await browser.newPage();
      await page.goto(CLIENT);
      await page.addScriptTag({ content: source });
    });

    const start = (question: object = QUESTION): Promise<void> =>
      page.evaluate((asked) => window.question.start(asked as never), question);
    const answers = (): Promise<unknown[]> => page.evaluate(() => window.question.answers);
    const activate = async (key: "Enter" | "Escape" | " ", tabs: number): Promise<void> => {
      await openQuestion(page);
      await sleep(500);
      for (let count = 0; count < tabs; count += 1) await page.keyboard.press("Tab");
      await page.keyboard.press(key);
    };

    it("says what it is to a screen reader and takes the focus", async () => {
      await page.focus("#composer");
      await start();
      const seen = await openQuestion(page);
      assert.deepEqual(seen.dialog, {
        role: "modal dialog",
        label: QUESTION.title,
        description: QUESTION.text.join(""),
        focused: true,
      });
      assert.deepEqual(
        seen.choices,
        QUESTION.choices.map(({ label }) => label),
      );
      if (kind === "chromium") {
        // The tree a screen reader reads; the driver of Firefox does not give it.
        const tree = JSON.stringify(await page.accessibility.snapshot());
        assert.match(tree, /"role":"dialog",[^{]*"name":"Anyone could open this picture/);
        assert.match(tree, /"role":"checkbox",[^{]*"name":"Do the same in this room/);
        assert.match(tree, /"role":"button",[^{]*"name":"Send without metadata"/);
        // What lies behind it is out of reach for them as well.
        assert.doesNotMatch(tree, /Send a message/);
      }
      await page.keyboard.press("Escape");
      await noQuestion(page);
      assert.equal(await page.evaluate(() => document.activeElement?.id), "composer");
    });

    it("is answered by keyboard, and the focus stays inside", async () => {
      await start();
      await activate(" ", 1);
      // From the first box past the second to the first button.
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await noQuestion(page);
      assert.deepEqual(await answers(), [{ choice: "clean", remember: ["room"] }]);

      await start();
      await openQuestion(page);
      for (let tabs = 0; tabs < 12; tabs += 1) {
        await page.keyboard.press("Tab");
        const where = await page.evaluate(() => document.activeElement?.id ?? "");
        assert.notEqual(where, "composer");
      }
      await page.keyboard.press("Escape");
      await noQuestion(page);
      assert.deepEqual((await answers())[1], { choice: "dismissed", remember: [] });
    });

    it("is answered by mouse, but not by a press meant for what lay there before", async () => {
      await start();
      await openQuestion(page);
      const early = await insideRoot(page, "[data-mantle-question]", (root) => {
        const box = root.querySelector("button")?.getBoundingClientRect();
        return { x: (box?.x ?? 0) + 12, y: (box?.y ?? 0) + 12 };
      });
      await page.keyboard.press("Escape");
      await noQuestion(page);
      // The same place again, at once: how soon, the page sees, since a machine may be slow.
      await page.evaluate(() => {
        let shown = 0;
        new MutationObserver(() => {
          if (document.querySelector("[data-mantle-question]") !== null) shown ||= Date.now();
          else shown = 0;
        }).observe(document, { childList: true, subtree: true });
        window.addEventListener("click", () => (window.sooner = Date.now() - shown), true);
      });
      let isEarly = false;
      for (let tries = 0; tries < 10 && !isEarly; tries += 1) {
        await start();
        await page.mouse.click(early.x, early.y);
        isEarly = (await page.evaluate(() => window.sooner ?? 1_000)) < 350;
        if (!isEarly && (await isAsked(page))) await page.keyboard.press("Escape");
        if (!isEarly) await noQuestion(page);
      }
      assert.equal(isEarly, true, "no press came early enough on this machine");
      assert.equal(await isAsked(page), true, "a press came too early and still counted");
      await press(page, "Do the same on hs.example.org from now on");
      await press(page, "Send as it is");
      await noQuestion(page);
      assert.deepEqual((await answers()).at(-1), { choice: "send", remember: ["server"] });
    });

    it("cannot be read or answered by the page", async () => {
      await page.evaluate(() => {
        // What a page can do after Mantle captured its natives.
        const seen: string[] = [];
        Object.assign(window, { seen });
        const attach = Element.prototype.attachShadow;
        Element.prototype.attachShadow = function patched(init) {
          seen.push("attachShadow");
          return attach.call(this, { ...init, mode: "open" });
        };
        for (const name of ["appendChild", "append"]) {
          const of = (name === "append" ? Element : Node).prototype as unknown as Record<
            string,
            (...args: unknown[]) => unknown
          >;
          const native = of[name] as (...args: unknown[]) => unknown;
          of[name] = function patched(this: unknown, ...args: unknown[]) {
            seen.push(name);
            return native.apply(this, args);
          };
        }
        for (const type of ["keydown", "keyup", "click", "mousedown", "input", "change"]) {
          document.addEventListener(type, () => seen.push(type));
        }
        Object.defineProperty(Event.prototype, "isTrusted", { get: () => true });
        HTMLElement.prototype.focus = () => void seen.push("focus");
        Promise.resolve = (() => new Promise(() => undefined)) as never;
        Array.prototype.push = new Proxy(Array.prototype.push, {
          apply: (target, self: unknown, args) => {
            if (self !== seen && (args[0] as { box?: unknown } | undefined)?.box !== undefined) {
              seen.push("box");
            }
            return Reflect.apply(target, self, args) as unknown;
          },
        });
        // What the engine itself asks of promises, of what they are resolved with, and of lists.
        const forged = { choice: "send", remember: ["room"] };
        const isAnswer = (value: unknown): boolean =>
          typeof value === "object" && value !== null && value !== forged && "choice" in value;
        const nativeThen = Promise.prototype.then;
        Promise.prototype.then = function patched(
          this: Promise<unknown>,
          fulfilled?: ((value: unknown) => unknown) | null,
          rejected?: ((reason: unknown) => unknown) | null,
        ) {
          const instead = (value: unknown): unknown => {
            if (isAnswer(value)) seen.push("then");
            return fulfilled?.(isAnswer(value) ? forged : value);
          };
          return Reflect.apply(nativeThen, this, [fulfilled && instead, rejected]) as never;
        } as never;
        Object.defineProperty(Promise.prototype, "constructor", {
          configurable: true,
          writable: true,
          value: class Other extends Promise<unknown> {},
        });
        Object.defineProperty(Object.prototype, "then", {
          configurable: true,
          get(this: unknown) {
            if (!isAnswer(this)) return undefined;
            seen.push("then of an object");
            return (settle: (value: unknown) => void) => settle(forged);
          },
        });
        for (let index = 0; index < 4; index += 1) {
          Object.defineProperty(Array.prototype, index, {
            configurable: true,
            set(this: unknown[], value: unknown) {
              const entry = value as { box?: Node } | null | undefined;
              if (entry?.box !== undefined) seen.push("entry");
              Object.defineProperty(this, index, {
                value,
                writable: true,
                enumerable: true,
                configurable: true,
              });
            },
          });
        }
        window.Number = new Proxy(window.Number, { apply: () => 1 });
      });
      await start();
      const shown = await openQuestion(page);
      assert.equal(shown.title, QUESTION.title);
      assert.deepEqual(shown.text, QUESTION.text);
      assert.deepEqual(
        shown.remember,
        QUESTION.remember.map(({ label }) => label),
      );
      await sleep(500);
      const found = await page.evaluate(() => {
        const host = document.querySelector("[data-mantle-question]") as HTMLElement;
        const fire = (type: string, event: Event): unknown =>
          [host, document, window, document.activeElement ?? document].map((target) =>
            (target as EventTarget).dispatchEvent(event.type === type ? event : new Event(type)),
          );
        for (const type of ["click", "mousedown", "mouseup", "submit", "cancel", "close"]) {
          fire(type, new MouseEvent(type, { bubbles: true, composed: true, clientX: 300 }));
        }
        for (const key of ["Enter", " ", "Escape"]) {
          for (const type of ["keydown", "keypress", "keyup"]) {
            host.dispatchEvent(new KeyboardEvent(type, { key, bubbles: true, composed: true }));
            document.dispatchEvent(new KeyboardEvent(type, { key, bubbles: true }));
          }
        }
        host.click();
        const centre = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
        (centre as HTMLElement | null)?.click();
        let internals: unknown = "refused";
        try {
          internals = host.attachInternals().shadowRoot;
        } catch {
          // Only custom elements have them.
        }
        return {
          root: host.shadowRoot,
          internals,
          inside: host.childNodes.length,
          text: host.innerText,
          centre: centre === host,
          path: document.activeElement === host,
        };
      });
      assert.deepEqual(found, {
        root: null,
        internals: "refused",
        inside: 0,
        text: "",
        centre: true,
        path: true,
      });
      assert.equal(await isAsked(page), true);
      assert.deepEqual(await answers(), []);
      const before = await page.evaluate(() => {
        const { seen } = window as unknown as { seen: string[] };
        return seen.filter((what) => !/key|click|mouse/.test(what));
      });
      assert.deepEqual(before, []);
      // The person's own keys do not reach the page's shortcuts either.
      await page.evaluate(() => {
        (window as unknown as { seen: string[] }).seen.length = 0;
      });
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await noQuestion(page);
      assert.deepEqual(await answers(), [{ choice: "clean", remember: [] }]);
      const heard = await page.evaluate(() => (window as unknown as { seen: string[] }).seen);
      // Enter answers when it goes down; it comes up again over the page.
      assert.deepEqual(heard, ["keyup"]);
    });

    it("comes back when thrown out, and counts as dismissed when that goes on", async () => {
      await start();
      await openQuestion(page);
      await page.evaluate(() => document.querySelector("[data-mantle-question]")?.remove());
      await press(page, "Cancel");
      await noQuestion(page);
      assert.deepEqual(await answers(), [{ choice: "cancel", remember: [] }]);

      await page.evaluate(() => {
        new MutationObserver(() =>
          document.querySelector("[data-mantle-question]")?.remove(),
        ).observe(document, { childList: true, subtree: true });
      });
      await start();
      await page.waitForFunction(() => window.question.answers.length === 2, { timeout: 5_000 });
      assert.deepEqual((await answers())[1], { choice: "dismissed", remember: [] });
    });

    it("queues, and can be taken back", async () => {
      await start({ ...QUESTION, title: "First" });
      await start({ ...QUESTION, title: "Second" });
      assert.equal((await openQuestion(page)).title, "First");
      await press(page, "Cancel");
      await page.waitForFunction(() => window.question.answers.length === 1);
      assert.equal((await openQuestion(page)).title, "Second");
      await press(page, "Send as it is");
      await noQuestion(page);
      await page.evaluate((asked) => window.question.startBriefly(asked, 200), QUESTION as never);
      await page.waitForFunction(() => window.question.answers.length === 3);
      assert.equal(await isAsked(page), false);
      assert.deepEqual(
        (await answers()).map((answer) => (answer as { choice: string }).choice),
        ["cancel", "send", "dismissed"],
      );
    });

    it("is not shown in a frame", async () => {
      await page.evaluate((content) => {
        const frame = document.createElement("iframe");
        document.body.append(frame);
        const inner = frame.contentDocument;
        const element = inner?.createElement("script");
        if (!inner || element === undefined) throw new Error("No frame");
        element.textContent = content;
        inner.documentElement.append(element);
      }, source);
      const answer = await page.evaluate(async (asked) => {
        const inner = window.frames[0] as unknown as Window;
        inner.question.start(asked as never);
        await new Promise((resume) => setTimeout(resume, 200));
        return inner.question.answers;
      }, QUESTION as never);
      assert.deepEqual(answer, [{ choice: "dismissed", remember: [] }]);
    });

    it("can be read in light and dark, and on a narrow screen", async () => {
      for (const scheme of ["light", "dark"] as const) {
        await browser.setDark(page, scheme === "dark");
        await start();
        await openQuestion(page);
        await page.keyboard.press("Tab");
        await page.screenshot({ path: path.join(shots, `question-${kind}-${scheme}.png`) });
        assert.deepEqual(await violationsInPage(page), [], scheme);
        await page.keyboard.press("Escape");
        await noQuestion(page);
      }
      await browser.setDark(page, false);
      await page.setViewport({ width: 340, height: 420 });
      await start();
      await openQuestion(page);
      await page.screenshot({ path: path.join(shots, `question-${kind}-narrow.png`) });
      const overflow = await insideRoot(page, "[data-mantle-question]", (root) => {
        const dialog = root.querySelector("dialog");
        return (dialog?.scrollWidth ?? 0) > (dialog?.clientWidth ?? 0);
      });
      assert.equal(overflow, false);
    });
  });
}
