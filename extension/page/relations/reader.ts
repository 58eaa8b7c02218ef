/**
 * Lets matrix-js-sdk find relations inside the ciphertext, where it does not look by itself: what it
 * asks of an event's outer content is answered with the relation that may be shown. Nothing that it
 * stores is changed.
 */
import { getPrototypeOf, isPlain } from "../primordials/primordials.ts";
import { Edits } from "./edits.ts";
import { leaveOutUnrelated } from "./listed.ts";
import {
  ENCRYPTED,
  isInnerOnly,
  placingRelation,
  REACTION,
  RELATES_TO,
  relationOf,
  REPLACE,
  shownRelation,
  withRelation,
} from "./relation.ts";
import type { Decrypted, Plain, Relation } from "./relation.ts";
import type { RemovedReactions } from "./removed.ts";
import { isEncrypted } from "./sdk.ts";
import type {
  Clear,
  EventPrototype,
  PageEvent,
  RelationsClient,
  RelationsCrypto,
  RelationsRoom,
} from "./sdk.ts";
import { ReactionSenders } from "./senders.ts";

/** What an event is shown to relate to, and the content last made of it. */
interface Judgement {
  readonly relation: Relation | undefined;
  /** It was encrypted here. */
  readonly isOwn?: true;
  /** A reaction's, which is shown once its sender is believed. */
  readonly whenBelieved?: { readonly relation: Relation; readonly isSpeaker: boolean };
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
  #client: RelationsClient | undefined;
  #senders: ReactionSenders | undefined;
  #prototype: object | undefined;
  #nativeWireContent: ((this: PageEvent) => Plain) | undefined;
  readonly #judgements = new WeakMap<PageEvent, Judgement>();
  /** The event whose ciphertext the crypto is being given. */
  #decrypting: PageEvent | undefined;
  #isStripped = false;
  readonly #edits = new Edits();

  constructor(removed: RemovedReactions) {
    this.#removed = removed;
  }

  /** Before each request, since events are decrypted from the first answer on; cheap when it is done. */
  attach(client: RelationsClient | undefined): void {
    const crypto = client?.getCrypto();
    if (client === undefined || crypto === undefined || crypto === this.#crypto) return;
    this.#crypto = crypto;
    if (client !== this.#client) leaveOutUnrelated(client);
    this.#client = client;
    const mapper = client.getEventMapper({ decrypt: false, preventReEmit: true });
    const event = mapper({ type: "m.room.message", event_id: "$mantle", content: {} });
    const prototype = getPrototypeOf(event) as EventPrototype | null;
    if (prototype === null || typeof prototype.getWireContent !== "function") return;
    if (this.#prototype !== prototype) {
      this.#prototype = prototype;
      this.#changePrototype(prototype);
    }
    this.#senders?.stop();
    this.#senders = new ReactionSenders(client, crypto, {
      show: (reaction) => {
        this.#showReaction(reaction);
      },
      hide: (reaction) => {
        this.#hideReaction(reaction);
      },
    });
    this.#changeCrypto(crypto);
    this.#readBefore(client);
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
    const { getWireContent, getType, isEncrypted: isNativelyEncrypted, makeRedacted } = prototype;
    const shown = (event: PageEvent, wire: Plain): Plain => this.#shownContent(event, wire);
    const forget = (event: PageEvent): void => this.#senders?.forget(event);
    const judgements = this.#judgements;
    const removed = this.#removed;
    let redacting: PageEvent | undefined;
    /** Also one that is about to be: then what was inside is still there. */
    const isRemovedReaction = ({ event, clearEvent }: PageEvent): boolean =>
      event.unsigned?.redacted_because !== undefined &&
      (removed.has(event.event_id ?? "") || clearEvent?.type === REACTION);
    this.#nativeWireContent = getWireContent;
    prototype.getWireContent = function (this: PageEvent): Plain {
      return shown(this, getWireContent.call(this));
    };
    prototype.getType = function (this: PageEvent): string {
      const type = getType.call(this);
      if (type !== ENCRYPTED) return type;
      return isRemovedReaction(this) ? REACTION : type;
    };
    // Element has a line for whatever encrypted is removed, without a look at its type.
    prototype.isEncrypted = function (this: PageEvent): boolean {
      if (!isNativelyEncrypted.call(this)) return false;
      return this === redacting || !isRemovedReaction(this);
    };
    prototype.makeRedacted = function (this: PageEvent, redaction: unknown, room: unknown): void {
      if (isEncrypted(this) && this.clearEvent?.type === REACTION) {
        removed.add(this.event.event_id ?? "");
      }
      // What was inside goes with what is encrypted.
      redacting = this;
      try {
        makeRedacted.call(this, redaction, room);
      } finally {
        redacting = undefined;
      }
      judgements.delete(this);
      forget(this);
    };
    const { makeReplaced, getServerAggregatedRelation } = prototype;
    const edits = this.#edits;
    prototype.makeReplaced = function (this: PageEvent, edit?: PageEvent | null): void {
      edits.replace(this, edit, (accepted) => {
        makeReplaced.call(this, accepted);
      });
    };
    prototype.getServerAggregatedRelation = function (this: PageEvent, type: string): unknown {
      const bundled = getServerAggregatedRelation.call(this, type);
      return type === REPLACE && edits.isRefused(this, bundled) ? undefined : bundled;
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
      judgement = this.#readOpen(event, wire);
      // What is not decrypted has nothing else.
      if (judgement === undefined) {
        const outer = wire[RELATES_TO];
        return placingRelation(outer) === outer ? wire : withRelation(wire, undefined);
      }
    }
    // Most events relate to nothing.
    if (judgement.relation === undefined && wire[RELATES_TO] === undefined) return wire;
    if (judgement.wire !== wire || judgement.shown === undefined) {
      judgement.wire = wire;
      judgement.shown = withRelation(wire, judgement.relation);
    }
    return judgement.shown;
  }

