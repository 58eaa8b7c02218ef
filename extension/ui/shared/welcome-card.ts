/** What everyone is told once, unless the organisation agreed for its users. */
import { AGREED, isAgreed } from "../../browser/consent.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { changeSetting } from "./setting-change.ts";
import { button, element } from "./dom.ts";

export function showWelcome(card: HTMLElement, settings: SettingsView): void {
  const agreed = isAgreed(settings);
  card.hidden = agreed;
  if (agreed || card.childElementCount > 0) {
    return;
  }
  card.append(
    element("h2", { text: text("welcome") }),
    element("p", { text: text("welcomeText") }),
    button(text("welcomeAgree"), "primary", () => {
      void changeSetting(AGREED);
    }),
  );
}
