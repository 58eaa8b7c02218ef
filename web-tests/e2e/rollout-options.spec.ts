/** The options page, with real clicks and keys, and what its own settings do. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Page } from "puppeteer-core";
import { bothBrowsers } from "../support/browsers.ts";
import { type Recorder, startRecorder } from "../support/recorder.ts";
import {
  type ExtensionBrowser,
  type Json,
  callApi,
  launchMantle,
  storeSettings,
  until,
} from "./extension-pages.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

for (const kind of bothBrowsers) {
  describe(`options page in ${kind}`, { timeout: 120_000 }, () => {
    let recorder: Recorder;
    let running: ExtensionBrowser;
    let options: Page;

    before(async () => {
      recorder = await startRecorder({});
      running = await launchMantle(kind, recorder.port);
      options = await running.openExtensionPage("options.html");
      await options.setViewport({ width: 800, height: 2400 });
    });

    after(async () => {
      await running?.close();
      await recorder?.close();
    });

    beforeEach(async () => {
      await storeSettings(options, undefined);
      await options.waitForSelector("#welcome:not([hidden])");
    });

    async function stored(): Promise<Record<string, Json>> {
      const area = "storage.local.get";
      const { settings } = await callApi<{ settings?: string }>(options, area, "settings");
      return JSON.parse(settings ?? "{}") as Record<string, Json>;
    }

    async function hosts(): Promise<string[]> {
      const area = "storage.local.get";
      const { ledger } = await callApi<{ ledger?: { rows: { host: string }[] } }>(
        options,
        area,
        "ledger",
      );
      return (ledger?.rows ?? []).map((row) => row.host).sort();
    }

    /** A ledger with a row of today and one of sixty days ago. */
    async function fillLedger(): Promise<void> {
      const row = { shield: "identity", action: "answered", endpoint: "identity", count: 1 };
      const now = Date.now();
      const old = now - 60 * DAY_MS;
      await callApi(options, "storage.local.set", {
        ledger: {
          version: 1,
          rows: [
            { ...row, host: "today.example", first: now, last: now },
            { ...row, host: "old.example", first: old, last: old },
          ],
          pages: [],
          taken: [],
        },
      });
    }

    async function typeDays(days: string): Promise<void> {
      const field = "#option-general-ledgerDays";
      await options.$eval(field, (input) => (input as HTMLInputElement).select());
      await options.focus(field);
      await options.keyboard.press("Backspace");
      await options.keyboard.type(days);
      await options.click("#general .field button");
    }

    it("keeps the ledger as long as it says", async () => {
      await fillLedger();
      assert.deepEqual(await hosts(), ["old.example", "today.example"]);
      await typeDays("30");
      await until(async () => (await hosts()).join() === "today.example", "the old row gone");
      const said = (): Promise<string> =>
        options.$eval(".field:has(#option-general-ledgerDays) .outcome", (one) =>
          String(one.textContent),
        );
      await until(async () => (await said()) === "Saved", "that it is saved");
      // What is typed since is not what was saved.
      await options.type("#option-general-ledgerDays", "1");
      assert.equal(await said(), "");
      await typeDays("0");
      await until(async () => (await hosts()).length === 0, "an empty ledger");
      assert.deepEqual(await stored(), {
        version: 1,
        options: { general: { ledgerDays: 0 } },
      });
    });

    it("refuses a number out of bounds with a sentence", async () => {
      await typeDays("9999");
      await until(async () => {
        const trouble = await options.$eval("#general .trouble", (part) => part.textContent ?? "");
        return /cannot set “Days the counts are kept”/.test(trouble);
      }, "the sentence");
      assert.deepEqual(await stored(), {});
    });

    it("says why a type of state cannot be encrypted, and loses nothing of the list", async () => {
      const shield = '[data-shield="encrypted-state"]';
      const save = async (types: string): Promise<void> => {
        await options.$eval(
          "#option-encrypted-state-types",
          (field, typed) => {
            (field as HTMLTextAreaElement).value = typed;
            field.closest(".field")?.querySelector("button")?.click();
          },
          types,
        );
      };
      const typed = "m.room.avatar\nm.call.member\norg.example.plan\nm.room.power_levels";
      const trouble = `${shield} .trouble`;
      await until(async () => {
        // What is stored anew before the test may show the page's rows once more.
        await save(typed);
        const said = await options.$eval(trouble, (part) => part.textContent ?? "");
        return /“m\.call\.member, m\.room\.power_levels” cannot be encrypted, because /.test(said);
      }, "the sentence");
      const left = await options.$eval(
        "#option-encrypted-state-types",
        (field) => (field as HTMLTextAreaElement).value,
      );
      assert.equal(left, typed);
      assert.deepEqual(await stored(), {});
      const kept = { "encrypted-state": { types: ["m.room.avatar", "org.example.plan"] } };
      await until(async () => {
        await save("m.room.avatar\norg.example.plan");
        return JSON.stringify((await stored())["options"]) === JSON.stringify(kept);
      }, "the rest of the list");
    });

    it("names such a type in what was stored before, and keeps the rest", async () => {
      await storeSettings(options, {
        version: 1,
        options: { "encrypted-state": { types: ["m.room.avatar", "m.call.member"] } },
      });
      await until(async () => {
        const said = await options.$eval("#problems", (part) => part.textContent ?? "");
        return /“m\.call\.member” in your saved settings cannot be encrypted, because /.test(said);
      }, "the sentence");
      await until(async () => {
        const shown = await options.$eval(
          "#option-encrypted-state-types",
          (field) => (field as HTMLTextAreaElement).value,
        );
        return shown === "m.room.avatar";
      }, "the rest of the list");
    });

    it("takes no file that lists one, and says why", async () => {
      const file = {
        version: 1,
        options: { "encrypted-state": { types: ["m.room.avatar", "m.room.member"] } },
      };
      await options.$eval(
        "#import-file",
        (input, text) => {
          const chosen = new DataTransfer();
          chosen.items.add(new File([text], "settings.json", { type: "application/json" }));
          (input as HTMLInputElement).files = chosen.files;
          input.dispatchEvent(new Event("change"));
        },
        JSON.stringify(file),
      );
      await until(async () => {
        const said = await options.$$eval("[role='alert']", (all) =>
          all.map((part) => part.textContent ?? "").join("\n"),
        );
        return /cannot encrypt “m\.room\.member” of this file, because /.test(said);
      }, "the sentence");
      assert.deepEqual(await stored(), {});
    });

    it("asks once for consent", async () => {
      await options.click("#welcome button");
      await options.waitForSelector("#welcome", { hidden: true });
      assert.deepEqual(await stored(), { version: 1, options: { general: { consent: true } } });
      const popup = await running.openExtensionPage("popup.html");
      await popup.waitForSelector('[data-shield="identity"]');
      assert.equal(await popup.$eval("#welcome", (card) => (card as HTMLElement).hidden), true);
      await popup.close();
    });

    it("chooses the profile, and every shield can be switched there", async () => {
      await options.click('#profile-choice input[value="strict"]');
      await until(async () => (await stored())["profile"] === "strict", "the profile");
      await options.click('[data-shield="identity"] input[value="off"]');
      await until(async () => {
        const { shields } = await stored();
        return JSON.stringify(shields) === '{"identity":"off"}';
      }, "the switch");
      const missing = await options.evaluate(async () => {
        const shown = [...document.querySelectorAll<HTMLElement>("[data-shield]")];
        return shown.filter((row) => row.querySelector("h3")?.textContent === "").length;
      });
      assert.equal(missing, 0);
    });

    it("names every control", async () => {
      const nameless = await options.$$eval("button, input, textarea, select, summary", (all) =>
        all
          .filter((control) => {
            const label = control.getAttribute("aria-label") ?? control.textContent ?? "";
            const labels = (control as HTMLInputElement).labels?.length ?? 0;
            return label.trim() === "" && labels === 0 && !control.hasAttribute("title");
          })
          .map((control) => control.outerHTML),
      );
      assert.deepEqual(nameless, []);
    });
  });
}
