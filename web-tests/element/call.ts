/** A group call, as a person has one: Element's button, then Element Call's in its frame. */
import type { Frame, Page } from "puppeteer-core";
import { click, LIMIT } from "./page.ts";

/** Comes to a call of the room that is open, others' or a new one, as far as its lobby. */
export async function openCall(page: Page): Promise<Frame> {
  const buttons = [
    ".mx_RoomHeader [aria-label='Video call']:not([aria-disabled=true])",
    ".mx_RoomHeader_join_button:not([disabled]):not([aria-disabled=true])",
  ];
  await click(page, buttons.join(", "));
  // This Element asks for what Element Call of 2026 wants besides.
  await click(page, ".mx_WidgetCapabilitiesPromptDialog .mx_Dialog_primary");
  const frame = await page.waitForFrame(
    (one) => one.url().includes("/widgets/element-call/"),
    LIMIT,
  );
  await frame.waitForSelector(JOIN, { visible: true, ...LIMIT });
  return frame;
}

const JOIN = "[data-testid=lobby_joinCall]";
const MUTE = "[data-testid=incall_mute]";
const LEAVE = "[data-testid=incall_leave]";

/** Goes in. */
export async function joinCall(frame: Frame): Promise<void> {
  await press(frame, JOIN);
  await frame.waitForSelector(LEAVE, { visible: true, ...LIMIT });
}

/** Turns the microphone off, or on again. */
export function toggleMicrophone(frame: Frame): Promise<void> {
  return press(frame, MUTE);
}

/** Goes out. This Element does not know how Element Call of 2026 asks to be put away, so it stays. */
export function leaveCall(frame: Frame): Promise<void> {
  return press(frame, LEAVE);
}

/** By element and not by place, since tiles come and go around it. */
async function press(frame: Frame, selector: string): Promise<void> {
  const button = await frame.waitForSelector(`${selector}:not([disabled])`, {
    visible: true,
    ...LIMIT,
  });
  await button?.evaluate((one) => (one as HTMLElement).click());
}
