/** Settings to a file and from one; Rust says whether a file is whole. */
import { importedSettings } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { readSettings, writeSettings } from "../../browser/settings-store.ts";
import { button, element } from "../shared/dom.ts";
import { download } from "../shared/download.ts";

/** More is no file of Mantle's; see `MAX_IMPORT` in core/settings. */
const MAX_BYTES = 256 * 1024;
/** What somebody exports who never changed anything. */
const NOTHING = '{"version":1}';

export function showTransfer(section: HTMLElement): void {
  const outcome = element("p", { class: "outcome", role: "status" });
  const trouble = element("p", { class: "trouble", role: "alert" });
  const say = (done: string, refused: string): void => {
    outcome.textContent = done;
    trouble.textContent = refused;
  };
  const take = button(text("exportSettings"), "secondary", () => {
    void readSettings().then(({ stored }) => {
      download("mantle-settings.json", "application/json", `${stored ?? NOTHING}\n`);
      say(text("exported"), "");
    });
  });
  const file = element("input", { id: "import-file", class: "unseen", "aria-hidden": "true" });
  file.type = "file";
  file.accept = ".json,application/json";
  // The button beside it is what a keyboard and a screen reader find.
  file.tabIndex = -1;
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen === undefined) return;
    importFrom(chosen).then(
      (refused) => say(refused === "" ? text("imported") : "", refused),
      () => say("", text("settingsUnreadable")),
    );
  });
  const put = button(text("importSettings"), "secondary", () => file.click());
  section.append(
    element("h2", { text: text("transfer") }),
    element("p", { class: "hint", text: text("transferText") }),
    element("div", { class: "buttons" }, take, put, file),
    outcome,
    trouble,
  );
}

/** Empty when the settings are in force; otherwise why they are not. */
async function importFrom(file: File): Promise<string> {
  if (file.size > MAX_BYTES) return text("importRefused_noSettings");
  const content = await file.text();
  const step = navigator.locks.request("change-setting", async () => {
    const made = await importedSettings(await readSettings(), content);
    if (typeof made !== "string") {
      return made.why === "noSettings"
        ? text("importRefused_noSettings")
        : text(`importRefused_${made.why}`, made.name);
    }
    await writeSettings(made);
    return "";
  });
  return step as unknown as Promise<string>;
}
