/**
 * What the shield `request-headers` makes of the browser: a common system and one common set of
 * languages. The background computes it once, for its rule about requests; pages are handed the very
 * same, so that headers and scripts agree.
 */
import type { CommonBrowser } from "../protocol/common-browser.ts";

/** From what the browser says of itself. */
export function commonBrowser(userAgent: string, languages: readonly string[]): CommonBrowser {
  const system = systemOf(userAgent);
  return {
    system,
    userAgent: withSystem(userAgent, system),
    languages: commonLanguages(languages[0] ?? "en"),
  };
}

export function isChromium({ userAgent }: CommonBrowser): boolean {
  return userAgent.includes("Chrome/");
}

/** `Accept-Language` with the weights that each browser gives to such a list. */
export function acceptLanguage(browser: CommonBrowser): string {
  const { languages } = browser;
  const step = isChromium(browser) ? 0.1 : 1 / languages.length;
  return languages
    .map((tag, index) => {
      const weight = Math.max(0.1, Math.round((1 - step * index) * 10) / 10);
      return index === 0 ? tag : `${tag};q=${weight}`;
    })
    .join(",");
}

/** The commonest of its kind. macOS stays, because Element takes its keys from it. */
function systemOf(userAgent: string): CommonBrowser["system"] {
  if (/\(Android|\bMobile\b/.test(userAgent)) {
    return "Android";
  }
  return userAgent.includes("(Macintosh") ? "macOS" : "Windows";
}

/**
 * Browser and version stay, since servers choose by them what a page can do, and most browsers are
 * up to date.
 */
function withSystem(userAgent: string, system: CommonBrowser["system"]): string {
  return userAgent.replace(/\(([^)]*)\)/, (_all, about: string) => {
    // Only Firefox says it there.
    const version = about.split("; ").find((part) => part.startsWith("rv:"));
    const words = {
      Windows: ["Windows NT 10.0", "Win64", "x64"],
      macOS: ["Macintosh", `Intel Mac OS X ${version === undefined ? "10_15_7" : "10.15"}`],
      Android: version === undefined ? ["Linux", "Android 10", "K"] : ["Android 10", "Mobile"],
    }[system];
    if (version !== undefined) words.push(version);
    return `(${words.join("; ")})`;
  });
}

/** What a browser in this language sends where nobody changed it. */
function commonLanguages(first: string): string[] {
  const english = ["en-US", "en"];
  try {
    const { language } = new Intl.Locale(first);
    const region = regionOf(first, language);
    return language === "en" || region === undefined
      ? english
      : [`${language}-${region}`, language, ...english];
  } catch {
    return english;
  }
}

/** Where most people speak it; where a language is written in two ways, the first choice's own. */
function regionOf(first: string, language: string): string | undefined {
  const { region, script } = new Intl.Locale(first).maximize();
  if (language === "zh") {
    return script === "Hant" ? "TW" : "CN";
  }
  if (language === "pt") {
    return region === "BR" ? "BR" : "PT";
  }
  return new Intl.Locale(language).maximize().region;
}
