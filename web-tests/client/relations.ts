/** What Element shows of reactions, replies and edits, as matrix-js-sdk gives it. */
import { EventType, RelationType } from "matrix-js-sdk";
import type { MatrixEvent } from "matrix-js-sdk";
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
  const room = client().getRoom(roomId);
  if (room === null) throw new Error("The room is not known");
  const limit = Date.now() + LIMIT_MS;
  while (room.oldState.paginationToken !== null) {
    if (Date.now() > limit) throw new Error("The history has no end");
    await client().scrollback(room, 100);
  }
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
