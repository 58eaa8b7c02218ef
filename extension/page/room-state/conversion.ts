/** 'Encrypt this room's name and topic', for rooms that are there already: only by the person's act. */
import type { EncryptedState } from "../../generated/mantle_state.js";
import type { RoomsSurvey } from "../../protocol/rooms.ts";
import { execute, NativeRegExp, page } from "../primordials/primordials.ts";
import { showNotice } from "../dialogs/notice.ts";
import { showProgress } from "../dialogs/progress.ts";
import { ask } from "../dialogs/prompt.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import {
  eachTarget,
  mayHaveState,
  PageCryptoError,
  pause,
  roomStateOf,
  runningClient,
  sentenceIn,
} from "./element/client.ts";
import type { PageClient, PageRoom } from "./element/client.ts";
import { HomeserverError, isFinal, sendAsClient } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { StateSharing } from "./sharing.ts";
import { counted, text, translated } from "../texts/texts.ts";

type Conversion = Extract<ReturnType<EncryptedState["convertRoom"]>, { kind: "convert" }>;

/**
 * Sessions of matrix-js-sdk without Mantle lose the sync that brings the flag (see
 * `letEncryptionChange`): the name must not be in it.
 */
const AFTER_FLAG = 2_000;
/** How often, and how long at most, a homeserver is waited for that says "not so fast". */
const MAX_WAITS = 20;
const LONGEST_WAIT = 60_000;
/** So often it is seen meanwhile whether others wait. */
const LOOK_EVERY = 250;
/** History is gone back so far, in answers of a hundred events. */
const MAX_PAGES = 50;
/** Most people named in the preview. */
const MAX_NAMED = 8;
const ROOM_IN_HASH = new NativeRegExp("^#/room/([^/?]+)");

/** A room that cannot be converted, in words. */
export class RefusedRoom extends PageCryptoError {}

export class RoomConversion {
  readonly #engine: StateEngine;
  readonly #sharing: StateSharing;

  constructor(engine: StateEngine, sharing: StateSharing) {
    this.#engine = engine;
    this.#sharing = sharing;
  }

  /** What the popup may offer; without names, which leave the page for the check-up's page only. */
  async survey(): Promise<Omit<RoomsSurvey, "kind" | "wish">> {
    const client = runningClient();
    if (client?.getCrypto() === undefined) return { shown: "none", sentence: "", possible: 0 };
    await this.#engine.started();
    await this.#engine.knowsDevice();
    const possible = this.#candidates(client).length;
    const room = shownRoom(client);
    if (room === undefined) return { shown: "none", sentence: "", possible };
    const conversion = this.#plan(room, await this.#leftovers(client, room));
    if (conversion.kind === "refuse") {
      return { shown: "impossible", sentence: translated(conversion.sentence), possible };
    }
    return { shown: conversion.done ? "encrypted" : "possible", sentence: "", possible };
  }

  /** Asks in the page, with a preview, and does it. */
  async run(scope: "room" | "all"): Promise<void> {
    const client = await this.#sharing.readyClient();
    await this.#engine.started();
    const room = shownRoom(client);
    const rooms = scope === "all" ? this.#candidates(client) : room === undefined ? [] : [room];
    if (rooms.length === 0) {
      showNotice(text("noRoomShown"));
      return;
    }
    const looking = showProgress(text("lookingWho"));
    let lines: string[];
    try {
      lines = await preview(client, rooms);
    } finally {
      looking.done();
    }
    const { choice, remember } = await ask({
      title: rooms.length === 1 ? text("encryptRoom") : counted("encryptRooms", rooms.length),
      text: lines,
      choices: [
        { id: "encrypt", label: text("encrypt"), kind: "primary" },
        { id: "cancel", label: text("cancel"), kind: "plain" },
      ],
      remember: [{ id: "redact", label: text("redactToo") }],
    });
    if (choice !== "encrypt") return;
    await this.#convertAll(client, rooms, remember.includes("redact"));
  }

  /** Rooms whose names could be encrypted; none where nothing would decrypt them afterwards. */
  async convertible(): Promise<string[]> {
    if (!isOn()) return [];
    const client = await this.#sharing.readyClient();
    await this.#engine.started();
    await this.#engine.knowsDevice();
    return this.#candidates(client).map(({ roomId }) => roomId);
  }

  /** Who will not see the names of these rooms. */
  async preview(user: string, roomIds: readonly string[]): Promise<string[]> {
    const client = await this.#clientOf(user);
    const rooms = roomIds.map((roomId) => client.getRoom(roomId)).filter((room) => room !== null);
    return preview(client, rooms);
  }

  /** Encrypts the name and topic of one room without asking; what is half done goes on. */
  async convertOne(user: string, roomId: string): Promise<void> {
    if (!isOn()) throw new RefusedRoom(text("stateTurnedOff"));
    const client = await this.#clientOf(user);
    await this.#engine.started();
    if (client.isInitialSyncComplete() && client.getRoom(roomId) === null) {
      throw new RefusedRoom(text("notInRoom"));
    }
    await this.#convert(client, await this.#sharing.readyRoom(client, roomId));
  }

