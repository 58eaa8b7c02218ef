/**
 * The person's own name and picture in one room as they leave: in a room that encrypts its state,
 * servers get those that everybody knows, and the others sealed beside them.
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
import { isPictureName } from "../room-pictures/cache.ts";
import {
  innerContent,
  MAX_NAME,
  memberIn,
  nameIn,
  outerContent,
  profileIn,
  withPicture,
} from "./profile.ts";
import type { Plain, Profile, PublicProfile } from "./profile.ts";

interface Target {
  readonly roomId: string;
  readonly userId: string;
}

export interface WriterParts {
  runningClient(): PageClient | undefined;
  /** Whether the name can leave encrypted there; rejects where nobody can tell. */
  isEncrypted(roomId: string, userId: string): Promise<boolean>;
  /** What everybody knows. */
  publicProfile(client: PageClient): Promise<PublicProfile>;
  /** What is sealed already, JSON. */
  heldContent(roomId: string): string | undefined;
  /** The picture in the member event of now, which everybody can read already. */
  picture(roomId: string, userId: string): unknown;
  now(): number;
  /** Whether Element shows what is sealed now. */
  isShown(roomId: string, userId: string): boolean;
  /** Encrypts a content for whoever is in the room; it must be sent then. */
  seal(client: PageClient, roomId: string, contentJson: string): Promise<unknown>;
}

/** What is sent of a person's picture. */
type SentPicture =
  /** `avatar_url` of a member event. */
  | { readonly url: unknown }
  /** Encrypted just now. */
  | { readonly made: Plain };

/** What is to be sealed, JSON, and what stands outside. */
interface Sealing {
  readonly inner: string;
  readonly outside: Plain;
}

/** What is chosen elsewhere than in Element. */
export type Change =
  | { readonly name: string }
  /** The picture is to be the public one. */
  | { readonly isPictureTaken: true };

