/**
 * Lets Element show the names and pictures that people have taken in single rooms. What it reads of a
 * member event has them in it once they are opened, and never what was sealed; nothing that it stores is
 * changed.
 */
import {
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  isPlain,
  startsWith,
} from "../primordials/primordials.ts";
import { eachInSteps, yieldToPage } from "../primordials/steps.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";
import { MEMBER, pictureIn, profileIn, split } from "./profile.ts";
import type { Plain, Profile } from "./profile.ts";
import type { Member, MemberEvent, Message, NamesClient, NamesRoom } from "./sdk.ts";

/** Names that are kept; of more, those opened first are opened again when they are looked at. */
const MAX_NAMES = 20_000;
/** What a message tells once it was decrypted, as its tile listens to it. */
const DECRYPTED = "Event.decrypted";
/**
 * Element may look at a member event before it has the room, or before it is known that the room
 * encrypts its state, and never again: it is asked about so often by itself, each time after twice as
 * long.
 */
const MAX_TRIES = 5;
const AGAIN_MS = 500;
/** Member events given to the module at a time. */
const EVENTS_IN_STEP = 100;

export interface ReaderParts {
  /** Whether the room encrypts its state; rejects while that cannot be told. */
  isEncrypted(roomId: string): Promise<boolean>;
  /** Has these opened; what comes of it, now or later, is told by `opened`. */
  open(roomId: string, members: object[]): void;
  /**
   * Whether the person's own name may be shown: Element sends on what it is shown of their member
   * event, and where nothing seals that again the name would leave with it.
   */
  showsOwn(): boolean;
  /** The picture with that file in that room; undefined where none can be shown. */
  picture(roomId: string, content: Plain): NamedPicture | undefined;
  /** Soon, when nothing else is to be done; or after so many milliseconds. */
  later(task: () => void, delay?: number): void;
}

/** A picture, by what Element takes for its address. */
export interface NamedPicture {
  readonly name: string;
  /** It is to be named anew. */
  readonly isForgotten: boolean;
}

/** What was sealed, and the event it came with: another one of the same person has its own or none. */
interface Opened {
  readonly eventId: string;
  readonly profile: Profile;
}

/** A member event to be opened. */
interface Asked {
  readonly event: MemberEvent;
  /** Whether the running client held it for the current one at some time since. */
  wasCurrent: boolean;
}

interface Shown {
  readonly content: Plain;
  readonly profile: Profile | undefined;
  readonly picture: NamedPicture | undefined;
  readonly shown: Plain;
}

