/** Signs in to any Element Web: by what fields are called, which its versions have in common. */
import type { Page } from "puppeteer-core";
import { ANY } from "./selectors.ts";

const LIMIT = { timeout: 180_000 };

/** Fills the form in and waits until the client it starts has synced. */
export async function signIn(
  page: Page,
  user: string,
  password: string,
  site = "https://chat.example.org/",
): Promise<void> {
  await page.goto(`${site}#/login`, { waitUntil: "load", ...LIMIT });
  await page.waitForSelector(ANY.user, { visible: true, ...LIMIT });
  await page.type(ANY.user, user);
  await page.waitForSelector(ANY.password, { visible: true, ...LIMIT });
  await page.type(ANY.password, password);
  // Element looks its homeserver up when a field is left, and its button waits for that.
  const limit = Date.now() + LIMIT.timeout;
  for (;;) {
    await page
      .$(ANY.password)
      .then((field) => field?.press("Enter"))
      .catch(() => undefined);
    const isSignedIn = await page
      .waitForFunction(
        () => {
          const peg = window.mxMatrixClientPeg as { get(): unknown } | undefined;
          const client = peg?.get() as
            { getUserId(): string | null; isInitialSyncComplete?(): boolean } | null | undefined;
          return client?.getUserId() != null && client.isInitialSyncComplete?.() === true;
        },
        { timeout: 10_000 },
      )
      .then(
        () => true,
        () => false,
      );
    if (isSignedIn) return;
    if (Date.now() > limit) throw new Error("the form did not sign in, or no first sync came");
  }
}
