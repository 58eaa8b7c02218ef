/** Hosts that a shield lets pass. */
import { withPages } from "../../browser/pages-module.ts";
import type { SettingsView } from "../../browser/settings-core.ts";
import { text } from "../../browser/messages.ts";
import { button, element } from "./dom.ts";
import type { ChangeSetting } from "./setting-change.ts";

export interface AllowList {
  readonly root: HTMLElement;
  update(settings: SettingsView): void;
}

const EXAMPLE = "contacts.example.org";

export function allowList(shield: string, title: string, change: ChangeSetting): AllowList {
  const hintId = `allow-hint-${shield}`;
  const input = element("textarea", { id: `allow-${shield}`, "aria-describedby": hintId });
  input.rows = 2;
  input.spellcheck = false;
  input.placeholder = EXAMPLE;
  const outcome = element("span", { role: "status", class: "outcome" });
  const save = button(text("save"), "secondary", () => {
    void store(hostsIn(input.value));
  });
  const store = async (hosts: string[]): Promise<void> => {
    const wrong = await firstThatIsNone(hosts);
    input.setAttribute("aria-invalid", String(wrong !== undefined));
    outcome.textContent = wrong === undefined ? "" : text("allowBadHost", wrong);
    if (wrong === undefined) {
      await change({ type: "allow", shield, hosts }).then(
        () => (outcome.textContent = text("saved")),
        () => input.setAttribute("aria-invalid", "true"),
      );
    }
  };
  const label = element("label", { text: title });
  label.htmlFor = input.id;
  const root = element(
    "div",
    { class: "field" },
    label,
    input,
    element("p", { class: "hint", id: hintId, text: text("allowHint", EXAMPLE) }),
    element("div", { class: "buttons" }, save, outcome),
  );
  let shown: string | undefined;
  const update = ({ ownAllow, shields }: SettingsView): void => {
    const stored = (ownAllow[shield] ?? []).join("\n");
    if (shown !== stored) {
      shown = stored;
      input.value = stored;
    }
    const locked = shields.some((view) => view.id === shield && view.locked);
    input.disabled = locked;
    save.disabled = locked;
  };
  return { root, update };
}

function hostsIn(list: string): string[] {
  const lines = list.split("\n").map((line) => line.trim().toLowerCase());
  return [...new Set(lines.filter((line) => line !== ""))];
}

async function firstThatIsNone(hosts: string[]): Promise<string | undefined> {
  return withPages(({ host }) => hosts.find((typed) => host(typed) === undefined));
}