  /** The client, if it is this person's by the time that it is ready. */
  async #clientOf(user: string): Promise<PageClient> {
    const client = await this.#sharing.readyClient();
    if (client.getUserId() === user) return client;
    throw new PageCryptoError(text("otherAccount"));
  }

  async #convertAll(client: PageClient, rooms: PageRoom[], isRedacting: boolean): Promise<void> {
    let failed = 0;
    let kept = 0;
    let sentence = "";
    const progress = showProgress(text("encrypting"));
    try {
      for (const [index, room] of rooms.entries()) {
        if (rooms.length > 1) {
          progress.update(text("encryptingOf", String(index + 1), String(rooms.length)));
        }
        try {
          const plan = await this.#convert(client, room);
          if (isRedacting) kept += await redact(client, room.roomId, plan);
        } catch (error) {
          failed += 1;
          sentence = sentenceOf(error);
        }
      }
    } finally {
      progress.done();
    }
    if (kept > 0) {
      showNotice(counted("leftReadable", kept));
    }
    if (failed === 0) {
      showNotice(
        rooms.length === 1 ? text("encryptedRoom") : counted("encryptedRooms", rooms.length),
        "note",
      );
    } else {
      showNotice(
        rooms.length === 1
          ? sentence
          : counted("roomsFailed", failed, String(rooms.length), sentence),
      );
    }
  }

  /**
   * Flag, encrypted state, blank clear state: in this order nothing is ever without a name. Then the
   * encrypted state once more, since to clients without Mantle the last one of a slot counts.
   */
  async #convert(client: PageClient, room: PageRoom): Promise<Conversion> {
    const { roomId } = room;
    // While the homeserver wants it slower, others' writes go on; then the room is looked at anew.
    const isAwaited = (): boolean => this.#engine.isAwaited;
    const each = <Item>(items: Iterable<Item>, step: (item: Item) => Promise<unknown>) =>
      sequentially(items, step, isAwaited);
    const encrypted = (plan: Conversion): Promise<void> =>
      each(plan.encrypt, (content) => this.#sharing.send(client, room, content));
    let first: Conversion | undefined;
    const convert = async (): Promise<Conversion> => {
      const plan = this.#plan(room, await this.#leftovers(client, room, isAwaited));
      if (plan.kind === "refuse") throw new RefusedRoom(plan.sentence);
      // Later ones lack what is done by then.
      first ??= plan;
      if (plan.flag !== undefined) {
        const { path, body } = plan.flag;
        try {
          await withRetryAfter(() => sendAsClient(client, "PUT", path, body), isAwaited);
        } catch (error) {
          if (!isFinal(error) && !isHasty(error)) this.#engine.markFlagUncertain(roomId);
          throw error;
        }
        this.#engine.call((state) => state.noteFlag(roomId));
        await pause(AFTER_FLAG);
      }
      await encrypted(plan);
      await each(plan.blank, ({ path, body }) => sendAsClient(client, "PUT", path, body));
      if (plan.blank.length > 0) await encrypted(plan);
      return first;
    };
    await this.#sharing.prepare(client, room);
    return withRetryAfter(() => this.#engine.writing(client, convert));
  }

  #candidates(client: PageClient): PageRoom[] {
    return client.getRooms().filter((room) => {
      if (room.getMyMembership() !== "join" || !room.hasEncryptionStateEvent()) return false;
      const plan = this.#plan(room);
      return plan.kind === "convert" && !plan.done;
    });
  }

  /**
   * Readable state that the homeserver still has behind encrypted state, where something failed half
   * way; the client holds the encrypted one in its place.
   */
  async #leftovers(client: PageClient, room: PageRoom, isAwaited = never): Promise<object[]> {
    if (!this.#engine.call((state) => state.encryptsState(room.roomId))) return [];
    const plan = this.#plan(room);
    const events: object[] = [];
    const ask = async (type: string): Promise<void> => {
      const path = `${pathOf(room.roomId)}/state/${encodeURIComponent(type)}/?format=event`;
      try {
        events.push((await sendAsClient(client, "GET", path)) as object);
      } catch (error) {
        if (!isFinal(error)) throw error;
        // There is none.
      }
    };
    await sequentially(plan.kind === "convert" ? plan.types : [], ask, isAwaited);
    return events;
  }

  #plan(
    room: PageRoom,
    leftovers: readonly object[] = [],
  ): ReturnType<EncryptedState["convertRoom"]> {
    const events = JSON.stringify([...roomStateOf(room), ...leftovers]);
    return this.#engine.call((state) => state.convertRoom(room.roomId, events));
  }
}

/** Whether anything would decrypt a room's name afterwards; while Mantle is paused nothing would. */
function isOn(): boolean {
  const mode = shieldSettings("encrypted-state")?.mode;
  return mode !== "off" && mode !== "flag";
}