  #changeCrypto(crypto: RelationsCrypto): void {
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
        this.#decrypted(event, result.clearEvent, isStripped);
      } catch {
        // Shown as matrix-js-sdk would.
      }
      return result;
    };
  }

  #decrypted(event: PageEvent, clear: Clear, isStripped: boolean): void {
    if (!isEncrypted(event) || !isPlain(clear.content)) return;
    const wire = this.#wireContent(event);
    const decrypted = decryptedOf(clear, wire, isStripped);
    const relation = shownRelation(decrypted);
    // As matrix-sdk-crypto does for relations that stand outside alone.
    if (relation !== undefined && clear.content[RELATES_TO] === undefined) {
      clear.content[RELATES_TO] = relation;
    }
    // matrix-js-sdk waits by itself for what has a relation outside.
    const isAwaited = relationOf(placingRelation(wire[RELATES_TO]))?.rel_type !== undefined;
    this.#judge(event, decrypted, !isAwaited);
  }

  /** Of what was decrypted before this page's crypto was known; undefined where it is not decrypted. */
  #readOpen(event: PageEvent, wire: Plain): Judgement | undefined {
    const clear = event.clearEvent;
    if (clear === undefined || !isPlain(clear.content) || event.isDecryptionFailure()) {
      return undefined;
    }
    return this.#judge(event, decryptedOf(clear as Clear, wire, false), false);
  }

  #judge(event: PageEvent, decrypted: Decrypted, isToBeAdded: boolean): Judgement {
    const relation = shownRelation(decrypted);
    const isSpeaker = isInnerOnly(decrypted);
    const before = this.#judgements.get(event);
    // What is decrypted again says what it said.
    if (before?.whenBelieved !== undefined || before?.isOwn === true) {
      if (before.whenBelieved !== undefined) this.#askWhetherBelieved(event);
      return before;
    }
    const isReaction = decrypted.type === REACTION;
    const judgement: Judgement =
      isReaction && relation !== undefined
        ? { relation: undefined, whenBelieved: { relation, isSpeaker } }
        : { relation };
    this.#judgements.set(event, judgement);
    if (judgement.whenBelieved !== undefined) {
      this.#askWhetherBelieved(event);
    } else if (relation !== undefined && (isSpeaker || isToBeAdded)) {
      this.#onceOpen(event, () => {
        if (!event.isDecryptionFailure()) this.#add(event, relation);
      });
    }
    return judgement;
  }

  /** Unless it is removed before that. */
  #askWhetherBelieved(event: PageEvent): void {
    this.#onceOpen(event, () => {
      if (this.#judgements.get(event)?.whenBelieved !== undefined) this.#senders?.ask(event);
    });
  }

  /** Not before whoever asked has gone on, and not while it is being decrypted. */
  #onceOpen(event: PageEvent, action: () => void): void {
    const wait = async (): Promise<void> => {
      await event.getDecryptionPromise?.();
      action();
    };
    wait().catch(() => undefined);
  }

  #showReaction(event: PageEvent): void {
    const judgement = this.#judgements.get(event);
    const { whenBelieved } = judgement ?? {};
    if (judgement === undefined || whenBelieved === undefined) return;
    // A homeserver can take away what stands outside; nobody else encrypts reactions.
    if (whenBelieved.isSpeaker) this.#noteSpeaker(event.getSender());
    if (judgement.relation === undefined) {
      this.#judgements.set(event, { relation: whenBelieved.relation, whenBelieved });
    }
    this.#add(event, whenBelieved.relation);
  }

  #hideReaction(event: PageEvent): void {
    const { whenBelieved } = this.#judgements.get(event) ?? {};
    const room = this.#client?.getRoom(event.getRoomId());
    if (whenBelieved === undefined || room === null || room === undefined) return;
    // Before it has no relation any more, by which it is found.
    if (takeAway(room, event, whenBelieved.relation)) {
      this.#judgements.set(event, { relation: undefined, whenBelieved });
    }
  }

  /** Among what matrix-js-sdk shows of the event it relates to. */
  #add(event: PageEvent, { rel_type: type, event_id: id }: Relation): void {
    if (type === undefined || id === undefined || event.clearEvent === undefined) return;
    const room = this.#client?.getRoom(event.getRoomId());
    if (room !== null && room !== undefined) aggregate(room, event);
  }

  #noteSpeaker(userId: string | undefined): void {
    if (userId === undefined || this.speakers.has(userId)) return;
    this.speakers.add(userId);
    for (const oldest of this.speakers) {
      if (this.speakers.size <= MAX_SPEAKERS) break;
      this.speakers.delete(oldest);
    }
  }

  /** What was decrypted before this page's crypto was known, or is being decrypted since before that. */
  #readBefore(client: RelationsClient): void {
    for (const room of client.getRooms()) {
      for (const set of room.getTimelineSets()) {
        for (const timeline of set.getTimelines()) {
          for (const event of timeline.getEvents()) {
            if (!isEncrypted(event) || this.#judgements.has(event)) continue;
            const read = (): void => {
              this.#readOpen(event, this.#wireContent(event));
            };
            if (event.clearEvent !== undefined) read();
            else this.#onceOpen(event, read);
          }
        }
      }
    }
  }

  #wireContent(event: PageEvent): Plain {
    return this.#nativeWireContent?.call(event) ?? {};
  }
}

function decryptedOf(clear: Clear, wire: Plain, isInnerCertain: boolean): Decrypted {
  return {
    type: String(clear.type),
    content: isPlain(clear.content) ? clear.content : {},
    outer: wire[RELATES_TO],
    isInnerCertain,
  };
}

/**
 * Only the very event that stands in a timeline, which is the one that a removal reaches; what is put
 * into one later is added by matrix-js-sdk.
 */
function aggregate(room: RelationsRoom, event: PageEvent): void {
  if (room.findEventById(event.getId() ?? "") !== event) return;
  room.relations?.aggregateChildEvent(event, room.getUnfilteredTimelineSet());
}

/** False where matrix-js-sdk does not let it be taken away: then it stays as it is. */
function takeAway(room: RelationsRoom, event: PageEvent, relation: Relation): boolean {
  const { rel_type: type = "", event_id: id = "" } = relation;
  const shown = room.relations?.getChildEventsForEvent?.(id, type, REACTION);
  if (shown === undefined) return true;
  if (typeof shown.removeEvent !== "function") return false;
  void shown.removeEvent(event).catch(() => undefined);
  // It may be believed once more.
  shown.relationEventIds?.delete(event.getId() ?? "");
  return true;
}
