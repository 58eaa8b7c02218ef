/** The part of the popup that encrypts names and topics of rooms that are there already. */
import type { JSX } from "preact";

import { type RoomsQuery, type RoomsSurvey, readRoomsSurvey } from "../../protocol/rooms.ts";
import { sendToTab } from "../../browser/api.ts";
import { counted, text } from "../../browser/messages.ts";

/** Undefined where the page has no rooms to speak of. */
export async function surveyRooms(tabId: number): Promise<RoomsSurvey | undefined> {
  const survey = readRoomsSurvey(await ask(tabId, "survey"));
  return survey?.shown === "none" && survey.possible === 0 ? undefined : survey;
}

export function RoomsCard({
  tabId,
  survey,
}: {
  readonly tabId: number;
  readonly survey: RoomsSurvey;
}): JSX.Element {
  const { shown, possible } = survey;
  const others = possible - (shown === "possible" ? 1 : 0);
  return (
    <>
      <h2>{text("rooms")}</h2>
      <p>{sentenceOf(survey)}</p>
      {shown === "possible" && (
        <Encrypt tabId={tabId} what="room" label={text("roomsEncryptShown")} kind="primary" />
      )}
      {others > 0 && (
        <Encrypt
          tabId={tabId}
          what="all"
          label={counted("roomsEncryptAll", possible)}
          kind="quiet"
        />
      )}
    </>
  );
}

function sentenceOf({ shown, sentence }: RoomsSurvey): string {
  switch (shown) {
    case "possible":
      return text("roomsPossible");
    case "encrypted":
      return text("roomsEncrypted");
    case "impossible":
      return sentence;
    case "none":
      return text("roomsNoneShown");
  }
}

/** The page asks once more, with a preview of who will not see the names. */
function Encrypt({
  tabId,
  what,
  label,
  kind,
}: {
  readonly tabId: number;
  readonly what: "room" | "all";
  readonly label: string;
  readonly kind: string;
}): JSX.Element {
  return (
    <button
      class={kind}
      type="button"
      data-what={what}
      onClick={() => void ask(tabId, what).then(() => window.close())}
    >
      {label}
    </button>
  );
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
