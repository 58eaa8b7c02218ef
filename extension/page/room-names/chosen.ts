/** The person's own name in the room that is shown, where they set it in Mantle's popup. */
import type { OwnNameAnswer, OwnNameCommand, OwnNameOutcome } from "../../protocol/own-name.ts";
import { sentenceIn } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";

export interface ChosenParts {
  /** Whether names leave sealed. */
  isOn(): boolean;
  /** The room that is shown, if they are in it. */
  shownRoom(): string | undefined;
  /** Rejects where nobody can tell. */
  isEncrypted(roomId: string): Promise<boolean>;
  /** The name that is sealed there now. */
  current(roomId: string): string | undefined;
  /** Sets it sealed, or rejects. */
  set(roomId: string, name: string): Promise<void>;
}

export async function runOwnName(
  parts: ChosenParts,
  { wish, task }: OwnNameCommand,
): Promise<OwnNameAnswer> {
  let outcome: OwnNameOutcome;
  try {
    if (task.do === "look") {
      outcome = await look(parts);
    } else {
      await parts.set(task.room, task.name);
      outcome = { is: "set" };
    }
  } catch (error) {
    // Where nobody can tell, there is nothing to offer.
    outcome =
      task.do === "look"
        ? { is: "none" }
        : { is: "failed", why: sentenceIn(error) ?? text("nicknameNotEncrypted") };
  }
  return { kind: "own-name-answer", wish, outcome };
}

async function look(parts: ChosenParts): Promise<OwnNameOutcome> {
  const room = parts.isOn() ? parts.shownRoom() : undefined;
  if (room === undefined || !(await parts.isEncrypted(room))) return { is: "none" };
  return { is: "offered", room, name: parts.current(room) ?? "" };
}
