/** The page's own writes of state: encrypted where they are to be, refused in words where they cannot. */
import {
  decodeText,
  encodeText,
  isArray,
  localStorageOf,
  nativeFetch,
  NativePromise,
  now,
  page,
  parseJson,
} from "../primordials/primordials.ts";
import { headersFrom } from "../primordials/header-list.ts";
import type { EncryptedState } from "../../generated/mantle_state.js";
import { bodyBytes } from "../intercept/handlers.ts";
import type { PausedRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import { refused } from "../intercept/refusal.ts";
import { showNotice } from "../dialogs/notice.ts";
import { ask } from "../dialogs/prompt.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import {
  encryptsAll,
  PageCryptoError,
  runningClient,
  sentenceIn,
  within,
} from "./element/client.ts";
import type { PageClient } from "./element/client.ts";
import { isFinal, sendAsClient } from "./homeserver.ts";
import type { StateEngine } from "./engine.ts";
import type { KeyFetcher } from "./keys.ts";
import type { PendingWrites } from "./pending.ts";
import type { StateSharing } from "./sharing.ts";
import { text } from "../texts/texts.ts";

/** In the page's localStorage: the first encrypted room was explained. */
const TOLD = "mantle_state_told";
/** Longest wait for the engine itself. */
const START_LIMIT = 20_000;
/** Longest wait for a room's state, where its flag was sent and no answer came. */
const FLAG_LIMIT = 15_000;
/** MSC4362's, unstable and stable. */
const STATE_FLAGS = ["io.element.msc4362.encrypt_state_events", "encrypt_state_events"];

