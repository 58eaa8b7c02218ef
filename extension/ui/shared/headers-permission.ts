/** Whether the browser lets Mantle change requests; without that a shield's switch does nothing. */
import type { SettingsView } from "../../browser/settings-core.ts";
import { EVERYWHERE, hasHost, removeHost, requestHost } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";
import { button, element } from "./dom.ts";

export interface HeadersPermission {
  readonly root: HTMLElement;
  update(settings: SettingsView): void;
}

/** For the shield with this id. */
export function headersPermission(id: string): HeadersPermission {
  const status = element("p", { role: "status" });
  const show = async (isOn: boolean): Promise<void> => {
    const given = await hasHost(EVERYWHERE);
    root.hidden = !isOn && !given;
    status.textContent = text(given ? "headersGiven" : "headersMissing");
    give.hidden = given;
    takeBack.hidden = !given;
  };
  let isOn = false;
  const give = button(text("headersGive"), "primary", () => {
    // First, while the browser still counts this as the person's click.
    void requestHost(EVERYWHERE).then(() => show(isOn));
  });
  const takeBack = button(text("headersTakeBack"), "quiet", () => {
    void removeHost(EVERYWHERE).then(() => show(isOn));
  });
  const root = element("div", { class: "field" }, status, give, takeBack);
  root.hidden = true;
  return {
    root,
    update: ({ shields }) => {
      isOn = shields.find((shield) => shield.id === id)?.mode === "on";
      void show(isOn);
    },
  };
}
