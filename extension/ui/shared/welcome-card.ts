/** What everyone is told once, unless the organisation agreed for its users. */
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { changeSetting } from "./setting-change.ts";
import { button, element } from "./dom.ts";

export function showWelcome(card: HTMLElement, settings: SettingsView): void {
  const agreed = settings.general.some((option) => option.key === "consent" && option.value);
  card.hidden = agreed;
  if (agreed || card.childElementCount > 0) {
    return;
  }
  card.append(
    element("h2", { text: text("welcome") }),
    element("p", { text: text("welcomeText") }),
    button(text("welcomeAgree"), "primary", () => {
      void changeSetting({ type: "option", shield: "general", key: "consent", value: true });
    }),
  );
}
