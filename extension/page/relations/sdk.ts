/** matrix-js-sdk as it runs in the page, as far as relations use it: of 34 to 43. */
import { ENCRYPTED } from "./relation.ts";
import type { Plain } from "./relation.ts";

/** An event as matrix-js-sdk holds it. */
export interface PageEvent {
  readonly event: {
    readonly type?: string;
    readonly event_id?: string;
    readonly state_key?: string;
    content?: Plain;
    readonly unsigned?: { readonly redacted_because?: unknown };
  };
  /** What decryption gave, or what was encrypted here; or a text that says why it cannot be read. */
  readonly clearEvent?: { readonly type?: unknown; readonly content?: unknown };
  /** null: it is not on its way out. */
  readonly status: string | null;
  getId(): string | undefined;
  getType(): string;
  getSender(): string | undefined;
  /** Identity key of the device that the session came from. */
  getSenderKey(): string | null;
  getRoomId(): string | undefined;
  getWireContent(): Plain;
  isDecryptionFailure(): boolean;
  getDecryptionPromise?(): Promise<void> | null;
  isEncrypted(): boolean;
  makeRedacted(redaction: unknown, room: unknown): void;
  makeReplaced(edit?: PageEvent | null): void;
  /** What a homeserver says of all that relates to it in one way. */
  getServerAggregatedRelation(type: string): unknown;
  on(name: "Event.status" | "Event.decrypted", listener: () => void): void;
  off(name: "Event.status" | "Event.decrypted", listener: () => void): void;
}

/** Whether it came as a message's ciphertext: state events have relations nowhere but inside. */
export function isEncrypted({ event }: PageEvent): boolean {
  return event.type === ENCRYPTED && event.state_key === undefined;
}

/** What all events of a page share. */
export type EventPrototype = Pick<
  PageEvent,
  | "getType"
  | "getWireContent"
  | "isEncrypted"
  | "makeRedacted"
  | "makeReplaced"
  | "getServerAggregatedRelation"
>;

interface Timeline {
  getEvents(): PageEvent[];
}

interface TimelineSet {
  getTimelines(): Timeline[];
}

/** What relates to one event in one way. */
interface Relations {
  removeEvent?(event: PageEvent): Promise<void>;
  /** An event that stands here is not added again. */
  readonly relationEventIds?: Set<string>;
}

export interface RelationsRoom {
  readonly roomId: string;
  readonly relations?: {
    aggregateChildEvent(event: PageEvent, timelineSet: TimelineSet): void;
    getChildEventsForEvent?(
      eventId: string,
      relationType: string,
      eventType: string,
    ): Relations | undefined;
  };
  getUnfilteredTimelineSet(): TimelineSet;
  getTimelineSets(): TimelineSet[];
  findEventById(eventId: string): PageEvent | undefined;
  /** An event that is on its way out. */
  getEventForTxnId?(txnId: string): PageEvent | undefined;
  /** Keeps what is on its way out for a page that is loaded again. */
  savePendingEvents?(): void;
  hasEncryptionStateEvent(): boolean;
  getJoinedMembers(): { readonly userId: string }[];
  loadMembersIfNeeded(): Promise<unknown>;
}

export interface RelationsCrypto {
  encryptEvent(event: PageEvent, room: RelationsRoom): Promise<void>;
  isEncryptionEnabledInRoom(roomId: string): Promise<boolean>;
  decryptEvent(event: PageEvent): Promise<{ readonly clearEvent: Clear }>;
  getEncryptionInfoForEvent?(event: PageEvent): Promise<{
    readonly shieldReason: number | null;
  } | null>;
  getOwnDeviceKeys?(): Promise<{ readonly curve25519: string }>;
  userHasCrossSigningKeys?(userId: string): Promise<boolean>;
  getUserDeviceInfo(
    userIds: string[],
    download: boolean,
  ): Promise<Map<string, Map<string, { deviceId: string; keys: Map<string, string> }>>>;
}

export interface Clear {
  readonly type: unknown;
  readonly content: unknown;
}

/** As a homeserver lists what relates to an event. */
export interface ListedRelations {
  readonly events: PageEvent[];
  readonly originalEvent?: PageEvent | null;
}

export interface RelationsClient {
  getUserId(): string | null;
  getCrypto(): RelationsCrypto | undefined;
  getRoom(roomId: string | undefined): RelationsRoom | null;
  getRooms(): RelationsRoom[];
  cancelPendingEvent(event: PageEvent): void;
  on(name: string, listener: (first: unknown) => void): void;
  getEventMapper(options: object): (event: object) => PageEvent;
  decryptEventIfNeeded(event: PageEvent): Promise<void>;
  relations?(
    roomId: string,
    eventId: string,
    type: string | null,
    eventType?: string | null,
    options?: unknown,
  ): Promise<ListedRelations>;
}
