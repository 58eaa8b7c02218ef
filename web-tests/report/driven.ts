/** What every session of the report has: two people, a browser, and what the servers saw of it. */
import type { Page } from "puppeteer-core";
import { launchExtensionBrowser, storeSettings, until } from "../e2e/extension-pages.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { holds, makeCanaries } from "../support/canaries.ts";
import type { Canaries } from "../support/canaries.ts";
import { startPeer } from "../support/peer.ts";
import type { Peer } from "../support/peer.ts";
import type { Recorder } from "../support/recorder.ts";
import type { Account } from "../support/synapse.ts";
import { HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { countLeaks } from "./rows.ts";
import type { Seen } from "./rows.ts";

/** What one session came to. */
export interface SessionResult {
  readonly browser: BrowserKind;
  readonly withMantle: boolean;
  /** By row id; `null` where the session cannot make the leak happen. */
  readonly leaks: Record<string, number | null>;
  /** What that was counted in. */
  readonly seen: Seen;
  /** What a user must be able to do, each with true or the reason it failed. */
  readonly checks: Record<string, true | string>;
  /** Steps that Mantle or a server refused; expected ones too. */
  readonly refused: { step: string; error: string }[];
  readonly milliseconds: number;
}

export const PASSWORD = "correct horse battery staple";

/** What a session is driven with. */
export interface Stage {
  readonly world: World;
  readonly page: Page;
  readonly canaries: Canaries;
  readonly peer: Peer;
  readonly bob: Account;
  /** Opens the settings; not without Mantle. */
  readonly openOptions: (() => Promise<Page>) | undefined;
}

/** In the address of what only shows whether settings are in force. */
const PROBE = "settings.example.org";

export abstract class DrivenSession {
  readonly checks: Record<string, true | string> = {};
  readonly refused: { step: string; error: string }[] = [];
  readonly elsewhere: Record<string, number> = {};
  userId = "";
  chosenSince: number | undefined;

  protected readonly world: World;
  protected readonly page: Page;
  protected readonly canaries: Canaries;
  protected readonly peer: Peer;
  protected readonly bob: Account;
  readonly #openOptions: (() => Promise<Page>) | undefined;

  constructor({ world, page, canaries, peer, bob, openOptions }: Stage) {
    this.#openOptions = openOptions;
    this.world = world;
    this.page = page;
    this.canaries = canaries;
    this.peer = peer;
    this.bob = bob;
  }

  /** Signs this new user up or in, and does all of it. */
  abstract run(user: string): Promise<void>;

  protected async check(what: string, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
      this.checks[what] = true;
    } catch (error) {
      this.checks[what] = error instanceof Error ? error.message : String(error);
    }
  }

  /** Switches on, where there is Mantle, what is off as recommended; in force in the page by then. */
  protected async choose(...shields: string[]): Promise<void> {
    const options = await this.#openOptions?.();
    if (options !== undefined) {
      const modes = Object.fromEntries(shields.map((id) => [id, "on"]));
      // That one is off, the homeserver is told.
      await storeSettings(options, { version: 1, shields: { ...modes, typing: "off" } });
      await options.close();
      await until(() => this.#isTypingTold(), "the settings in the page", 60_000);
    }
    this.chosenSince = Date.now();
  }

  async #isTypingTold(): Promise<boolean> {
    const path = `/_matrix/client/v3/rooms/!${Date.now()}:${PROBE}/typing/@me:example.org`;
    await this.page.evaluate(async (url) => {
      await fetch(url, { method: "PUT", body: '{"typing":true}' }).catch(() => undefined);
    }, `https://${HOMESERVER}${path}`);
    return this.world.recorder.exchanges.some((one) => one.path === path);
  }

  /** Whether the invitation that the other person just got says what the room is called. */
  protected async countInvitation(roomName: string): Promise<void> {
    const invited = await this.world.synapse.call(this.bob, "GET", "/_matrix/client/v3/sync");
    const invite = (invited["rooms"] as { invite?: Record<string, unknown> } | undefined)?.invite;
    this.elsewhere["invite-room-name"] = holds(JSON.stringify(invite ?? {}), roomName) ? 1 : 0;
  }
}

/** Runs a session once, in a browser of its own. `extension` is Mantle's built folder. */
export async function runDriven(
  world: World,
  recorder: Recorder,
  kind: BrowserKind,
  extension: string | undefined,
  begin: (stage: Stage) => DrivenSession,
): Promise<SessionResult> {
  const started = Date.now();
  const canaries = makeCanaries();
  const suffix = Math.random().toString(36).slice(2, 8);
  const bob = await world.synapse.register(`bob-${suffix}`, PASSWORD);
  const peer = await startPeer(world.synapse, bob);
  recorder.clear();
  const browser = await launchExtensionBrowser(kind, {
    proxyPort: recorder.port,
    ...(extension === undefined ? {} : { extension }),
  });
  const openOptions =
    extension === undefined ? undefined : () => browser.openExtensionPage("options.html");
  try {
    const page = await browser.newPage();
    const session = begin({ world, page, canaries, peer, bob, openOptions });
    await session.run(`alice-${suffix}`);
    // What was sent last has arrived by now, beacons too.
    await new Promise((resume) => setTimeout(resume, 1_000));
    const seen: Seen = {
      exchanges: recorder.exchanges.filter(
        ({ method, path }) => method !== "OPTIONS" && !path.includes(`:${PROBE}/`),
      ),
      canaries,
      userId: session.userId,
      peerUserId: bob.userId,
      elsewhere: session.elsewhere,
      chosenSince: session.chosenSince,
    };
    return {
      browser: kind,
      withMantle: extension !== undefined,
      leaks: countLeaks(seen),
      seen,
      checks: session.checks,
      refused: session.refused,
      milliseconds: Date.now() - started,
    };
  } finally {
    peer.stop();
    await browser.close();
  }
}
