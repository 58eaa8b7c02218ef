/** Settings to a file and from one; Rust says whether a file is whole. */
import { importedSettings } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { readSettings, writeSettings } from "../../browser/settings-store.ts";
import { button, element } from "../shared/dom.ts";
import { download } from "../shared/download.ts";
import { importedText } from "./imported-text.ts";

/** More is no file of Mantle's; see `MAX_IMPORT` in core/settings. */
const MAX_BYTES = 256 * 1024;
/** What somebody exports who never changed anything. */
const NOTHING = '{"version":1}';

export function showTransfer(section: HTMLElement): void {
  const outcome = element("p", { class: "outcome", role: "status" });
  const error = element("p", { class: "trouble", role: "alert" });
  const show = (done: string, refused: string): void => {
    outcome.textContent = done;
    error.textContent = refused;
  };
  const take = button(text("exportSettings"), "secondary", () => {
    void readSettings().then(({ stored }) => {
      download("mantle-settings.json", "application/json", `${stored ?? NOTHING}\n`);
      show(text("exported"), "");
    });
  });
  const file = element("input", { id: "import-file", class: "unseen", "aria-hidden": "true" });
  file.setAttribute("aria-label", text("importSettings"));
  file.type = "file";
  file.accept = ".json,application/json";
  // The button beside it is what a keyboard and a screen reader find.
  file.tabIndex = -1;
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen === undefined) return;
    importFrom(chosen).then(
      ({ done, refused }) => show(done, refused),
      () => show("", text("settingsUnreadable")),
    );
  });
  const put = button(text("importSettings"), "secondary", () => file.click());
  section.append(
    element("h2", { text: text("transfer") }),
    element("p", { class: "hint", text: text("transferText") }),
    element("div", { class: "buttons" }, take, put, file),
    outcome,
    error,
  );
}

interface Outcome {
  /** Empty when nothing was taken. */
  readonly done: string;
  readonly refused: string;
}

async function importFrom(file: File): Promise<Outcome> {
  if (file.size > MAX_BYTES) return { done: "", refused: text("importRefused_noSettings") };
  const content = await file.text();
  const step = navigator.locks.request("change-setting", async (): Promise<Outcome> => {
    const made = await importedSettings(await readSettings(), content);
    if (typeof made !== "string") {
      const refused =
        made.why === "noSettings"
          ? text("importRefused_noSettings")
          : text(`importRefused_${made.why}`, made.name);
      return { done: "", refused };
    }
    await writeSettings(made);
    return { done: await importedText(made), refused: "" };
  });
  return step as unknown as Promise<Outcome>;
}
