/**
 * Keys of older messages (MSC4268): before Element invites somebody, a method of its own crypto
 * uploads them in one file and sends the invited person its key. That method is asked to wait for
 * the person; a refused upload would keep the invitation back too, and look like any other upload.
 */
import {
  apply,
  create,
  defineProperty,
  encodeUriPart,
  NativeString,
  NativeWeakMap,
  now,
  page,
  pinned,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import type { HandlerAction, RequestPolicy } from "../intercept/decision.ts";
import { consentTo } from "../dialogs/consent.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { addressAt, type PageClient, within } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";

const SHIELD = "history-keys";
const METHOD = "shareRoomHistoryWithUser";
/** How long an answer of the page's crypto is waited for. */
const CRYPTO_LIMIT_MS = 15_000;
/** How long a no answers for others who are invited to the same room. */
const NO_LASTS_MS = 5 * 60_000;

/** The part of matrix-js-sdk's client and crypto used. */
interface HistoryClient {
  readonly baseUrl: string;
  getUserId(): string | null;
  getCrypto(): HistoryCrypto | undefined;
  getRoom?(roomId: string): {
    getLiveTimeline(): { getEvents(): { getWireType(): string }[] };
  } | null;
}

interface HistoryCrypto {
  readonly [METHOD]?: AnyFunction;
  isEncryptionEnabledInRoom(roomId: string): Promise<boolean>;
  getUserVerificationStatus(userId: string): Promise<{ isCrossSigningVerified(): boolean }>;
  getActiveSessionBackupVersion?(): Promise<string | null>;
  /** Not part of `CryptoApi`. */
  readonly olmMachine?: {
    exportRoomKeys?(isWanted: (session: { roomId: object | string }) => boolean): Promise<string>;
  };
}

interface Invitation {
  readonly client: HistoryClient;
  readonly crypto: HistoryCrypto;
  readonly roomId: string;
  readonly userId: string;
  /** When the person last said no, by room. */
  readonly refusals: Record<string, number | undefined>;
}

interface Parts {
  policy(): RequestPolicy;
  consent: typeof consentTo;
  clock(): number;
}

const watched = new NativeWeakMap<object, true>();

/** The result is for `watchClient`. */
export function installHistoryKeys(
  policy: () => RequestPolicy,
  consent = consentTo,
  clock = now,
): (client: PageClient | undefined) => void {
  if (page !== page.top) return () => undefined;
  const parts = { policy, consent, clock };
  return (client) => watch(parts, client as unknown as HistoryClient | undefined);
}

function watch(parts: Parts, client: HistoryClient | undefined): void {
  const crypto = client?.getCrypto();
  if (client === undefined || crypto === undefined || weakGet(watched, crypto) === true) return;
  weakSet(watched, crypto, true);
  const native = crypto[METHOD];
  if (typeof native !== "function") return;
  /** The last question of each room: the next waits for it, and may be answered by it. */
  const last = create(null) as Record<string, Promise<boolean> | undefined>;
  const refusals = create(null) as Invitation["refusals"];
  const ask = async (before: Promise<boolean> | undefined, of: Invitation): Promise<boolean> => {
    if (before !== undefined) await before;
    return pinned(mayHandOver(parts, of));
  };
  defineProperty(crypto, METHOD, {
    configurable: true,
    writable: true,
    value: async (...args: unknown[]): Promise<unknown> => {
      const [roomId, userId] = [NativeString(args[0]), NativeString(args[1])];
      const answer = pinned(ask(last[roomId], { client, crypto, roomId, userId, refusals }));
      last[roomId] = answer;
      const isAllowed = await answer;
      if (last[roomId] === answer) delete last[roomId];
      return isAllowed ? apply(native, crypto, args) : undefined;
    },
  });
}

/** Never rejects: without an answer the invitation goes out alone. */
async function mayHandOver(parts: Parts, invitation: Invitation): Promise<boolean> {
  try {
    const policy = parts.policy();
    await pinned(policy.whenReady());
    // Nothing is known without a working core.
    const mode = shieldSettings(SHIELD)?.mode ?? "on";
    if (mode === "off") return true;
    if (!(await pinned(hasKeys(invitation)))) return false;
    const { client, roomId, userId, refusals } = invitation;
    const path = `/_matrix/client/v3/rooms/${encodeUriPart(roomId)}/invite`;
    const url = addressAt(client, path);
    const note = (action: HandlerAction): void => policy.note(SHIELD, action, "POST", url);
    if (mode === "flag") {
      note("flagged");
      return true;
    }
    if (mode === "on") {
      note("blocked");
      return false;
    }
    const since = parts.clock() - (refusals[roomId] ?? -Infinity);
    if (since >= 0 && since < NO_LASTS_MS) {
      note("blocked");
      return false;
    }
    const question = {
      id: "room",
      title: text("historyKeysTitle"),
      text: text("historyKeysText", userId),
      send: text("historyKeysSend"),
      remember: text("historyKeysRemember"),
    };
    const delegate = { handler: "ask", shield: SHIELD, name: "", question } as const;
    const decline = text("historyKeysDecline");
    const consent = await pinned(parts.consent(delegate, url, undefined, decline));
    if (consent === undefined) refusals[roomId] = parts.clock();
    note(consent === "remembered" ? "flagged" : "asked");
    return consent !== undefined;
  } catch {
    return false;
  }
}

/** Whether Element would hand any over, as far as that can be asked without doing it. */
async function hasKeys({ client, crypto, roomId }: Invitation): Promise<boolean> {
  try {
    const isEncrypted = crypto.isEncryptionEnabledInRoom(roomId);
    if (!(await pinned(within(isEncrypted, CRYPTO_LIMIT_MS)))) return false;
    const status = crypto.getUserVerificationStatus(client.getUserId() ?? "");
    // A session that its owner has not verified hands none over.
    if (!(await pinned(within(status, CRYPTO_LIMIT_MS))).isCrossSigningVerified()) return false;
    return !(await pinned(isNew(client, crypto, roomId)));
  } catch {
    return true;
  }
}

/** Whether it is certain that there is no key of the room, neither here nor in the key backup. */
async function isNew(
  client: HistoryClient,
  crypto: HistoryCrypto,
  roomId: string,
): Promise<boolean> {
  const machine = crypto.olmMachine;
  if (typeof machine?.exportRoomKeys !== "function") return false;
  let isAny = false;
  const asked = machine.exportRoomKeys((session) => {
    isAny ||= NativeString(session.roomId) === roomId;
    // It is only looked at.
    return false;
  });
  await pinned(within(asked, CRYPTO_LIMIT_MS));
  if (isAny) return false;
  // Before it hands keys over, matrix-js-sdk fetches those of the backup.
  const backup = crypto.getActiveSessionBackupVersion?.();
  if (backup !== undefined && (await pinned(within(backup, CRYPTO_LIMIT_MS))) === null) return true;
  const events = client.getRoom?.(roomId)?.getLiveTimeline().getEvents() ?? [];
  // Without a gap from the first event on, and nothing was ever encrypted.
  if (events[0]?.getWireType() !== "m.room.create") return false;
  for (const event of events) if (event.getWireType() === "m.room.encrypted") return false;
  return true;
}
