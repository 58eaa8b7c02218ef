/** Hosts that sites and their servers named as third parties: what the network rules stop besides. */
import { type LearnedHost, forgetLearned, readLearned } from "../../browser/learned.ts";
import { type SettingsView } from "../../browser/settings-core.ts";
import { ofTables, text } from "../../browser/messages.ts";
import { button, element } from "../shared/dom.ts";

export async function showLearned(section: HTMLElement, settings: SettingsView): Promise<void> {
  const learned = await readLearned();
  section.hidden = learned.length === 0;
  const list = element("ul");
  const lines = new Set<string>();
  for (const entry of learned) {
    const line = learnedText(entry, settings);
    // The same host, named in another container or at another path.
    if (lines.has(line)) continue;
    lines.add(line);
    const forget = button(text("learnedForget"), "quiet", () => {
      void forgetLearned((other) => isSame(other, entry));
    });
    forget.setAttribute("aria-label", text("learnedForgetOf", entry.host));
    list.append(element("li", {}, element("span", { text: line }), forget));
  }
  const all = button(text("learnedForgetAll"), "secondary", () => {
    void forgetLearned(() => true);
  });
  const focused = section.contains(document.activeElement) ? document.activeElement : null;
  const label = focused?.getAttribute("aria-label") ?? focused?.textContent;
  section.replaceChildren(
    element("h2", { text: text("learned") }),
    element("p", { class: "hint", text: text("learnedText") }),
    list,
    all,
  );
  // Who goes through the list by keyboard stays in it, also when a line went.
  if (focused === null) return;
  const buttons = [...section.querySelectorAll("button")];
  const same = buttons.find((one) => one.getAttribute("aria-label") === label);
  (same ?? buttons[0])?.focus();
}

function learnedText({ host, site, shield }: LearnedHost, { shields }: SettingsView): string {
  const name = shields.find(({ id }) => id === shield)?.name ?? shield;
  return text("learnedHost", host, site, ofTables(`shield_${shield}_name`, name));
}

function isSame(one: LearnedHost, other: LearnedHost): boolean {
  return one.host === other.host && one.site === other.site && one.shield === other.shield;
}
