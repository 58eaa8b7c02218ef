/** What everyone is told once, unless the organisation agreed for its users. */
import type { JSX } from "preact";

import { AGREED, isAgreed } from "../../browser/consent.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { changeSetting } from "./setting-change.ts";

export function Welcome({
  settings,
}: {
  /** Undefined until they were read. */
  readonly settings: SettingsView | undefined;
}): JSX.Element {
  const isAsked = settings !== undefined && !isAgreed(settings);
  return (
    <section id="welcome" class="card" hidden={!isAsked}>
      {isAsked && (
        <>
          <h2>{text("welcome")}</h2>
          <p>{text("welcomeText")}</p>
          <button class="primary" type="button" onClick={() => void changeSetting(AGREED)}>
            {text("welcomeAgree")}
          </button>
        </>
      )}
    </section>
  );
}
