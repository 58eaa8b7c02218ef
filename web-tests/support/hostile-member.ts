/** A room member who has the right keys and puts whatever they like into encrypted state. */
import { RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Plain } from "./lies.ts";
import type { Peer } from "./peer.ts";
import type { Account, Synapse } from "./synapse.ts";

/** What stands inside an encrypted state event, and outside on the wire. */
export interface Forgery {
  readonly type: string;
  readonly stateKey?: string;
  /** Any JSON text, also one that is no object. */
  readonly content: string;
  /** The outer state key; the honest one when left out. */
  readonly packed?: string;
  /** The room it is encrypted for; the one it is sent to when left out. */
  readonly madeFor?: string;
  /** Without a state key inside, as a message has none. */
  readonly asMessage?: boolean;
}

/** Encrypts with the peer's own session, whose key goes to everybody in the room first. */
export async function forge(peer: Peer, roomId: string, forgery: Forgery): Promise<Plain> {
  const { olmMachine, roomEncryptors, ...modes } = peer.client.getCrypto() as unknown as Inside;
  const madeFor = forgery.madeFor ?? roomId;
  await roomEncryptors[madeFor]?.prepareForEncryption(
    modes.globalBlacklistUnverifiedDevices,
    modes.deviceIsolationMode,
  );
  const { type, stateKey = "", content } = forgery;
  const encrypted =
    forgery.asMessage === true
      ? olmMachine.encryptRoomEvent(new RoomId(madeFor), type, content)
      : olmMachine.encryptStateEvent(new RoomId(madeFor), type, stateKey, content);
  return JSON.parse(await encrypted) as Plain;
}

/** The parts of js-sdk's crypto that a hostile client would use. */
interface Inside {
  readonly olmMachine: OlmMachine;
  readonly roomEncryptors: Record<
    string,
    { prepareForEncryption(blacklist: unknown, isolation: unknown): Promise<void> }
  >;
  readonly globalBlacklistUnverifiedDevices: unknown;
  readonly deviceIsolationMode: unknown;
}

/** Sends a forgery as state; the homeserver sees nothing wrong with it. Gives the event's id. */
export async function sendForgery(
  synapse: Synapse,
  account: Account,
  peer: Peer,
  roomId: string,
  forgery: Forgery,
): Promise<string> {
  const content = await forge(peer, roomId, forgery);
  const packed = forgery.packed ?? `${forgery.type}:${forgery.stateKey ?? ""}`;
  return putState(synapse, account, roomId, "m.room.encrypted", packed, content);
}

/** One state event by the homeserver's own interface. */
export async function putState(
  synapse: Synapse,
  account: Account,
  roomId: string,
  type: string,
  stateKey: string,
  content: unknown,
): Promise<string> {
  const path = [roomId, "state", type, stateKey].map(encodeURIComponent).join("/");
  const answer = await synapse.call(account, "PUT", `/_matrix/client/v3/rooms/${path}`, content);
  return String(answer["event_id"]);
}
