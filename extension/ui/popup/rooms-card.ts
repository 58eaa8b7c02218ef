/** The part of the popup that encrypts names and topics of rooms that are there already. */
import { type RoomsQuery, readRoomsSurvey } from "../../protocol/rooms.ts";
import { sendToTab } from "../../browser/api.ts";
import { type MessageName, counted, text } from "../../browser/messages.ts";
import { button, element } from "../shared/dom.ts";

/** Fills the section; it stays hidden where the page has no rooms to speak of. */
export async function showRooms(section: HTMLElement, tabId: number): Promise<void> {
  const survey = readRoomsSurvey(await ask(tabId, "survey"));
  if (survey === undefined || (survey.shown === "none" && survey.possible === 0)) {
    return;
  }
  section.hidden = false;
  section.dataset["shown"] = survey.shown;
  section.replaceChildren(element("h2", { text: text("rooms") }));
  const say = (name: MessageName): void => {
    section.append(element("p", { text: text(name) }));
  };
  switch (survey.shown) {
    case "possible":
      say("roomsPossible");
      section.append(encryptButton(tabId, "room", text("roomsEncryptShown"), "primary"));
      break;
    case "encrypted":
      say("roomsEncrypted");
      break;
    case "impossible":
      section.append(element("p", { text: survey.sentence }));
      break;
    case "none":
      say("roomsNoneShown");
  }
  const others = survey.possible - (survey.shown === "possible" ? 1 : 0);
  if (others > 0) {
    const label = counted("roomsEncryptAll", survey.possible);
    section.append(encryptButton(tabId, "all", label, "quiet"));
  }
}

/** The page asks once more, with a preview of who will not see the names. */
function encryptButton(
  tabId: number,
  what: "room" | "all",
  label: string,
  kind: string,
): HTMLButtonElement {
  const made = button(label, kind, () => {
    void ask(tabId, what).then(() => window.close());
  });
  made.dataset["what"] = what;
  return made;
}

async function ask(tabId: number, what: RoomsQuery["what"]): Promise<unknown> {
  const query: RoomsQuery = { kind: "rooms-query", what };
  try {
    return await sendToTab(tabId, query);
  } catch {
    // No content script of ours in that tab, or the page is going away.
    return undefined;
  }
}
