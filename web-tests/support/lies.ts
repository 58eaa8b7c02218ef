/** A homeserver that lies: it forwards to a true one and changes what it tells its clients. */
import type { ServerResponse } from "node:http";
import { answerJson, corsHeaders, forward } from "./recorder.ts";
import type { ResponseRewrite, Handler, RecordedRequest, Recorder } from "./recorder.ts";

/** A JSON object. */
export type Plain = Record<string, unknown>;

/** An event in an answer; to be changed in place. */
export interface WireEvent {
  type?: unknown;
  state_key?: unknown;
  sender?: unknown;
  event_id?: unknown;
  origin_server_ts?: unknown;
  content?: unknown;
  unsigned?: unknown;
}

/** The lists of one room in an answer of `/sync`. */
export interface SyncedRoom {
  readonly roomId: string;
  /** `state`, or `state_after` where the client asked for it. */
  readonly state: WireEvent[];
  readonly timeline: WireEvent[];
}

/** Changes one answer in place; true when it did. */
export type Lie = (answer: Plain, request: RecordedRequest) => boolean;

/** How a request fails. */
export type Failure = "502" | "429" | "network" | "lost" | "cut" | "empty";

/** A route to a true homeserver with lies in between. */
export interface LyingHomeserver {
  readonly route: Handler;
  /** Begins a lie; the result ends it. */
  tell(lie: Lie): () => void;
  /**
   * Lets requests fail before the true server has them, or, with `lost`, `cut` (in the midst of the
   * answer) and `empty` (an answer that says nothing), after it has done what they ask for; the result
   * tells how many, and ends it.
   */
  fail(matches: (request: RecordedRequest) => boolean, how: Failure): () => number;
  /**
   * Breaks a client's line: what is under way gets no answer, and nothing more comes through. With
   * `last` it breaks with the first such request, which the true server still does.
   */
  cut(
    isClient: (request: RecordedRequest) => boolean,
    last?: (request: RecordedRequest) => boolean,
  ): { isCut(): boolean; mend(): void };
  /** Keeps requests from the true server until they are let go. */
  hold(matches: (request: RecordedRequest) => boolean): { held(): number; letGo(): void };
}

/** Forwards to `baseUrl`; without lies it changes no byte. */
export function lyingHomeserver(baseUrl: string): LyingHomeserver {
  const lies = new Set<Lie>();
  const failures = new Set<(request: RecordedRequest) => Failure | undefined>();
  const holds = new Set<(request: RecordedRequest) => Promise<void> | undefined>();
  const lines = new Set<(request: RecordedRequest) => boolean | Promise<boolean>>();
  const underWay = new Map<ServerResponse, RecordedRequest>();
  const breakOff = (isClient: (request: RecordedRequest) => boolean): void => {
    for (const [response, request] of underWay) if (isClient(request)) response.destroy();
  };
  /** What the true server does without anybody hearing of it. */
  const doUnheard = async (request: RecordedRequest): Promise<void> => {
    const { authorization = "" } = request.headers;
    await fetch(baseUrl + request.path, {
      method: request.method,
      headers: { authorization, "content-type": "application/json" },
      body: new Uint8Array(request.body),
    });
  };
  const rewrite: ResponseRewrite = (request, original) => {
    // Preflights and files are answered with no JSON at all.
    const isFile = request.method === "GET" && request.path.includes("/media/");
    if (lies.size === 0 || original.length === 0 || isFile) return undefined;
    const answer: unknown = JSON.parse(original.toString("utf8"));
    if (!isObject(answer)) return undefined;
    let changed = false;
    for (const lie of lies) changed = lie(answer, request) || changed;
    return changed ? Buffer.from(JSON.stringify(answer)) : undefined;
  };
  return {
    route: async (request, response) => {
      underWay.set(response, request);
      response.once("close", () => underWay.delete(response));
      for (const isCut of lines) {
        if (!(await isCut(request))) continue;
        response.destroy();
        return undefined;
      }
      if (request.method !== "OPTIONS") for (const hold of holds) await hold(request);
      for (const failure of failures) {
        const how = request.method === "OPTIONS" ? undefined : failure(request);
        if (how === "502") return answerJson(request, response, 502, { error: "Bad gateway" });
        if (how === "429") {
          const wait = { errcode: "M_LIMIT_EXCEEDED", error: "Too fast", retry_after_ms: 200 };
          return answerJson(request, response, 429, wait);
        }
        if (how === "lost" || how === "cut" || how === "empty") {
          await doUnheard(request);
          if (how === "empty") return answerJson(request, response, 200, {});
          if (how === "cut") {
            const size = { "Content-Type": "application/json", "Content-Length": "100" };
            response.writeHead(200, { ...corsHeaders(request.headers), ...size });
            response.write('{"room_id":"!', () => response.destroy());
            return undefined;
          }
          // No page may read an answer without CORS headers, and no browser tries again.
          response.writeHead(200).end("{}");
          return undefined;
        }
        if (how === "network") {
          response.destroy();
          return undefined;
        }
      }
      return forward(baseUrl, request, response, undefined, rewrite);
    },
    fail: (matches, how) => {
      let count = 0;
      const failure = (request: RecordedRequest): Failure | undefined => {
        if (!matches(request)) return undefined;
        count += 1;
        return how;
      };
      failures.add(failure);
      return () => {
        failures.delete(failure);
        return count;
      };
    },
    cut: (isClient, last) => {
      let isCut = last === undefined;
      const line = (request: RecordedRequest): boolean | Promise<boolean> => {
        if (!isClient(request)) return false;
        if (isCut || request.method === "OPTIONS" || last?.(request) !== true) return isCut;
        isCut = true;
        // Nor by a sync that is under way.
        breakOff((other) => other !== request && isClient(other));
        return doUnheard(request).then(() => true);
      };
      lines.add(line);
      if (isCut) breakOff(isClient);
      return { isCut: () => isCut, mend: () => lines.delete(line) };
    },
    hold: (matches) => {
      let count = 0;
      let letGo = (): void => undefined;
      const gone = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const hold = (request: RecordedRequest): Promise<void> | undefined => {
        if (!matches(request)) return undefined;
        count += 1;
        return gone;
      };
      holds.add(hold);
      return {
        held: () => count,
        letGo: () => {
          holds.delete(hold);
          letGo();
        },
      };
    },
    tell: (lie) => {
      lies.add(lie);
      return () => lies.delete(lie);
    },
  };
}

