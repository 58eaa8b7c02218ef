import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import puppeteer, { ProtocolError } from "puppeteer-core";
import type { Browser, CDPSession, LaunchOptions as FirefoxOptions, Page } from "puppeteer-core";
import { Session } from "puppeteer-core/internal/bidi/core/Session.js";
import { certificate } from "./certificate.ts";
import { firefoxProfile } from "./firefox-profile.ts";

/** The browsers every spec runs in. */
export type BrowserKind = "chromium" | "firefox";

/** Both, for `for (const kind of bothBrowsers)`; `MANTLE_BROWSERS=chromium` narrows it by hand. */
export const bothBrowsers: readonly BrowserKind[] = (["chromium", "firefox"] as const).filter(
  (kind) => (process.env["MANTLE_BROWSERS"] ?? "chromium,firefox").split(",").includes(kind),
);

/** A running browser whose every request goes through the recorder. */
export interface LaunchedBrowser {
  readonly kind: BrowserKind;
  readonly browser: Browser;
  /** Id of the installed extension, when there is one. */
  readonly extensionId: string | undefined;
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

/** Longer than any wait in a page, which says by itself what it waited for. */
export const PROTOCOL_TIMEOUT_MS = 240_000;
/** How long a slow machine may take until Mantle shows what it shows once. */
const FIRST_RUN_TIMEOUT_MS = 60_000;
/** How long the start of a spec waits for that; later it is closed meanwhile. */
const FIRST_RUN_WAIT_MS = 10_000;

/**
 * Closes the page that Mantle opens after its installation, which would take the place of what a spec
 * looks at. Whether it comes is for its own spec to say: here nothing fails without it.
 */
export async function dismissFirstRun(kind: BrowserKind, browser: Browser): Promise<void> {
  const closed = closeFirstRun(kind, browser).catch(() => undefined);
  await Promise.race([closed, setTimeout(FIRST_RUN_WAIT_MS, undefined, { ref: false })]);
}

/** Waits for that page, closes it, and sees it gone; throws when it does not come. */
export async function closeFirstRun(kind: BrowserKind, browser: Browser): Promise<void> {
  const end = Date.now() + FIRST_RUN_TIMEOUT_MS;
  let wasThere = false;
  for (;;) {
    const isThere = await closesFirstRun(kind, browser);
    if (wasThere && !isThere) return;
    wasThere ||= isThere;
    if (!browser.connected) throw new Error("The browser is closed.");
    if (Date.now() > end) throw new Error("Mantle opened no page after its installation.");
    await setTimeout(50, undefined, { ref: false });
  }
}

/** Whether it is there; then it is told to close, which it may be doing already. */
async function closesFirstRun(kind: BrowserKind, browser: Browser): Promise<boolean> {
  if (kind === "chromium") {
    const target = browser.targets().find((one) => one.url().endsWith(FIRST_RUN));
    const close = async (): Promise<void> => (await target?.asPage())?.close();
    await close().catch(() => undefined);
    return target !== undefined;
  }
  // The page is in another process than the tab was at first, where puppeteer does not see it.
  const { connection } = browser as unknown as { connection: Connection };
  const { result } = await connection.send("browsingContext.getTree", {});
  const shown = result.contexts?.find(({ url }) => url.endsWith(FIRST_RUN));
  if (shown !== undefined) {
    const { context } = shown;
    await connection.send("browsingContext.close", { context }).catch(() => undefined);
  }
  return shown !== undefined;
}

const FIRST_RUN = "/first-run.html";

/** Firefox's own protocol, below puppeteer. */
interface Connection {
  send(
    method: string,
    parameters: unknown,
  ): Promise<{ result: { contexts?: { context: string; url: string }[] } }>;
}

/**
 * What goes over the network the recorder sees: a browser that tells it too works a fifth more, and
 * Firefox goes on telling itself as long as somebody wants the bodies kept, which puppeteer asks for.
 */
const UNHEARD = { networkEnabled: false, issuesEnabled: false } as const;
const { send } = Session.prototype;
Session.prototype.send = function (this: Session, method, parameters) {
  return method === "network.addDataCollector"
    ? Promise.reject(new ProtocolError("Nobody reads bodies here."))
    : send.call(this, method, parameters);
} as typeof send;

/** How a browser is started. */
export interface LaunchOptions {
  /** A folder with a manifest. */
  readonly extension?: string;
  readonly proxyPort: number;
  readonly headless?: boolean;
  /** Leaves the page open that Mantle shows after its installation. */
  readonly keepFirstRun?: boolean;
  /** A made-up microphone and camera that pages may use without asking. */
  readonly fakeMedia?: boolean;
  /** The person's, as in `Accept-Language` without weights. */
  readonly languages?: string;
}

/** Starts a headless browser with a profile in which nobody was anywhere. */
export async function launch(kind: BrowserKind, options: LaunchOptions): Promise<LaunchedBrowser> {
  const { extension } = options;
  if (extension !== undefined && !existsSync(`${extension}/manifest.json`)) {
    throw new Error(`There is no extension in ${extension}: run scripts/build.`);
  }
  const browser = kind === "chromium" ? await chromium(options) : await firefox(options);
  let extensionId: string | undefined;
  if (extension !== undefined) {
    extensionId =
      kind === "firefox"
        ? await browser.installExtension(extension)
        : await chromiumExtensionId(browser);
    if (options.keepFirstRun !== true) await dismissFirstRun(kind, browser);
  }
  return {
    kind,
    browser,
    extensionId,
    newPage: () => browser.newPage(),
    close: async () => {
      const killer = globalThis.setTimeout(() => browser.process()?.kill("SIGKILL"), 10_000);
      await browser.close().catch(() => browser.process()?.kill("SIGKILL"));
      clearTimeout(killer);
    },
  };
}

/** What a session took away holds until that session gives it back. */
const offline = new WeakMap<Page, CDPSession>();

/** Takes a page's network away, or gives it back, as the browser's own switch does. */
export async function setOffline(kind: BrowserKind, page: Page, isOffline: boolean): Promise<void> {
  if (kind === "firefox") return page.setOfflineMode(isOffline);
  // Puppeteer's own does nothing where it is not told of the network.
  const session = offline.get(page) ?? (await page.createCDPSession());
  offline.set(page, session);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: isOffline,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: -1,
  });
  if (isOffline) return;
  offline.delete(page);
  await session.detach();
}

