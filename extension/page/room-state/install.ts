/** Puts the page's half of encrypted state together and into the hooks. */
import { NativeURL, now, page } from "../primordials/primordials.ts";
import type { GuardedCore } from "../core/guarded-core.ts";
import { registerResponseHandler, registerHandler } from "../intercept/handlers.ts";
import type { EffectsMessage } from "../../protocol/page-relay.ts";
import type { RoomsSurvey, RoomsCommand } from "../../protocol/rooms.ts";
import { showNotice } from "../dialogs/notice.ts";
import { onShieldSettings, shieldSettings } from "../core/shield-settings.ts";
import { letEncryptionChange, runningClient, takeOverState } from "./element/client.ts";
import { RoomConversion, sentenceOf } from "./conversion.ts";
import { StateEngine } from "./engine.ts";
import { InvitePreviews } from "./invites.ts";
import { KeyFetcher } from "./keys.ts";
import { PendingWrites } from "./pending.ts";
import { searchHandler } from "./search.ts";
import { StateReader } from "./responses.ts";
import { StateSharing } from "./sharing.ts";
import { StateWriter } from "./writes.ts";
import type { Unsealed } from "./writes.ts";

/** What the rest of the page script sees of encrypted state. */
export interface EncryptedStateParts {
  /** What the core says of the shield is new. */
  applySettings(): void;
  /** What the person asked for in the popup. */
  wish(wish: RoomsCommand): void;
  readonly conversion: RoomConversion;
  /** Whether the room encrypts its state, as far as is known by now. */
  encryptsState(roomId: string): Promise<boolean>;
  /** For what is encrypted only because something else here was: see `StateWriter`. */
  readonly writes: Pick<StateWriter, "encrypts" | "encryptsAnyway" | "putEncrypted">;
  /** For what else is encrypted as state is. */
  readonly engine: StateEngine;
  readonly keys: KeyFetcher;
  readonly sharing: StateSharing;
}

/** Nothing is loaded before the first request that the core hands over, but for a known session. */
export function installEncryptedState(
  core: GuardedCore,
  post: (message: EffectsMessage | RoomsSurvey) => void,
  unsealed: Unsealed,
): EncryptedStateParts {
  const engine = new StateEngine();
  const keys = new KeyFetcher(engine);
  const invites = new InvitePreviews(engine, keys);
  const sharing = new StateSharing(engine, invites, keys);
  const pending = new PendingWrites(engine, sharing);
  const told = new Set<string>();

  const tellProblems = (): void => {
    for (const { code, sentence } of engine.call((state) => state.problems())) {
      const effect = {
        type: "record",
        time: now(),
        shield: "encrypted-state",
        action: "flagged",
        host: homeserverHost(),
        endpoint: `/_matrix/client/v3/sync (${code})`,
        count: 1,
      } as const;
      post({ kind: "effects", effects: [effect] });
      // Once a page for each kind: a hostile server must not fill the screen.
      if (told.has(code) || page !== page.top) continue;
      told.add(code);
      showNotice(sentence);
    }
  };
  const takeOver = (): void => {
    const client = runningClient();
    // Its crypto, which begins with what the client says, runs by then.
    if (client?.getCrypto() === undefined) return;
    engine.applySettings();
    const mode = shieldSettings("encrypted-state")?.mode;
    takeOverState(client, mode !== "off" && mode !== "flag");
  };
  onShieldSettings(takeOver);
  const looked = (): void => {
    takeOver();
    tellProblems();
    void engine
      .knowsDevice()
      .then((isKnown) => {
        if (!isKnown) return;
        sharing.tendSoon();
        pending.resume();
        invites.listen();
        keys.backfill();
        const client = runningClient();
        if (client === undefined) return;
        sharing.listen(client);
        letEncryptionChange(client);
      })
      .catch(() => undefined);
  };

  registerResponseHandler(
    "state",
    new StateReader(engine, keys, core, { asked: takeOver, looked }),
  );
  const writer = new StateWriter(engine, { keys, sharing, pending, unsealed });
  registerHandler("state", writer);
  registerHandler("state", searchHandler, "search");
  const conversion = new RoomConversion(engine, sharing);
  // It encrypts nothing then, and is not loaded for the question.
  const isResting = (): boolean => {
    const mode = shieldSettings("encrypted-state")?.mode;
    return mode === "off" || mode === "flag";
  };
  return {
    ...{ conversion, engine, keys, sharing },
    writes: {
      encrypts: async (url) => !isResting() && (await writer.encrypts(url)),
      encryptsAnyway: (url) => writer.encryptsAnyway(url),
      putEncrypted: (request) => writer.putEncrypted(request),
    },
    encryptsState: async (roomId) => {
      if (isResting()) return false;
      await engine.started();
      return engine.call((known) => known.encryptsState(roomId));
    },
    applySettings: () => {
      engine.applySettings();
      const mode = shieldSettings("encrypted-state")?.mode;
      if (page === page.top && mode !== undefined && mode !== "off") engine.startEarly();
    },
    wish: ({ wish, what }) => {
      if (what !== "survey") {
        conversion.run(what).catch((error: unknown) => showNotice(sentenceOf(error)));
        return;
      }
      void conversion
        .survey()
        .catch((error: unknown) => {
          return { shown: "impossible", sentence: sentenceOf(error), possible: 0 } as const;
        })
        .then((survey) => post({ kind: "rooms-survey", wish, ...survey }));
    },
  };
}

function homeserverHost(): string {
  try {
    return new NativeURL(runningClient()?.baseUrl ?? "").host;
  } catch {
    return page.location.host;
  }
}
