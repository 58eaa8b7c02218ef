/** What Element shows of reactions, replies and edits, as matrix-js-sdk gives it. */
import { Direction, EventType, MsgType, RelationType, TimelineWindow } from "matrix-js-sdk";
import type { ISearchResults, MatrixEvent, Room, Thread, TimelineEvents } from "matrix-js-sdk";
import { client } from "./session.ts";

const LIMIT_MS = 45_000;

/** Who reacted to an event, by what. */
export function reactionsTo(roomId: string, eventId: string): Record<string, string[]> {
  const relations = client()
    .getRoom(roomId)
    ?.relations.getChildEventsForEvent(eventId, RelationType.Annotation, EventType.Reaction);
  const shown: Record<string, string[]> = {};
  for (const [key, events] of relations?.getSortedAnnotationsByKey() ?? []) {
    const senders = [...events].map((event) => event.getSender() ?? "");
    if (senders.length > 0) shown[key] = senders.sort();
  }
  return shown;
}

/** Waits until these reactions are shown, and no others. */
export async function seeReactions(
  roomId: string,
  eventId: string,
  expected: Record<string, string[]>,
): Promise<void> {
  const canonical = (value: Record<string, string[]>): string =>
    JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  const wanted = canonical(
    Object.fromEntries(Object.entries(expected).map(([key, all]) => [key, [...all].sort()])),
  );
  const shown = (): string => canonical(reactionsTo(roomId, eventId));
  await until(
    () => shown() === wanted,
    () => `reactions ${wanted}, not ${shown()}`,
  );
}

/** An event as it is shown. */
export interface ShownEvent {
  type: string;
  body: string | null;
  replyTo: string | null;
  thread: string | null;
  isRemoved: boolean;
  /** Element takes it for a message, and so has a line for it when it is removed. */
  isMessage: boolean;
}

/** Of one event; null while it is not here or not decrypted. */
export function shownEvent(roomId: string, eventId: string): ShownEvent | null {
  const event = client().getRoom(roomId)?.findEventById(eventId);
  if (event === undefined) return null;
  const isOpen = !event.isBeingDecrypted() && !event.isDecryptionFailure();
  return isOpen ? shownOf(event) : null;
}

/** The same once it is here and decrypted, and its text is this one where one is given. */
export async function seeEvent(
  roomId: string,
  eventId: string,
  body?: string,
): Promise<ShownEvent> {
  const isThere = (): boolean => {
    const shown = shownEvent(roomId, eventId);
    return shown !== null && (body === undefined || shown.body === body);
  };
  await until(isThere, () => `event ${eventId} ${JSON.stringify(shownEvent(roomId, eventId))}`);
  return shownEvent(roomId, eventId) as ShownEvent;
}

/** The event with this text, once it is here and decrypted. */
export async function seeText(roomId: string, body: string): Promise<ShownEvent> {
  const find = (): MatrixEvent | undefined =>
    client()
      .getRoom(roomId)
      ?.getUnfilteredTimelineSet()
      .getTimelines()
      .flatMap((timeline) => timeline.getEvents())
      .find((event) => event.getContent()["body"] === body);
  await until(
    () => find() !== undefined,
    () => "a text",
  );
  return shownOf(find() as MatrixEvent);
}

function shownOf(event: MatrixEvent): ShownEvent {
  const body: unknown = event.getContent()["body"];
  return {
    type: event.getType(),
    body: typeof body === "string" ? body : null,
    replyTo: event.replyEventId ?? null,
    thread: event.threadRootId ?? null,
    isRemoved: event.isRedacted(),
    isMessage: event.isEncrypted() || event.getType() === "m.room.message",
  };
}

/** How many events of a room cannot be decrypted now. */
export function undecryptable(roomId: string): number {
  const events = client().getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
  return events.filter((event) => event.isDecryptionFailure()).length;
}

/** How many events of a room came encrypted and are decrypted now. */
export function decrypted(roomId: string): number {
  const events = client().getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
  return events.filter(
    (event) =>
      event.isEncrypted() &&
      !event.isBeingDecrypted() &&
      !event.isDecryptionFailure() &&
      event.getType() !== "m.room.encrypted",
  ).length;
}

/** Loads the room's history back to its beginning. */
export async function loadAll(roomId: string): Promise<void> {
  const room = known(roomId);
  const limit = Date.now() + LIMIT_MS;
  while (room.oldState.paginationToken !== null) {
    if (Date.now() > limit) throw new Error("The history has no end");
    await client().scrollback(room, 100);
  }
}

/**
 * Goes to an event that is not loaded, as a link to it does: what stands around it is asked for, and
 * then more, as much as fills a window.
 */
export async function goTo(roomId: string, eventId: string): Promise<void> {
  const shown = new TimelineWindow(client(), known(roomId).getUnfilteredTimelineSet());
  await shown.load(eventId, 20);
  for (const direction of [Direction.Backward, Direction.Forward]) {
    await shown.paginate(direction, 20);
  }
}

