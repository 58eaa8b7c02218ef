/** The part of the popup that sets the person's own name in the room that is shown, and takes their picture there back. */
import {
  MAX_OWN_NAME,
  type OwnNameOutcome,
  type OwnNameQuery,
  readOwnNameOutcome,
} from "../../protocol/own-name.ts";
import { sendToTab } from "../../browser/api.ts";
import { text } from "../../browser/messages.ts";
import { element } from "../shared/dom.ts";

/** Fills the section; it stays hidden where no name would leave sealed. */
export async function showOwnName(section: HTMLElement, tabId: number): Promise<void> {
  const found = await ask(tabId, { do: "look" });
  if (found?.is !== "offered") return;
  const { room } = found;
  const field = element("input", { id: "own-name-field", "aria-describedby": "own-name-about" });
  field.type = "text";
  field.maxLength = MAX_OWN_NAME;
  field.autocomplete = "off";
  field.spellcheck = false;
  field.value = found.name;
  const label = element("label", { text: text("ownName") });
  label.htmlFor = field.id;
  const set = element("button", { text: text("ownNameSet"), class: "primary" });
  set.type = "submit";
  const outcome = element("p", { role: "status" });
  const form = element("form", {}, field, set);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // Not by `disabled`, which would take the focus away from whoever pressed it.
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    outcome.textContent = text("ownNameSetting");
    void ask(tabId, { do: "set", room, name: field.value.trim() }).then((answer) => {
      form.ariaBusy = "false";
      outcome.textContent = sentenceOf(answer);
    });
  });
  const take = element("button", { text: text("ownPictureTake"), class: "plain" });
  take.type = "button";
  const pictures = element("p", { text: text("ownPictureText") });
  const picture = element("div", { id: "own-picture" }, pictures, take);
  picture.hidden = !found.hasPicture;
  take.addEventListener("click", () => {
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    outcome.textContent = text("ownPictureTaking");
    void ask(tabId, { do: "public-picture", room }).then((answer) => {
      form.ariaBusy = "false";
      outcome.textContent = answer?.is === "set" ? text("ownPictureTaken") : sentenceOf(answer);
      if (answer?.is !== "set") return;
      field.focus();
      picture.hidden = true;
    });
  });
  section.hidden = false;
  section.replaceChildren(
    element("h2", {}, label),
    element("p", { id: "own-name-about", text: text("ownNameText") }),
    form,
    picture,
    outcome,
  );
}

function sentenceOf(answer: OwnNameOutcome | undefined): string {
  if (answer?.is === "set") return text("ownNameDone");
  return answer?.is === "failed" ? answer.why : text("ownNameNoAnswer");
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
