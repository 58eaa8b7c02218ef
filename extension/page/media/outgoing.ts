/**
 * Messages of encrypted rooms: no hook on the network can see them, so the page's own crypto is
 * asked to show us each event before it encrypts it, and the core judges it as one that leaves in
 * clear. All of it is Element's code: a client without such a method stays as it is.
 */
import {
  addListener,
  apply,
  decodeText,
  defineProperty,
  encodeText,
  NativeError,
  NativeWeakMap,
  indexOf,
  page,
  own,
  parseJson,
  pinned,
  stringify,
  weakGet,
  weakSet,
} from "../primordials/primordials.ts";
import type { AnyFunction } from "../primordials/primordials.ts";
import { type RequestPolicy, REWRITTEN } from "../intercept/decision.ts";
import { runningClient } from "../room-state/element/client.ts";
import { linkFate, notSent, OPEN_MEDIA } from "./link.ts";

const SHIELD = "media";

/** The part of matrix-js-sdk's `MatrixEvent` used. */
interface OutgoingEvent {
  readonly event: { content?: object };
}

const watched = new NativeWeakMap<object, true>();

/** Nothing is sent by a person before a key, a press, a drop or something pasted. */
export function installOutgoingHook(gate: RequestPolicy): void {
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

function watchCrypto(gate: RequestPolicy): void {
  const client = runningClient();
  const crypto = client?.getCrypto() as { encryptEvent?: AnyFunction } | undefined;
  if (client === undefined || crypto === undefined) return;
  const native = crypto.encryptEvent;
  if (typeof native !== "function" || weakGet(watched, crypto) === true) return;
  weakSet(watched, crypto, true);
  const send = (type: string): string =>
    `${client.baseUrl}/_matrix/client/v3/rooms/x/send/${type}/x`;
  defineProperty(crypto, "encryptEvent", {
    configurable: true,
    writable: true,
    value: async (...args: [OutgoingEvent, ...unknown[]]): Promise<unknown> => {
      asInClear(args[0], gate, send("m.room.message"));
      await pinned(
        lookInto(args[0], (action) => gate.note(SHIELD, action, "PUT", send("m.room.encrypted"))),
      );
      return apply(native, crypto, args);
    },
  });
}

/** What the core makes of a message in clear. */
function asInClear({ event }: OutgoingEvent, gate: RequestPolicy, url: string): void {
  const content = encodeText(stringify(event.content ?? {}));
  if ((gate.decideBody("PUT", url, "", content) & REWRITTEN) === 0) return;
  event.content = parseJson(decodeText(gate.takeBody())) as object;
}

/** Throws where it is not to be sent; Element then offers to send it again. */
async function lookInto(
  { event }: OutgoingEvent,
  note: (action: "asked" | "rewritten" | "flagged") => void,
): Promise<void> {
  const content = stringify(event.content ?? {});
  if (indexOf(content, OPEN_MEDIA) < 0) return;
  const { isStopped, text, noted } = own(await pinned(linkFate(SHIELD, content, false)));
  if (noted === "asked" || noted === "rewritten" || noted === "flagged") note(noted);
  if (isStopped) throw new NativeError(notSent());
  if (text !== undefined) event.content = parseJson(text) as object;
}