/** One event asked for by itself, as Element asks for what is pinned. */
export async function fetchEvent(roomId: string, eventId: string): Promise<ShownEvent> {
  return decryptedShown(client().getEventMapper()(await client().fetchRoomEvent(roomId, eventId)));
}

/** What a search in these rooms finds, or in all, as Element shows it. */
export async function findMessages(term: string, rooms?: string[]): Promise<ShownEvent[]> {
  const filter = rooms === undefined ? {} : { filter: { rooms } };
  const events = { search_term: term, ...filter };
  const found = await client().search({ body: { search_categories: { room_events: events } } });
  const none = { _query: undefined, results: [], highlights: [] } as unknown as ISearchResults;
  const { results } = client().processRoomEventsSearch(none, found);
  return Promise.all(results.map(({ context }) => decryptedShown(context.getEvent())));
}

/** A message in a thread, which answers one there. */
export async function sendInThread(
  roomId: string,
  rootId: string,
  body: string,
  answered: { eventId: string; isFallingBack: boolean },
): Promise<{ eventId: string }> {
  await threadOf(roomId, rootId);
  const answer = await client().sendMessage(roomId, rootId, {
    msgtype: MsgType.Text,
    body,
    "m.relates_to": {
      rel_type: RelationType.Thread,
      event_id: rootId,
      "m.in_reply_to": { event_id: answered.eventId },
      is_falling_back: answered.isFallingBack,
    },
  } as TimelineEvents[EventType.RoomMessage]);
  return { eventId: answer.event_id };
}

/** Opens a thread's panel, which asks the homeserver for all of it; gives the texts in it. */
export async function openThread(roomId: string, rootId: string): Promise<string[]> {
  const { events } = await threadOf(roomId, rootId);
  const shown = await Promise.all(events.map(decryptedShown));
  return shown.map(({ body }) => body ?? "");
}

/** As its panel makes it, before anything is written there. */
async function threadOf(roomId: string, rootId: string): Promise<Thread> {
  const room = known(roomId);
  const root = room.findEventById(rootId);
  const thread = room.getThread(rootId) ?? room.createThread(rootId, root, [], true);
  await until(
    () => thread.initialEventsFetched,
    () => "a thread",
  );
  return thread;
}

function known(roomId: string): Room {
  const room = client().getRoom(roomId);
  if (room === null) throw new Error("The room is not known");
  return room;
}

async function decryptedShown(event: MatrixEvent): Promise<ShownEvent> {
  await client().decryptEventIfNeeded(event);
  return shownOf(event);
}

/** Removes an event, as a second press on one's own reaction does. */
export async function removeEvent(roomId: string, eventId: string): Promise<void> {
  await client().redactEvent(roomId, eventId);
}

/** The own reaction with this key, as Element's toggle looks for it. */
export function ownReaction(roomId: string, eventId: string, key: string): string | null {
  const relations = client()
    .getRoom(roomId)
    ?.relations.getChildEventsForEvent(eventId, RelationType.Annotation, EventType.Reaction);
  const mine = relations?.getAnnotationsBySender()?.[client().getUserId() ?? ""];
  const found = [...(mine ?? [])].find((event) => event.getRelation()?.key === key);
  return found?.getId() ?? null;
}

/** Waits until all that was sent has come back: what has not is taken for unsent after a reload. */
export async function allCameBack(roomId: string): Promise<void> {
  const waiting = (): string[] =>
    (client().getRoom(roomId)?.getPendingEvents() ?? []).map(({ status }) => `${status}`);
  await until(
    () => waiting().length === 0,
    () => `everything came back, but ${waiting().join(", ")}`,
  );
}

/** Sends again what did not leave; gives how many that were. */
export async function sendAgain(roomId: string): Promise<number> {
  const room = client().getRoom(roomId);
  const failed = room?.getPendingEvents().filter((event) => event.status === "not_sent") ?? [];
  if (room !== null) for (const event of failed) await client().resendEvent(event, room);
  return failed.length;
}

/** What was written and did not leave, as Element keeps it: texts, and keys of reactions. */
export function unsent(roomId: string): string[] {
  const events = client().getRoom(roomId)?.getPendingEvents() ?? [];
  return events
    .filter((event) => event.status === "not_sent")
    .map((event) => {
      const { body, "m.relates_to": relation } = event.getContent();
      return String(body ?? (relation as { key?: unknown } | undefined)?.key);
    });
}

/** Whether the homeserver answers the client's syncs. */
export function isInSync(): boolean {
  return client().getSyncState() === "SYNCING";
}

/** As a browser that finds its network again lets the client know. */
export function tryAtOnce(): void {
  window.dispatchEvent(new Event("online"));
}

/** What is encrypted next in a room is encrypted for a key that nobody has yet. */
export async function discardSession(roomId: string): Promise<void> {
  await client().getCrypto()?.forceDiscardSession(roomId);
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`Not within 45 s: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
