/** check-up page → relay of the top frame → page, and back: requests through Element's own session. */
import { isCount, isPlain, isText, type Plain } from "./shapes.ts";
import { MAX_VALUE_LENGTH, isKey } from "./requests.ts";

/** Longest answer of a homeserver that is handed on, in UTF-16 units. */
export const MAX_ANSWER_LENGTH = 16_000_000;
/** Most rooms that are told of, or asked about, at once. */
export const MAX_ROOMS = 5_000;
/** A preview names eight people, by Matrix IDs of up to 255 letters. */
const MAX_LINE_LENGTH = 4_000;
const MAX_USER_LENGTH = 300;
const MAX_PATH_LENGTH = 8_000;
/** Of a homeserver's client-server API and nothing else. */
const PATH = /^\/_matrix\/(?:client|media)\/[^#\\\s]*$/;

/** A request that the page makes of its homeserver. */
export interface HomeserverRequest {
  method: "GET" | "PUT" | "DELETE";
  /** Begins with `/_matrix/`. */
  path: string;
  /** JSON. */
  body: string | null;
  /** With the session's access token. */
  signed: boolean;
}

/**
 * What the page does for the check-up. `user` is whose check-up it is: nothing is done in the name of
 * whoever else is signed in by then.
 */
export type CheckUpTask =
  /** Says who is signed in, and whose names its encrypted state can encrypt. */
  | { do: "account" }
  | { do: "ask"; user: string; request: HomeserverRequest }
  /** Says who will not see the encrypted names of these rooms. */
  | { do: "preview"; user: string; rooms: string[] }
  /** Encrypts a room's name and topic. */
  | { do: "convert"; user: string; room: string }
  /** Says whether the session trusts a key backup, as its homeserver tells of it. */
  | { do: "judge"; user: string; backup: string };

/** What the relay does for it, with what is kept of repairs while the session lasts. */
export type CheckUpKeeping =
  { do: "load" } | { do: "keep"; user: string; key: string; value: string | null };

/** check-up page → relay of the top frame; answered by a `CheckUpOutcome`. */
export interface CheckUpQuery {
  kind: "check-up-query";
  task: CheckUpTask | CheckUpKeeping;
}

/** relay → page, over the port. */
export interface CheckUpCommand {
  kind: "check-up";
  /** Comes back with the answer. */
  wish: number;
  task: CheckUpTask;
}

export type CheckUpOutcome =
  | { is: "account"; user: string; device: string; homeserver: string; convertible: string[] }
  /** Nobody is signed in, or somebody else. */
  | { is: "nobody" }
  /** Status 0: there was no answer. `headers` is "name: value\n…". */
  | { is: "answer"; status: number; headers: string; body: string }
  | { is: "preview"; lines: string[] }
  | { is: "kept"; entries: Record<string, string> }
  /** With a sentence for people. */
  | { is: "failed"; why: string };

/** page → relay, over the port. */
export interface CheckUpAnswer {
  kind: "check-up-answer";
  wish: number;
  outcome: CheckUpOutcome;
}

/** What is kept of the last check-up, besides repairs: counts only. */
export const FOUND_KEY = "found";

export interface Found {
  count: number;
}

export function readFound(text: string | undefined): Found | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return isPlain(value) && isCount(value["count"]) ? { count: value["count"] } : undefined;
  } catch {
    return undefined;
  }
}

/** A query of the check-up page, or `undefined` when it is none. */
export function readCheckUpQuery(value: unknown): CheckUpQuery | undefined {
  if (!isPlain(value) || value["kind"] !== "check-up-query" || !isPlain(value["task"])) {
    return undefined;
  }
  const task = readTask(value["task"]) ?? readKeeping(value["task"]);
  return task && { kind: "check-up-query", task };
}

/** A command of the relay, or `undefined` when it is none. For the page's hooks. */
export function readCheckUpCommand(value: unknown): CheckUpCommand | undefined {
  if (!isPlain(value) || value["kind"] !== "check-up" || !isPlain(value["task"])) return undefined;
  const task = readTask(value["task"]);
  const { wish } = value;
  return task && isCount(wish) ? { kind: "check-up", wish, task } : undefined;
}

