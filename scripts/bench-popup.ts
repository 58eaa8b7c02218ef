/** How soon the popup shows what happened, as it is opened again and again. */

import { elementPage } from "../web-tests/e2e/element-page.ts";
import { launchMantle, tabShowing } from "../web-tests/e2e/extension-pages.ts";
import { startRecorder } from "../web-tests/support/recorder.ts";

const ELEMENT = "chat.example.org";
const STOPPED = "https://scalar.vector.im/api/register";

/** In ms from its navigation on, in Chromium: when its first words are painted and its list is there. */
export async function popupTimes(runs: number): Promise<number[]> {
  const recorder = await startRecorder({ hosts: { [ELEMENT]: elementPage } });
  const running = await launchMantle("chromium", recorder.port);
  try {
    const site = await running.newPage();
    await site.goto(`https://${ELEMENT}/`);
    await site.evaluate((url) => fetch(url).catch(() => undefined), STOPPED);
    const options = await running.openExtensionPage("options.html");
    const tab = await tabShowing(options, ELEMENT);
    await options.close();
    const times: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const popup = await running.openExtensionPage(`popup.html?tab=${tab}`);
      await popup.waitForSelector("#happened li");
      const shown = await popup.waitForFunction(() => {
        const [painted] = performance.getEntriesByName("first-contentful-paint");
        const [happened] = performance.getEntriesByName("happened");
        return painted && happened && Math.max(painted.startTime, happened.startTime);
      });
      times.push(Number(await shown.jsonValue()));
      await popup.close();
    }
    return times;
  } finally {
    await running.close();
    await recorder.close();
  }
}
