/** Fetches media as a stranger would: no credentials, past the service worker of the page. */
import type { CommonBrowser } from "../protocol/common-browser.ts";
import type { ProbeAnswer } from "../protocol/relay-background.ts";
import { acceptLanguage } from "./common-browser.ts";

const TIMEOUT_MS = 10_000;

/** `common` is what requests of pages show in place of this browser, `null` where it is itself. */
export async function probe(urls: string[], common: CommonBrowser | null): Promise<ProbeAnswer> {
  const statuses = await Promise.all(urls.map((url) => statusOf(url, common)));
  return { kind: "probe-answer", statuses };
}

/**
 * 0 where the server cannot be reached, sends the browser elsewhere, or does not let other sites
 * see its answer (CORS).
 */
async function statusOf(url: string, common: CommonBrowser | null): Promise<number> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      // Whom the server would send us to has no business with this.
      redirect: "manual",
      signal: controller.signal,
      ...(common === null ? {} : { headers: headersOf(common) }),
    });
    return response.status;
  } catch {
    return 0;
  } finally {
    clearTimeout(timer);
    // The status is all that was wanted.
    controller.abort();
  }
}

/** Where the browser ignores these, the rule for pages' requests sets them. */
function headersOf(common: CommonBrowser): Record<string, string> {
  return { "Accept-Language": acceptLanguage(common), "User-Agent": common.userAgent };
}
