/** popup → relay → page and back: whose room names could be encrypted. */
import { isPlain, isText, isCount } from "./shapes.ts";

/** relay → page, over the port: what the person wants of encrypted room names, in the popup. */
export interface RoomsCommand {
  kind: "rooms-wish";
  /** Comes back with the answer. */
  wish: number;
  /** survey: only tell; room: encrypt the shown room's name and topic; all: those of all rooms. */
  what: "survey" | "room" | "all";
}

/** page → relay → popup: which rooms' names could be encrypted. Counts only; names never leave. */
export interface RoomsSurvey {
  kind: "rooms-survey";
  wish: number;
  /** The room that is shown: encrypted already, can be, cannot be, or none is shown. */
  shown: "encrypted" | "possible" | "impossible" | "none";
  /** Why not, in words; empty otherwise. */
  sentence: string;
  /** Rooms whose name and topic this person can encrypt. */
  possible: number;
}

/** popup → relay of the top frame; a `survey` is answered by a `RoomsSurvey`. */
export interface RoomsQuery {
  kind: "rooms-query";
  what: RoomsCommand["what"];
}

const SHOWN: readonly string[] = ["encrypted", "possible", "impossible", "none"];

/** A page's answer to a survey, or `undefined` when it is none. */
export function readRoomsSurvey(value: unknown): RoomsSurvey | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-survey") {
    return undefined;
  }
  const { wish, shown, sentence, possible } = value;
  return isCount(wish) && isCount(possible) && isShown(shown) && isText(sentence, 1000)
    ? { kind: "rooms-survey", wish, shown, sentence, possible }
    : undefined;
}

/** The person's wish from the relay, or `undefined` when it is none. For the page's hooks. */
export function readRoomsCommand(value: unknown): RoomsCommand | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-wish") {
    return undefined;
  }
  const { wish, what } = value;
  return isCount(wish) && isWhat(what) ? { kind: "rooms-wish", wish, what } : undefined;
}

/** A wish from the popup, or `undefined` when it is none. */
export function readRoomsQuery(value: unknown): RoomsQuery | undefined {
  if (!isPlain(value) || value["kind"] !== "rooms-query" || !isWhat(value["what"])) {
    return undefined;
  }
  return { kind: "rooms-query", what: value["what"] };
}

function isShown(value: unknown): value is RoomsSurvey["shown"] {
  return typeof value === "string" && SHOWN.includes(value);
}

function isWhat(value: unknown): value is RoomsCommand["what"] {
  return value === "survey" || value === "room" || value === "all";
}
