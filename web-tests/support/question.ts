/** Reads and answers Mantle's in-page questions as a person would, in both browsers. */
import type { Page } from "puppeteer-core";

const MARK = "data-mantle-question";
/** A little more than `SETTLE_MS` of extension/page/dialogs/prompt.ts. */
const SETTLE_MS = 500;

/** An open question, as the person sees it. */
export interface SeenQuestion {
  readonly title: string;
  readonly text: string[];
  readonly choices: string[];
  readonly remember: string[];
  readonly dialog: { role: string; label: string; description: string; focused: boolean };
}

/** Calls a function with the closed root of the first element the selector finds. */
export async function insideRoot<Result>(
  page: Page,
  selector: string,
  look: (root: ShadowRoot, argument: string) => Result,
  argument = "",
): Promise<Result> {
  const source = look.toString();
  const text = (await isGecko(page))
    ? await insideInFirefox(page, selector, source, argument)
    : await insideInChromium(page, selector, source, argument);
  return JSON.parse(text) as Result;
}

const isGecko = (page: Page): Promise<boolean> => page.evaluate(() => "mozInnerScreenX" in window);

/** The debugger looks into closed roots, which no script of the page can. */
async function insideInChromium(
  page: Page,
  selector: string,
  source: string,
  argument: string,
): Promise<string> {
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
      functionDeclaration: `function (argument) {
        return JSON.stringify((${source})(this, argument));
      }`,
      arguments: [{ value: argument }],
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description);
    return String(result.value);
  } finally {
    await session.detach();
  }
}

/** WebDriver BiDi serialises closed roots; puppeteer has no word for that. */
async function insideInFirefox(
  page: Page,
  selector: string,
  source: string,
  argument: string,
): Promise<string> {
  interface Value {
    value?: { shadowRoot?: { sharedId?: string } };
  }
  interface Connection {
    send(
      method: string,
      parameters: unknown,
    ): Promise<{ result: { result?: Value; exceptionDetails?: { text: string } } }>;
  }
  const { connection } = page.browser() as unknown as { connection: Connection };
  const { _id: context } = page.mainFrame() as unknown as { _id: string };
  const found = await connection.send("script.callFunction", {
    target: { context },
    awaitPromise: false,
    functionDeclaration: "(selector) => document.querySelector(selector)",
    arguments: [{ type: "string", value: selector }],
    serializationOptions: { maxDomDepth: 1, includeShadowTree: "all" },
  });
  const sharedId = found.result.result?.value?.shadowRoot?.sharedId;
  if (sharedId === undefined) throw new Error(`There is no closed root at ${selector}.`);
  const answer = await connection.send("script.callFunction", {
    target: { context },
    awaitPromise: false,
    functionDeclaration: `(root, argument) => JSON.stringify((${source})(root, argument))`,
    arguments: [{ sharedId }, { type: "string", value: argument }],
  });
  const { result, exceptionDetails } = answer.result;
  if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text);
  return String((result as unknown as { value: string }).value);
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

/** Where Mantle's notices are; Element, and Mantle for other ends, have such elements too. */
function noticesPlace(page: Page): Promise<string> {
  return placeOf(page, (root) => root.querySelector(".shelf") !== null);
}

async function placeOf(page: Page, isIt: (root: ShadowRoot) => boolean): Promise<string> {
  const count = (await page.$$("html > div")).length;
  for (let at = 1; at <= count; at += 1) {
    const place = `html > div:nth-of-type(${at})`;
    if (await insideRoot(page, place, isIt).catch(() => false)) return place;
  }
  throw new Error("Mantle shows no such thing.");
}

/** What Mantle says that it is doing, at the foot of the page; undefined when it says nothing. */
export async function progressText(page: Page): Promise<string | undefined> {
  try {
    const place = await placeOf(
      page,
      (root) => root.firstElementChild?.getAttribute("role") === "status",
    );
    return await insideRoot(page, place, (root) => root.firstElementChild?.textContent ?? "");
  } catch {
    return undefined;
  }
}

/** What Mantle's notices in the page say, shown or put aside, first to last. */
export async function noticeTexts(page: Page): Promise<string[]> {
  try {
    return await insideRoot(page, await noticesPlace(page), (root) =>
      [...root.querySelectorAll("[role=status] p, [role=alert] p")].map(
        (one) => one.textContent ?? "",
      ),
    );
  } catch {
    return [];
  }
}

