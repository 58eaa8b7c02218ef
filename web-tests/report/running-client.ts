/**
 * The session for an Element Web that nobody here has seen: signed in through its own form, then
 * driven by the client it runs. What a build does not offer is said, and counts as not driven.
 */
import { signIn } from "../element/sign-in.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { jpegWithPlace } from "../support/canaries.ts";
import { isAsked, press } from "../support/question.ts";
import type { Recorder } from "../support/recorder.ts";
import { HOMESERVER, MANAGER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { DrivenSession, PASSWORD, runDriven } from "./driven.ts";
import type { SessionResult } from "./driven.ts";

const STEP_MS = 30_000;
const IDENTITY = "https://vector.im";
const PHONE = "07700900123";
const ENCRYPTION = {
  type: "m.room.encryption",
  state_key: "",
  content: { algorithm: "m.megolm.v1.aes-sha2" },
};

/** What is called of a client; versions differ in what they have. */
type Client = Record<string, (...args: unknown[]) => unknown>;
type Outcome = { value: unknown } | { lacks: true } | { error: string };

/** Runs the session once. `extension` is Mantle's built folder. */
export async function runOnElement(
  world: World,
  recorder: Recorder,
  kind: BrowserKind,
  extension: string | undefined,
): Promise<SessionResult> {
  return runDriven(world, recorder, kind, extension, (stage) => new ElementSession(stage));
}

class ElementSession extends DrivenSession {
  async run(user: string): Promise<void> {
    this.userId = (await this.world.synapse.register(user, PASSWORD)).userId;
    await this.page.setViewport({ width: 1280, height: 800 });
    await this.check("signed in through the form", () => signIn(this.page, user, PASSWORD));
    // Nothing else can be driven then, and the check says why.
    if (this.checks["signed in through the form"] !== true) return;
    const roomId = await this.#talk();
    const clearRoomId = await this.#clearRoom();
    await this.#uploads();
    if (roomId !== undefined) await this.#inRoom(roomId);
    if (clearRoomId !== undefined) await this.#inClearRoom(clearRoomId);
    await this.#account();
    await this.#identity();
    if (roomId !== undefined) await this.#accountData(roomId);
  }

  async #talk(): Promise<string | undefined> {
    const { roomName, topic, message } = this.canaries;
    let roomId: string | undefined;
    await this.check("made an encrypted room, and shows its name", async () => {
      roomId = await this.#createRoom({
        name: roomName,
        topic,
        preset: "private_chat",
        invite: [this.bob.userId],
        initial_state: [ENCRYPTION],
      });
      await this.#showsName(roomId, roomName);
    });
    if (roomId === undefined) return undefined;
    await this.countInvitation(roomName);
    const room = roomId;
    await this.check("another person read an encrypted message", async () => {
      await this.peer.join(room);
      await this.#need("sendTextMessage", room, message);
      const { encrypted } = await this.peer.receive(room, message);
      if (!encrypted) throw new Error("it was not encrypted");
    });
    return roomId;
  }

  async #clearRoom(): Promise<string | undefined> {
    const { clearRoomName, clearMessage, alias } = this.canaries;
    const wanted = { name: clearRoomName, preset: "private_chat", invite: [this.bob.userId] };
    await this.#try("public address", "createRoom", { ...wanted, room_alias_name: alias });
    let roomId: string | undefined;
    await this.check("another person read a message in a clear room", async () => {
      roomId = await this.#createRoom(wanted);
      await this.peer.join(roomId);
      await this.#need("sendTextMessage", roomId, clearMessage);
      await this.peer.receive(roomId, clearMessage);
    });
    return roomId;
  }

  async #uploads(): Promise<void> {
    const { filename, fileContent } = this.canaries;
    const files: [string, string, Buffer][] = [
      [`${filename}.txt`, "text/plain", Buffer.from(`text ${fileContent}`)],
      ["photo.jpg", "image/jpeg", jpegWithPlace("Camera of the tests")],
    ];
    for (const [name, type, content] of files) {
      await this.check(`uploaded ${type}`, () => this.#upload(name, type, content));
    }
  }

  async #inRoom(roomId: string): Promise<void> {
    const { newRoomName, newTopic, message } = this.canaries;
    await this.#try("preview", "roomInitialSync", roomId, 20);
    await this.#try("history", "createMessagesRequest", roomId, null, 30, "b");
    await this.check("renamed the room", async () => {
      await this.#need("setRoomName", roomId, newRoomName);
      await this.#showsName(roomId, newRoomName);
    });
    await this.#try("topic", "setRoomTopic", roomId, newTopic);
    await this.peer.send(roomId, `answer to ${message}`);
    await this.check("received an answer, and read it", () => this.#readLast(roomId));
    await this.#try("typing", "sendTyping", roomId, true, 4_000);
    await this.#try("state", "roomState", roomId);
    await this.#try("room pictures", "sendStateEvent", roomId, "m.room.avatar", { url: "mxc://x/y" }, "");
    await this.#try("hierarchy", "getRoomHierarchy", roomId, 20);
    await this.#try("tag", "setRoomTag", roomId, "m.favourite", { order: 0.5 });
    await this.#try(
      "nickname",
      "sendStateEvent",
      roomId,
      "m.room.member",
      { membership: "join", displayname: this.canaries.roomNickname },
      this.userId,
    );
    await this.#try("message search", "search", {
      body: {
        search_categories: {
          room_events: { search_term: this.canaries.searchTerm, filter: { rooms: [roomId] } },
        },
      },
    });
    await this.#relations(roomId);
    await this.#try("part of a space", "sendStateEvent", roomId, "m.space.child", { via: [HOMESERVER] }, "!child:hs.example.org");
    await this.#try("mute", "addPushRule", "global", "room", roomId, { actions: [] });
    await this.#try(
      "in a call",
      "sendStateEvent",
      roomId,
      "org.matrix.msc3401.call.member",
      {},
      `_${this.userId}_DEVICE_m.call`,
    );
    await this.#upgrade();
  }

  /** What points at another message, and reading up to one. */
  async #relations(roomId: string): Promise<void> {
    const said = await this.#try("message", "sendTextMessage", roomId, "to be answered");
    const eventId = (said as { event_id?: string } | undefined)?.event_id;
    if (eventId === undefined) return;
    const text = { msgtype: "m.text", body: "an answer" };
    await this.#try("reaction", "sendEvent", roomId, "m.reaction", {
      "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "👍" },
    });
    await this.#try("reply", "sendMessage", roomId, {
      ...text,
      "m.relates_to": { "m.in_reply_to": { event_id: eventId } },
    });
    await this.#try("edit", "sendMessage", roomId, {
      ...text,
      "m.new_content": text,
      "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    await this.#try("read marker", "setRoomReadMarkersHttpRequest", roomId, eventId, eventId);
    await this.#try("removal with a reason", "redactEvent", roomId, eventId, "removal", {
      reason: this.canaries.redactionReason,
    });
  }

  async #upgrade(): Promise<void> {
    const name = this.canaries.roomUpgradeName;
    const made = await this.#try("room to upgrade", "createRoom", {
      name,
      preset: "private_chat",
      initial_state: [ENCRYPTION],
    });
    const old = (made as { room_id?: string } | undefined)?.room_id;
    if (old === undefined) return;
    await this.#showsName(old, name).catch(() => undefined);
    await this.#try("upgrade", "upgradeRoom", old, "11");
  }

  async #inClearRoom(roomId: string): Promise<void> {
    const { reason } = this.canaries;
    const name = `victim-${Math.random().toString(36).slice(2, 8)}`;
    const { userId } = await this.world.synapse.register(name, PASSWORD);
    await this.#try("invite", "invite", roomId, userId);
    await this.#try("kick with a reason", "kick", roomId, userId, reason);
    await this.#try("knock", "knockRoom", "!nowhere:hs.example.org", {
      reason: this.canaries.knockReason,
    });
    await this.#try("report", "reportEvent", roomId, "$event", -100, reason);
    await this.#try("timing", "sendEvent", roomId, "io.element.performance_metric", { ms: 1 });
    await this.#try("call invitation", "sendEvent", roomId, "m.call.invite", {
      call_id: "1",
      version: "1",
      lifetime: 60_000,
      party_id: "DEVICE",
      offer: { type: "offer", sdp: "v=0\r\na=candidate:1 1 udp 2122 192.0.2.7 5000 typ host\r\n" },
    });
  }

  async #account(): Promise<void> {
    const c = this.canaries;
    const deviceId = await this.#try("own session", "getDeviceId");
    await this.#try("rename the session", "setDeviceDetails", deviceId, {
      display_name: c.deviceName,
    });
    await this.#try("link preview", "getUrlPreview", `https://link.example.org/${c.link}`, Date.now());
    await this.#try("presence", "setPresence", { presence: "online" });
    await this.#try("display name", "setDisplayName", c.displayName);
    await this.#try("picture", "setAvatarUrl", "mxc://hs.example.org/avatar");
    await this.#try("people search", "searchUserDirectory", { term: c.userSearchTerm.slice(0, 2) });
    await this.#try("profile", "getProfileInfo", this.bob.userId);
    await this.#try("room directory", "publicRooms", {
      server: "matrix.org",
      filter: { generic_search_term: c.directorySearchTerm },
    });
    await this.#try("keyword", "addPushRule", "global", "content", c.keyword, {
      actions: ["notify"],
      pattern: c.keyword,
    });
    await this.#try("push by mail", "setPusher", {
      kind: "email",
      app_id: "m.email",
      app_display_name: "Email Notifications",
      device_display_name: c.ownEmail,
      lang: "en",
      pushkey: c.ownEmail,
      data: { brand: "Element" },
    });
    await this.#try("push to a gateway", "setPusher", {
      kind: "http",
      app_id: "org.example.push",
      app_display_name: "Example",
      device_display_name: "Example",
      lang: "en",
      pushkey: "key",
      data: { url: "https://push.example.org/_matrix/push/v1/notify" },
    });
    await this.#try("relays for calls", "turnServer");
    await this.#try("dial", "getThirdpartyUser", "m.protocol.pstn", { "m.id.phone": "+441632960000" });
    await this.#try("administrator?", "isSynapseAdministrator");
    for (const [field, value] of [
      ["us.cloke.msc4175.tz", "Europe/Berlin"],
      ["org.matrix.msc4426.call", { call_joined_ts: 1_700_000_000_000 }],
      ["org.matrix.msc4426.status", { text: c.displayName, emoji: "🤒" }],
    ] as const) {
      await this.#try(`profile: ${field}`, "setExtendedProfileProperty", field, value);
    }
  }

  async #identity(): Promise<void> {
    const { contactEmail, invitedEmail, ownEmail } = this.canaries;
    await this.#try("identity server", "setIdentityServerUrl", IDENTITY);
    const token = await this.#try("OpenID token", "getOpenIdToken");
    await this.#try("identity account", "registerWithIdentityServer", token ?? {});
    const given = "is-token-0123456789";
    await this.#try("look-up", "identityHashedLookup", [[contactEmail, "email"]], given);
    await this.#try("identity terms", "getTerms", "SERVICE_TYPE_IS", IDENTITY);
    await this.#try("manager's terms", "getTerms", "SERVICE_TYPE_IM", `https://${MANAGER}`);
    await this.#try("validate an address", "requestEmailToken", ownEmail, "secret", 1, null, given);
    await this.#try("validate a number", "requestMsisdnToken", "GB", PHONE, "secret", 1, null, given);
    await this.#try("publish an address", "bindThreePid", {
      sid: "sid1",
      client_secret: "secret",
      id_server: new URL(IDENTITY).host,
      id_access_token: given,
    });
    await this.#try("take an address back", "unbindThreePid", "email", ownEmail);
    await this.#try("own mail address", "requestAdd3pidEmailToken", ownEmail, "secret", 1);
    await this.#try("room with an invitation by mail", "createRoom", {
      name: "room with an e-mail invitation",
      invite_3pid: [
        { id_server: "vector.im", id_access_token: given, medium: "email", address: invitedEmail },
      ],
    });
    await this.#try("welcome bot", "createRoom", { invite: ["@riot-bot:matrix.org"], is_direct: true });
  }

  async #accountData(roomId: string): Promise<void> {
    const write = (type: string, content: Record<string, unknown>): Promise<unknown> =>
      this.#try(type, "setAccountData", type, content);
    await write("im.vector.setting.breadcrumbs", { recent_rooms: [roomId] });
    await write("io.element.recent_emoji", { recent_emoji: [["👍", 3]] });
    await write("im.vector.web.settings", {
      "SpotlightSearch.recentSearches": [roomId],
      notificationSound: { name: `${this.canaries.filename}.mp3`, url: "mxc://hs.example.org/a" },
    });
    await write("m.direct", { [this.bob.userId]: [roomId] });
    const deviceId = await this.#try("own session", "getDeviceId");
    await write(`io.element.matrix_client_information.${String(deviceId)}`, {
      name: "Element",
      version: "1.12.0",
      url: "chat.example.org",
    });
    await write("im.vector.analytics", { id: "0123", pseudonymousAnalyticsOptIn: true });
    await write("m.ignored_user_list", { ignored_users: { "@troll:hs.example.org": {} } });
  }

  async #createRoom(options: Record<string, unknown>): Promise<string> {
    const made = (await this.#need("createRoom", options)) as { room_id?: string } | null;
    if (typeof made?.room_id !== "string") throw new Error("the room has no ID");
    return made.room_id;
  }

  async #showsName(roomId: string, name: string): Promise<void> {
    await this.page.waitForFunction(
      (id: string, wanted: string) => {
        const client = (window.mxMatrixClientPeg as { get(): unknown } | undefined)?.get() as
          | { getRoom(id: string): { name?: string } | null }
          | undefined;
        return client?.getRoom(id)?.name === wanted;
      },
      { timeout: STEP_MS },
      roomId,
      name,
    );
  }

  /** Files do not pass as JSON, so they are made in the page. */
  async #upload(name: string, type: string, content: Buffer): Promise<void> {
    const failure = await this.#answering(
      this.page.evaluate(
        async (fileName: string, fileType: string, base64: string) => {
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          const file = new File([bytes], fileName, { type: fileType });
          const client = (window.mxMatrixClientPeg as { get(): unknown } | undefined)?.get() as
            Client | undefined;
          try {
            await client?.["uploadContent"]?.(file, { name: fileName, type: fileType });
            return null;
          } catch (error) {
            return String(error);
          }
        },
        name,
        type,
        content.toString("base64"),
      ),
      "Send without these details",
    );
    if (failure !== null) throw new Error(failure);
  }

  /** A receipt for the newest event of another person. */
  async #readLast(roomId: string): Promise<void> {
    const failure = await this.page.evaluate(
      async (id: string, peer: string, limit: number) => {
        interface Shown {
          getSender(): string;
          getType(): string;
        }
        const client = (window.mxMatrixClientPeg as { get(): unknown } | undefined)?.get() as {
          getRoom(id: string): { getLiveTimeline(): { getEvents(): Shown[] } } | null;
          sendReadReceipt(event: Shown): Promise<unknown>;
        };
        const end = Date.now() + limit;
        for (;;) {
          const events = client.getRoom(id)?.getLiveTimeline().getEvents() ?? [];
          const last = events.findLast(
            (event) => event.getSender() === peer && !event.getType().startsWith("m.room.member"),
          );
          if (last !== undefined) {
            await client.sendReadReceipt(last);
            return null;
          }
          if (Date.now() > end) return "nothing of the other person is in the room";
          await new Promise((resume) => setTimeout(resume, 100));
        }
      },
      roomId,
      this.bob.userId,
      STEP_MS,
    );
    if (failure !== null) throw new Error(failure);
  }

  /** A step that the session needs. */
  async #need(method: string, ...args: unknown[]): Promise<unknown> {
    const outcome = await this.#call(method, args);
    if ("value" in outcome) return outcome.value;
    throw new Error("lacks" in outcome ? `this build's client has no ${method}` : outcome.error);
  }

  /** A step that Mantle, a server or the build may refuse; the person says no when asked. */
  async #try(step: string, method: string, ...args: unknown[]): Promise<unknown> {
    const outcome = await this.#call(method, args);
    if ("value" in outcome) return outcome.value;
    const error = "lacks" in outcome ? `not driven: this build's client has no ${method}` : outcome.error;
    this.refused.push({ step, error });
    return undefined;
  }

  async #call(method: string, args: unknown[]): Promise<Outcome> {
    const called = this.page.evaluate(
      async (name: string, list: unknown[], limit: number): Promise<Outcome> => {
        const client = (window.mxMatrixClientPeg as { get(): unknown } | undefined)?.get() as
          Client | undefined;
        if (typeof client?.[name] !== "function") return { lacks: true };
        const late = new Promise<never>((_, reject) => {
          setTimeout(() => reject(new Error(`no answer in ${limit} ms`)), limit);
        });
        try {
          const value = await Promise.race([client[name](...list), late]);
          // Only what JSON can hold leaves the page.
          try {
            return { value: JSON.parse(JSON.stringify(value ?? null)) as unknown };
          } catch {
            return { value: null };
          }
        } catch (error) {
          return { error: String(error) };
        }
      },
      method,
      args,
      STEP_MS,
    );
    return this.#answering(called, "Cancel").catch((error: unknown) => ({ error: String(error) }));
  }

  /** Waits for a step, and answers the question that comes up meanwhile, if any. */
  async #answering<Result>(running: Promise<Result>, answer: string): Promise<Result> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    running.then(over, over);
    while (!isOver) {
      // Another answer than the one expected is better than none for ever.
      if (await isAsked(this.page).catch(() => false)) {
        await press(this.page, answer).catch(() => press(this.page, "Cancel").catch(() => undefined));
      }
      await new Promise((resume) => setTimeout(resume, 50));
    }
    return running;
  }
}
