/**
 * The homeserver of the soak: a true Synapse for accounts, devices, keys and the rooms whose names
 * change, and a script for all that comes by the ten thousand.
 */
import { answerJson, corsHeaders, forward } from "../support/recorder.ts";
import type { Handler, RecordedRequest, ResponseRewrite } from "../support/recorder.ts";
import { SOAK, syncAnswer } from "./traffic.ts";

export interface SoakHomeserver {
  readonly route: Handler;
  /** Requests the script answered, by what they were; syncs among them. */
  readonly answered: { syncs: number; others: number };
}

/** State that was set and is to come back by the next sync. */
type Changes = Map<string, Record<string, unknown>[]>;

const STATE = /^\/_matrix\/client\/v3\/rooms\/([^/]+)\/state\/([^/]+)\/([^/]*)$/;

/** `sender` is whose page it is. */
export function soakHomeserver(baseUrl: string, sender: () => string): SoakHomeserver {
  const answered = { syncs: 0, others: 0 };
  let changes: Changes = new Map();

  const rememberState: ResponseRewrite = (request, answer) => {
    const path = new URL(request.path, baseUrl).pathname;
    const [, roomId, type, key] = request.method === "PUT" ? (STATE.exec(path) ?? []) : [];
    if (roomId === undefined || type === undefined || key === undefined) return undefined;
    const { event_id: eventId } = JSON.parse(answer.toString("utf8")) as { event_id?: string };
    if (eventId === undefined) return undefined;
    const id = decodeURIComponent(roomId);
    const event = {
      type: decodeURIComponent(type),
      state_key: decodeURIComponent(key),
      content: JSON.parse(request.body.toString("utf8")) as unknown,
      event_id: eventId,
      sender: sender(),
      origin_server_ts: Date.now(),
      unsigned: { age: 10 },
    };
    changes.set(id, [...(changes.get(id) ?? []), event]);
    return undefined;
  };

  return {
    answered,
    route: (request, response) => {
      if (request.method === "OPTIONS") {
        const headers = { ...corsHeaders(request.headers), "Access-Control-Max-Age": "7200" };
        response.writeHead(204, headers).end();
        return undefined;
      }
      const since = sinceOf(request);
      if (since !== undefined) {
        answered.syncs += 1;
        const told = changes;
        changes = new Map();
        return answerJson(request, response, 200, syncAnswer(since, told));
      }
      if (isScripted(request)) {
        answered.others += 1;
        return answerJson(request, response, 200, answerTo(request));
      }
      return forward(baseUrl, request, response, undefined, rememberState);
    },
  };
}

/** The number in a sync of the soak. */
function sinceOf({ path }: RecordedRequest): number | undefined {
  const url = new URL(path, "https://hs");
  if (!url.pathname.endsWith("/sync")) return undefined;
  const since = url.searchParams.get("since") ?? "";
  return since.startsWith(SOAK) ? Number(since.slice(SOAK.length)) : undefined;
}

function isScripted({ path, body }: RecordedRequest): boolean {
  return decodeURIComponent(path).includes(SOAK) || body.includes(SOAK);
}

/** As much of an answer as shows each hook something to go through. */
function answerTo({ path }: RecordedRequest): unknown {
  if (path.includes("/messages")) {
    return { chunk: Array.from({ length: 10 }, (_, n) => message(n)), start: "a", end: "b" };
  }
  if (path.includes("/relations/") || path.includes("/members")) return { chunk: [] };
  if (path.includes("/context/")) return { event: message(1), events_before: [], events_after: [] };
  if (path.includes("/keys/query")) return { device_keys: {}, failures: {} };
  if (path.includes("/profile/")) return { displayname: "Somebody" };
  if (path.includes("/hierarchy")) return { rooms: [] };
  if (path.includes("/search")) return { limited: false, results: [] };
  if (path.includes("/publicRooms")) return { chunk: [] };
  if (path.includes("/state/m.room.name")) return { name: "Readable" };
  if (/\/(send|redact)\//.test(path)) return { event_id: "$sent" };
  return {};
}

const message = (n: number): unknown => ({
  type: "m.room.message",
  event_id: `$${SOAK}old${n}`,
  sender: `@${SOAK}${n}:hs.example.org`,
  origin_server_ts: n,
  content: { msgtype: "m.text", body: `Older ${n}` },
});
