/**
 * Opened once, after installation: what Mantle does with what it sees, and which settings it begins
 * with. Whoever closes the page has the recommended ones, and is told in the popup until they agree.
 */
import { type JSX, render } from "preact";

import { openOptionsPage } from "../../browser/api.ts";
import { type MessageName, readMessages, text } from "../../browser/messages.ts";
import { type SettingsView, describeSettings } from "../../browser/settings-core.ts";
import { readSettings, watchSettings } from "../../browser/settings-store.ts";
import { reasonOf } from "../shared/reason.ts";
import { changeSettings } from "../shared/setting-change.ts";
import { type Choice, type Offer, offersOf } from "./choices.ts";

const TOLD: readonly MessageName[] = [
  "firstRunSees",
  "firstRunKeeps",
  "firstRunSends",
  "firstRunEnds",
];

interface State {
  /** Undefined until they were read. */
  readonly settings?: SettingsView;
  /** What the person chose here; the page then says so instead of asking. */
  readonly chosen?: Choice;
  /** Why a choice was not taken. */
  readonly trouble?: string;
  readonly isUnreadable?: true;
}

let state: State = {};

function show(change: State): void {
  state = { ...state, ...change };
  render(<Page {...state} />, document.body);
}

function Page({ settings, chosen, trouble, isUnreadable }: State): JSX.Element {
  return (
    <>
      <header>
        <img src="icons/mantle-48.png" alt="" width="40" height="40" />
        <h1 id="title">{text("firstRunTitle")}</h1>
      </header>
      <main>
        <p id="intro">{text(isUnreadable === true ? "settingsUnreadable" : "firstRunIntro")}</p>
        <section id="told" aria-labelledby="told-title">
          <h2 id="told-title">{text("firstRunTold")}</h2>
          <ul>
            {TOLD.map((name) => (
              <li key={name}>{text(name)}</li>
            ))}
          </ul>
        </section>
        <section
          id="choices"
          aria-labelledby="choices-title"
          hidden={settings === undefined || chosen !== undefined}
        >
          {settings !== undefined && chosen === undefined && (
            <Choices settings={settings} trouble={trouble ?? ""} />
          )}
        </section>
        <section
          id="chosen"
          class="card good"
          aria-labelledby="chosen-title"
          tabIndex={-1}
          hidden={chosen === undefined}
        >
          {chosen !== undefined && <Chosen choice={chosen} />}
        </section>
      </main>
    </>
  );
}

function Choices({
  settings,
  trouble,
}: {
  readonly settings: SettingsView;
  readonly trouble: string;
}): JSX.Element {
  const isDecided = settings.profile.locked;
  return (
    <>
      <h2 id="choices-title">{text(isDecided ? "firstRunDecided" : "firstRunChoose")}</h2>
      {isDecided && <p class="lock">{text("lockedByOrganisation")}</p>}
      {offersOf(settings).map((offer) => (
        <Card key={offer.choice.id} offer={offer} />
      ))}
      <p class="trouble" role="alert">
        {trouble}
      </p>
      <p>{text(isDecided ? "firstRunRefuse" : "firstRunClose")}</p>
    </>
  );
}

function Card({ offer }: { readonly offer: Offer }): JSX.Element {
  const { choice, agree, isMain } = offer;
  return (
    <article class={`card ${choice.id}`} data-choice={choice.id}>
      <h3>{text(choice.name)}</h3>
      <p>{text(choice.about)}</p>
      {agree !== undefined && (
        <button
          class={isMain ? "primary" : "secondary"}
          type="button"
          onClick={() => void take(offer)}
        >
          {text(agree)}
        </button>
      )}
    </article>
  );
}

function Chosen({ choice }: { readonly choice: Choice }): JSX.Element {
  return (
    <>
      <h2 id="chosen-title">{text("firstRunChosen", text(choice.name))}</h2>
      <p>{text("firstRunNext")}</p>
      <button class="secondary" type="button" onClick={() => void openOptionsPage()}>
        {text("allSettings")}
      </button>
    </>
  );
}

async function take({ choice, changes }: Offer): Promise<void> {
  try {
    await changeSettings(changes);
  } catch (error) {
    show({ trouble: reasonOf(error) });
    return;
  }
  show({ chosen: choice });
  // The pressed button went; whoever uses a keyboard or a screen reader goes on here.
  document.getElementById("chosen")?.focus();
  if (choice.id === "each") await openOptionsPage();
}

async function read(): Promise<void> {
  show({ settings: await describeSettings(await readSettings()) });
}

async function start(): Promise<void> {
  await readMessages();
  document.title = text("firstRunTitle");
  show({});
  await read();
  // A browser may hand the policy over late.
  watchSettings(() => void read());
}

start().catch(() => show({ isUnreadable: true }));
