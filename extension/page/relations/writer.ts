/**
 * Reactions and replies as they leave (MSC4392): a reaction becomes an encrypted event, and what an
 * encrypted event answers stays inside. Nothing is taken away outside that is not inside for certain.
 */
import {
  create,
  decodeText,
  encodeUriPart,
  execute,
  fillRandom,
  isPlain,
  NativePromise,
  NativeRegExp,
  NativeUint8Array,
  parseJson,
  pinned,
  result,
  stringify,
  then,
} from "../primordials/primordials.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { ask } from "../dialogs/prompt.ts";
import { choiceKey, recallChoice, rememberChoice } from "../dialogs/room-choices.ts";
import type { RoomChoice } from "../dialogs/room-choices.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { Outcome, PausedRequest, RequestHandler } from "../intercept/handlers.ts";
import { refused } from "../intercept/refusal.ts";
import { counted, text } from "../texts/texts.ts";
import { within } from "../room-state/element/client.ts";
import type { RelationReader } from "./reader.ts";
import { ENCRYPTED, REACTION, RELATES_TO, relationOf } from "./relation.ts";
import type { Plain } from "./relation.ts";
import type { PageEvent, RelationsClient, RelationsCrypto, RelationsRoom } from "./sdk.ts";
import { isSame, outerContent, padded, RANDOM_BYTES } from "./wire.ts";

const PATH = new NativeRegExp("^(.*/rooms/([^/?#]+)/send/)([^/?#]+)/([^/?#]+)([?#].*)?$");
/** A new session may have to reach a thousand devices first. */
const ENCRYPTION_LIMIT_MS = 60_000;
/** Named in the question; all are counted. */
const MAX_NAMED = 5;

interface Target {
  readonly before: string;
  readonly roomId: string;
  readonly type: string;
  readonly txnId: string;
  readonly after: string;
}

/** What of a request is taken over. */
interface Sending extends Target {
  readonly client: RelationsClient;
  readonly crypto: RelationsCrypto;
  readonly room: RelationsRoom;
  readonly body: Plain;
  readonly request: PausedRequest;
}

export class RelationWriter implements RequestHandler {
  readonly #reader: RelationReader;
  readonly #runningClient: () => RelationsClient | undefined;
  /** Rooms that are being asked about. */
  readonly #asking = create(null) as Record<string, Promise<RoomChoice | undefined>>;

  constructor(reader: RelationReader, runningClient: () => RelationsClient | undefined) {
    this.#reader = reader;
    this.#runningClient = runningClient;
  }

  async handle(request: PausedRequest): Promise<Outcome> {
    const client = this.#runningClient();
    const crypto = client?.getCrypto();
    const target = targetOf(request.url);
    // An Element that does not let its client be seen can show nothing of the kind.
    if (client === undefined) return result<Outcome>({ kind: "send", noted: "flagged" });
    if (target === undefined) return refused(text("replyNotCertain"), "blocked");
    if (crypto === undefined) {
      // Element sends nothing but reactions to an encrypted room without its crypto.
      const isEncrypted = (): boolean =>
        client.getRoom(target.roomId)?.hasEncryptionStateEvent() !== false;
      return target.type === REACTION && isEncrypted()
        ? refused(text("reactionNotEncrypted"), "blocked")
        : result<Outcome>({ kind: "send", noted: "flagged" });
    }
    this.#reader.attach(client);
    const body = parseJson(decodeText(await pinned(bodyBytes(request.body))));
    if (!isPlain(body)) return result<Outcome>({ kind: "send" });
    const room = client.getRoom(target.roomId);
    const isReaction = target.type === REACTION;
    if (!isReaction && outerContent(body) === undefined) return result<Outcome>({ kind: "send" });
    if (room === null)
      return refused(
        isReaction ? text("reactionNotEncrypted") : text("replyNotCertain"),
        "blocked",
      );
    if (isReaction && !(await pinned(isEncryptedRoom(crypto, room))))
      return result<Outcome>({ kind: "send" });
    const choice = await pinned(this.#choice(client, room, request));
    if (choice === undefined) {
      const echo = isReaction ? room.getEventForTxnId?.(target.txnId) : undefined;
      if (echo !== undefined) withdrawUnsent(client, echo);
      return refused(text("notSent"), "asked");
    }
    if (choice === "readable") return result<Outcome>({ kind: "send", noted: "flagged" });
    const sending = { ...target, client, crypto, room, body, request };
    return isReaction ? await pinned(this.#sendReaction(sending)) : this.#sendReply(sending);
  }

  /** Encrypts the event as Element holds it, so that it is known again when it comes back. */
  async #sendReaction(sending: Sending): Promise<Outcome> {
    const { crypto, room, body, before, txnId, after } = sending;
    const echo = room.getEventForTxnId?.(txnId);
    if (echo === undefined || !this.#reader.isReading(echo)) {
      return refused(text("reactionNotEncrypted"), "blocked");
    }
    if (echo.event.type !== ENCRYPTED) {
      const content = echo.event.content ?? {};
      const relation = relationOf(content[RELATES_TO]);
      // What Element shows as sent is what is encrypted.
      if (echo.event.type !== REACTION || !isSame(relation, relationOf(body[RELATES_TO]))) {
        return refused(text("reactionNotEncrypted"), "blocked");
      }
      const random = fillRandom(new NativeUint8Array(RANDOM_BYTES));
      const changed = padded(content, random);
      echo.event.content = changed;
      try {
        await within(crypto.encryptEvent(echo, room), ENCRYPTION_LIMIT_MS);
      } catch {
        // It stays in Element as it was; a second try begins anew.
        if (echo.event.content === changed) echo.event.content = content;
        return refused(text("reactionNotEncrypted"), "blocked");
      }
    }
    const { content } = echo.event;
    if ((echo.event.type as string) !== ENCRYPTED || typeof content?.["ciphertext"] !== "string") {
      return refused(text("reactionNotEncrypted"), "blocked");
    }
    return result<Outcome>({
      kind: "send",
      url: `${before}${ENCRYPTED}/${encodeUriPart(txnId)}${after}`,
      body: this.#leaving(room, echo, content),
      noted: "rewritten",
    });
  }

  #sendReply({ room, body, txnId }: Sending): Outcome {
    const echo = room.getEventForTxnId?.(txnId);
    const inner = echo?.clearEvent?.content;
    const isInside =
      echo !== undefined &&
      this.#reader.isReading(echo) &&
      echo.event.content?.["ciphertext"] === body["ciphertext"] &&
      isPlain(inner) &&
      isSame(relationOf(inner[RELATES_TO]), relationOf(body[RELATES_TO]));
    if (!isInside) return refused(text("replyNotCertain"), "blocked");
    return result<Outcome>({
      kind: "send",
      body: this.#leaving(room, echo, body),
      noted: "rewritten",
    });
  }

