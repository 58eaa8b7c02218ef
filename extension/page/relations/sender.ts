/** Whether a reaction's sender may be believed: it is shown without the mark that messages have. */
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
      // Of somebody who signs none of theirs nobody can tell; of others it may be made up.
      if ((await crypto.userHasCrossSigningKeys?.(event.getSender() ?? "")) === true) return false;
      return isFromOwnDevice(crypto, event);
    case AUTHENTICITY_NOT_GUARANTEED:
      return isFromOwnDevice(crypto, event);
    default:
      return false;
  }
}

/** Whether the session is one of a device of the event's sender: of such the crypto does not say. */
async function isFromOwnDevice(crypto: RelationsCrypto, event: PageEvent): Promise<boolean> {
  const sender = event.getSender() ?? "";
  const key = event.getSenderKey();
  if (key === null) return false;
  const known = await within(crypto.getUserDeviceInfo([sender], true), DEVICES_LIMIT_MS);
  for (const { deviceId, keys } of known.get(sender)?.values() ?? []) {
    if (keys.get(`curve25519:${deviceId}`) === key) return true;
  }
  return false;
}