/** All that Mantle shows in the page, as HTML of its closed roots, with its styles. */
export async function drawnInPage(page: Page): Promise<string[]> {
  const drawn: string[] = [];
  const count = (await page.$$("html > div")).length;
  for (let at = 1; at <= count; at += 1) {
    const html = await insideRoot(page, `html > div:nth-of-type(${at})`, (root) =>
      root.querySelector("dialog, .tab, [role=status], [role=alert]") === null
        ? ""
        : root.innerHTML,
    ).catch(() => "");
    if (html !== "") drawn.push(html);
  }
  return drawn;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const meet = (one: Box, other: Box): boolean =>
  one.left < other.right &&
  one.right > other.left &&
  one.top < other.bottom &&
  one.bottom > other.top;

/** Where Mantle shows a notice or its tab, what it is doing, a question: a list for each of these. */
async function ownBoxes(page: Page): Promise<Box[][]> {
  const own: Box[][] = [];
  const count = (await page.$$("html > div")).length;
  for (let at = 1; at <= count; at += 1) {
    const boxes = await insideRoot(page, `html > div:nth-of-type(${at})`, (root) =>
      [...root.querySelectorAll("dialog, .tab, [role=status], [role=alert]")]
        .map((one) => one.getBoundingClientRect())
        .filter(({ width }) => width > 0)
        .map(({ left, top, right, bottom }) => ({ left, top, right, bottom })),
    ).catch(() => []);
    if (boxes.length > 0) own.push(boxes);
  }
  return own;
}

/**
 * Which of these parts of the page lie under something that Mantle shows in it. Fails where it shows
 * nothing at all, or where a part is missing.
 */
export async function coveredParts(page: Page, parts: readonly string[]): Promise<string[]> {
  const own = (await ownBoxes(page)).flat();
  if (own.length === 0) throw new Error("Mantle shows nothing.");
  const places = await page.evaluate(
    (selectors) =>
      selectors.map((selector) => {
        const part = document.querySelector(selector)?.getBoundingClientRect();
        if (part === undefined || part.width === 0) throw new Error(`There is no ${selector}.`);
        const { left, top, right, bottom } = part;
        return { left, top, right, bottom };
      }),
    parts,
  );
  return parts.filter((_, at) => own.some((box) => meet(box, places[at]!)));
}

/** Whether two of the things that Mantle shows lie over one another; fails where there are no two. */
export async function coversItself(page: Page): Promise<boolean> {
  const own = await ownBoxes(page);
  if (own.length < 2) throw new Error("Mantle does not show two things.");
  return own.some((boxes, at) =>
    own.slice(at + 1).some((others) => boxes.some((one) => others.some((box) => meet(one, box)))),
  );
}

/** Waits for a notice of Mantle's, gives the text of the first, and shuts it with the mouse. */
export async function closeNotice(page: Page): Promise<string> {
  const limit = Date.now() + 60_000;
  let shut: { text: string; count: number } | undefined;
  for (;;) {
    const texts = await noticeTexts(page);
    if (shut !== undefined && texts.length < shut.count) return shut.text;
    if (texts[0] !== undefined) shut = { text: texts[0], count: texts.length };
    // Put aside meanwhile, it is opened by its tab first.
    const place = await noticesPlace(page).catch(() => "none");
    const at = await insideRoot(page, place, (root) => {
      const shown = [...root.querySelectorAll("button")].filter(
        (button) => button.getBoundingClientRect().width > 0,
      );
      const box = (
        shown.find((one) => one.matches(".dismiss")) ?? shown[0]
      )?.getBoundingClientRect();
      return box === undefined ? null : { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    }).catch(() => null);
    if (at !== null) await page.mouse.click(at.x, at.y);
    if (Date.now() > limit) {
      const what = shut === undefined ? "there" : `shut, which says "${shut.text}"`;
      throw new Error(`A notice was not ${what} in time.`);
    }
    await new Promise((resume) => setTimeout(resume, 100));
  }
}

/** Waits until no question is open. */
export async function noQuestion(page: Page): Promise<void> {
  await page.waitForSelector(`[${MARK}]`, { hidden: true, timeout: 10_000 });
}