function pathOf(roomId: string): string {
  return `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
}

/** Whether the homeserver wants it slower. */
function isHasty(error: unknown): error is HomeserverError {
  return error instanceof HomeserverError && error.status === 429;
}

/** Nobody waits. */
const never = (): boolean => false;

/** Once, and again when the homeserver wants it slower, unless somebody waits for what this holds. */
async function withRetryAfter<Result>(
  request: () => Promise<Result>,
  isAwaited = never,
): Promise<Result> {
  for (let waits = 0; ; waits += 1) {
    try {
      return await request();
    } catch (error) {
      if (!isHasty(error) || waits >= MAX_WAITS) throw error;
      const wait = Math.min(error.retryAfter ?? 1_000, LONGEST_WAIT);
      for (let waited = 0; waited < wait; waited += LOOK_EVERY) {
        if (isAwaited()) throw error;
        await pause(Math.min(wait - waited, LOOK_EVERY));
      }
    }
  }
}

/** One step after the other, each `withRetryAfter`. */
async function sequentially<Item>(
  items: Iterable<Item>,
  step: (item: Item) => Promise<unknown>,
  isAwaited = never,
): Promise<void> {
  for (const item of items) await withRetryAfter(() => step(item), isAwaited);
}

/** Redacts what is readable of a room, now and in its history; how many the user may not. */
async function redact(client: PageClient, roomId: string, plan: Conversion): Promise<number> {
  const room = pathOf(roomId);
  let kept = 0;
  const events = new Set([...plan.redact, ...(await readableBefore(client, room, plan.types))]);
  await sequentially(events, async (eventId) => {
    const path = `${room}/redact/${encodeURIComponent(eventId)}/mantle${page.crypto.randomUUID()}`;
    try {
      await sendAsClient(client, "PUT", path, "{}");
    } catch (error) {
      if (!isFinal(error)) throw error;
      kept += 1;
    }
  });
  return kept;
}

/** Events of a room's history that have a text of these types. */
async function readableBefore(
  client: PageClient,
  room: string,
  types: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  const filter = encodeURIComponent(JSON.stringify({ types }));
  let from: string | undefined = "";
  for (let pages = 0; from !== undefined && pages < MAX_PAGES; pages += 1) {
    const start = from === "" ? "" : `&from=${encodeURIComponent(from)}`;
    const path = `${room}/messages?dir=b&limit=100&filter=${filter}${start}`;
    const answer = (await withRetryAfter(() => sendAsClient(client, "GET", path))) as History;
    for (const { event_id: eventId, type, state_key: stateKey, content } of answer.chunk ?? []) {
      const isReadable = Object.values(content ?? {}).some((value) => value !== "");
      const isOurs = types.includes(type ?? "") && stateKey !== undefined && isReadable;
      if (isOurs && eventId !== undefined) found.push(eventId);
    }
    from = answer.end;
  }
  return found;
}

/** `GET …/messages`, as far as it is read. */
interface History {
  readonly end?: string;
  readonly chunk?: readonly {
    readonly event_id?: string;
    readonly type?: string;
    readonly state_key?: string;
    readonly content?: Record<string, unknown>;
  }[];
}

/** Who will not see the name, as far as it can be told beforehand. */
async function preview(client: PageClient, rooms: PageRoom[]): Promise<string[]> {
  const everyone = new Set<string>();
  const without = new Set<string>();
  for (const room of rooms) {
    await eachTarget(client, room, (targets) => {
      for (const { userId, devices } of targets) {
        if (userId === client.getUserId()) continue;
        everyone.add(userId);
        if (!devices.some(mayHaveState)) without.add(userId);
      }
    });
  }
  const lines = [text("previewServer"), text("previewOthers")];
  if (without.size > 0) {
    const names = [...without].slice(0, MAX_NAMED).join(", ");
    const more = without.size - MAX_NAMED;
    const all = more > 0 ? text("namesAndMore", names, String(more)) : names;
    lines.push(counted("previewWithout", without.size, String(everyone.size), all));
  } else if (everyone.size > 0) {
    lines.push(counted("previewAll", everyone.size));
  }
  return lines;
}

/** The room Element shows, by its address. */
/** The room that Element shows, by the page's address. */
export function shownRoom(client: PageClient): PageRoom | undefined {
  const found = execute(ROOM_IN_HASH, page.location.hash)?.[1];
  if (found === undefined) return undefined;
  const name = decodeURIComponent(found);
  if (name.startsWith("!")) return client.getRoom(name) ?? undefined;
  return client.getRooms().find((room) => room.getCanonicalAlias() === name);
}

/** What went wrong, for people. */
export function sentenceOf(error: unknown): string {
  if (error instanceof HomeserverError) {
    return text("stepRefused");
  }
  return translated(sentenceIn(error) ?? text("failed"));
}
