/**
 * What a homeserver lists as related to an event: Element asks it for a message's edits and a poll's
 * votes, and matrix-js-sdk does not look whether they are of that one.
 */
import { isPlain, pinned } from "../primordials/primordials.ts";
import { RELATES_TO, relationOf, REPLACE } from "./relation.ts";
import { isEncrypted } from "./sdk.ts";
import type { ListedRelations, PageEvent, RelationsClient } from "./sdk.ts";

const REFERENCE = "m.reference";

/** Of the encrypted ones the client gives only those that say so inside. */
export function leaveOutUnrelated(client: RelationsClient): void {
  const { relations } = client;
  if (typeof relations !== "function") return;
  client.relations = async (roomId, eventId, type, eventType, options) => {
    const listed = await pinned(relations.call(client, roomId, eventId, type, eventType, options));
    const isRecursive = isPlain(options) && options["recurse"] === true;
    if ((type !== REPLACE && type !== REFERENCE) || isRecursive) return listed;
    for (const event of listed.events) await pinned(client.decryptEventIfNeeded(event));
    const { events, originalEvent } = listed;
    const isOf = (event: PageEvent): boolean => saysSo(event, { eventId, type, originalEvent });
    return { ...listed, events: events.filter(isOf) };
  };
}

function saysSo(
  event: PageEvent,
  about: { eventId: string; type: string; originalEvent: ListedRelations["originalEvent"] },
): boolean {
  const { eventId, type, originalEvent } = about;
  // Anybody on the way can have written what is readable; an encrypted message has encrypted edits.
  if (!isEncrypted(event)) return type !== REPLACE || !originalEvent || !isEncrypted(originalEvent);
  // Element says that it cannot be read.
  if (event.clearEvent === undefined || event.isDecryptionFailure()) return true;
  const relation = relationOf(event.getWireContent()[RELATES_TO]);
  return relation?.rel_type === type && relation.event_id === eventId;
}
