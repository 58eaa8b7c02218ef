/**
 * Pictures of rooms that encrypt their state, and of people in one such room, as they leave. An upload
 * that may become one waits here until a request names it. In such a room the picture is encrypted then
 * and its state with it; anything else has the upload go out as it was, before the request that names it. What nothing
 * names never leaves.
 */
import {
  addListener,
  blobBuffer,
  blobSize,
  blobType,
  decodeText,
  encodeText,
  isArray,
  isPlain,
  messageData,
  NativeBlob,
  NativeError,
  NativePromise,
  NativeUint8Array,
  own,
  page,
  parseJson,
  stringify,
} from "../primordials/primordials.ts";
import { type HeaderList, headersFrom } from "../primordials/header-list.ts";
import { DELEGATE, FAIL, REPLY } from "../intercept/decision.ts";
import type { Delegate, FirstDelegate } from "../intercept/decision.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { Outcome, PausedRequest, RequestHandler } from "../intercept/handlers.ts";
import { refused } from "../intercept/refusal.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import type { Answer, Question } from "../dialogs/prompt.ts";
import { choiceKey } from "../dialogs/room-choices.ts";
import type { RoomChoice } from "../dialogs/room-choices.ts";
import { sentenceIn } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";
import { encrypted } from "./cipher.ts";
import { isMediaAddress, MAX_BYTES, pictureFile } from "./file.ts";
import { HeldUploads, withAddress } from "./held.ts";
import type { HeldUpload, Sent } from "./held.ts";
import { pictureKind } from "./kind.ts";
import type { PictureKind } from "./kind.ts";