async function chromium(options: LaunchOptions): Promise<Browser> {
  const { spkiHash } = await certificate();
  return puppeteer.launch({
    executablePath: findExecutable("CHROMIUM", CHROMIUM_PATHS),
    headless: options.headless ?? true,
    pipe: true,
    enableExtensions: options.extension === undefined ? false : [options.extension],
    acceptInsecureCerts: true,
    ...UNHEARD,
    protocolTimeout: PROTOCOL_TIMEOUT_MS,
    args: [
      "--no-sandbox",
      `--proxy-server=http://127.0.0.1:${options.proxyPort}`,
      "--ignore-certificate-errors",
      // Service workers need a certificate that counts as good, not one that is waved through.
      `--ignore-certificate-errors-spki-list=${spkiHash}`,
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-domain-reliability",
      "--disable-quic",
      "--disable-sync",
      "--metrics-recording-only",
      // Calls between pages of one machine.
      "--allow-loopback-in-peer-connection",
      ...(options.languages === undefined ? [] : [`--accept-lang=${options.languages}`]),
      ...(options.fakeMedia === true
        ? ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        : []),
      "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication," +
        "CertificateTransparencyComponentUpdater,InterestFeedContentSuggestions,HttpsUpgrades," +
        "NetworkTimeServiceQuerying,LocalNetworkAccessChecks,WebRtcHideLocalIpsWithMdns",
    ],
  });
}

