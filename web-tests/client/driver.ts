/** What a call came to, in a form that leaves the page. */
export type Outcome<T> =
  | { ok: true; value: T }
  | { ok: false; error: string; errcode: string | null; status: number | null };

/** The page's handle for specs. */
export interface Driver {
  call(name: string, args: unknown[]): Promise<Outcome<unknown>>;
  /** Texts of unhandled rejections and uncaught errors since load. */
  readonly unhandled: string[];
}

declare global {
  interface Window {
    driver: Driver;
  }
}

const LIMIT_MS = 60_000;

/** Puts the calls where specs find them, and keeps count of errors nobody handled. */
export function installDriver(calls: object): void {
  const unhandled: string[] = [];
  window.addEventListener("unhandledrejection", (event) => unhandled.push(String(event.reason)));
  window.addEventListener("error", (event) => unhandled.push(event.message));
  window.driver = { call: (name, args) => call(calls, name, args), unhandled };
}

async function call(calls: object, name: string, args: unknown[]): Promise<Outcome<unknown>> {
  let limit: ReturnType<typeof setTimeout> | undefined;
  try {
    const expired = new Promise<never>((_, reject) => {
      limit = setTimeout(() => reject(new Error(`No end within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    });
    const run = (calls as Record<string, (...rest: unknown[]) => unknown>)[name];
    if (run === undefined) throw new Error("This page has no such call");
    const value: unknown = await Promise.race([(async () => run(...args))(), expired]);
    // Plain data only; a spec in another process reads it.
    return { ok: true, value: value === undefined ? null : JSON.parse(JSON.stringify(value)) };
  } catch (error) {
    const { errcode, httpStatus } = error as { errcode?: string; httpStatus?: number };
    return {
      ok: false,
      error: String(error),
      errcode: errcode ?? null,
      status: httpStatus ?? null,
    };
  } finally {
    clearTimeout(limit);
  }
}
