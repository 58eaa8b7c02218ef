/** A group call, as a person has one: Element's button, then Element Call's in its frame. */
import type { Frame, Page } from "puppeteer-core";
import { click, LIMIT } from "./page.ts";
import { CALL, UI } from "./selectors.ts";

/** Comes to a call of the room that is open, others' or a new one, as far as its lobby. */
export async function openCall(page: Page): Promise<Frame> {
  await click(page, `${UI.videoCall}, ${UI.joinGroupCall}`);
  // This Element asks for what Element Call of 2026 wants besides.
  await click(page, UI.widgetAllow);
  const frame = await page.waitForFrame(
    (one) => one.url().includes("/widgets/element-call/"),
    LIMIT,
  );
  await frame.waitForSelector(CALL.join, { visible: true, ...LIMIT });
  return frame;
}

/** Goes in. */
export async function joinCall(frame: Frame): Promise<void> {
  await press(frame, CALL.join);
  await frame.waitForSelector(CALL.leave, { visible: true, ...LIMIT });
}

/** Turns the microphone off, or on again. */
export function toggleMicrophone(frame: Frame): Promise<void> {
  return press(frame, CALL.mute);
}

/** Goes out. This Element does not know how Element Call of 2026 asks to be put away, so it stays. */
export function leaveCall(frame: Frame): Promise<void> {
  return press(frame, CALL.leave);
}

/** By element and not by place, since tiles come and go around it. */
async function press(frame: Frame, selector: string): Promise<void> {
  const button = await frame.waitForSelector(`${selector}:not([disabled])`, {
    visible: true,
    ...LIMIT,
  });
  await button?.evaluate((one) => (one as HTMLElement).click());
}
