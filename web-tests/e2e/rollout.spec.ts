/**
 * Roll-out as docs/enterprise.md describes it, with its own examples: policy installs the packed
 * and signed extension from a server on loopback and brings the organisation's settings; a changed
 * policy arrives; an update keeps settings and ledger; removal removes. The recorder is the judge.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Page } from "puppeteer-core";
import { filesOf } from "../../scripts/archive.ts";
import { extensionId } from "../../scripts/crx.ts";
import { packagesOf } from "../../scripts/packages.ts";
import { billOfMaterials } from "../../scripts/sbom.ts";
import { bothBrowsers } from "../support/browsers.ts";
import { type PolicyScope, noPolicyBecause, openPolicyScope } from "../support/managed-browsers.ts";
import { type Recorder, type Route, startRecorder } from "../support/recorder.ts";
import { identityServer } from "../support/world.ts";
import { elementPage, signsInAnybody } from "./element-page.ts";
import {
  FIREFOX_ID,
  type Json,
  callApi,
  ownTabs,
  pause,
  storeSettings,
  testBuild,
  until,
} from "./extension-pages.ts";
import {
  type ManagedBrowser,
  documented,
  launchManaged,
  newProfile,
  registryAsJson,
} from "./managed.ts";
import { nameAtLogin, reaches } from "./page-requests.ts";

const ELEMENT = "chat.example.org";
/** Named by the documented policy, and not built in. */
const WANTED = "element.example.net";
const HOMESERVER = "hs.example.org";
const FOLDER = "https://intranet.example.org/mantle/";
const ALLOWED = "https://contacts.example.org/_matrix/identity/v2";
const FORBIDDEN = "https://vector.im/_matrix/identity/v2";
const PLACEHOLDER = "aaaabbbbccccddddeeeeffffgggghhhh";
/** Where policies lie for the whole system; a test must leave it as it was. */
const SYSTEM_FOLDERS = ["/etc/chromium", "/etc/firefox", "/etc/firefox-esr"];
const VECTORS = new URL("../../core/shields/tests/vectors/settings/", import.meta.url);

type Values = Record<string, Json>;

function listing(): string[] {
  return SYSTEM_FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((name) => `${folder}/${String(name)}`),
  );
}

