/** Settings to a file and from one; Rust says whether a file is whole. */
import { Component, Fragment, type JSX, createRef } from "preact";

import { importedSettings } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { readSettings, writeSettings } from "../../browser/settings-store.ts";
import { download } from "../shared/download.ts";
import { importedText } from "./imported-text.ts";

/** More is no file of Mantle's; see `MAX_IMPORT` in core/settings. */
const MAX_BYTES = 256 * 1024;
/** What somebody exports who never changed anything. */
const NOTHING = '{"version":1}';

interface State {
  readonly outcome: Outcome;
  /** How many there were: what is said once more is a new sentence to whoever hears it. */
  readonly outcomes: number;
}

export class Transfer extends Component<object, State> {
  override state: State = { outcome: { done: "", refused: "" }, outcomes: 0 };
  readonly #file = createRef<HTMLInputElement>();

  override render(_props: object, { outcome, outcomes }: State): JSX.Element {
    return (
      <>
        <h2>{text("transfer")}</h2>
        <p class="hint">{text("transferText")}</p>
        <div class="buttons">
          <button class="secondary" type="button" onClick={() => void this.#export()}>
            {text("exportSettings")}
          </button>
          <button class="secondary" type="button" onClick={() => this.#file.current?.click()}>
            {text("importSettings")}
          </button>
          <input
            id="import-file"
            class="unseen"
            type="file"
            accept=".json,application/json"
            aria-label={text("importSettings")}
            // The button beside it is what a keyboard and a screen reader find.
            aria-hidden="true"
            tabIndex={-1}
            ref={this.#file}
            onChange={({ currentTarget }) => void this.#import(currentTarget)}
          />
        </div>
        <p class="outcome" role="status">
          <Fragment key={outcomes}>{outcome.done}</Fragment>
        </p>
        <p class="trouble" role="alert">
          <Fragment key={outcomes}>{outcome.refused}</Fragment>
        </p>
      </>
    );
  }

  async #export(): Promise<void> {
    const { stored } = await readSettings();
    download("mantle-settings.json", "application/json", `${stored ?? NOTHING}\n`);
    this.#show({ done: text("exported"), refused: "" });
  }

  async #import(file: HTMLInputElement): Promise<void> {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen === undefined) return;
    const failed: Outcome = { done: "", refused: text("settingsUnreadable") };
    this.#show(await importFrom(chosen).catch(() => failed));
  }

  #show(outcome: Outcome): void {
    this.setState(({ outcomes }) => ({ outcome, outcomes: outcomes + 1 }));
  }
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
