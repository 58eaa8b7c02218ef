/** What is to be read in a page where a picture shows it. */
import type { Page } from "puppeteer-core";

const SAYING = "h1, h2, h3, p, li, summary, button, label, span, a, th, td";

export async function linesInView(page: Page): Promise<string[]> {
  const lines = await page.$$eval(SAYING, (all) =>
    all
      .filter((one) => {
        const { top, width } = one.getBoundingClientRect();
        // What is for screen readers alone has no width.
        return one.checkVisibility() && width > 1 && top < innerHeight;
      })
      .map((one) => (one as HTMLElement).innerText.replace(/\s+/g, " ").trim()),
  );
  return [...new Set(lines)];
}
