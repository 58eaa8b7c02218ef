/**
 * What the report's session does nothing for, done in the hostile world too: shields that ask the browser's
 * vendor, or that change only what Element reads.
 */
import type { Page } from "puppeteer-core";
import { drive } from "../support/client-page.ts";
import { isAsked, press } from "../support/question.ts";
import type { Stage } from "./driven.ts";

const PLACE = { latitude: 51.5, longitude: -0.125 };
const MAP = "https://www.openstreetmap.org/?mlat=51.5&mlon=-0.125#map=16/51.5/-0.125";
const MAP_HOST = "www.openstreetmap.org";
/** Of whatever a hostile configuration has Element load or trust; nobody else names it. */
export const CANARY_HOST = "planted.example.net";
/** As Element reads it, and what it reads as unset. */
const PREVIEWS = "io.element.msc4278.media_preview_config";
const LIMIT = 30_000;

/** By shield: how often what it is for was seen. */
export const MORE_SHIELDS = ["config", "location", "unasked-media"] as const;
type Counts = Record<(typeof MORE_SHIELDS)[number], number>;

export async function driveMore({ page, world }: Stage): Promise<Record<string, number>> {
  await page.bringToFront();
  const { config } = await drive(page, "loaded");
  const counts: Counts = {
    config: JSON.stringify(config).split(CANARY_HOST).length - 1,
    location: await place(page, world.recorder.to.bind(world.recorder)),
    "unasked-media": await fetchedUnasked(page),
  };
  return counts;
}

/** A position read, and a map opened; the person says no to both when Mantle asks. */
async function place(
  page: Page,
  sentTo: (host: string) => readonly { readonly path: string }[],
): Promise<number> {
  await page.browserContext().overridePermissions("https://chat.example.org", ["geolocation"]);
  await page.setGeolocation(PLACE);
  const isRead = (await position(page)) === PLACE.latitude;
  await page.evaluate((href) => {
    const link = Object.assign(document.createElement("a"), { href, target: "_blank", id: "map" });
    Object.assign(link, { rel: "noreferrer noopener", textContent: "map" });
    document.body.prepend(link);
  }, MAP);
  await page.click("#map");
  const isOpened = (): boolean => sentTo(MAP_HOST).some(({ path }) => path.includes("mlat"));
  const limit = Date.now() + LIMIT;
  while (!isOpened() && !(await isAsked(page))) {
    if (Date.now() > limit) throw new Error("The map link did nothing.");
    await pause();
  }
  if (await isAsked(page)) await press(page, "Cancel");
  await page.bringToFront();
  return Number(isRead) + Number(isOpened());
}

/** The latitude, or the browser's error code. */
async function position(page: Page): Promise<number> {
  let isOver = false;
  const running = page
    .evaluate(
      () =>
        new Promise<number>((resolve) => {
          navigator.geolocation.getCurrentPosition(
            ({ coords }) => resolve(coords.latitude),
            (error) => resolve(error.code),
            { timeout: 30_000 },
          );
        }),
    )
    .finally(() => (isOver = true));
  while (!isOver && !(await isAsked(page))) await pause();
  if (!isOver) await press(page, "Cancel");
  return running;
}

/** Of the two kinds of pictures, how many Element of 2026 fetches unasked. */
function fetchedUnasked(page: Page): Promise<number> {
  return page.evaluate((type) => {
    const event = window.mxMatrixClientPeg.get()?.getAccountData(type as never);
    const content: Record<string, unknown> = event?.getContent() ?? {};
    const isCareful = [
      ["private", "off"].includes(String(content["media_previews"])),
      content["invite_avatars"] === "off",
    ];
    return isCareful.filter((is) => !is).length;
  }, PREVIEWS);
}

const pause = (): Promise<void> => new Promise((resume) => setTimeout(resume, 50));
