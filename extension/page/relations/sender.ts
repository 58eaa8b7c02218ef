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
const lookUps = new WeakMap<RelationsCrypto, Map<string, Map<string, Promise<unknown>>>>();

export async function isSenderBelieved(
  crypto: RelationsCrypto,
  event: PageEvent,
): Promise<boolean> {
  const sender = event.getSender() ?? "";
  const info = await encryptionInfo(crypto, event, sender);
  if (info === null || info === undefined) return false;
  switch (info.shieldReason) {
    case null:
    case UNVERIFIED_IDENTITY:
      return true;
    case UNSIGNED_DEVICE:
      if (await isOfThisDevice(crypto, event)) return true;
      // Of somebody who signs none of theirs nobody can tell; of others it may be made up.
      if (await hasCrossSigned(crypto, sender)) return false;
      return isFromOwnDevice(crypto, event);
    case AUTHENTICITY_NOT_GUARANTEED:
      return isFromOwnDevice(crypto, event);
    default:
      return false;
  }
}

type Info = { readonly shieldReason: number | null } | null | undefined;

/**
 * Of a whole session at once: the crypto goes by the session and by who is named as the sender, and
 * each question reads both from the browser's store.
 */
async function encryptionInfo(
  crypto: RelationsCrypto,
  event: PageEvent,
  sender: string,
): Promise<Info> {
  const session = event.event.content?.["session_id"];
  if (typeof session !== "string") return crypto.getEncryptionInfoForEvent?.(event);
  const ask = async (): Promise<Info> => crypto.getEncryptionInfoForEvent?.(event);
  const what = `session ${session} ${event.getRoomId() ?? ""}`;
  // Of an event that is not decrypted it says nothing, which says nothing of the session.
  return (await lookedUp(crypto, sender, what, ask)) ?? ask();
}

/** Whether it was encrypted by the very device that this page is. */
async function isOfThisDevice(crypto: RelationsCrypto, event: PageEvent): Promise<boolean> {
  const keys = await crypto.getOwnDeviceKeys?.();
  return keys !== undefined && keys.curve25519 === event.getSenderKey();
}

function hasCrossSigned(crypto: RelationsCrypto, userId: string): Promise<boolean> {
  return lookedUp(
    crypto,
    userId,
    "signs",
    async () => (await crypto.userHasCrossSigningKeys?.(userId)) === true,
  );
}

/** What was looked up of a user is no longer true. */
export function forgetSender(crypto: RelationsCrypto, userId: string): void {
  lookUps.get(crypto)?.delete(userId);
}

function lookedUp<T>(
  crypto: RelationsCrypto,
  userId: string,
  what: string,
  ask: () => Promise<T>,
): Promise<T> {
  let users = lookUps.get(crypto);
  if (users === undefined) lookUps.set(crypto, (users = new Map()));
  let all = users.get(userId);
  if (all === undefined) users.set(userId, (all = new Map()));
  const running = all.get(what) as Promise<T> | undefined;
  if (running !== undefined) return running;
  const answer = ask();
  const asked = all;
  asked.set(what, answer);
  const forget = (): void => {
    if (asked.get(what) === answer) asked.delete(what);
    if (asked.size === 0 && users.get(userId) === asked) users.delete(userId);
  };
  answer.then((found) => {
    if (found === null || found === undefined) forget();
    else setTimer(forget, KEPT_MS);
  }, forget);
  return answer;
}

/** Whether the session is one of a device of the event's sender: of such the crypto does not say. */
async function isFromOwnDevice(crypto: RelationsCrypto, event: PageEvent): Promise<boolean> {
  const sender = event.getSender() ?? "";
  const key = event.getSenderKey();
  if (key === null) return false;
  const devices = await lookedUp(crypto, sender, "devices", async () => {
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
