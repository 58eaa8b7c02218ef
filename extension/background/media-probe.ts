/** Fetches media as a stranger would: no credentials, past the service worker of the page. */
import type { ProbeAnswer } from "../protocol/relay-background.ts";

const PATIENCE_MS = 10_000;

export async function probe(urls: string[]): Promise<ProbeAnswer> {
  return { kind: "probe-answer", statuses: await Promise.all(urls.map(statusOf)) };
}

/** 0 where the server cannot be reached or does not let other sites see its answer (CORS). */
async function statusOf(url: string): Promise<number> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PATIENCE_MS);
  try {
    const response = await fetch(url, {
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      signal: controller.signal,
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
