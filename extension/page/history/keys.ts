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
  page,
  pinned,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import type { HandlerAction, RequestPolicy } from "../intercept/decision.ts";
import { consentTo } from "../dialogs/consent.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { runningClient, within } from "../room-state/element/client.ts";
import { text } from "../texts/texts.ts";

const SHIELD = "history-keys";
const METHOD = "shareRoomHistoryWithUser";
/** How long an answer of the page's crypto is waited for. */
const CRYPTO_LIMIT_MS = 15_000;

/** The part of matrix-js-sdk's client and crypto used. */
interface HistoryClient {
  readonly baseUrl: string;
  getUserId(): string | null;
  getCrypto(): HistoryCrypto | undefined;
}

interface HistoryCrypto {
  readonly [METHOD]?: AnyFunction;
  isEncryptionEnabledInRoom(roomId: string): Promise<boolean>;
  getUserVerificationStatus(userId: string): Promise<{ isCrossSigningVerified(): boolean }>;
}

interface Invitation {
  readonly client: HistoryClient;
  readonly crypto: HistoryCrypto;
  readonly roomId: string;
  readonly userId: string;
}

const watched = new NativeWeakMap<object, true>();

/** The result is to be called before each request of the page. */
export function installHistoryKeys(policy: () => RequestPolicy): () => void {
  if (page !== page.top) return () => undefined;
  return () => {
    try {
      watch(policy());
    } catch {
      // Another Element than the ones known: it invites as it does.
    }
  };
}

function watch(policy: RequestPolicy): void {
  const client = runningClient() as unknown as HistoryClient | undefined;
  const crypto = client?.getCrypto();
  if (client === undefined || crypto === undefined || weakGet(watched, crypto) === true) return;
  weakSet(watched, crypto, true);
  const native = crypto[METHOD];
  if (typeof native !== "function") return;
  /** The last question of each room: the next waits for it, and may be answered by it. */
  const last = create(null) as Record<string, Promise<boolean> | undefined>;
  const ask = async (before: Promise<boolean> | undefined, of: Invitation): Promise<boolean> => {
    if (before !== undefined) await before;
    return pinned(mayHandOver(policy, of));
  };
  defineProperty(crypto, METHOD, {
    configurable: true,
    writable: true,
    value: async (...args: unknown[]): Promise<unknown> => {
      const [roomId, userId] = [NativeString(args[0]), NativeString(args[1])];
      const answer = pinned(ask(last[roomId], { client, crypto, roomId, userId }));
      last[roomId] = answer;
      const isAllowed = await answer;
      if (last[roomId] === answer) delete last[roomId];
      return isAllowed ? apply(native, crypto, args) : undefined;
    },
  });
}

/** Never rejects: without an answer the invitation goes out alone. */
async function mayHandOver(policy: RequestPolicy, invitation: Invitation): Promise<boolean> {
  try {
    await pinned(policy.whenReady());
    // Nothing is known without a working core.
    const mode = shieldSettings(SHIELD)?.mode ?? "on";
    if (mode === "off") return true;
    if (!(await pinned(hasKeys(invitation)))) return false;
    const { client, roomId, userId } = invitation;
    const url = `${client.baseUrl}/_matrix/client/v3/rooms/${encodeUriPart(roomId)}/invite`;
    const note = (action: HandlerAction): void => policy.note(SHIELD, action, "POST", url);
    if (mode === "flag") {
      note("flagged");
      return true;
    }
    if (mode === "on") {
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
    const consent = await pinned(consentTo(delegate, url, undefined, decline));
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
    return (await pinned(within(status, CRYPTO_LIMIT_MS))).isCrossSigningVerified();
  } catch {
    return true;
  }
}
