/** What a page asks of servers by itself, and what they saw of it. */
import type { Page } from "puppeteer-core";
import type { Recorder } from "../support/recorder.ts";

/** Asks an identity server, as Element does at its start; true when the server saw it. */
export async function reaches(page: Page, recorder: Recorder, url: string): Promise<boolean> {
  recorder.clear();
  const run = async (address: string): Promise<void> => {
    await fetch(address).catch(() => undefined);
  };
  await page.evaluate(run, url);
  return recorder.to(new URL(url).host).length > 0;
}

/** The session name a homeserver (its host) is told at login. */
export async function nameAtLogin(page: Page, recorder: Recorder, host: string): Promise<unknown> {
  recorder.clear();
  const run = async (url: string): Promise<void> => {
    const body = { type: "m.login.password", initial_device_display_name: "chat: Firefox" };
    await fetch(url, { method: "POST", body: JSON.stringify(body) });
  };
  await page.evaluate(run, `https://${host}/_matrix/client/v3/login`);
  const [login] = recorder.to(host);
  const body = JSON.parse(String(login?.body)) as Record<string, unknown>;
  return body["initial_device_display_name"];
}
