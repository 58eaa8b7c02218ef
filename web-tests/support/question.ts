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
 * A driver's script runs before Mantle captures its natives in Firefox, so it may note closed roots,
 * which no script of the page can; in Chromium the debugger looks into them. To be called before
 * the page is opened.
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

/** Calls a function with the closed root of the first element the selector finds. */
export async function insideRoot<Result>(
  page: Page,
  selector: string,
  look: (root: ShadowRoot, argument: string) => Result,
  argument = "",
): Promise<Result> {
  const source = look.toString();
  const isNoted = await page.evaluate((wanted) => {
    const roots = (window as unknown as Watched).questionRoots ?? [];
    return roots.some((one) => one.host.isConnected && one.host.matches(wanted));
  }, selector);
  if (isNoted) {
    return page.evaluate(
      (wanted, text, given) => {
        const roots = (window as unknown as Watched).questionRoots ?? [];
        const root = roots.find((one) => one.host.isConnected && one.host.matches(wanted));
        // The page's policy may forbid eval, but not a driver's.
        return (0, eval)(`(${text})`)(root, given) as never;
      },
      selector,
      source,
      argument,
    );
  }
  const session = await page.createCDPSession();
  try {
    const { root } = await session.send("DOM.getDocument", { depth: 0 });
    const { nodeId } = await session.send("DOM.querySelector", { nodeId: root.nodeId, selector });
    const { node } = await session.send("DOM.describeNode", { nodeId, depth: 1, pierce: true });
    const backendNodeId = node.shadowRoots?.[0]?.backendNodeId;
    if (backendNodeId === undefined) throw new Error(`There is no closed root at ${selector}.`);
    const { object } = await session.send("DOM.resolveNode", { backendNodeId });
    const { result, exceptionDetails } = await session.send("Runtime.callFunctionOn", {
      objectId: object.objectId ?? "",
      functionDeclaration: `function (argument) { return (${source})(this, argument); }`,
      arguments: [{ value: argument }],
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description);
    return result.value as Result;
  } finally {
    await session.detach();
  }
}

/** Waits for a question. */
export async function openQuestion(page: Page, timeout = 15_000): Promise<SeenQuestion> {
  await page.waitForSelector(`[${MARK}]`, { timeout });
  return insideRoot(page, `[${MARK}]`, (root) => {
    const dialog = root.querySelector("dialog");
    return {
      title: root.querySelector("h2")?.textContent ?? "",
      text: [...root.querySelectorAll("#text p")].map((element) => element.textContent ?? ""),
      choices: [...root.querySelectorAll("button")].map((element) => element.textContent ?? ""),
      remember: [...root.querySelectorAll("label")].map((element) => element.textContent ?? ""),
      dialog: {
        role: dialog?.matches(":modal") === true ? "modal dialog" : "dialog",
        label:
          root.getElementById(dialog?.getAttribute("aria-labelledby") ?? "")?.textContent ?? "",
        description:
          root.getElementById(dialog?.getAttribute("aria-describedby") ?? "")?.textContent ?? "",
        focused: root.activeElement === dialog,
      },
    };
  });
}

/** Whether one is open now. */
export async function isAsked(page: Page): Promise<boolean> {
  return (await page.$(`[${MARK}]`)) !== null;
}

/** Ticks a box or presses a button of the open question by its label, with the mouse. */
export async function press(page: Page, label: string): Promise<void> {
  await openQuestion(page);
  await new Promise((resume) => setTimeout(resume, SETTLE_MS));
  const at = await insideRoot(
    page,
    `[${MARK}]`,
    (root, wanted) => {
      const found = [...root.querySelectorAll("button, label")].find(
        (element) => element.textContent === wanted,
      );
      if (found === undefined) throw new Error(`The question has no "${wanted}".`);
      found.scrollIntoView({ block: "center" });
      const box = found.getBoundingClientRect();
      return { x: box.x + 12, y: box.y + box.height / 2 };
    },
    label,
  );
  await page.mouse.click(at.x, at.y);
}

/** Waits until no question is open. */
export async function noQuestion(page: Page): Promise<void> {
  await page.waitForSelector(`[${MARK}]`, { hidden: true, timeout: 10_000 });
}