const SHIELD = "room-pictures";
const AVATAR = "m.room.avatar";
const MEMBER = "m.room.member";
const UPLOAD = /^(https?:\/\/[^?#]*)\/_matrix\/media\/[^/?#]+\/upload(?:[?#]|$)/;
const STATE = /^[^?#]*\/_matrix\/client\/[^?#]*\/rooms\/[^/?#]+\/state\/([^/?#]+)(?:[/?#]|$)/;
const CREATE = /^[^?#]*\/_matrix\/client\/[^/?#]+\/createRoom(?:[?#]|$)/;
const pass: Outcome = { kind: "send" };
/** Rooms that are being made with an encrypted picture; of more the oldest stay as they are. */
const MAX_ROOMS = 8;

/** As the first of others; the second where encrypted state is among these. */
const first: Delegate = { handler: SHIELD, shield: SHIELD, name: "", question: null };
const beforeState: Delegate = { ...first };

type Plain = Record<string, unknown>;

/** As far as pictures use it. */
export interface UploadingClient {
  getUserId(): string | null;
  uploadContent(file: unknown, ...options: unknown[]): Promise<unknown>;
  mxcUrlToHttp(mxc: unknown, ...rest: unknown[]): string | null;
  getCrypto?(): EncryptingCrypto | undefined;
}

interface EncryptingCrypto {
  encryptEvent?(event: EncryptedEvent, ...rest: unknown[]): unknown;
}

interface EncryptedEvent {
  readonly event: { content?: object; readonly type?: string };
}

/** What is about to be uploaded, and whose. */
interface Expected {
  readonly file: Blob;
  readonly client: UploadingClient;
}

export interface WriterParts {
  /** The page's own fetch, hooks included: what goes out by it goes as if Element sent it. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Past the hooks. */
  send(url: string, init: RequestInit): Promise<Response>;
  /** Whether what is set there leaves encrypted. Rejects, in words, where nobody can tell. */
  encrypts(url: string): Promise<boolean>;
  /** Of what leaves encrypted: whether it would without pictures being asked about, too. */
  encryptsAnyway(url: string): Promise<boolean>;
  /** What members of rooms are called and look like there (`extension/page/room-names`). */
  readonly members: {
    /** Whether that leaves sealed where it can. */
    isOn(): boolean;
    /** Of one that sets a member event: whether the picture in it is to. Rejects in words. */
    seals(request: PausedRequest): Promise<boolean>;
    /** The request with that picture sealed in it, or refused. */
    seal(request: PausedRequest, picture: Plain): Promise<Outcome>;
  };
  /** Sends state encrypted, or not at all. */
  putEncrypted(request: PausedRequest): Promise<Outcome>;
  /** Rejects, in words, where it cannot be cleaned. */
  withoutDetails(picture: Blob): Promise<Blob>;
  thumbnail(bytes: Uint8Array<ArrayBuffer>, kind: PictureKind): Promise<Blob>;
  urlOf(blob: Blob): string;
  revoke(url: string): void;
  now(): number;
  ask(question: Question): Promise<Answer>;
  /** What was chosen for a room, by `choiceKey`. */
  recall(key: string): Promise<RoomChoice | undefined>;
  remember(key: string, choice: RoomChoice): Promise<void>;
}

export class PictureWriter implements RequestHandler, FirstDelegate {
  readonly #parts: WriterParts;
  readonly #uploads: HeldUploads;
  readonly #attached = new WeakSet<UploadingClient>();
  readonly #watched = new WeakSet<EncryptingCrypto>();
  /** What Element is about to upload as it uploads pictures; the same file may be so twice. */
  readonly #expected = new Set<Expected>();
  /** Files that came from another window: of a widget, which may name them where nobody sees it. */
  readonly #foreign = new WeakSet();
  /** By the address of the encrypted picture, of rooms that are being made. */
  readonly #rooms = new Map<string, { readonly one: HeldUpload; readonly content: Plain }>();
  #client: UploadingClient | undefined;
  /** Of the decision in hand: whether it is looked at here, and whether only here. */
  #takes = false;
  #takesAlone = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#uploads = new HeldUploads(parts.revoke, parts.now);
    addListener(page, "message", (event) => this.#noteForeign(event as MessageEvent), true);
  }

  /** Before each request. */
  attach(client: UploadingClient | undefined): void {
    if (client === this.#client) return;
    this.#client = client;
    // What another session uploaded is not this one's. What it still sends is refused, and a room that
    // it is making keeps what was taken out.
    this.#uploads.clear();
    if (client === undefined || this.#attached.has(client)) return;
    const { uploadContent, mxcUrlToHttp } = client;
    if (typeof uploadContent !== "function" || typeof mxcUrlToHttp !== "function") return;
    this.#attached.add(client);
    client.uploadContent = (file, ...options) => {
      const held = client === this.#client ? this.#fileToHold(file, options) : undefined;
      if (held === undefined) return uploadContent.call(client, file, ...options);
      const expected = { file: held, client };
      this.#expected.add(expected);
      // The same promise: Element takes an upload back by it.
      const uploading = uploadContent.call(client, file, ...options);
      const over = (): void => void this.#expected.delete(expected);
      uploading.then(over, over);
      return uploading;
    };
    client.mxcUrlToHttp = (mxc, ...rest) => {
      const one = typeof mxc === "string" ? this.#uploads.find(mxc) : undefined;
      if (one === undefined) return mxcUrlToHttp.call(client, mxc, ...rest);
      return one.actual === undefined
        ? (one.url ?? null)
        : mxcUrlToHttp.call(client, one.actual, ...rest);
    };
  }

  flags(flags: number, method: string, url: string): number {
    // What only looks has no body that could name one.
    const isReading = method === "GET" || method === "HEAD";
    const isUpload = this.#expected.size > 0 && method === "POST" && UPLOAD.test(url);
    const isOne =
      this.#uploads.size > 0 &&
      ((!isReading && this.#uploads.isAnyWanted()) || this.#uploads.namedIn(url).length > 0);
    this.#takes =
      (isOne || isUpload) && (flags & (REPLY | FAIL)) === 0 && url.includes("/_matrix/");
    if (!this.#takes) return flags;
    this.#takesAlone = (flags & DELEGATE) === 0;
    return flags | DELEGATE;
  }

  delegates(others: readonly Delegate[]): readonly Delegate[] {
    // A core that cannot say who takes it over would not have let it out.
    if (!this.#takes || (others.length === 0 && !this.#takesAlone)) return others;
    const hasState = others.some(({ shield }) => shield === "encrypted-state");
    return [hasState ? beforeState : first, ...others];
  }

  async handle(request: PausedRequest, delegate: Delegate): Promise<Outcome> {
    const { method, url, body } = request;
    if (body !== undefined && !(body instanceof NativeUint8Array)) {
      const isUpload = method === "POST" && UPLOAD.test(url);
      const expected = isUpload ? this.#takeExpected(body) : undefined;
      return expected === undefined ? pass : this.#hold(request, body, expected.client);
    }
    const named = this.#uploads.namedIn(`${url}\n${decodeText(await bodyBytes(body))}`);
    if (named.length === 0) return pass;
    if (method === "GET" || method === "HEAD") return this.#look(request, named);
    if (method === "POST" && CREATE.test(url)) {
      return this.#makeRoom(request, named, delegate === beforeState);
    }
    if (method === "PUT" && stateIn(url) === MEMBER) return this.#setOwnPicture(request, named);
    const content = pictureIn(request);
    return content === undefined
      ? this.#asItIs(request, named)
      : this.#setPicture(request, named, content);
  }

  /** Element uploads pictures of people, rooms and spaces by nothing but the file. */
  #fileToHold(file: unknown, options: readonly unknown[]): Blob | undefined {
    if (options[0] !== undefined || !(file instanceof NativeBlob) || !("name" in file)) {
      return undefined;
    }
    const type = blobType(file);
    const isPicture = type === "" || type.startsWith("image/");
    return isPicture && !this.#foreign.has(file) && this.#holds() ? file : undefined;
  }

  /** Whether an upload may become something that is to leave encrypted. */
  #holds(): boolean {
    return modeNow() !== "off" || this.#parts.members.isOn();
  }

  /**
   * `fetch` makes a copy of a file, `XMLHttpRequest` does not. Of copies of one size nobody can tell
   * which is the picture, so all wait until its upload is over.
   */
  #takeExpected(body: Blob): Expected | undefined {
    const all = [...this.#expected];
    const found = all.find(({ file }) => file === body);
    if (found !== undefined) this.#expected.delete(found);
    return found ?? all.find(({ file }) => blobSize(file) === blobSize(body));
  }

  /** A homeserver that is asked for a name learns it, and could have it named elsewhere. */
  #look(request: PausedRequest, named: readonly HeldUpload[]): Outcome {
    let url: string | undefined = request.url;
    for (const { mxc, actual } of named) {
      if (url === undefined || actual === undefined) return refused(text("pictureGone"), "blocked");
      url = withAddress(url, placeOf(mxc), placeOf(actual));
    }
    return url === undefined
      ? refused(text("pictureGone"), "blocked")
      : { kind: "send", url, noted: null };
  }

  #noteForeign(event: MessageEvent): void {
    const { data } = (messageData(event) ?? {}) as { data?: { file?: unknown } | null };
    const file = data?.file;
    if (file instanceof NativeBlob) this.#foreign.add(file);
  }

  #hold(request: PausedRequest, file: Blob, of: UploadingClient): Outcome {
    if (!this.#holds()) return pass;
    const mode = modeNow();
    const client = this.#client;
    const userId = client?.getUserId() ?? "";
    const server = userId.slice(userId.indexOf(":") + 1);
    // Where nobody can tell what is wanted, or whose it is, it does not go out readable either.
    if (mode === undefined || client === undefined || client !== of || server === "") {
      return refused(text("pictureNotUploaded"), "blocked");
    }
    const one = this.#uploads.add(server, request, file);
    this.#uploads.makeRoom();
    one.preview = this.#preview(one, file);
    try {
      this.#watchCrypto(client);
    } catch {
      // Another Element than the ones known.
    }
    return { kind: "reply", status: 200, body: stringify({ content_uri: one.mxc }), noted: null };
  }

  /**
   * Holds a picture that the person picks in Mantle, and gives the name by which Element's client says
   * what it is for. As the person's own in one room it is sealed; in any other way it does not leave.
   */
  holdPicked(file: Blob, baseUrl: string): string {
    const client = this.#client;
    const userId = client?.getUserId() ?? "";
    const server = userId.slice(userId.indexOf(":") + 1);
    if (client === undefined || server === "" || !this.#holds()) {
      throw new NativeError(text("pictureNotUploaded"));
    }
    const url = `${baseUrl.replace(/\/+$/, "")}/_matrix/media/v3/upload`;
    const request = { method: "POST", url, headers: [], body: file, signal: undefined };
    const one = this.#uploads.add(server, request, file, true);
    this.#uploads.makeRoom();
    one.preview = this.#preview(one, file);
    return one.mxc;
  }

  /** Element shows it before anybody else can. */
  async #preview(one: HeldUpload, file: Blob): Promise<void> {
    try {
      if (blobSize(file) > MAX_BYTES) return;
      const bytes = new NativeUint8Array(await blobBuffer(file));
      const kind = pictureKind(bytes);
      if (kind === undefined) return;
      const url = this.#parts.urlOf(await this.#parts.thumbnail(bytes, kind));
      if (this.#uploads.find(one.mxc) === one) one.url = url;
      else this.#parts.revoke(url);
    } catch {
      // Its first letter, then.
    }
  }

  /** Messages of encrypted rooms name it where no request shows it. */
  #watchCrypto(client: UploadingClient): void {
    const crypto = client.getCrypto?.();
    const native = crypto?.encryptEvent;
    if (crypto === undefined || typeof native !== "function" || this.#watched.has(crypto)) return;
    this.#watched.add(crypto);
    crypto.encryptEvent = async (event, ...rest) => {
      const content = stringify(event.event.content ?? {});
      const named = this.#uploads.namedIn(content);
      if (named.length > 0) {
        // A room's picture that Element encrypts by itself: the file would stay readable.
        const isState = event.event.type === AVATAR && modeNow() !== "off";
        if (isState) throw new NativeError(text("changeNotProtected"));
        const changed = await this.#withAddresses(content, named, undefined);
        if (typeof changed !== "string") throw new NativeError(text("pictureNotUploaded"));
        event.event.content = parseJson(changed) as object;
      }
      return native.call(crypto, event, ...rest);
    };
  }

  /** Sends what the request names as it was, and then the request. */
  async #asItIs(
    request: PausedRequest,
    named: readonly HeldUpload[],
    noted: "flagged" | null = null,
  ): Promise<Outcome> {
    const body = decodeText(await bodyBytes(request.body));
    // Nothing leaves for a request that is refused then.
    if (!canName(body, named) || !canName(request.url, named)) {
      return refused(text("pictureGone"), "blocked");
    }
    const changed = await this.#withAddresses(body, named, request);
    if (typeof changed !== "string") return changed;
    const url = await this.#withAddresses(request.url, named, request);
    if (typeof url !== "string") return url;
    return { kind: "send", url, ...(changed === body ? {} : { body: changed }), noted };
  }

  /** The text with addresses in place of names; what the page is told where there are none. */
  async #withAddresses(
    given: string,
    named: readonly HeldUpload[],
    by: PausedRequest | undefined,
  ): Promise<string | Outcome> {
    if (!canName(given, named)) return refused(text("pictureGone"), "blocked");
    let changed = given;
    for (const one of named) {
      const sent = await this.#send(one, by);
      if ("outcome" in sent) return sent.outcome;
      const next = withAddress(changed, one.mxc, sent.mxc);
      if (next === undefined) return refused(text("pictureGone"), "blocked");
      changed = next;
    }
    return changed;
  }

  /** As Element would have sent it; once, however many wait for it. `by`: whose token is the newest. */
  #send(one: HeldUpload, by: PausedRequest | undefined): Promise<Sent> {
    if (one.actual !== undefined) return NativePromise.resolve({ mxc: one.actual });
    if (one.file === undefined) {
      return NativePromise.resolve({ outcome: refused(text("pictureGone"), "blocked") });
    }
    if (one.isForSealing === true) {
      const outcome = refused(text("ownPictureNotEncrypted"), "blocked");
      return NativePromise.resolve({ outcome });
    }
    one.sending ??= this.#sendNow(one, one.file, by).finally(() => delete one.sending);
    return one.sending;
  }

  async #sendNow(one: HeldUpload, file: Blob, by: PausedRequest | undefined): Promise<Sent> {
    const headers = headersFrom(withTokenOf(one.request.headers, by));
    try {
      const init = own({ method: "POST", headers, body: file });
      const answer = await answerOf(this.#parts.fetch(one.request.url, init));
      if (answer.mxc === undefined) {
        const { status, body } = answer;
        return { outcome: { kind: "reply", status: status === 200 ? 502 : status, body } };
      }
      one.actual = answer.mxc;
      one.file = undefined;
      this.#uploads.noteUse(one);
      return { mxc: answer.mxc };
    } catch {
      return { outcome: { kind: "fail" } };
    }
  }

  async #setPicture(
    request: PausedRequest,
    named: readonly HeldUpload[],
    content: Plain,
  ): Promise<Outcome> {
    try {
      const mode = modeNow();
      if (mode === "off" || !(await this.#parts.encrypts(request.url))) {
        return await this.#asItIs(request, named);
      }
      const one = named.find(({ mxc }) => mxc === content["url"]);
      // Named in another way, it would go out readable beside encrypted state.
      if (one === undefined) return refused(text("changeNotProtected"), "blocked");
      const choice = mode === "ask" ? await this.#askOnce(request) : "encrypt";
      if (choice === undefined) return refused(text("notSent"), "asked");
      if (choice === "readable") return await this.#asItIs(request, named, "flagged");
      const changed = stringify(await this.#sealed(request, one, content));
      return await this.#parts.putEncrypted({ ...request, body: encodeText(changed) });
    } catch (error) {
      return refusal(request, error);
    }
  }

  /** A picture of the person in one room alone. */
  async #setOwnPicture(request: PausedRequest, named: readonly HeldUpload[]): Promise<Outcome> {
    const { members } = this.#parts;
    try {
      if (!members.isOn() || !(await members.seals(request))) {
        return await this.#asItIs(request, named);
      }
      const body: unknown = parseJson(decodeText(await bodyBytes(request.body)));
      const [one, ...more] = named;
      const isPicture = one !== undefined && isPlain(body) && body["avatar_url"] === one.mxc;
      // What names it in another way would stay.
      const isElsewhere =
        !isPlain(body) ||
        this.#uploads.namedIn(stringify({ ...body, avatar_url: "" }) + request.url).length > 0;
      if (!isPicture || isElsewhere || more.length > 0) {
        return refused(text("ownPictureNotEncrypted"), "blocked");
      }
      return await members.seal(request, await this.#sealed(request, one, {}));
    } catch (error) {
      if (request.signal?.aborted === true) return { kind: "fail" };
      return refused(sentenceIn(error) ?? text("ownPictureNotEncrypted"), "blocked");
    }
  }

  /**
   * A room that is made with a picture. Whether its state is going to be encrypted is said by those
   * who encrypt it, after this: `unsealed` is for where it is not.
   */
  async #makeRoom(
    request: PausedRequest,
    named: readonly HeldUpload[],
    isBeforeState: boolean,
  ): Promise<Outcome> {
    try {
      const mode = modeNow();
      const made = isBeforeState && mode !== "off" ? pictureOfNew(request) : undefined;
      if (made === undefined) return await this.#asItIs(request, named);
      const [one, ...more] = named;
      const isPicture = one !== undefined && made !== "unclear" && made.content["url"] === one.mxc;
      const isNamed =
        made === "unclear" || this.#uploads.namedIn(stringify(made.content)).length > 0;
      if (!isNamed) return await this.#asItIs(request, named);
      // Which of these is to be encrypted, and where it stands, nobody can tell.
      if (!isPicture || more.length > 0) return refused(text("changeNotProtected"), "blocked");
      const choice = mode === "ask" ? await this.#ask(request, encryptsPictures()) : "encrypt";
      if (choice === undefined) return refused(text("notSent"), "asked");
      if (choice === "readable") return await this.#asItIs(request, named, "flagged");
      const changed = await this.#sealed(request, one, made.content);
      const { url } = changed["file"] as { readonly url: string };
      this.#rooms.set(url, { one, content: made.content });
      for (const oldest of this.#rooms.keys()) {
        if (this.#rooms.size <= MAX_ROOMS) break;
        this.#rooms.delete(oldest);
      }
      const body = stringify(made.with(changed));
      // What of it names the picture in another way would stay.
      if (this.#uploads.namedIn(body).length > 0) throw new NativeError(text("pictureGone"));
      return { kind: "send", body, noted: "rewritten" };
    } catch (error) {
      return refusal(request, error);
    }
  }

  /** A request that makes a room whose state stays readable, with its picture as it was. */
  async unsealed(request: PausedRequest): Promise<Outcome | undefined> {
    const made = pictureOfNew(request);
    if (made === undefined || made === "unclear") return undefined;
    const { url } = (made.content["file"] ?? {}) as { readonly url?: unknown };
    const room = typeof url === "string" ? this.#rooms.get(url) : undefined;
    if (room === undefined) return undefined;
    const sent = await this.#send(room.one, request);
    if ("outcome" in sent) return sent.outcome;
    const body = withAddress(stringify(made.with(room.content)), room.one.mxc, sent.mxc);
    return body === undefined
      ? refused(text("pictureGone"), "blocked")
      : { kind: "send", body, noted: "flagged" };
  }

  /** The content that names the encrypted picture, which is uploaded by then. */
  async #sealed(request: PausedRequest, one: HeldUpload, content: Plain): Promise<Plain> {
    const { file } = one;
    // What is readable somewhere would stay so.
    if (file === undefined) throw new NativeError(text("pictureGone"));
    if (blobSize(file) > MAX_BYTES) throw new NativeError(text("pictureTooLarge"));
    const clean = await this.#parts.withoutDetails(file);
    const bytes = new NativeUint8Array(await blobBuffer(clean));
    const kind = pictureKind(bytes);
    // What this browser cannot show nobody is shown.
    await one.preview;
    const isShown = kind !== undefined && bytes.length <= MAX_BYTES && one.url !== undefined;
    if (!isShown) throw new NativeError(text("pictureKind"));
    const sealed = await encrypted(bytes);
    const base = UPLOAD.exec(one.request.url)?.[1] ?? "";
    const headers = headersFrom([
      ...withTokenOf([], request),
      ["Content-Type", "application/octet-stream"],
    ]);
    const init = { method: "POST", headers, body: sealed.ciphertext };
    const uploaded = this.#parts.send(`${base}/_matrix/media/v3/upload`, {
      ...init,
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
    const answer = await answerOf(uploaded).catch(() => undefined);
    const { url: _url, thumbnail_url: _thumbnail, ...rest } = content;
    const changed = {
      ...rest,
      file: { ...sealed.file, url: answer?.mxc },
      info: { mimetype: kind.type, size: bytes.length },
    };
    // As everybody reads it; an address of another form nobody would.
    if (pictureFile(changed) === undefined) throw new NativeError(text("pictureNotUploaded"));
    if (this.#uploads.namedIn(stringify(changed)).length > 0) {
      throw new NativeError(text("changeNotProtected"));
    }
    one.isEncrypted = true;
    this.#uploads.noteUse(one);
    return changed;
  }

  /** The answer holds for the room. undefined: it is not to be set. */
  async #askOnce(request: PausedRequest): Promise<RoomChoice | undefined> {
    const key = await choiceKey(this.#client?.getUserId() ?? "", SHIELD, request.url);
    const known = key === undefined ? undefined : await this.#parts.recall(key);
    const isSealed = await this.#parts.encryptsAnyway(request.url);
    if (known === "encrypt" || (known === "readable" && !isSealed)) return known;
    const choice = await this.#ask(request, isSealed, text("relationsKept"));
    if (key !== undefined && choice !== undefined) await this.#parts.remember(key, choice);
    return choice;
  }

  /** `isSealed`: the state is encrypted in any case, so a readable file would be nobody's wish. */
  async #ask(
    { signal }: PausedRequest,
    isSealed: boolean,
    ...more: string[]
  ): Promise<RoomChoice | undefined> {
    const readable = { id: "readable", label: text("leaveReadable"), kind: "plain" } as const;
    const { choice } = await this.#parts.ask({
      title: text("pictureAsk"),
      text: [text("pictureAskText"), text("pictureAskOthers"), ...more],
      choices: [
        { id: "encrypt", label: text("encrypt"), kind: "primary" },
        ...(isSealed ? [] : [readable]),
        { id: "cancel", label: text("pictureCancel"), kind: "plain" },
      ],
      ...(signal === undefined ? {} : { signal }),
    });
    return choice === "encrypt" || choice === "readable" ? choice : undefined;
  }
}

function refusal({ signal }: PausedRequest, error: unknown): Outcome {
  if (signal?.aborted === true) return { kind: "fail" };
  return refused(sentenceIn(error) ?? text("changeNotProtected"), "blocked");
}

/** What watches only does nothing here. undefined: the settings are not there yet. */
function modeNow(): "off" | "ask" | "on" | undefined {
  const mode = shieldSettings(SHIELD)?.mode;
  return mode === undefined || mode === "ask" || mode === "on" ? mode : "off";
}

/** Whether the state of new rooms that names their picture is encrypted in any case. */
function encryptsPictures(): boolean {
  const types = shieldSettings("encrypted-state")?.options["types"];
  return isArray(types) && types.includes(AVATAR);
}

/** As addresses at a homeserver name it. */
function placeOf(mxc: string): string {
  return mxc.slice("mxc://".length);
}

/** Whether an address can take the place of each that the text names. */
function canName(given: string, named: readonly HeldUpload[]): boolean {
  let rest: string | undefined = given;
  for (const { mxc, actual, file } of named) {
    if (actual === undefined && file === undefined) return false;
    rest = rest === undefined ? undefined : withAddress(rest, mxc, "");
  }
  return rest !== undefined;
}

/** The type of the state that an address sets. */
function stateIn(url: string): string | undefined {
  const type = STATE.exec(url)?.[1];
  try {
    return type === undefined ? undefined : decodeURIComponent(type);
  } catch {
    return undefined;
  }
}

/** The content of an `m.room.avatar` that a request sets; an empty one where it cannot be read. */
function pictureIn({ method, url, body }: PausedRequest): Plain | undefined {
  if (method !== "PUT" || stateIn(url) !== AVATAR) return undefined;
  try {
    const content = body instanceof NativeUint8Array ? parseJson(decodeText(body)) : undefined;
    return isPlain(content) ? content : {};
  } catch {
    return {};
  }
}

/** The picture of a room that a request makes, and the request's body with another. */
interface NewPicture {
  readonly content: Plain;
  with(content: Plain): Plain;
}

/** undefined: there is none, or nobody is going to encrypt it. */
function pictureOfNew({ body }: PausedRequest): NewPicture | "unclear" | undefined {
  if (!(body instanceof NativeUint8Array)) return undefined;
  let room: unknown;
  try {
    room = parseJson(decodeText(body));
  } catch {
    return undefined;
  }
  const events = isPlain(room) ? room["initial_state"] : undefined;
  if (!isPlain(room) || !isArray(events)) return undefined;
  const ofType = (type: string): Plain[] =>
    (events as unknown[]).filter(isPlain).filter((event) => event["type"] === type);
  const [picture, ...more] = ofType(AVATAR);
  const content = picture?.["content"];
  // Whose state nobody is going to encrypt; the others are looked at with more care.
  const isReadable =
    ofType("m.room.encryption").length === 0 ||
    room["preset"] === "public_chat" ||
    room["visibility"] === "public";
  if (isReadable || picture === undefined) return undefined;
  if (!isPlain(content) || more.length > 0) return "unclear";
  const changed = (event: unknown, by: Plain): unknown =>
    event === picture ? { ...picture, content: by } : event;
  return {
    content,
    with: (by) => ({
      ...room,
      initial_state: (events as unknown[]).map((event) => changed(event, by)),
    }),
  };
}

/** These headers, with the token of a later request of the same session. */
function withTokenOf(headers: PausedRequest["headers"], by: PausedRequest | undefined): HeaderList {
  const isToken = (header: readonly [string, string]): boolean =>
    header[0].toLowerCase() === "authorization";
  const token = by?.headers.find(isToken);
  const kept = headers.filter((header) => token === undefined || !isToken(header));
  return token === undefined ? kept : [...kept, token];
}

interface UploadAnswer {
  readonly status: number;
  readonly body: string;
  /** undefined: it was not taken. */
  readonly mxc: string | undefined;
}

async function answerOf(asked: Promise<Response>): Promise<UploadAnswer> {
  const response = await asked;
  const body = await response.text();
  let mxc: unknown;
  try {
    if (response.status === 200) mxc = (parseJson(body) as Plain | null)?.["content_uri"];
  } catch {
    // An error page.
  }
  return { status: response.status, body, mxc: isMediaAddress(mxc) ? mxc : undefined };
}
