/** Reads and answers Mantle's in-page questions as a person would, in both browsers. */
import type { Page } from "puppeteer-core";

const MARK = "data-mantle-question";
/** A little more than `SETTLE_MS` of extension/page/question.ts. */
const SETTLE_MS = 500;

/** An open question, as the person sees it. */
export interface SeenQuestion {
  readonly title: string;
  readonly text: string[];
  readonly choices: string[];
  readonly remember: string[];
  readonly dialog: { role: string; label: string; description: string; focused: boolean };
}

interface Watched {
  questionRoots?: ShadowRoot[];
}

/**
 * A driver's script runs before Mantle captures its natives, so it may note closed roots, which no
 * script of the page can. To be called before the page is opened.
 */
export async function watchQuestions(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(noteRoots);
}

/** For pages that load the question themselves. */
export function noteRoots(): void {
  const native = Element.prototype.attachShadow;
  const roots: ShadowRoot[] = [];
  Object.defineProperty(window, "questionRoots", { value: roots });
  Element.prototype.attachShadow = function attachShadow(init) {
    const root = native.call(this, init);
    roots.push(root);
    return root;
  };
}

/** Waits for a question. */
export async function openQuestion(page: Page, timeout = 15_000): Promise<SeenQuestion> {
  await page.waitForSelector(`[${MARK}]`, { timeout });
  return page.evaluate((mark) => {
    const roots = (window as unknown as Watched).questionRoots ?? [];
    const root = roots.find((one) => one.host.isConnected && one.host.hasAttribute(mark));
    const dialog = root?.querySelector("dialog");
    if (root === undefined || !dialog) throw new Error("The question's inside is not to be seen.");
    const texts = (selector: string): string[] =>
      [...root.querySelectorAll(selector)].map((element) => element.textContent ?? "");
    const named = (attribute: string): string =>
      root.getElementById(dialog.getAttribute(attribute) ?? "")?.textContent ?? "";
    return {
      title: root.querySelector("h2")?.textContent ?? "",
      text: texts("#text p"),
      choices: texts("button"),
      remember: texts("label"),
      dialog: {
        role: dialog.matches(":modal") ? "modal dialog" : "dialog",
        label: named("aria-labelledby"),
        description: named("aria-describedby"),
        focused: root.activeElement === dialog,
      },
    };
  }, MARK);
}

/** Whether one is open now. */
export async function isAsked(page: Page): Promise<boolean> {
  return (await page.$(`[${MARK}]`)) !== null;
}

/** Ticks a box or presses a button of the open question by its label, with the mouse. */
export async function press(page: Page, label: string): Promise<void> {
  await openQuestion(page);
  await new Promise((resume) => setTimeout(resume, SETTLE_MS));
  const at = await page.evaluate(
    (mark, wanted) => {
      const roots = (window as unknown as Watched).questionRoots ?? [];
      const root = roots.find((one) => one.host.isConnected && one.host.hasAttribute(mark));
      const found = [...(root?.querySelectorAll("button, label") ?? [])].find(
        (element) => element.textContent === wanted,
      );
      if (found === undefined) throw new Error(`The question has no "${wanted}".`);
      found.scrollIntoView({ block: "center" });
      const box = found.getBoundingClientRect();
      return { x: box.x + 12, y: box.y + box.height / 2 };
    },
    MARK,
    label,
  );
  await page.mouse.click(at.x, at.y);
}

/** Waits until no question is open. */
export async function noQuestion(page: Page): Promise<void> {
  await page.waitForSelector(`[${MARK}]`, { hidden: true, timeout: 10_000 });
}