export class NameReader {
  readonly #parts: ReaderParts;
  /** By room and person. */
  readonly #opened = new Map<string, Opened>();
  #shown = new WeakMap<MemberEvent, Shown>();
  /** Member events that were asked about: by room, then by id. */
  #asked = new Map<string, Map<string, Asked>>();
  /** Ids of those that the module was given and has not opened yet: it tells when it has. */
  readonly #given = new Set<string>();
  /** How often a member event was asked about again by itself. */
  #tries = new WeakMap<MemberEvent, number>();
  #isAsking = false;
  #client: NamesClient | undefined;
  #prototype: object | undefined;
  /** Whose picture it is: `keyOf`. */
  readonly #pictured = new WeakMap<NamedPicture, string>();
  /** Whose picture has become another since messages were drawn: `keyOf`. */
  readonly #repictured = new Set<string>();
  /** Rooms whose name may be made of people's. */
  readonly #renamed = new Set<string>();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /** Before each request, since rooms are shown from the first answer on; cheap when it is done. */
  attach(client: NamesClient | undefined): void {
    if (client === this.#client) return;
    this.#client = client;
    // What another session was shown is not this one's.
    this.#opened.clear();
    this.#asked.clear();
    this.#given.clear();
    this.#shown = new WeakMap();
    this.#tries = new WeakMap();
    if (client === undefined) return;
    const mapper = client.getEventMapper({ decrypt: false, preventReEmit: true });
    const event = mapper({ type: "m.room.message", event_id: "$mantle", content: {} });
    const prototype = getPrototypeOf(event) as MemberEvent | null;
    if (typeof prototype?.getContent !== "function" || this.#prototype === prototype) return;
    this.#prototype = prototype;
    const { getContent } = prototype;
    const withName = (of: MemberEvent, content: Plain): Plain => this.#withName(of, content);
    prototype.getContent = function (this: MemberEvent): Plain {
      const content = getContent.call(this);
      const isOurs = this.event.type === MEMBER && content[MEMBER_PROFILE] !== undefined;
      return isOurs ? withName(this, content) : content;
    };
  }

  /** Whether the person's name and picture in the room are shown as they have them now. */
  isShown(roomId: string, userId: string): boolean {
    if (!this.#parts.showsOwn()) return false;
    const current = this.#client?.getRoom(roomId)?.currentState.getStateEvents(MEMBER, userId);
    const known = this.#opened.get(keyOf(roomId, userId));
    return known !== undefined && known.eventId === current?.event.event_id;
  }

  /** Whether the person's own names are shown may have changed. */
  tellOwn(): void {
    const client = this.#client;
    const me = client?.getUserId() ?? null;
    if (client === undefined || me === null) return;
    for (const key of this.#opened.keys()) {
      if (key === keyOf(roomIn(key), me)) this.#showAgain(key);
    }
  }

  /** A picture can be shown from now on. */
  pictureOpened(picture: object): void {
    const key = this.#pictured.get(picture as NamedPicture);
    if (key === undefined) return;
    this.#showAgain(key);
    this.#repictured.add(key);
    this.#showSoon(roomIn(key));
  }

  /** Element looks at the member again, as if the event came just now: it is called so from here on. */
  #showAgain(key: string): void {
    const roomId = roomIn(key);
    const state = this.#client?.getRoom(roomId)?.currentState;
    const current = state?.getStateEvents(MEMBER, key.slice(roomId.length + 1));
    if (current != null) state?.setStateEvents([current]);
  }

  /** The module has opened what a member event carries. */
  opened(roomId: string, event: Plain): void {
    const { event_id: eventId, state_key: userId, content } = event;
    if (typeof eventId !== "string" || typeof userId !== "string") return;
    const key = keyOf(roomId, userId);
    const room = this.#client?.getRoom(roomId) ?? null;
    const current = room?.currentState.getStateEvents(MEMBER, userId);
    const currentId = current?.event.event_id;
    this.#given.delete(eventId);
    // Of an older one it was only to be known that it is.
    if (currentId !== eventId && this.#opened.get(key)?.eventId === currentId) return;
    this.#opened.delete(key);
    this.#opened.set(key, { eventId, profile: profileIn(content) });
    if (this.#opened.size > MAX_NAMES) {
      const [oldest] = this.#opened.keys();
      if (oldest !== undefined) this.#opened.delete(oldest);
    }
    if (room === null || current == null || currentId !== eventId) return;
    this.#showAgain(key);
    if (pictureIn(content) !== undefined) this.#repictured.add(key);
    this.#showSoon(roomId);
  }

  #showSoon(roomId: string): void {
    this.#renamed.add(roomId);
    if (this.#renamed.size > 1) return;
    this.#parts.later(() => this.#showRenamed());
  }

  /** What was written before its sender's name was opened has it too, and so have rooms named after people. */
  #showRenamed(): void {
    const rooms = [...this.#renamed];
    this.#renamed.clear();
    const repictured = new Set(this.#repictured);
    this.#repictured.clear();
    eachInSteps(rooms, (roomId) => {
      const room = this.#client?.getRoom(roomId) ?? null;
      if (room === null) return;
      const messages = renameSenders(room, (userId) => repictured.has(keyOf(roomId, userId)));
      room.recalculate();
      if (this.#client !== undefined) redraw(this.#client, messages);
    }).catch(() => undefined);
  }

  #withName(event: MemberEvent, content: Plain): Plain {
    const { event_id: eventId, sender, state_key: userId } = event.event;
    const roomId = event.getRoomId?.() ?? event.event.room_id;
    const isReceived = typeof eventId === "string" && startsWith(eventId, "$");
    const isOwn = userId !== undefined && userId === sender && content["membership"] === "join";
    let profile: Profile | undefined;
    if (isReceived && isOwn && roomId !== undefined && isPlain(content[MEMBER_PROFILE])) {
      const known = this.#opened.get(keyOf(roomId, userId));
      const isMine = userId === this.#client?.getUserId();
      if (known?.eventId === eventId)
        profile = isMine && !this.#parts.showsOwn() ? undefined : known.profile;
      else if (!this.#given.has(eventId)) this.#ask(roomId, eventId, event);
    }
    const before = this.#shown.get(event);
    const isSame = before?.content === content && before.profile === profile;
    if (isSame && before.picture?.isForgotten !== true) return before.shown;
    const shown: Plain = { ...split(content).rest };
    if (profile?.name !== undefined) shown["displayname"] = profile.name;
    let picture: NamedPicture | undefined;
    if (roomId !== undefined && userId !== undefined && profile?.picture !== undefined) {
      picture = this.#parts.picture(roomId, profile.picture);
      if (picture !== undefined) {
        shown["avatar_url"] = picture.name;
        this.#pictured.set(picture, keyOf(roomId, userId));
      }
    }
    this.#shown.set(event, { content, profile, picture, shown });
    return shown;
  }

  #ask(roomId: string, eventId: string, event: MemberEvent): void {
    const inRoom = this.#asked.get(roomId) ?? new Map<string, Asked>();
    const asked = inRoom.get(eventId) ?? { event, wasCurrent: false };
    asked.wasCurrent ||= this.#isCurrent(roomId, event);
    this.#asked.set(roomId, inRoom.set(eventId, asked));
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#parts.later(() => {
      this.#askAll()
        .catch(() => undefined)
        .finally(() => {
          this.#isAsking = false;
        });
    });
  }

  async #askAll(): Promise<void> {
    while (this.#asked.size > 0) {
      const asked = this.#asked;
      this.#asked = new Map();
      for (const [roomId, events] of asked) {
        const all = [...events.values()];
        const isAsked = await this.#askRoom(roomId, all).catch(() => false);
        if (!isAsked) this.#askAgain(roomId, all);
      }
    }
  }

  /** Also when they are looked at again. */
  #askAgain(roomId: string, asked: readonly Asked[]): void {
    const client = this.#client;
    const again: MemberEvent[] = [];
    let most = 0;
    for (const { event } of asked) {
      const tries = this.#tries.get(event) ?? 0;
      if (tries >= MAX_TRIES) continue;
      this.#tries.set(event, tries + 1);
      again.push(event);
      if (tries > most) most = tries;
    }
    if (again.length === 0) return;
    this.#parts.later(
      () => {
        if (client !== this.#client) return;
        for (const event of again) this.#ask(roomId, event.event.event_id ?? "", event);
      },
      AGAIN_MS * 2 ** most,
    );
  }