/** Firefox's preferences by which every name leads to the recorder, and nothing asks for others. */
export function firefoxNetwork(proxyPort: number): Record<string, boolean | number | string> {
  return {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": proxyPort,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": proxyPort,
    "network.proxy.no_proxies_on": "",
    "network.trr.mode": 5,
    "network.captive-portal-service.enabled": false,
    "network.connectivity-service.enabled": false,
    "services.settings.server": "data:,",
    "dom.security.https_first": false,
  };
}

/** Firefox with a profile in which nobody was anywhere, which goes when the browser does. */
export async function launchFirefox(
  options: Pick<LaunchOptions, "proxyPort" | "headless" | "fakeMedia" | "languages">,
  more: Pick<FirefoxOptions, "args" | "env" | "extraPrefsFirefox">,
): Promise<Browser> {
  const executablePath = findExecutable("FIREFOX", FIREFOX_PATHS);
  const network = firefoxNetwork(options.proxyPort);
  const profile = await firefoxProfile(executablePath, network);
  const browser = await puppeteer.launch({
    ...more,
    browser: "firefox",
    executablePath,
    userDataDir: profile.folder,
    headless: options.headless ?? true,
    acceptInsecureCerts: true,
    ...UNHEARD,
    protocolTimeout: PROTOCOL_TIMEOUT_MS,
    extraPrefsFirefox: {
      ...network,
      ...(options.languages === undefined ? {} : { "intl.accept_languages": options.languages }),
      "network.http.speculative-parallel-limit": 0,
      "browser.safebrowsing.malware.enabled": false,
      "browser.safebrowsing.phishing.enabled": false,
      "browser.safebrowsing.downloads.remote.enabled": false,
      "extensions.update.enabled": false,
      // Calls between pages of one machine.
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.navigator.streams.fake": options.fakeMedia ?? false,
      "media.navigator.permission.disabled": options.fakeMedia ?? false,
      "privacy.trackingprotection.enabled": false,
      ...more.extraPrefsFirefox,
    },
  });
  browser.process()?.once("exit", profile.remove);
  return browser;
}

function firefox(options: LaunchOptions): Promise<Browser> {
  return launchFirefox(options, {
    extraPrefsFirefox: {
      "network.http.http3.enable": false,
      "network.prefetch-next": false,
      "network.dns.disablePrefetch": true,
      "app.normandy.enabled": false,
      "app.update.enabled": false,
      "browser.region.network.url": "",
      "browser.search.update": false,
      "browser.contentblocking.report.lockwise.enabled": false,
      "datareporting.policy.dataSubmissionEnabled": false,
      "dom.push.connection.enabled": false,
      "extensions.blocklist.enabled": false,
      "extensions.getAddons.cache.enabled": false,
      "extensions.systemAddon.update.enabled": false,
      "media.gmp-manager.updateEnabled": false,
      "privacy.trackingprotection.pbmode.enabled": false,
      "toolkit.telemetry.enabled": false,
      "toolkit.telemetry.server": "",
      "security.OCSP.enabled": 0,
    },
  });
}

async function chromiumExtensionId(browser: Browser): Promise<string | undefined> {
  const target = await browser
    .waitForTarget((candidate) => candidate.url().startsWith("chrome-extension://"), {
      timeout: 10_000,
    })
    .catch(() => undefined);
  return target === undefined ? undefined : new URL(target.url()).host;
}

const CHROMIUM_PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const FIREFOX_PATHS = [
  "/usr/bin/firefox-esr",
  "/usr/bin/firefox",
  "/Applications/Firefox.app/Contents/MacOS/firefox",
];

function findExecutable(variable: string, candidates: readonly string[]): string {
  const given = process.env[variable];
  if (given) return given;
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    `${variable === "CHROMIUM" ? "Chromium" : "Firefox"} is not installed: ` +
      `run scripts/setup, or name its program in ${variable}.`,
  );
}
