/** The browser that servers and pages are shown in place of the true one. */
import { isPlain } from "./shapes.ts";

/** As `Sec-CH-UA-Platform` names them. */
const SYSTEMS = ["Windows", "macOS", "Android"] as const;

/** As servers and pages see the browser. */
export interface CommonBrowser {
  system: (typeof SYSTEMS)[number];
  /** Value of `User-Agent` and of `navigator.userAgent`. */
  userAgent: string;
  /** BCP 47 tags, as in `navigator.languages`; never empty. */
  languages: string[];
}

/** Of what came from storage or over a channel. */
export function isCommonBrowser(value: unknown): value is CommonBrowser {
  if (!isPlain(value)) {
    return false;
  }
  const { system, userAgent, languages } = value;
  return (
    SYSTEMS.some((known) => known === system) &&
    typeof userAgent === "string" &&
    Array.isArray(languages) &&
    languages.length > 0 &&
    languages.every((tag) => typeof tag === "string")
  );
}
