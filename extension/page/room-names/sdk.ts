/** matrix-js-sdk as it runs in the page, as far as names in one room use it: of 34 to 43. */
import type { PageClient } from "../room-state/element/client.ts";
import type { Plain } from "./profile.ts";

export interface MemberEvent {
  readonly event: {
    readonly type?: string;
    readonly event_id?: string;
    readonly room_id?: string;
    readonly sender?: string;
    readonly state_key?: string;
    readonly content?: Plain;
  };
  getContent(): Plain;
  getRoomId?(): string | undefined;
}

export interface Member {
  readonly events: { readonly member?: MemberEvent };
  readonly rawDisplayName?: string;
  setMembershipEvent?(event: MemberEvent, state: NamesState): void;
}

interface NamesState {
  getStateEvents(type: string, stateKey: string): MemberEvent | null;
  setStateEvents(events: MemberEvent[]): void;
}

export interface Message {
  readonly sender?: Member | null;
  emit?(name: string, event: Message): boolean;
}

export interface NamesRoom {
  readonly roomId: string;
  readonly currentState: NamesState;
  getLiveTimeline?(): { getEvents(): Message[] };
  recalculate(): void;
}

export interface NamesClient {
  getUserId(): string | null;
  isInitialSyncComplete(): boolean;
  getRoom(roomId: string): NamesRoom | null;
  getEventMapper(options: object): (event: object) => MemberEvent;
  sendStateEvent(room: string, type: string, content: Plain, key: string): Promise<unknown>;
  on(name: string, listener: (event: MemberEvent) => void): void;
  emit?(name: string, ...values: unknown[]): boolean;
}

/** The same client as encrypted state knows it. */
export const asNamesClient = (client: PageClient | undefined): NamesClient | undefined =>
  client as unknown as NamesClient | undefined;