/** What the module looks at in every room. */
const OWN_TYPES = [
  "m.room.name",
  "m.room.topic",
  "m.room.encryption",
  "im.vector.modular.widgets",
  "m.widget",
];
/** A change of state, its type written as it is; anything else is for the module to judge. */
const STATE_TYPE =
  /^https?:\/\/[^/?#]+(?:\/[A-Za-z0-9._-]+)*\/_matrix\/client\/[a-z0-9]+\/rooms\/([^/?#]+)\/state\/([A-Za-z0-9._-]+)(?:\/[^/?#]*)?(?:\?[^#]*)?$/;

/** Whether it sets state that is encrypted only where it is so already. */
function isOther(url: string): boolean {
  const [, , type] = STATE_TYPE.exec(url) ?? [];
  if (type === undefined || OWN_TYPES.includes(type)) return false;
  const more = shieldSettings("encrypted-state")?.options["types"];
  return !isArray(more) || !more.includes(type);
}

/** The room whose state it changes, where that can be told for sure. */
function roomOf(url: string): string | undefined {
  const [, room] = STATE_TYPE.exec(url) ?? [];
  // With a homeserver below such a path, the room would be another.
  if (room === undefined || url.split("/_matrix/").length !== 2) return undefined;
  try {
    return decodeURIComponent(room);
  } catch {
    return undefined;
  }
}

/** Whether the running client has the room, and that it does not encrypt its state. */
export function isKnownReadable(roomId: string): boolean {
  const state = runningClient()?.getRoom(roomId)?.currentState;
  if (state?.getStateEvents("m.room.create", "") == null) return false;
  const content = (state.getStateEvents("m.room.encryption", "")?.getContent() ?? {}) as Record<
    string,
    unknown
  >;
  return !STATE_FLAGS.some((flag) => Boolean(content[flag]));
}

/**
 * A request whose state stays readable, as it was before something in it was encrypted for the room;
 * undefined where nothing was.
 */
export type Unsealed = (request: PausedRequest) => Promise<Outcome | undefined>;

export class StateWriter implements RequestHandler {
  readonly #engine: StateEngine;
  readonly #keys: KeyFetcher;
  readonly #sharing: StateSharing;
  readonly #pending: PendingWrites;
  readonly #unsealed: Unsealed;

  constructor(
    engine: StateEngine,
    parts: { keys: KeyFetcher; sharing: StateSharing; pending: PendingWrites; unsealed: Unsealed },
  ) {
    this.#engine = engine;
    this.#keys = parts.keys;
    this.#sharing = parts.sharing;
    this.#pending = parts.pending;
    this.#unsealed = parts.unsealed;
  }

  async handle(request: PausedRequest): Promise<Outcome> {
    // No room here has anything encrypted, so the module would let it pass.
    if (this.#engine.isUnloaded && !encryptsAll() && isOther(request.url)) return { kind: "send" };
    try {
      await within(this.#engine.started(), START_LIMIT);
    } catch (error) {
      if (request.signal?.aborted === true) return { kind: "fail" };
      return this.#needsNoEngine(request.url) ? { kind: "send" } : refusal(error);
    }
    return this.#guarded(request, () => {
      const { method, url } = request;
      const route = this.#engine.call((state) => state.routeWrite(method, url));
      switch (route.kind) {
        case "put":
          return this.#put(request, false);
        case "create":
          return this.#create(request);
        case "upgrade":
          return this.#upgrade(request, route.roomId);
        default:
          return this.#includeEncryptedType(request);
      }
    });
  }

  async #guarded(request: PausedRequest, write: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await write();
    } catch (error) {
      if (request.signal?.aborted === true) return { kind: "fail" };
      return refusal(error);
    }
  }

  /** Whether what is set there can leave encrypted. Rejects, in words, where nobody can tell. */
  async encrypts(url: string): Promise<boolean> {
    if (this.#engine.isUnloaded && this.#needsNoEngine(url)) return false;
    try {
      await within(this.#engine.started(), START_LIMIT);
    } catch (error) {
      if (this.#needsNoEngine(url)) return false;
      throw error;
    }
    const plan = await this.#planPut("PUT", url, encodeText("{}"), true);
    if (plan.kind === "encrypt") return true;
    if (plan.kind === "refuse" || plan.kind === "needRoom") {
      throw new PageCryptoError(plan.sentence);
    }
    return false;
  }

  /** Of what can leave encrypted: whether it does, whoever sets it. */
  async encryptsAnyway(url: string): Promise<boolean> {
    await within(this.#engine.started(), START_LIMIT);
    return (await this.#planPut("PUT", url, encodeText("{}"), false)).kind === "encrypt";
  }

  /** Sends it encrypted, or not at all; the answer is the homeserver's. */
  async putEncrypted(request: PausedRequest): Promise<Outcome> {
    const outcome = await this.#guarded(request, () => this.#put(request, true));
    if (outcome.kind !== "send") return outcome;
    const { url, body } = outcome;
    if (url === undefined || typeof body !== "string") return refusal(undefined);
    const answer = await send({ ...request, url }, body);
    return answer === undefined
      ? { kind: "fail" }
      : { kind: "reply", status: answer.status, body: answer.text, noted: "rewritten" };
  }

  /** Without the module: state that only rooms with the flag may have encrypted, elsewhere. */
  #needsNoEngine(url: string): boolean {
    const roomId = isOther(url) ? roomOf(url) : undefined;
    if (roomId === undefined || this.#engine.isFlagUncertain(roomId)) return false;
    try {
      return isKnownReadable(roomId);
    } catch {
      return false;
    }
  }

  /** `encryptsAny`: whatever its type, as far as the room encrypts its state. */
  async #planPut(
    method: string,
    url: string,
    body: Uint8Array,
    encryptsAny: boolean,
  ): Promise<PutPlan> {
    await this.#engine.resolveFlags(roomOf(url), async (roomId) => {
      const client = runningClient();
      if (client === undefined) throw new PageCryptoError(text("changeNotProtected"));
      try {
        return await within(roomState(client, roomId), FLAG_LIMIT);
      } catch (error) {
        throw isFinal(error) ? error : new PageCryptoError(text("changeNotProtected"));
      }
    });
    const plan = (): PutPlan =>
      this.#engine.call((state) => {
        state.setEncryptsAll(encryptsAny || encryptsAll());
        return state.planPut(method, url, body);
      });
    const first = plan();
    if (first.kind !== "needRoom") return first;
    await this.#learnRoom(first.roomId);
    return plan();
  }

  async #put(request: PausedRequest, encryptsAny: boolean): Promise<Outcome> {
    const { method, url } = request;
    const body = await bodyBytes(request.body);
    const plan = await this.#planPut(method, url, body, encryptsAny);
    switch (plan.kind) {
      case "pass":
        return { kind: "send" };
      case "flag":
        return this.#flag(request, body, plan.roomId);
      case "rewrite":
        return { kind: "send", body: plan.body };
      case "encrypt":
        break;
      case "refuse":
        return refused(plan.sentence, "blocked", plan.errcode);
      default:
        return refused(plan.sentence, "blocked");
    }
    const { roomId, eventType, stateKey, url: target } = plan;
    if (eventType === "m.room.avatar") tellOfReadableFile(body);
    const client = await this.#sharing.readyClient();
    const room = await this.#sharing.readyRoom(client, roomId);
    const contentJson = decodeText(body);
    await this.#sharing.prepare(client, room);
    const encrypted = await this.#engine.writing(client, async () => {
      if (request.signal?.aborted === true) throw new PageCryptoError(text("changeTakenBack"));
      const made = await this.#sharing.encrypt(client, room, { eventType, stateKey, contentJson });
      this.#pending.replace(roomId, eventType, stateKey);
      return made;
    });
    return { kind: "send", url: target, body: encrypted.body };
  }

  /** The page itself turns encrypted state on: known before any further write of that room. */
  async #flag(request: PausedRequest, body: Uint8Array, roomId: string): Promise<Outcome> {
    const answer = await send(request, body);
    if (answer === undefined || answer.status >= 500) this.#engine.markFlagUncertain(roomId);
    if (answer === undefined) return { kind: "fail" };
    if (answer.status === 200) {
      this.#engine.call((state) => state.noteFlag(roomId));
      // Whatever becomes of it: the room has the flag, and this page knows.
      await this.#engine.persist().catch(() => undefined);
    }
    return { kind: "reply", status: answer.status, body: answer.text, noted: "flagged" };
  }

  /** What the rules of a room are: from the running client, else from the homeserver. */
  async #learnRoom(roomId: string): Promise<void> {
    const client = runningClient();
    if (client === undefined || this.#keys.addRules(client, roomId)) return;
    const events = await roomState(client, roomId);
    this.#engine.call((state) => state.addRoomState(roomId, events));
  }

  async #create(request: PausedRequest): Promise<Outcome> {
    const body = await bodyBytes(request.body);
    // Without this look, a room that is none of ours would wait for the crypto.
    const client = runningClient();
    if (client === undefined) throw new PageCryptoError(text("changeNotProtected"));
    const plan = await this.#planCreate(body, client);
    switch (plan.kind) {
      case "pass": {
        const isPublic = plan.why === "public";
        const unsealed = await this.#unsealed(request);
        return unsealed ?? (isPublic ? { kind: "send", noted: "flagged" } : { kind: "send" });
      }
      case "ask":
        return refused(text("roomWaits"), "blocked");
      default:
    }
    const { pendingId } = plan;
    // From here on the name is on disk, whatever happens to this page.
    const answer = await send(request, plan.body);
    // Perhaps the homeserver made the room and only its answer was lost: `adopt` finds it.
    if (answer === undefined) return { kind: "fail" };
    const roomId = answer.status === 200 ? roomIdOf(answer.text, "room_id") : undefined;
    // A gateway that gave up says nothing of the homeserver behind it, nor does an answer without a
    // room: `adopt` finds that room too.
    const isOpen = answer.status >= 500 || answer.status === 200;
    try {
      await this.#engine.writing(client, () => {
        this.#engine.call((state) => {
          if (roomId !== undefined) state.created(pendingId, roomId);
          else if (!isOpen) state.createFailed(pendingId);
        });
        return NativePromise.resolve();
      });
    } catch {
      // The room is there in any case, and so is its name, on disk.
      if (roomId !== undefined) this.#pending.made(pendingId, roomId);
    }
    if (roomId !== undefined) {
      this.#pending.begin();
      try {
        this.#tellOnce();
      } catch {
        // Told with another room; a refusal would have this one made once more.
      }
    }
    return { kind: "reply", status: answer.status, body: answer.text };
  }

  async #planCreate(
    body: Uint8Array,
    client: NonNullable<ReturnType<typeof runningClient>>,
  ): Promise<CreatePlan> {
    const plan = (consent?: string): Promise<CreatePlan> =>
      this.#engine.writing(client, async () => {
        const made = this.#engine.call((state) => state.planCreate(body, now(), consent));
        if (made.kind !== "create") return made;
        try {
          await this.#sharing.readyClient();
          await this.#engine.persist();
          const isKept = (state: EncryptedState): boolean =>
            made.pendingId === "" || state.isPendingStored(made.pendingId);
          if (!this.#engine.call(isKept)) throw new PageCryptoError(text("roomNameNotKept"));
        } catch (error) {
          this.#engine.call((state) => state.createFailed(made.pendingId));
          throw error;
        }
        return made;
      });
    const first = await plan();
    if (first.kind !== "ask") return first;
    const { choice } = await ask({
      title: text("encryptRoom"),
      text: [text("encryptRoomText"), text("encryptRoomOthers")],
      choices: [
        { id: "yes", label: text("encrypt"), kind: "primary" },
        { id: "no", label: text("leaveReadable"), kind: "plain" },
      ],
    });
    return choice === "dismissed" ? first : plan(choice);
  }

  async #upgrade(request: PausedRequest, oldRoomId: string): Promise<Outcome> {
    const client = runningClient();
    if (client === undefined) return { kind: "send" };
    const answer = await send(request, await bodyBytes(request.body));
    if (answer === undefined) return { kind: "fail" };
    const { status } = answer;
    const newRoomId = status === 200 ? roomIdOf(answer.text, "replacement_room") : undefined;
    if (newRoomId !== undefined) {
      try {
        await this.#engine.writing(client, async () => {
          this.#engine.call((state) => state.upgraded(oldRoomId, newRoomId, now()));
          await this.#engine.persist();
          // Another entry that could not be stored is no reason to say so of the name.
          const isKept = (state: EncryptedState): boolean =>
            state
              .pendingWrites()
              .every(
                ({ roomId, pendingId }) => roomId !== newRoomId || state.isPendingStored(pendingId),
              );
          if (!this.#engine.call(isKept)) throw new PageCryptoError(text("upgradeNotNamed"));
        });
        this.#pending.begin();
      } catch {
        // A refusal would have the room upgraded once more.
        showNotice(text("upgradeNotNamed"));
      }
    }
    return { kind: "reply", status, body: answer.text, noted: "rewritten" };
  }

  /** Filters that name types would keep encrypted state away. */
  async #includeEncryptedType(request: PausedRequest): Promise<Outcome> {
    const body = await bodyBytes(request.body);
    const wider = this.#engine.call((state) =>
      state.includeEncryptedType(request.method, request.url, body),
    );
    return wider === undefined ? { kind: "send" } : { kind: "send", body: wider };
  }

  #tellOnce(): void {
    if (localStorageOf(page).getItem(TOLD) !== null) return;
    localStorageOf(page).setItem(TOLD, "1");
    showNotice(text("firstRoom"), "note");
  }
}

