/**
 * Lets matrix-js-sdk find relations inside the ciphertext, where it does not look by itself: what it
 * asks of an event's outer content is answered with the relation that may be shown. Nothing that it
 * stores is changed.
 */
import { getPrototypeOf } from "../primordials/primordials.ts";
import {
  ENCRYPTED,
  isInnerOnly,
  isPlain,
  REACTION,
  RELATES_TO,
  relationOf,
  shownRelation,
  withRelation,
} from "./relation.ts";
import type { Plain, Relation } from "./relation.ts";
import type { RemovedReactions } from "./removed.ts";
import type {
  Clear,
  EventPrototype,
  PageEvent,
  RelationsClient,
  RelationsCrypto,
  RelationsRoom,
} from "./sdk.ts";
import { isSenderBelieved } from "./sender.ts";

/** What an event is shown to relate to, and the content last made of it. */
interface Judgement {
  readonly relation: Relation | undefined;
  /** It was encrypted here. */
  readonly isOwn?: true;
  wire?: Plain;
  shown?: Plain;
}

/** Those whose clients show what is inside, as far as this page has seen; the oldest go. */
export const MAX_SPEAKERS = 2_000;

export class RelationReader {
  readonly #removed: RemovedReactions;
  /** Users whose events have relations inside alone. */
  readonly speakers = new Set<string>();
  #crypto: RelationsCrypto | undefined;
  #prototype: object | undefined;
  #nativeWireContent: ((this: PageEvent) => Plain) | undefined;
  readonly #judgements = new WeakMap<PageEvent, Judgement>();
  /** The event whose ciphertext the crypto is being given. */
  #decrypting: PageEvent | undefined;
  #isStripped = false;

  constructor(removed: RemovedReactions) {
    this.#removed = removed;
  }

  /** Before each request, since events are decrypted from the first answer on; cheap when it is done. */
  attach(client: RelationsClient | undefined): void {
    const crypto = client?.getCrypto();
    if (client === undefined || crypto === undefined || crypto === this.#crypto) return;
    this.#crypto = crypto;
    const mapper = client.getEventMapper({ decrypt: false, preventReEmit: true });
    const event = mapper({ type: "m.room.message", event_id: "$mantle", content: {} });
    const prototype = getPrototypeOf(event) as EventPrototype | null;
    if (prototype === null || typeof prototype.getWireContent !== "function") return;
    if (this.#prototype !== prototype) {
      this.#prototype = prototype;
      this.#changePrototype(prototype);
    }
    this.#changeCrypto(client, crypto);
    this.#readBefore(client, crypto);
    this.#removed.load().catch(() => undefined);
  }

  /** Whether the relation that is inside such an event will be found there. */
  isReading(event: PageEvent): boolean {
    return getPrototypeOf(event) === this.#prototype;
  }

  /** Shows the relation of an event that was encrypted here. */
  trust(event: PageEvent): void {
    const content = event.clearEvent?.content;
    if (!isPlain(content)) return;
    this.#judgements.set(event, { relation: relationOf(content[RELATES_TO]), isOwn: true });
  }

  #changePrototype(prototype: EventPrototype): void {
    const { getWireContent, getType, makeRedacted } = prototype;
    const shown = (event: PageEvent, wire: Plain): Plain => this.#shownContent(event, wire);
    const judgements = this.#judgements;
    const removed = this.#removed;
    this.#nativeWireContent = getWireContent;
    prototype.getWireContent = function (this: PageEvent): Plain {
      return shown(this, getWireContent.call(this));
    };
    prototype.getType = function (this: PageEvent): string {
      const type = getType.call(this);
      if (type !== ENCRYPTED) return type;
      const { event_id: id, unsigned } = this.event;
      const isRemoved = unsigned?.redacted_because !== undefined && removed.has(id ?? "");
      return isRemoved ? REACTION : type;
    };
    prototype.makeRedacted = function (this: PageEvent, redaction: unknown, room: unknown): void {
      if (isEncrypted(this) && this.clearEvent?.type === REACTION) {
        removed.add(this.event.event_id ?? "");
      }
      makeRedacted.call(this, redaction, room);
      judgements.delete(this);
    };
  }

