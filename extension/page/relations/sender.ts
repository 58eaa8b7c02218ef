/** Whether a reaction's sender may be believed: it is shown without the mark that messages have. */
import { NativeError, setTimer } from "../primordials/primordials.ts";
import { within } from "../room-state/element/client.ts";
import type { PageEvent, RelationsCrypto } from "./sdk.ts";

/**
 * `EventShieldReason` of matrix-js-sdk. What is not named here (a session that belongs to somebody
 * else, a device nobody knows, an identity that changed) marks a message in a way a reaction has no
 * room for.
 */
export const UNVERIFIED_IDENTITY = 1;
export const UNSIGNED_DEVICE = 2;
/** Keys from a backup, or handed on by another device: so comes what is older than this device. */
export const AUTHENTICITY_NOT_GUARANTEED = 4;

/** A user whom the page's crypto does not follow yet is asked for. */
const DEVICES_LIMIT_MS = 6_000;
/** One look-up serves all events of a sender so long, or a thousand of them would be a thousand. */
const KEPT_MS = 60_000;
const lookUps = new WeakMap<RelationsCrypto, Map<string, Promise<unknown>>>();

export async function isSenderBelieved(
  crypto: RelationsCrypto,
  event: PageEvent,
): Promise<boolean> {
  const info = await crypto.getEncryptionInfoForEvent?.(event);
  if (info === null || info === undefined) return false;
  switch (info.shieldReason) {
    case null:
    case UNVERIFIED_IDENTITY:
      return true;
    case UNSIGNED_DEVICE:
      if (await isOfThisDevice(crypto, event)) return true;
      // Of somebody who signs none of theirs nobody can tell; of others it may be made up.
      if (await hasCrossSigned(crypto, event.getSender() ?? "")) return false;
      return isFromOwnDevice(crypto, event);
    case AUTHENTICITY_NOT_GUARANTEED:
      return isFromOwnDevice(crypto, event);
    default:
      return false;
  }
}

/** Whether it was encrypted by the very device that this page is. */
async function isOfThisDevice(crypto: RelationsCrypto, event: PageEvent): Promise<boolean> {
  const keys = await crypto.getOwnDeviceKeys?.();
  return keys !== undefined && keys.curve25519 === event.getSenderKey();
}

function hasCrossSigned(crypto: RelationsCrypto, userId: string): Promise<boolean> {
  return lookedUp(
    crypto,
    `signs ${userId}`,
    async () => (await crypto.userHasCrossSigningKeys?.(userId)) === true,
  );
}

/** What was looked up of a user is no longer true. */
export function forgetSender(crypto: RelationsCrypto, userId: string): void {
  const all = lookUps.get(crypto);
  all?.delete(`signs ${userId}`);
  all?.delete(`devices ${userId}`);
}

function lookedUp<T>(crypto: RelationsCrypto, what: string, ask: () => Promise<T>): Promise<T> {
  const all = lookUps.get(crypto) ?? new Map<string, Promise<unknown>>();
  lookUps.set(crypto, all);
  const running = all.get(what) as Promise<T> | undefined;
  if (running !== undefined) return running;
  const answer = ask();
  all.set(what, answer);
  const forget = (): void => {
    if (all.get(what) === answer) all.delete(what);
  };
  answer.then(() => setTimer(forget, KEPT_MS), forget);
  return answer;
}

/** Whether the session is one of a device of the event's sender: of such the crypto does not say. */
async function isFromOwnDevice(crypto: RelationsCrypto, event: PageEvent): Promise<boolean> {
  const sender = event.getSender() ?? "";
  const key = event.getSenderKey();
  if (key === null) return false;
  const devices = await lookedUp(crypto, `devices ${sender}`, async () => {
    const known = await within(crypto.getUserDeviceInfo([sender], true), DEVICES_LIMIT_MS);
    const found = known.get(sender);
    // So answers a homeserver that could not reach the sender's: somebody without devices is in it.
    if (found === undefined) throw new NativeError("no devices were looked up");
    return found;
  });
  for (const { deviceId, keys } of devices.values()) {
    if (keys.get(`curve25519:${deviceId}`) === key) return true;
  }
  return false;
}
