/** The person's own name and picture in the room that is shown, where they set it in Mantle's popup. */
import type { OwnNameAnswer, OwnNameCommand, OwnNameOutcome } from "../../protocol/own-name.ts";
import { sentenceIn } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";
import type { Profile } from "./profile.ts";
import type { Change } from "./writer.ts";

export interface ChosenParts {
  /** Whether names leave sealed. */
  isOn(): boolean;
  /** The room that is shown, if they are in it. */
  shownRoom(): string | undefined;
  /** Rejects where nobody can tell. */
  isEncrypted(roomId: string): Promise<boolean>;
  /** What is sealed there now. */
  current(roomId: string): Profile;
  /** Asks for a picture, and sets that sealed or says why not. */
  pickPicture(roomId: string): Promise<void>;
  /** Sets it sealed, or rejects. */
  set(roomId: string, change: Change): Promise<void>;
}

const FAILURE = {
  set: "nicknameNotEncrypted",
  "pick-picture": "ownPictureNotEncrypted",
  "public-picture": "ownPictureNotEncrypted",
} as const;

export async function runOwnName(
  parts: ChosenParts,
  { wish, task }: OwnNameCommand,
): Promise<OwnNameAnswer> {
  let outcome: OwnNameOutcome;
  try {
    if (task.do === "look") {
      outcome = await look(parts);
    } else if (task.do === "pick-picture") {
      // The popup goes when the person turns to the page.
      void parts.pickPicture(task.room);
      outcome = { is: "asked" };
    } else {
      await parts.set(
        task.room,
        task.do === "set" ? { name: task.name } : { isPictureTaken: true },
      );
      outcome = { is: "set" };
    }
  } catch (error) {
    // Where nobody can tell, there is nothing to offer.
    outcome =
      task.do === "look"
        ? { is: "none" }
        : { is: "failed", why: sentenceIn(error) ?? text(FAILURE[task.do]) };
  }
  return { kind: "own-name-answer", wish, outcome };
}

async function look(parts: ChosenParts): Promise<OwnNameOutcome> {
  const room = parts.isOn() ? parts.shownRoom() : undefined;
  if (room === undefined || !(await parts.isEncrypted(room))) return { is: "none" };
  const { name = "", picture } = parts.current(room);
  return { is: "offered", room, name, hasPicture: picture !== undefined };
}