/** Lets clients outside a browser use the recorder as their homeserver; gives the address. */
export function homeserverFront(recorder: Recorder, route: Handler): string {
  const host = `127.0.0.1:${recorder.port}`;
  recorder.route(host, route);
  return `http://${host}`;
}

/** Lies about one joined room, whenever an answer of `/sync` has it. */
export function aboutRoom(roomId: string, lie: (room: SyncedRoom) => boolean): Lie {
  return (answer) => {
    const room = syncedRoom(answer, roomId);
    return room !== undefined && lie(room);
  };
}

/** Lies about one event wherever a room's answer of `/sync` has it. */
export function aboutEvent(roomId: string, eventId: string, lie: (event: WireEvent) => void): Lie {
  return aboutRoom(roomId, (room) => {
    const found = [...room.state, ...room.timeline].filter((event) => event.event_id === eventId);
    for (const event of found) lie(event);
    return found.length > 0;
  });
}

/** The same lie for one client only. */
export function toClient(accessToken: string, lie: Lie): Lie {
  return (answer, request) =>
    request.headers.authorization === `Bearer ${accessToken}` && lie(answer, request);
}

/**
 * Puts events into the next answer of `/sync` that has the room, once for each client; `toldTo` is
 * how many clients had it.
 */
export function inject(
  roomId: string,
  where: "state" | "timeline",
  events: readonly WireEvent[],
): { readonly lie: Lie; toldTo(): number } {
  // A client that asks again with the same token must get the same answer.
  const told = new Map<string, string>();
  const lie: Lie = (answer, request) => {
    if (!isSync(request)) return false;
    const since = new URL(request.path, "http://x").searchParams.get("since");
    const client = request.headers.authorization ?? "";
    if (since === null || (told.get(client) ?? since) !== since) return false;
    const room = syncedRoom(answer, roomId);
    if (room === undefined) return false;
    room[where].push(...structuredClone(events));
    told.set(client, since);
    return true;
  };
  return { lie, toldTo: () => told.size };
}

/** Holds back a client's to-device messages; `release` gives them all with its next sync. */
export function holdToDevice(): { readonly lie: Lie; release(): void; held(): number } {
  let holding = true;
  let kept: unknown[] = [];
  const lie: Lie = (answer, request) => {
    if (!isSync(request)) return false;
    const toDevice = object(answer, "to_device");
    const events = list(toDevice, "events");
    if (holding) {
      kept.push(...events.splice(0));
      return true;
    }
    if (kept.length === 0) return false;
    events.unshift(...kept);
    kept = [];
    return true;
  };
  return { lie, release: () => (holding = false), held: () => kept.length };
}

/** True for `/sync`. */
export function isSync(request: RecordedRequest): boolean {
  return request.method === "GET" && /\/sync(\?|$)/.test(request.path);
}

function syncedRoom(answer: Plain, roomId: string): SyncedRoom | undefined {
  const room = field(field(field(answer, "rooms"), "join"), roomId);
  if (!isObject(room)) return undefined;
  const after = "org.matrix.msc4222.state_after" in room ? "org.matrix.msc4222.state_after" : "";
  const name = after || ("state_after" in room ? "state_after" : "state");
  return {
    roomId,
    state: list(object(room, name), "events") as WireEvent[],
    timeline: list(object(room, "timeline"), "events") as WireEvent[],
  };
}

function isObject(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}

/** The object in a field, made when it is missing. */
function object(parent: Plain, name: string): Plain {
  const present = parent[name];
  if (isObject(present)) return present;
  const made: Plain = {};
  parent[name] = made;
  return made;
}

/** The list in a field, made when it is missing. */
function list(parent: Plain, name: string): unknown[] {
  const present = parent[name];
  if (Array.isArray(present)) return present as unknown[];
  const made: unknown[] = [];
  parent[name] = made;
  return made;
}
