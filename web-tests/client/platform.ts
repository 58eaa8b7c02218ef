/** The device name Element makes up: where it runs, in which browser, on which system. */
export function defaultDeviceDisplayName(config: {
  readonly default_device_display_name?: string;
}): string {
  if (config.default_device_display_name !== undefined) return config.default_device_display_name;
  const place = (location.host + location.pathname).replace(/\/(index\.html)?$/, "");
  return `${place}: ${browserName(navigator.userAgent)} on ${systemName(navigator.userAgent)}`;
}

function browserName(userAgent: string): string {
  if (userAgent.includes("Firefox/")) return "Firefox";
  return userAgent.includes("HeadlessChrome/") ? "Chrome Headless" : "Chrome";
}

function systemName(userAgent: string): string {
  if (userAgent.includes("Windows")) return "Windows";
  return userAgent.includes("Mac OS") ? "macOS" : "Linux";
}

/** Answers of a fetch that are not 2xx are errors here too. */
export async function fetchJson(url: string, init?: RequestInit): Promise<Record<string, unknown>> {
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`HTTP ${response.status} ${text.slice(0, 200)}`);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

/** A random string of letters and digits, as used for client secrets. */
export function randomText(length: number): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) =>
    letters.charAt(byte % letters.length),
  ).join("");
}