const NONE: Profile = { name: undefined, picture: undefined };

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
    // With a picture, it was made here.
    if (this.isSealed(request.body)) return { kind: "send", noted: null };
    const { runningClient } = this.#parts;
    // An Element that does not let its client be seen can show nothing of the kind.
    if ((runningClient()?.getUserId() ?? null) === null) return { kind: "send", noted: "flagged" };
    if (memberIn(request.url) === undefined) {
      return refused(text("nicknameNotEncrypted"), "blocked");
    }
    return this.#whole(request, text("nicknameNotEncrypted"), async (client, target) => {
      const body = await ownBody(request);
      if (body === undefined) return undefined;
      const { roomId, userId } = target;
      if (!(await this.#parts.isEncrypted(roomId, userId))) {
        // What was sealed there is not said aloud, whatever has become of the room's settings.
        if (this.#isHeld(roomId, body["displayname"])) {
          throw new PageCryptoError(text("nicknameNotEncrypted"));
        }
        if (isSealedPicture(body["avatar_url"])) {
          throw new PageCryptoError(text("ownPictureNotEncrypted"));
        }
        return undefined;
      }
      return this.#bytesFor(client, target, body, { url: body["avatar_url"] });
    });
  }

  /**
   * Whether a picture in that request is to leave sealed, as the person's own. Rejects, in words, where
   * nobody can tell.
   */
  async sealsPicture(request: PausedRequest): Promise<boolean> {
    const userId = this.#parts.runningClient()?.getUserId() ?? null;
    const target = memberIn(request.url);
    if (target === undefined) throw new PageCryptoError(text("ownPictureNotEncrypted"));
    if (target.userId !== userId || (await ownBody(request)) === undefined) return false;
    return this.#parts.isEncrypted(target.roomId, userId);
  }

  /** The request with this picture sealed; refused where it cannot be. */
  sealPicture(request: PausedRequest, made: Plain): Promise<Outcome> {
    return this.#whole(request, text("ownPictureNotEncrypted"), async (client, target) => {
      const body = await ownBody(request);
      if (body === undefined) throw new PageCryptoError(text("ownPictureNotEncrypted"));
      return this.#bytesFor(client, target, body, { made });
    });
  }

  /** `task` gives the body to be sent; undefined: as it is. `sentence`: what is said where it fails. */
  async #whole(
    request: PausedRequest,
    sentence: string,
    task: (client: PageClient, target: Target) => Promise<Uint8Array | undefined>,
  ): Promise<Outcome> {
    const client = this.#parts.runningClient();
    const target = memberIn(request.url);
    if (client === undefined || target === undefined) return refused(sentence, "blocked");
    // Somebody else's is a matter of who may be in the room.
    if (target.userId !== client.getUserId()) return { kind: "send" };
    try {
      const body = await task(client, target);
      if (request.signal?.aborted === true) return { kind: "fail" };
      return body === undefined ? { kind: "send" } : { kind: "send", body, noted: "rewritten" };
    } catch (error) {
      if (request.signal?.aborted === true) return { kind: "fail" };
      return refused(sentenceIn(error) ?? sentence, "blocked");
    }
  }

  async #bytesFor(
    client: PageClient,
    { roomId, userId }: Target,
    body: Plain,
    sent: SentPicture,
  ): Promise<Uint8Array | undefined> {
    const parts = this.#parts;
    const known = await parts.publicProfile(client);
    const standing = parts.picture(roomId, userId);
    const isChosen = parts.isShown(roomId, userId);
    const sealing = this.#sealingFor(roomId, { body, sent, known, standing, isChosen });
    if (sealing === undefined) return undefined;
    const bytes = await this.#seal(client, roomId, sealing, known);
    const { avatar_url: picture } = sealing.outside;
    // A new picture stays readable, and `profile` asks about that.
    const isPublic = picture !== undefined && picture === known.picture;
    if (isPublic || picture === standing) this.#sealed.add(bytes);
    return bytes;
  }

  /**
   * What was chosen elsewhere than in Element: what is to be sent for it, beside what stands in the
   * member event now; undefined where it is so already. Rejects where it could not leave sealed.
   */
  async chosen(
    client: PageClient,
    { roomId, userId }: Target,
    { content, change }: { content: Plain; change: Change },
  ): Promise<Uint8Array | undefined> {
    if (!(await this.#parts.isEncrypted(roomId, userId))) {
      throw new PageCryptoError(text("nicknameNotEncrypted"));
    }
    const known = await this.#parts.publicProfile(client);
    const held = this.#held(roomId);
    const isNew = held === undefined && !this.#written.has(roomId);
    if ("isPictureTaken" in change) {
      if (isNew) return undefined;
      const inner = innerContent({ name: held?.name, picture: undefined });
      const outside = withPicture(content, known.picture);
      return this.#seal(client, roomId, { inner, outside }, known);
    }
    const name = nameToSeal(change.name, known);
    const isPublic = (content["displayname"] ?? "") === (known.name ?? "");
    // One that everybody can read goes, too.
    if (name === undefined && isNew && isPublic) return undefined;
    const inner = innerContent({ name, picture: held?.picture });
    return this.#seal(client, roomId, { inner, outside: content }, known);
  }

  async #seal(
    client: PageClient,
    roomId: string,
    { inner, outside }: Sealing,
    known: PublicProfile,
  ): Promise<Uint8Array> {
    const sealed = await this.#parts.seal(client, roomId, inner);
    this.#written.set(roomId, this.#parts.now());
    return encodeText(stringify(outerContent(outside, known.name, sealed)));
  }

  #held(roomId: string): Profile | undefined {
    const held = this.#parts.heldContent(roomId);
    return held === undefined ? undefined : profileIn(parseJson(held));
  }

  #isHeld(roomId: string, name: unknown): boolean {
    const sealed = this.#held(roomId)?.name;
    return sealed !== undefined && sealed === name;
  }

  /**
   * What is to be sealed; undefined where there is nothing to hide. `isChosen`: whoever sent this was
   * shown what is sealed now. `standing`: the picture in the member event of now.
   */
  #sealingFor(
    roomId: string,
    { body, sent, known, standing, isChosen }: Sent,
  ): Sealing | undefined {
    const held = this.#held(roomId);
    // Element has sent what it shows: what is public, which was chosen; or not yet the other one, and
    // then it is something else that changes.
    const kept = isChosen ? NONE : (held ?? NONE);
    const name = nameToSeal(body["displayname"], known) ?? kept.name;
    let picture: Plain | undefined;
    let isHidden = true;
    if ("made" in sent) {
      picture = sent.made;
    } else if (isSealedPicture(sent.url)) {
      // It was shown the one that is sealed, and sends that on.
      picture = held?.picture;
    } else {
      const isUnchanged = (sent.url ?? "") === (known.picture ?? "") || sent.url === standing;
      picture = isUnchanged ? kept.picture : undefined;
      isHidden = picture !== undefined;
    }
    const outside = isHidden ? withPicture(body, known.picture) : body;
    const isNone = name === undefined && picture === undefined && !isHidden;
    // One that is under way is taken back as well.
    if (isNone && held === undefined && !this.#written.has(roomId)) return undefined;
    return { inner: innerContent({ name, picture }), outside };
  }
}

/** A member event on its way out. */
interface Sent {
  readonly body: Plain;
  readonly sent: SentPicture;
  readonly known: PublicProfile;
  readonly standing: unknown;
  readonly isChosen: boolean;
}

/** The name that is not to be read; undefined where it is the public one, or none. */
function nameToSeal(name: unknown, known: PublicProfile): string | undefined {
  if (typeof name === "string" && name.length > MAX_NAME) {
    throw new PageCryptoError(text("nicknameTooLong"));
  }
  const wanted = nameIn({ displayname: name });
  return wanted === known.name ? undefined : wanted;
}

/** Whether Element was given this for the address of a picture that is sealed. */
function isSealedPicture(url: unknown): boolean {
  return typeof url === "string" && isPictureName(url);
}

/** The content of one's own member event while one is in the room. */
async function ownBody({ body }: PausedRequest): Promise<Plain | undefined> {
  const content = parseJson(decodeText(await bodyBytes(body)));
  return isPlain(content) && content["membership"] === "join" ? content : undefined;
}