type CreatePlan = ReturnType<EncryptedState["planCreate"]>;
type PutPlan = ReturnType<EncryptedState["planPut"]>;

/** What the homeserver says, as a JSON array. */
async function roomState(client: PageClient, roomId: string): Promise<string> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state`;
  return JSON.stringify(await sendAsClient(client, "GET", path));
}

/** Sends a held request now, for its answer; undefined when none came. */
async function send(
  request: PausedRequest,
  body: string | Uint8Array,
): Promise<{ status: number; text: string } | undefined> {
  try {
    const response = await nativeFetch(page, request.url, {
      method: request.method,
      headers: headersFrom(request.headers),
      body: body as BodyInit,
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
    return { status: response.status, text: await response.text() };
  } catch {
    return undefined;
  }
}

function roomIdOf(text: string, field: string): string | undefined {
  try {
    const roomId = (parseJson(text) as Record<string, unknown> | null)?.[field];
    return typeof roomId === "string" ? roomId : undefined;
  } catch {
    return undefined;
  }
}

/** A picture's file is what counts, and this one was uploaded as it is. */
function tellOfReadableFile(body: Uint8Array): void {
  try {
    const { url } = parseJson(decodeText(body)) as { readonly url?: unknown };
    if (typeof url === "string" && url !== "") showNotice(text("pictureFileReadable"));
  } catch {
    // Not told; it is set all the same.
  }
}

function refusal(error: unknown): Outcome {
  return refused(sentenceIn(error) ?? text("changeNotProtected"), "blocked");
}