  /**
   * The body of an event that leaves, without what is inside. Element keeps it as it left: what does
   * not arrive is sent once more, and after a reload matrix-js-sdk cannot decrypt what has no event's
   * id yet, so that nobody could tell that the relation is inside.
   */
  #leaving(room: RelationsRoom, echo: PageEvent, content: Plain): string {
    this.#reader.trust(echo);
    const outer = outerContent(content) ?? content;
    echo.event.content = outer;
    try {
      room.savePendingEvents?.();
    } catch {
      // It is kept the next time that its status changes.
    }
    return stringify(outer);
  }

  /** undefined: not to be sent. */
  async #choice(
    client: RelationsClient,
    room: RelationsRoom,
    request: PausedRequest,
  ): Promise<RoomChoice | undefined> {
    if (shieldSettings("relations")?.mode !== "ask") return "encrypt";
    const { roomId } = room;
    const running = this.#asking[roomId];
    if (running !== undefined) return await running;
    const asking = pinned(this.#ask(client, room, request));
    this.#asking[roomId] = asking;
    try {
      return await asking;
    } finally {
      delete this.#asking[roomId];
    }
  }

  async #ask(
    client: RelationsClient,
    room: RelationsRoom,
    { url, signal }: PausedRequest,
  ): Promise<RoomChoice | undefined> {
    const key = await pinned(choiceKey(client.getUserId() ?? "", "relations", url));
    const known = key === undefined ? undefined : await pinned(recallChoice(key));
    if (known !== undefined) return known;
    await within(room.loadMembersIfNeeded(), ENCRYPTION_LIMIT_MS).catch(() => undefined);
    const others: string[] = [];
    for (const { userId } of room.getJoinedMembers()) {
      if (userId !== client.getUserId()) others.push(userId);
    }
    const { choice } = await ask({
      title: text("relationsTitle"),
      text: [
        text("relationsWhat"),
        whoWillNotSee(others, this.#reader.speakers),
        text("relationsKept"),
      ],
      choices: [
        { id: "encrypt", label: text("relationsEncrypt"), kind: "primary" },
        { id: "readable", label: text("relationsReadable"), kind: "plain" },
        { id: "cancel", label: text("relationsCancel"), kind: "plain" },
      ],
      ...(signal === undefined ? {} : { signal }),
    });
    if (choice !== "encrypt" && choice !== "readable") return undefined;
    if (key !== undefined) await pinned(rememberChoice(key, choice));
    return choice;
  }
}

const settled = new NativePromise<void>((resolve) => {
  resolve();
});

/**
 * What its sender does not want to send after all is not kept as unsent: it would hold up all that
 * they send in the room after it. A reply stays, with what they typed.
 */
function withdrawUnsent(client: RelationsClient, event: PageEvent): void {
  const onStatus = (): void => {
    if (event.status === "sending" || event.status === "encrypting") return;
    event.off("Event.status", onStatus);
    // Not while Element still hears that it was not sent; and not by a timer, which waits in a tab behind.
    void then(settled, () => {
      if (event.status === "not_sent") client.cancelPendingEvent(event);
    });
  };
  event.on("Event.status", onStatus);
}

/** By what their clients showed before. */
export function whoWillNotSee(others: readonly string[], speakers: ReadonlySet<string>): string {
  const unseen = others.filter((userId) => !speakers.has(userId)).sort();
  if (unseen.length === 0) return text("relationsAll");
  return counted("relationsUnseen", unseen.length, unseen.slice(0, MAX_NAMED).join(", "));
}

async function isEncryptedRoom(crypto: RelationsCrypto, room: RelationsRoom): Promise<boolean> {
  if (room.hasEncryptionStateEvent()) return true;
  return within(crypto.isEncryptionEnabledInRoom(room.roomId), ENCRYPTION_LIMIT_MS);
}

function targetOf(url: string): Target | undefined {
  const [, before, roomId, type, txnId, after] = execute(PATH, url) ?? [];
  if (before === undefined || roomId === undefined || type === undefined) return undefined;
  try {
    return {
      before,
      roomId: decodeURIComponent(roomId),
      type: decodeURIComponent(type),
      txnId: decodeURIComponent(txnId ?? ""),
      after: after ?? "",
    };
  } catch {
    return undefined;
  }
}