  #shownContent(event: PageEvent, wire: Plain): Plain {
    if (!isEncrypted(event)) return wire;
    if (event === this.#decrypting) {
      this.#isStripped = true;
      return wire[RELATES_TO] === undefined ? wire : withRelation(wire, undefined);
    }
    let judgement = this.#judgements.get(event);
    // What is on its way out is sent as it is, also what was decrypted after a reload before that.
    if (event.status !== null && judgement?.isOwn !== true) return wire;
    if (judgement === undefined) {
      const { clearEvent } = event;
      // What is not decrypted has nothing else.
      const isOpen = clearEvent !== undefined;
      if (!isOpen || !isPlain(clearEvent.content) || event.isDecryptionFailure()) return wire;
      judgement = judge(clearEvent as Clear, wire, false);
      this.#judgements.set(event, judgement);
    }
    // Most events relate to nothing.
    if (judgement.relation === undefined && wire[RELATES_TO] === undefined) return wire;
    if (judgement.wire !== wire || judgement.shown === undefined) {
      judgement.wire = wire;
      judgement.shown = withRelation(wire, judgement.relation);
    }
    return judgement.shown;
  }

  #changeCrypto(client: RelationsClient, crypto: RelationsCrypto): void {
    const native = crypto.decryptEvent;
    crypto.decryptEvent = async (event: PageEvent) => {
      if (!this.isReading(event)) return native.call(crypto, event);
      this.#isStripped = false;
      this.#decrypting = event;
      let decrypting: ReturnType<RelationsCrypto["decryptEvent"]>;
      try {
        decrypting = native.call(crypto, event);
      } finally {
        this.#decrypting = undefined;
      }
      const isStripped = this.#isStripped;
      const result = await decrypting;
      try {
        this.#decrypted(client, crypto, event, result.clearEvent, isStripped);
      } catch {
        // Shown as matrix-js-sdk would.
      }
      return result;
    };
  }

  #decrypted(
    client: RelationsClient,
    crypto: RelationsCrypto,
    event: PageEvent,
    clear: Clear,
    isStripped: boolean,
  ): void {
    if (!isEncrypted(event) || !isPlain(clear.content)) return;
    const wire = this.#wireContent(event);
    const judgement = judge(clear, wire, isStripped);
    const { relation } = judgement;
    const outer = wire[RELATES_TO];
    // As matrix-sdk-crypto does for relations that stand outside alone.
    if (relation !== undefined && clear.content[RELATES_TO] === undefined) {
      clear.content[RELATES_TO] = relation;
    }
    const isReaction = clear.type === REACTION;
    this.#judgements.set(event, isReaction ? { relation: undefined } : judgement);
    if (relation === undefined) return;
    const isSpeaker = isInnerOnly(decryptedOf(clear, wire, isStripped));
    // matrix-js-sdk waits by itself for what has a relation outside.
    const isAwaited = relationOf(outer)?.rel_type !== undefined && !isReaction;
    if (!isSpeaker && isAwaited) return;
    const decryption = event.getDecryptionPromise?.();
    if (decryption === null || decryption === undefined) return;
    void decryption
      .then(() => this.#show(client, crypto, event, judgement, { isReaction, isSpeaker }))
      .catch(() => undefined);
  }

  /** Once the event is open. */
  async #show(
    client: RelationsClient,
    crypto: RelationsCrypto,
    event: PageEvent,
    judgement: Judgement,
    { isReaction, isSpeaker }: { isReaction: boolean; isSpeaker: boolean },
  ): Promise<void> {
    if (event.clearEvent === undefined || event.isDecryptionFailure()) return;
    if (isReaction) {
      if (!(await isSenderBelieved(crypto, event))) return;
      // It was removed meanwhile.
      if (event.clearEvent === undefined) return;
      this.#judgements.set(event, judgement);
    }
    // A homeserver can take away what stands outside; nobody else encrypts reactions.
    if (isSpeaker && isReaction) this.#noteSpeaker(event.getSender());
    const { relation } = judgement;
    if (relation?.rel_type === undefined || relation.event_id === undefined) return;
    const room = client.getRoom(event.getRoomId());
    if (room !== null) aggregate(room, event);
  }

  #noteSpeaker(userId: string | undefined): void {
    if (userId === undefined || this.speakers.has(userId)) return;
    this.speakers.add(userId);
    for (const oldest of this.speakers) {
      if (this.speakers.size <= MAX_SPEAKERS) break;
      this.speakers.delete(oldest);
    }
  }

  /** What was decrypted before this page's crypto was known. */
  #readBefore(client: RelationsClient, crypto: RelationsCrypto): void {
    for (const room of client.getRooms()) {
      for (const set of room.getTimelineSets()) {
        for (const timeline of set.getTimelines()) {
          for (const event of timeline.getEvents()) {
            const clear = event.clearEvent;
            if (!isEncrypted(event) || clear === undefined || event.isDecryptionFailure()) continue;
            const wire = this.#wireContent(event);
            const judgement = judge(clear as Clear, wire, false);
            const isReaction = clear.type === REACTION;
            if (!isReaction) this.#judgements.set(event, judgement);
            const isSpeaker = isInnerOnly(decryptedOf(clear as Clear, wire, false));
            if (judgement.relation === undefined || !(isReaction || isSpeaker)) continue;
            void this.#show(client, crypto, event, judgement, { isReaction, isSpeaker }).catch(
              () => undefined,
            );
          }
        }
      }
    }
  }

  #wireContent(event: PageEvent): Plain {
    return this.#nativeWireContent?.call(event) ?? {};
  }
}

/** State events have relations nowhere but inside. */
function isEncrypted({ event }: PageEvent): boolean {
  return event.type === ENCRYPTED && event.state_key === undefined;
}

function decryptedOf(clear: Clear, wire: Plain, isInnerCertain: boolean) {
  return {
    type: String(clear.type),
    content: isPlain(clear.content) ? clear.content : {},
    outer: wire[RELATES_TO],
    isInnerCertain,
  };
}

function judge(clear: Clear, wire: Plain, isInnerCertain: boolean): Judgement {
  return { relation: shownRelation(decryptedOf(clear, wire, isInnerCertain)) };
}

/**
 * Only the very event that stands in a timeline, which is the one that a removal reaches; what is put
 * into one later is added by matrix-js-sdk.
 */
function aggregate(room: RelationsRoom, event: PageEvent): void {
  if (room.findEventById(event.getId() ?? "") !== event) return;
  room.relations?.aggregateChildEvent(event, room.getUnfilteredTimelineSet());
}