/**
 * An answer of the page's hooks, or `undefined` when it is none. One that says something else than it
 * may is told as failed, since somebody waits for it.
 */
export function readCheckUpAnswer(value: unknown): CheckUpAnswer | undefined {
  if (!isPlain(value) || value["kind"] !== "check-up-answer") return undefined;
  const { wish } = value;
  if (!isCount(wish)) return undefined;
  const why = "Mantle read something unexpected.";
  const outcome = readCheckUpOutcome(value["outcome"]) ?? { is: "failed", why };
  return { kind: "check-up-answer", wish, outcome };
}

export function readCheckUpOutcome(value: unknown): CheckUpOutcome | undefined {
  if (!isPlain(value)) return undefined;
  const { is, user, device, homeserver, convertible, status, headers, body, lines, why } = value;
  switch (is) {
    case "account":
      return isText(user, MAX_USER_LENGTH) &&
        isText(device, 300) &&
        isText(homeserver, 2_000) &&
        isList(convertible, MAX_ROOMS, 300)
        ? { is, user, device, homeserver, convertible }
        : undefined;
    case "nobody":
      return { is };
    case "answer":
      return isCount(status) &&
        status < 1_000 &&
        isText(headers, 100_000) &&
        isText(body, MAX_ANSWER_LENGTH)
        ? { is, status, headers, body }
        : undefined;
    case "preview":
      return isList(lines, 20, MAX_LINE_LENGTH) ? { is, lines } : undefined;
    case "kept":
      return isEntries(value["entries"]) ? { is, entries: value["entries"] } : undefined;
    case "failed":
      return isText(why, 1_000) ? { is, why } : undefined;
    default:
      return undefined;
  }
}

function readTask(value: Plain): CheckUpTask | undefined {
  const { user, room, rooms, backup } = value;
  if (value["do"] === "account") return { do: "account" };
  if (!isText(user, MAX_USER_LENGTH)) return undefined;
  switch (value["do"]) {
    case "ask": {
      const request = isPlain(value["request"]) ? readRequest(value["request"]) : undefined;
      return request && { do: "ask", user, request };
    }
    case "preview":
      return isList(rooms, MAX_ROOMS, 300) ? { do: "preview", user, rooms } : undefined;
    case "convert":
      return isText(room, 300) ? { do: "convert", user, room } : undefined;
    case "judge":
      return isText(backup, MAX_VALUE_LENGTH) ? { do: "judge", user, backup } : undefined;
    default:
      return undefined;
  }
}

function readKeeping(value: Plain): CheckUpKeeping | undefined {
  const { user, key } = value;
  const content = value["value"];
  if (value["do"] === "load") return { do: "load" };
  return value["do"] === "keep" &&
    isText(user, MAX_USER_LENGTH) &&
    isKey(key) &&
    (content === null || isText(content, MAX_VALUE_LENGTH))
    ? { do: "keep", user, key, value: content }
    : undefined;
}

function readRequest({ method, path, body, signed }: Plain): HomeserverRequest | undefined {
  const isMethod = method === "GET" || method === "PUT" || method === "DELETE";
  return isMethod &&
    isText(path, MAX_PATH_LENGTH) &&
    PATH.test(path) &&
    !/\/\.\.?(?:\/|\?|$)/.test(path) &&
    (body === null || isText(body, MAX_VALUE_LENGTH)) &&
    typeof signed === "boolean"
    ? { method, path, body, signed }
    : undefined;
}

function isList(value: unknown, most: number, longest: number): value is string[] {
  return Array.isArray(value) && value.length <= most && value.every((one) => isText(one, longest));
}

function isEntries(value: unknown): value is Record<string, string> {
  return isPlain(value) && Object.values(value).every((one) => isText(one, MAX_VALUE_LENGTH));
}
