/** popup → relay of the top frame → page, and back: the person's own name and picture in the room that is shown. */
import { isCount, isPlain, isText } from "./shapes.ts";

/** Longest name, in UTF-16 units. */
export const MAX_OWN_NAME = 512;
const MAX_ROOM = 300;

/**
 * look: says of which room it could be set, and what it is; set: sets it there; pick-picture: has the
 * page ask for a picture for that room alone; public-picture: takes that back.
 */
export type OwnNameTask =
  | { do: "look" }
  | { do: "set"; room: string; name: string }
  | { do: "pick-picture" | "public-picture"; room: string };

/** popup → relay of the top frame; answered by an `OwnNameOutcome`. */
export interface OwnNameQuery {
  kind: "own-name-query";
  task: OwnNameTask;
}

/** relay → page, over the port. */
export interface OwnNameCommand {
  kind: "own-name";
  /** Comes back with the answer. */
  wish: number;
  task: OwnNameTask;
}

export type OwnNameOutcome =
  /** No room is shown in which it would leave sealed. */
  | { is: "none" }
  /** Empty: the public one. `hasPicture`: one of that room alone. */
  | { is: "offered"; room: string; name: string; hasPicture: boolean }
  | { is: "set" }
  /** The person goes on in the page. */
  | { is: "asked" }
  /** With a sentence for people. */
  | { is: "failed"; why: string };

/** page → relay, over the port. */
export interface OwnNameAnswer {
  kind: "own-name-answer";
  wish: number;
  outcome: OwnNameOutcome;
}

/** A query of the popup, or `undefined` when it is none. */
export function readOwnNameQuery(value: unknown): OwnNameQuery | undefined {
  if (!isPlain(value) || value["kind"] !== "own-name-query") return undefined;
  const task = readTask(value["task"]);
  return task && { kind: "own-name-query", task };
}

/** A command of the relay, or `undefined` when it is none. For the page's hooks. */
export function readOwnNameCommand(value: unknown): OwnNameCommand | undefined {
  if (!isPlain(value) || value["kind"] !== "own-name") return undefined;
  const task = readTask(value["task"]);
  const { wish } = value;
  return task && isCount(wish) ? { kind: "own-name", wish, task } : undefined;
}

/** An answer of the page's hooks, or `undefined` when it is none. */
export function readOwnNameAnswer(value: unknown): OwnNameAnswer | undefined {
  if (!isPlain(value) || value["kind"] !== "own-name-answer") return undefined;
  const outcome = readOwnNameOutcome(value["outcome"]);
  const { wish } = value;
  return outcome && isCount(wish) ? { kind: "own-name-answer", wish, outcome } : undefined;
}

export function readOwnNameOutcome(value: unknown): OwnNameOutcome | undefined {
  if (!isPlain(value)) return undefined;
  const { is, room, name, hasPicture, why } = value;
  switch (is) {
    case "none":
    case "set":
    case "asked":
      return { is };
    case "offered":
      return isText(room, MAX_ROOM) && isText(name, MAX_OWN_NAME) && typeof hasPicture === "boolean"
        ? { is, room, name, hasPicture }
        : undefined;
    case "failed":
      return isText(why, 1_000) ? { is, why } : undefined;
    default:
      return undefined;
  }
}

function readTask(value: unknown): OwnNameTask | undefined {
  if (!isPlain(value)) return undefined;
  const { room, name } = value;
  if (value["do"] === "look") return { do: "look" };
  if (value["do"] === "pick-picture" || value["do"] === "public-picture") {
    return isText(room, MAX_ROOM) ? { do: value["do"], room } : undefined;
  }
  return value["do"] === "set" && isText(room, MAX_ROOM) && isText(name, MAX_OWN_NAME)
    ? { do: "set", room, name }
    : undefined;
}
