/**
 * Links in messages of encrypted rooms: no hook on the network can see them, so the page's own
 * crypto is asked to show us each event before it encrypts it. All of it is Element's code:
 * a client without such a method stays as it is.
 */
import {
  addListener,
  apply,
  defineProperty,
  NativeError,
  NativeWeakMap,
  indexOf,
  page,
  parseJson,
  stringify,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import type { Gate } from "../intercept/decision.ts";
import { runningClient } from "../room-state/element/client.ts";
import { linkFate, NOT_SENT, OPEN_MEDIA } from "./link.ts";

const SHIELD = "media";

/** The part of matrix-js-sdk's `MatrixEvent` used. */
interface OutgoingEvent {
  readonly event: { content?: object };
}

const watched = new NativeWeakMap<object, true>();

/** Nothing is sent by a person before a key, a press, a drop or something pasted. */
export function installOutgoingHook(gate: Gate): void {
  if (page !== page.top) return;
  const watch = (): void => {
    try {
      watchCrypto(gate);
    } catch {
      // Another Element than the ones known: its messages go as they are.
    }
  };
  for (const type of ["keydown", "pointerdown", "paste", "drop"]) {
    addListener(page, type, watch, { capture: true, passive: true });
  }
}

function watchCrypto(gate: Gate): void {
  const client = runningClient();
  const crypto = client?.getCrypto() as { encryptEvent?: AnyFunction } | undefined;
  if (client === undefined || crypto === undefined) return;
  const native = crypto.encryptEvent;
  if (typeof native !== "function" || weakGet(watched, crypto) === true) return;
  weakSet(watched, crypto, true);
  const send = `${client.baseUrl}/_matrix/client/v3/rooms/x/send/m.room.encrypted/x`;
  defineProperty(crypto, "encryptEvent", {
    configurable: true,
    writable: true,
    value: async (...args: [OutgoingEvent, ...unknown[]]): Promise<unknown> => {
      await lookInto(args[0], (action) => gate.note(SHIELD, action, "PUT", send));
      return apply(native, crypto, args);
    },
  });
}

/** Throws where it is not to be sent; Element then offers to send it again. */
async function lookInto(
  { event }: OutgoingEvent,
  note: (action: "asked" | "rewritten" | "flagged") => void,
): Promise<void> {
  const content = stringify(event.content ?? {});
  if (indexOf(content, OPEN_MEDIA) < 0) return;
  const { isStopped, text, noted } = await linkFate(SHIELD, content, false);
  if (noted === "asked" || noted === "rewritten" || noted === "flagged") note(noted);
  if (isStopped) throw new NativeError(NOT_SENT);
  if (text !== undefined) event.content = parseJson(text) as object;
}