for (const kind of bothBrowsers) {
  const skip = noPolicyBecause(kind);
  describe(
    `roll-out in ${kind}`,
    { timeout: 300_000, ...(skip === undefined ? {} : { skip }) },
    () => {
      const earlier = listing();
      const { privateKey: key } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
      const chromeId = extensionId(key);
      const profile = newProfile();
      const published = new Map<string, Uint8Array>();
      let scope: PolicyScope;
      let recorder: Recorder;
      let browser: ManagedBrowser;
      let page: Page;

      before(async () => {
        const files: Route = (request, response) => {
          const name = new URL(request.path, FOLDER).pathname.replace("/mantle/", "");
          const content = published.get(name);
          response.writeHead(content === undefined ? 404 : 200, {
            "Content-Type": name.endsWith(".xpi")
              ? "application/x-xpinstall"
              : "application/octet-stream",
          });
          response.end(content);
        };
        recorder = await startRecorder({
          hosts: {
            [ELEMENT]: elementPage,
            [WANTED]: elementPage,
            "intranet.example.org": files,
            "contacts.example.org": identityServer(),
            "vector.im": identityServer(),
            [HOMESERVER]: signsInAnybody,
          },
        });
        // Firefox fetches what policy names before a test can have it trust the recorder's
        // certificate; on loopback it needs none.
        recorder.route(`127.0.0.1:${recorder.port}`, files);
        publish(1);
        scope = openPolicyScope(kind);
        scope.write(policy(settings()));
        await start();
      });

      after(async () => {
        await browser?.close();
        await recorder?.close();
        scope?.remove();
        profile.remove();
      });

      /** The packages of one revision, in the place where browsers look. */
      function publish(revision: number): void {
        const built = {
          chromium: filesOf(testBuild("chromium")),
          firefox: filesOf(testBuild("firefox")),
        };
        const version = `${versionOf(built.chromium.get("manifest.json"))}.${revision}`;
        for (const [name, content] of packagesOf(built, { version, key, updateUrl: FOLDER })) {
          published.set(name, content);
          // What the documented policies name.
          published.set(name.replace(version, "0.1.0"), content);
        }
      }

      /** The settings of the documented example. */
      function settings(): Values {
        const example = JSON.parse(documented(kind === "firefox" ? "firefox" : "chrome-linux")) as {
          policies: { "3rdparty": { Extensions: Record<string, Values> } };
          "3rdparty": { extensions: Record<string, Values> };
        };
        const found =
          kind === "firefox"
            ? example.policies["3rdparty"].Extensions[FIREFOX_ID]
            : example["3rdparty"].extensions[PLACEHOLDER];
        assert.ok(found !== undefined);
        return found;
      }

      /** The documented policy with these settings in the place of its own. */
      function policy(values: Values): unknown {
        if (kind === "firefox") {
          const loopback = `http://127.0.0.1:${recorder.port}/mantle/`;
          const text = documented("firefox").replaceAll(FOLDER, loopback);
          const whole = JSON.parse(text) as {
            policies: { "3rdparty": { Extensions: Record<string, Values> } };
          };
          whole.policies["3rdparty"].Extensions[FIREFOX_ID] = values;
          return whole;
        }
        const text = documented("chrome-linux").replaceAll(PLACEHOLDER, chromeId);
        const whole = JSON.parse(text) as { "3rdparty": { extensions: Record<string, Values> } };
        whole["3rdparty"].extensions[chromeId] = values;
        // Else Chromium keeps every debugger, a spec's too, away from what policy installed.
        return { ...whole, DeveloperToolsAvailability: 1 };
      }

      async function start(): Promise<void> {
        browser = await launchManaged(kind, {
          scope,
          proxyPort: recorder.port,
          profile: profile.folder,
          extensionId: chromeId,
        });
        const popup = await browser.openExtensionPage("popup.html");
        // Chromium's first answers are empty.
        await until(async () => Object.keys(await managed(popup)).length > 0, "the policy");
        await popup.close();
        page = await browser.newPage();
        await page.goto(`https://${ELEMENT}/`);
      }

      async function restart(): Promise<void> {
        await browser.close();
        await start();
      }

      async function managed(over: Page): Promise<Values> {
        return callApi<Values>(over, "storage.managed.get", null).catch(() => ({}));
      }

      const isReached = (url: string): Promise<boolean> => reaches(page, recorder, url);
      const nameSent = (): Promise<unknown> => nameAtLogin(page, recorder, HOMESERVER);

      it("comes by policy, with the organisation's name for sessions", async () => {
        assert.equal(await nameSent(), "Example Clinic");
      });

      it("opens no page about what the organisation decided, and says on that page who did", async () => {
        const first = await browser.openExtensionPage("first-run.html");
        await first.waitForSelector("#choices:not([hidden])");
        // The one that was opened here and now.
        assert.equal((await ownTabs(first)).filter((path) => path === "/first-run.html").length, 1);
        await until(
          async () =>
            /has decided/.test(await first.$eval("#choices", (part) => part.textContent ?? "")),
          "who decided",
        );
        const offered = await first.$$eval("[data-choice]", (all) =>
          all.map((one) => [(one as HTMLElement).dataset["choice"], one.querySelector("button")]),
        );
        assert.deepEqual(offered, [["recommended", null]]);
        await first.close();
      });

      it("keeps other identity servers away and lets the organisation's own pass", async () => {
        assert.equal(await isReached(FORBIDDEN), false);
        assert.equal(await isReached(ALLOWED), true);
      });

      it("shows a locked switch that neither a click nor stored settings turn off", async () => {
        const popup = await browser.openExtensionPage("popup.html");
        const identity = '[data-shield="identity"]';
        const config = '[data-shield="config"]';
        await popup.waitForSelector(identity);
        const disabled = (shield: string): Promise<boolean> =>
          popup.$eval(`${shield} .modes`, (modes) => modes.matches(":disabled"));
        assert.equal(await disabled(identity), true);
        assert.equal(await disabled(config), false);
        assert.match(
          await popup.$eval(`${identity} .lock`, (lock) => lock.textContent ?? ""),
          /Set by your organisation/,
        );
        await popup.$eval(`${identity} input[value="off"]`, (radio) =>
          (radio as HTMLElement).click(),
        );
        assert.equal(await isReached(FORBIDDEN), false);
        await storeSettings(popup, {
          version: 1,
          shields: { identity: "off", integrations: "off" },
          deviceName: "Mine",
          allow: { identity: ["vector.im"] },
        });
        // Time for the change to reach the page, where it must change nothing.
        await pause(1_000);
        assert.equal(await isReached(FORBIDDEN), false);
        assert.equal(await nameSent(), "Example Clinic");
        await storeSettings(popup, undefined);
        await popup.close();
      });

      it("shows on the options page what the organisation set, and which sites it wants", async () => {
        const options = await browser.openExtensionPage("options.html");
        await options.waitForSelector("[data-wanted]");
        const shown = await options.evaluate(() => ({
          managed: document.querySelector<HTMLElement>("#managed")?.hidden,
          problems: document.querySelectorAll("#problems p").length,
          welcome: document.querySelector<HTMLElement>("#welcome")?.hidden,
          profile: document.querySelector("#profile-choice input")?.matches(":disabled"),
          days: document.querySelector<HTMLInputElement>("#option-general-ledgerDays")?.value,
          daysLocked: document.querySelector("#option-general-ledgerDays")?.matches(":disabled"),
          wanted: document.querySelector<HTMLElement>("[data-wanted]")?.dataset["wanted"],
        }));
        assert.deepEqual(shown, {
          managed: false,
          problems: 0,
          welcome: true,
          profile: true,
          days: "30",
          daysLocked: true,
          wanted: "https://element.example.net",
        });
        const days = async (): Promise<unknown> => {
          const key = "storage.local.get";
          return (await callApi<{ ledger?: { days?: number } }>(options, key, "ledger")).ledger
            ?.days;
        };
        await until(async () => (await days()) === 30, "the ledger's days");
        await options.close();
      });

      // No driver reaches Chromium's own question; Firefox can be told to go without it.
      if (kind === "firefox") {
        it("works in a site of the policy after one click", async () => {
          const options = await browser.openExtensionPage("options.html");
          await options.waitForSelector("[data-wanted] button");
          await options.click("[data-wanted] button");
          await options.waitForSelector("[data-wanted]", { hidden: true });
          const scripts = (): Promise<{ matches: string[] }[]> =>
            callApi(options, "scripting.getRegisteredContentScripts");
          await until(async () => (await scripts()).length === 2, "registered scripts");
          const other = await browser.newPage();
          await other.goto(`https://${WANTED}/`);
          recorder.clear();
          const run = async (address: string): Promise<void> => {
            await fetch(address).catch(() => undefined);
          };
          await other.evaluate(run, FORBIDDEN);
          assert.equal(recorder.to("vector.im").length, 0);
          await other.evaluate(run, ALLOWED);
          assert.equal(recorder.to("contacts.example.org").length, 1);
          await other.close();
          await options.close();
        });
      }

      it("takes a changed policy over, and says which value it cannot use", async () => {
        const changed: Values = {
          ...settings(),
          deviceName: { value: "Second Clinic", locked: true },
          shields: { identity: { mode: "loud", locked: true }, config: { mode: "off" } },
        };
        scope.write(policy(changed));
        // Firefox reads its policies at its start only.
        if (kind === "firefox") await restart();
        await until(async () => (await nameSent()) === "Second Clinic", "the changed policy");
        // The key that is no good is ignored, the safe default holds.
        assert.equal(await isReached(FORBIDDEN), false);
        const options = await browser.openExtensionPage("options.html");
        await options.waitForSelector("#problems:not([hidden])");
        const sentences = await options.$eval("#problems", (part) => part.textContent ?? "");
        assert.match(sentences, /“shields\.identity” in your organisation's policy/);
        await until(
          async () =>
            (await browser.backgroundLog()).some((line) => line.includes("shields.identity")),
          "a line in the background's log",
        );
        await options.close();
        scope.write(policy(settings()));
        if (kind === "firefox") await restart();
        await until(async () => (await nameSent()) === "Example Clinic", "the policy as it was");
      });

      it("is updated with settings and ledger kept", async () => {
        const own = storedVectors().at(-1) ?? "";
        const first = await browser.openExtensionPage("popup.html");
        await storeSettings(first, own);
        await isReached(FORBIDDEN);
        await page.close();
        // Reports come a moment after what they tell of.
        await until(async () => (await ledgerCount(first)) > 0, "a row in the ledger");
        await pause(1_000);
        const [oldVersion, rows] = [await runningVersion(first), await ledgerCount(first)];
        assert.match(oldVersion, /\.1$/);

        publish(2);
        await browser.update(first);
        const later = await browser.openExtensionPage("popup.html");
        assert.match(await runningVersion(later), /\.2$/);
        const { settings: kept } = await callApi<{ settings?: string }>(
          later,
          "storage.local.get",
          "settings",
        );
        assert.equal(kept, own);
        assert.equal(await ledgerCount(later), rows);
        page = await browser.newPage();
        await page.goto(`https://${ELEMENT}/`);
        assert.equal(await nameSent(), "Example Clinic");
        assert.equal(await isReached(FORBIDDEN), false);
      });

      it("goes when policy says so", async () => {
        if (kind === "firefox") {
          const whole = policy(settings()) as {
            policies: { ExtensionSettings: Record<string, unknown> };
          };
          whole.policies.ExtensionSettings[FIREFOX_ID] = { installation_mode: "blocked" };
          scope.write(whole);
          await browser.close();
          browser = await launchManaged(kind, {
            scope,
            proxyPort: recorder.port,
            profile: profile.folder,
            extensionId: chromeId,
          });
        } else {
          scope.write({ DeveloperToolsAvailability: 1 });
        }
        await until(async () => !(await browser.isInstalled()), "the removal");
        page = await browser.newPage();
        await page.goto(`https://${ELEMENT}/`);
        assert.equal(await isReached(FORBIDDEN), true);
      });

      it("leaves the system's policy folders as they were", () => {
        scope.remove();
        assert.deepEqual(listing(), earlier);
      });
    },
  );
}

describe("bill of materials", () => {
  it("lists what is inside apart from what only builds, without time or chance", async () => {
    interface Bill {
      components: { "bom-ref": string; name: string; scope: string; hashes?: unknown[] }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    }
    const text = await billOfMaterials("1.2.3");
    assert.equal(await billOfMaterials("1.2.3"), text);
    const bill = JSON.parse(text) as Bill;
    const refs = bill.components.map((component) => component["bom-ref"]);
    assert.equal(new Set(refs).size, refs.length);
    for (const { ref, dependsOn } of bill.dependencies) {
      for (const one of [ref, ...dependsOn].filter((name) => name !== "mantle@1.2.3")) {
        assert.ok(refs.includes(one), one);
      }
    }
    const scope = (start: string): string[] => [
      ...new Set(
        bill.components
          .filter((component) => component["bom-ref"].startsWith(start))
          .map((component) => component.scope),
      ),
    ];
    for (const inside of ["vodozemac", "memchr", "serde_json", "zeroize"]) {
      assert.deepEqual(scope(`pkg:cargo/${inside}@`), ["required"], inside);
    }
    assert.deepEqual(scope("pkg:cargo/proptest@"), ["excluded"]);
    assert.deepEqual(scope("pkg:cargo/serde_derive@"), ["excluded"]);
    for (const inside of ["preact", "d3-array", "internmap"]) {
      assert.deepEqual(scope(`pkg:npm/${inside}@`), ["required"], inside);
    }
    const others = bill.components.filter(
      ({ name, "bom-ref": ref }) =>
        ref.startsWith("pkg:npm/") && !["preact", "d3-array", "internmap"].includes(name),
    );
    assert.deepEqual([...new Set(others.map((one) => one.scope))], ["excluded"]);
    const unhashed = bill.components.filter((component) => component.hashes === undefined);
    assert.deepEqual(
      unhashed.map((component) => component.name),
      ["Rust standard library"],
    );
  });
});

describe("docs/enterprise.md", () => {
  it("gives Chrome the same policy on Linux, in the registry and as property lists", () => {
    const linux = JSON.parse(documented("chrome-linux")) as Values;
    const schema = JSON.parse(
      readFileSync(
        new URL("../../extension/generated/managed-schema.json", import.meta.url),
        "utf8",
      ),
    ) as Parameters<typeof registryAsJson>[1];
    assert.deepEqual(registryAsJson(documented("chrome-registry"), schema), linux);
    const plist = (name: string): Json => {
      const script =
        "import json,plistlib,sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)";
      const text = execFileSync("python3", ["-c", script], { input: documented(name) });
      return JSON.parse(text.toString("utf8")) as Json;
    };
    assert.deepEqual(
      {
        ...(plist("chrome-plist-install") as Values),
        "3rdparty": { extensions: { [PLACEHOLDER]: plist("chrome-plist-settings") } },
      },
      linux,
    );
  });

  it("gives Firefox the settings it gives Chrome", () => {
    const firefox = JSON.parse(documented("firefox")) as {
      policies: { "3rdparty": { Extensions: Values } };
    };
    const linux = JSON.parse(documented("chrome-linux")) as { "3rdparty": { extensions: Values } };
    assert.deepEqual(
      firefox.policies["3rdparty"].Extensions[FIREFOX_ID],
      linux["3rdparty"].extensions[PLACEHOLDER],
    );
  });
});

/** Stored settings of every version so far, the newest last. */
function storedVectors(): string[] {
  const folder = fileURLToPath(VECTORS);
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const file = JSON.parse(readFileSync(new URL(name, VECTORS), "utf8")) as {
        cases: { stored: string }[];
      };
      return file.cases.map((one) => one.stored);
    });
}

function versionOf(manifest: Uint8Array | undefined): string {
  const { version } = JSON.parse(new TextDecoder().decode(manifest)) as { version: string };
  return version;
}

async function runningVersion(page: Page): Promise<string> {
  return (await callApi<{ version: string }>(page, "runtime.getManifest")).version;
}

/** Requests the ledger counts. */
async function ledgerCount(page: Page): Promise<number> {
  const { ledger } = await callApi<{ ledger?: { rows: { count: number }[] } }>(
    page,
    "storage.local.get",
    "ledger",
  );
  return (ledger?.rows ?? []).reduce((sum, row) => sum + row.count, 0);
}
