/** The part of the popup that sets the person's own name and picture in the room that is shown. */
import { Component, type JSX, createRef } from "preact";

import {
  MAX_OWN_NAME,
  type OwnNameOutcome,
  type OwnNameQuery,
  readOwnNameOutcome,
} from "../../protocol/own-name.ts";
import { sendToTab } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";

export type OfferedName = Extract<OwnNameOutcome, { is: "offered" }>;

/** Undefined where no name would leave sealed. */
export async function offeredName(tabId: number): Promise<OfferedName | undefined> {
  const found = await ask(tabId, { do: "look" });
  return found?.is === "offered" ? found : undefined;
}

interface Props {
  readonly tabId: number;
  readonly offered: OfferedName;
}

interface State {
  /** Undefined until something was asked for. */
  readonly isBusy?: boolean;
  readonly outcome: string;
  readonly hasPicture: boolean;
}

export class NameFields extends Component<Props, State> {
  override state: State = { outcome: "", hasPicture: this.props.offered.hasPicture };
  readonly #field = createRef<HTMLInputElement>();

  override render({ offered }: Props, { isBusy, outcome, hasPicture }: State): JSX.Element {
    return (
      <>
        <h2>
          <label for="own-name-field">{text("ownName")}</label>
        </h2>
        <p id="own-name-about">{text("ownNameText")}</p>
        {/* Not by `disabled`, which would take the focus away from whoever pressed the button. */}
        <form
          aria-busy={isBusy}
          onSubmit={(event) => {
            event.preventDefault();
            void this.#set();
          }}
        >
          <input
            id="own-name-field"
            aria-describedby="own-name-about"
            type="text"
            maxLength={MAX_OWN_NAME}
            autocomplete="off"
            spellcheck={false}
            defaultValue={offered.name}
            ref={this.#field}
            // What is typed now is not what was set; what is being done is still said.
            onInput={() => this.state.isBusy !== true && this.setState({ outcome: "" })}
          />
          <button class="primary" type="submit">
            {text("ownNameSet")}
          </button>
        </form>
        <div id="own-picture" hidden={!hasPicture}>
          <p>{text("ownPictureText")}</p>
          <button class="plain" type="button" onClick={() => void this.#takePictureBack()}>
            {text("ownPictureTake")}
          </button>
        </div>
        <button
          id="own-picture-pick"
          class="secondary"
          type="button"
          onClick={() => void this.#pickPicture()}
        >
          {text("ownPicturePick")}
        </button>
        <p role="status">{outcome}</p>
      </>
    );
  }

  async #set(): Promise<void> {
    const name = this.#field.current?.value.trim() ?? "";
    const { room } = this.props.offered;
    const answer = await this.#asked({ do: "set", room, name }, text("ownNameSetting"));
    if (answer?.is === "set") this.setState({ outcome: text("ownNameDone") });
  }

  async #takePictureBack(): Promise<void> {
    const { room } = this.props.offered;
    const answer = await this.#asked({ do: "public-picture", room }, text("ownPictureTaking"));
    if (answer?.is !== "set") return;
    // Before the button that has the focus goes.
    this.#field.current?.focus();
    this.setState({ outcome: text("ownPictureTaken"), hasPicture: false });
  }

  async #pickPicture(): Promise<void> {
    const { room } = this.props.offered;
    const answer = await this.#asked({ do: "pick-picture", room }, "");
    if (answer?.is === "asked") this.setState({ outcome: text("ownPictureAsked") });
  }

  /** Says what is being done, and why it was not; one thing at a time. */
  async #asked(task: OwnNameQuery["task"], doing: string): Promise<OwnNameOutcome | undefined> {
    if (this.state.isBusy === true) return undefined;
    this.setState({ isBusy: true, outcome: doing });
    const answer = await ask(this.props.tabId, task);
    this.setState({ isBusy: false });
    if (answer?.is !== "set" && answer?.is !== "asked") {
      this.setState({ outcome: answer?.is === "failed" ? answer.why : text("ownNameNoAnswer") });
    }
    return answer;
  }
}

async function ask(tabId: number, task: OwnNameQuery["task"]): Promise<OwnNameOutcome | undefined> {
  const query: OwnNameQuery = { kind: "own-name-query", task };
  try {
    return readOwnNameOutcome(await sendToTab(tabId, query));
  } catch {
    // No content script of ours in that tab, or the page is going away.
    return undefined;
  }
}