  #isCurrent(roomId: string, { event }: MemberEvent): boolean {
    const state = this.#client?.getRoom(roomId)?.currentState;
    const current = state?.getStateEvents(MEMBER, event.state_key ?? "");
    return current?.event.event_id === event.event_id;
  }

  /** False where nothing can be said of the room yet. */
  async #askRoom(roomId: string, events: readonly Asked[]): Promise<boolean> {
    if (!(await this.#parts.isEncrypted(roomId))) return false;
    if ((this.#client?.getRoom(roomId) ?? null) === null) return false;
    for (let from = 0; from < events.length; from += EVENTS_IN_STEP) {
      const some: object[] = [];
      for (const { event, wasCurrent } of events.slice(from, from + EVENTS_IN_STEP)) {
        // What was never so is history, and nothing that is wound back. What was, and was replaced at
        // once, is opened for the order: what came before it must not come again.
        const { event_id: eventId } = event.event;
        if (eventId === undefined || !(wasCurrent || this.#isCurrent(roomId, event))) continue;
        some.push(event.event);
        this.#given.add(eventId);
      }
      // Some are asked about once more then.
      if (this.#given.size > MAX_NAMES) this.#given.clear();
      if (some.length > 0) this.#parts.open(roomId, some);
      await yieldToPage();
    }
    return true;
  }
}

function keyOf(roomId: string, userId: string): string {
  return `${roomId} ${userId}`;
}

function roomIn(key: string): string {
  return key.slice(0, key.indexOf(" "));
}

/**
 * Messages hold their sender as they were called then. Those that hold the event of now are called by
 * it; those of before keep what they were shown with. Returns the messages whose sender's name or
 * picture changed.
 */
function renameSenders(room: NamesRoom, isRepictured: (userId: string) => boolean): Message[] {
  const isRenamed = new Map<Member, boolean>();
  return (room.getLiveTimeline?.().getEvents() ?? []).filter(({ sender }) => {
    if (sender == null) return false;
    const known = isRenamed.get(sender) ?? renameSender(room, sender, isRepictured);
    isRenamed.set(sender, known);
    return known;
  });
}

function renameSender(
  room: NamesRoom,
  sender: Member,
  isRepictured: (userId: string) => boolean,
): boolean {
  const event = sender.events.member;
  if (event?.event.content?.[MEMBER_PROFILE] === undefined) return false;
  const userId = event.event.state_key ?? "";
  const current = room.currentState.getStateEvents(MEMBER, userId);
  if (current?.event.event_id !== event.event.event_id) return false;
  const before = sender.rawDisplayName;
  sender.setMembershipEvent?.(event, room.currentState);
  return sender.rawDisplayName !== before || isRepictured(userId);
}

/**
 * Element draws a message anew when that message tells it was decrypted. The client, which tells all
 * others what its messages tell, says nothing of it: nothing else has changed.
 */
function redraw(client: NamesClient, messages: readonly Message[]): void {
  const { emit } = client;
  if (emit === undefined || messages.length === 0) return;
  const own = getOwnPropertyDescriptor(client, "emit");
  client.emit = (name, ...values) =>
    name === DECRYPTED ? false : emit.call(client, name, ...values);
  try {
    for (const message of messages) message.emit?.(DECRYPTED, message);
  } finally {
    if (own !== undefined) defineProperty(client, "emit", own);
    else delete client.emit;
  }
}
