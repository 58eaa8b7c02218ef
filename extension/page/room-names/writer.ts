/**
 * The person's own name in one room as it leaves: in a room that encrypts its state, servers get the
 * name that everybody knows, and the other one sealed beside it.
 */
import {
  decodeText,
  encodeText,
  isPlain,
  parseJson,
  stringify,
} from "../primordials/primordials.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { Outcome, PausedRequest, RequestHandler } from "../intercept/handlers.ts";
import { refused } from "../intercept/refusal.ts";
import { PageCryptoError, sentenceIn } from "../room-state/element/client.ts";
import type { PageClient } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";
import { innerContent, MAX_NAME, memberIn, nameIn, outerContent } from "./profile.ts";
import type { Plain } from "./profile.ts";

interface Target {
  readonly roomId: string;
  readonly userId: string;
}

export interface WriterParts {
  runningClient(): PageClient | undefined;
  /** Whether the name can leave encrypted there; rejects where nobody can tell. */
  isEncrypted(roomId: string, userId: string): Promise<boolean>;
  /** The name that everybody knows; undefined where they have none. */
  publicName(client: PageClient): Promise<string | undefined>;
  /** What is sealed already, JSON. */
  heldContent(roomId: string): string | undefined;
  /** The picture in the member event of now, which is public already. */
  picture(roomId: string, userId: string): unknown;
  now(): number;
  /** Whether Element shows the name that is sealed now. */
  isShown(roomId: string, userId: string): boolean;
  /** Encrypts a content for whoever is in the room; it must be sent then. */
  seal(client: PageClient, roomId: string, contentJson: string): Promise<unknown>;
}

export class NameWriter implements RequestHandler {
  readonly #parts: WriterParts;
  /** Bodies that were made here and say nothing that was not public before. */
  readonly #sealed = new WeakSet<Uint8Array>();
  /** Rooms in which this page has sealed one that may not have come back yet, and when. */
  readonly #written = new Map<string, number>();

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** Whether this page has written there so lately. */
  hasWritten(roomId: string, within: number): boolean {
    const at = this.#written.get(roomId);
    return at !== undefined && this.#parts.now() - at < within;
  }

  /** Whether a request's body has its name sealed, and nothing else in it is new to its readers. */
  isSealed(body: PausedRequest["body"]): boolean {
    return body instanceof Uint8Array && this.#sealed.has(body);
  }

  async handle(request: PausedRequest): Promise<Outcome> {
    const parts = this.#parts;
    const client = parts.runningClient();
    const userId = client?.getUserId() ?? null;
    // An Element that does not let its client be seen can show nothing of the kind.
    if (client === undefined || userId === null) return { kind: "send", noted: "flagged" };
    const target = memberIn(request.url);
    if (target === undefined) return refused(text("nicknameNotEncrypted"), "blocked");
    // Somebody else's is a matter of who may be in the room.
    if (target.userId !== userId) return { kind: "send" };
    try {
      const body = parseJson(decodeText(await bodyBytes(request.body)));
      if (!isPlain(body) || body["membership"] !== "join") return { kind: "send" };
      const { roomId } = target;
      if (!(await parts.isEncrypted(roomId, userId))) {
        // What was sealed there is not said aloud, whatever has become of the room's settings.
        if (this.#isHeld(roomId, body["displayname"]))
          throw new PageCryptoError(text("nicknameNotEncrypted"));
        return { kind: "send" };
      }
      const known = await parts.publicName(client);
      const isChosen = parts.isShown(roomId, userId);
      const content = this.#contentFor(roomId, body["displayname"], known, isChosen);
      if (content === undefined) return { kind: "send" };
      if (request.signal?.aborted === true) return { kind: "fail" };
      const bytes = await this.#seal(client, roomId, content, { body, known });
      // A new picture stays readable, and `profile` asks about that.
      if (body["avatar_url"] === parts.picture(roomId, userId)) this.#sealed.add(bytes);
      return { kind: "send", body: bytes, noted: "rewritten" };
    } catch (error) {
      if (request.signal?.aborted === true) return { kind: "fail" };
      return refused(sentenceIn(error) ?? text("nicknameNotEncrypted"), "blocked");
    }
  }

  /**
   * A name that was chosen elsewhere than in Element: what is to be sent for it, beside what stands in
   * the member event now; undefined where it is so already. Rejects where it could not leave sealed.
   */
  async chosen(
    client: PageClient,
    { roomId, userId }: Target,
    { content, name }: { content: Plain; name: string },
  ): Promise<Uint8Array | undefined> {
    if (!(await this.#parts.isEncrypted(roomId, userId))) {
      throw new PageCryptoError(text("nicknameNotEncrypted"));
    }
    const known = await this.#parts.publicName(client);
    const isPublic = (content["displayname"] ?? "") === (known ?? "");
    const inner =
      this.#contentFor(roomId, name, known, true) ??
      // One that everybody can read goes, too.
      (isPublic ? undefined : innerContent(undefined));
    return inner === undefined
      ? undefined
      : this.#seal(client, roomId, inner, { body: content, known });
  }

  async #seal(
    client: PageClient,
    roomId: string,
    inner: string,
    { body, known }: { body: Plain; known: string | undefined },
  ): Promise<Uint8Array> {
    const sealed = await this.#parts.seal(client, roomId, inner);
    this.#written.set(roomId, this.#parts.now());
    return encodeText(stringify(outerContent(body, known, sealed)));
  }

  #isHeld(roomId: string, name: unknown): boolean {
    const held = this.#parts.heldContent(roomId);
    const sealed = held === undefined ? undefined : nameIn(parseJson(held));
    return sealed !== undefined && sealed === name;
  }

  /**
   * What is to be sealed; undefined where there is nothing to hide. `isChosen`: whoever sent this name
   * was shown the one that is sealed now.
   */
  #contentFor(
    roomId: string,
    name: unknown,
    known: string | undefined,
    isChosen: boolean,
  ): string | undefined {
    if (typeof name === "string" && name.length > MAX_NAME) {
      throw new PageCryptoError(text("nicknameTooLong"));
    }
    const wanted = nameIn({ displayname: name });
    if (wanted !== undefined && wanted !== known) return innerContent(wanted);
    const held = this.#parts.heldContent(roomId);
    if (held === undefined) return this.#written.has(roomId) ? innerContent(undefined) : undefined;
    // Element has sent what it shows: the public name, which was chosen; or not yet the other one,
    // and then it is something else that changes, such as the picture.
    return isChosen ? innerContent(undefined) : held;
  }
}
