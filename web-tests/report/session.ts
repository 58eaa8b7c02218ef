import { createHash } from "node:crypto";
import type { Page } from "puppeteer-core";
import type { Calls } from "../client/client.ts";
import type { BrowserKind } from "../support/browsers.ts";
import { jpegWithPlace, pictureHolding } from "../support/canaries.ts";
import { drive, openClient, tryToDrive, unhandled } from "../support/client-page.ts";
import { isAsked, press } from "../support/question.ts";
import { withSingleSignOn } from "../support/single-sign-on.ts";
import { AUTH, startAuthServer } from "../support/auth-server.ts";
import { HOMESERVER, identityServer, MANAGER, OPEN_HOMESERVER } from "../support/world.ts";
import type { World } from "../support/world.ts";
import { DrivenSession, PASSWORD, runDriven } from "./driven.ts";
import type { SessionResult, Stage } from "./driven.ts";

const REST = `https://${MANAGER}/api`;
const UI = `https://${MANAGER}/`;
const SITE = "https://chat.example.org/";
const IDENTITY = "https://vector.im";
const PHONE = "07700900123";

/** What an operator may have put into the configuration beside what Element's own builds have. */
export const FOREIGN_PARTS = {
  embedded_pages: { home_url: "https://pages.example.net/home.html" },
  custom_translations_url: "https://translations.example.net/de.json",
  modules: ["https://modules.example.net/module.js"],
};

/** Runs the scripted session once. `extension` is Mantle's built folder. */
export async function runSession(
  world: World,
  kind: BrowserKind,
  extension: string | undefined,
  options: SessionOptions = {},
): Promise<SessionResult> {
  world.recorder.route("is.example.org", identityServer({ algorithms: ["none"] }));
  const begin = (stage: Stage): Session => new Session(stage, options);
  return runDriven(world, world.recorder, kind, extension, begin);
}

export interface SessionOptions {
  readonly slidingSync?: boolean;
  /** What is done besides while the person is signed in; what it counts, by id. */
  readonly more?: (stage: Stage) => Promise<Record<string, number>>;
}

/** Leaves the page as Element does, by its own script, and waits for the next one. */
async function follow(tab: Page, url: string): Promise<void> {
  await Promise.all([
    tab.waitForNavigation({ timeout: 60_000 }),
    tab.evaluate((address: string) => {
      location.href = address;
    }, url),
  ]);
}

/** What the page's own script is answered. */
function post(
  tab: Page,
  url: string,
  content: { type: string; body: string },
): Promise<Record<string, unknown>> {
  return tab.evaluate(
    async (address: string, type: string, body: string) => {
      const headers = { "Content-Type": type };
      const answer = await fetch(address, { method: "POST", headers, body });
      return (await answer.json()) as Record<string, unknown>;
    },
    url,
    content.type,
    content.body,
  );
}

class Session extends DrivenSession {
  readonly #stage: Stage;
  readonly #options: SessionOptions;

  constructor(stage: Stage, options: SessionOptions) {
    super(stage);
    this.#stage = stage;
    this.#options = options;
  }

  async run(user: string): Promise<void> {
    await openClient(this.page);
    const deviceId = await this.#signIn(user);
    const { roomId, eventId } = await this.#talk();
    const clearRoomId = await this.#clearRoom();
    await this.#media();
    await this.#integrations(roomId);
    await this.#identity(clearRoomId);
    await this.#sessions(deviceId);
    await this.#rooms(roomId, clearRoomId);
    await this.#reads(roomId);
    await this.#activity(roomId, eventId);
    await this.#accountData(roomId, deviceId);
    await this.#calls(roomId, clearRoomId);
    await this.#others();
    await this.#olderKeys();
    const { more } = this.#options;
    if (more !== undefined) {
      await this.check("did what only this session does", async () => {
        Object.assign(this.elsewhere, await more(this.#stage));
      });
    }
    await this.#chosen();
    await this.check("no error was left unhandled", async () => {
      const errors = await unhandled(this.page);
      if (errors.length > 0) throw new Error(errors.join("; "));
    });
    await this.#signInElsewhere();
    await this.#leave();
  }

  /** What only people with Mantle see, so that it is off as recommended. */
  async #chosen(): Promise<void> {
    const { sealedNickname, avatarContent, ownPictureContent } = this.canaries;
    await this.choose("relations", "room-pictures", "room-nicknames");
    const picture = async (content: string): Promise<string> => {
      const base64 = pictureHolding(content).toString("base64");
      return (await drive(this.page, "uploadPicture", "me.png", "image/png", base64)).uri;
    };
    const wanted = { name: "Chosen", encrypted: true, invite: [this.bob.userId] };
    const { roomId } = await drive(this.page, "createRoom", wanted);
    await this.check("answered and reacted to a message", async () => {
      await drive(this.page, "roomName", roomId, "Chosen");
      await this.peer.join(roomId);
      const { eventId } = await drive(this.page, "sendText", roomId, "to be answered");
      await drive(this.page, "react", roomId, eventId, "👍");
      await drive(this.page, "seeReactions", roomId, eventId, { "👍": [this.userId] });
      await drive(this.page, "sendReply", roomId, eventId, "an answer for few");
      await this.peer.receive(roomId, "an answer for few");
    });
    await this.check("gave the room a picture", async () => {
      await drive(this.page, "setRoomAvatar", roomId, await picture(avatarContent));
    });
    await this.check("took a name and a picture for one room", async () => {
      await drive(this.page, "setRoomNickname", roomId, sealedNickname);
      await drive(this.page, "seeMember", roomId, this.userId, sealedNickname);
      await drive(this.page, "setOwnRoomPicture", roomId, await picture(ownPictureContent));
    });
  }

  /** Ways to sign in, and to look at one's sessions, that leave Element's page. */
  async #signInElsewhere(): Promise<void> {
    const tab = await this.page.browser().newPage();
    await this.check("an authorisation server signed a session in", async () => {
      this.elsewhere["device-name-token"] = await this.#signInByTokens(tab);
    });
    await this.check("the homeserver's sign-in page signed a session in", async () => {
      await this.#signInByHomeserver(tab);
    });
    await tab.close();
  }

  /** As Element does it: the homeserver is told where to come back to, a room's address here. */
  async #signInByHomeserver(tab: Page): Promise<void> {
    const { synapse, recorder } = this.world;
    const user = `single-${Math.random().toString(36).slice(2, 8)}`;
    recorder.route(HOMESERVER, withSingleSignOn(synapse, await synapse.register(user, PASSWORD)));
    try {
      await tab.goto(`${SITE}#/room/!room:hs.example.org`);
      const back = encodeURIComponent(`${SITE}#/room/!room:hs.example.org`);
      const path = `/_matrix/client/v3/login/sso/redirect?redirectUrl=${back}`;
      await follow(tab, `https://${HOMESERVER}${path}`);
      const limit = Date.now() + 60_000;
      const isBack = (): boolean =>
        recorder.to(new URL(SITE).host).some(({ path: at }) => at.includes("loginToken="));
      while (!isBack()) {
        if (Date.now() > limit) throw new Error("nobody came back from it within a minute");
        await new Promise((resume) => setTimeout(resume, 50));
      }
    } finally {
      recorder.route(HOMESERVER, { forward: synapse.baseUrl });
    }
  }

  /** As OAuth does it; gives how many sessions are called after the browser in the end. */
  async #signInByTokens(tab: Page): Promise<number> {
    const { synapse, recorder } = this.world;
    const user = `tokens-${Math.random().toString(36).slice(2, 8)}`;
    const account = await synapse.register(user, PASSWORD);
    recorder.route(AUTH, startAuthServer(synapse, user, PASSWORD).handler);
    await tab.goto(SITE);
    const client = await post(tab, `https://${AUTH}/oauth2/registration`, {
      type: "application/json",
      body: JSON.stringify({ client_name: "Example Org Chat", redirect_uris: [SITE] }),
    });
    const verifier = "verifier".repeat(8);
    const device = `TOKENS${user.slice(-6).toUpperCase()}`;
    const query = new URLSearchParams({
      response_type: "code",
      client_id: String(client["client_id"]),
      redirect_uri: SITE,
      scope:
        "urn:matrix:org.matrix.msc2967.client:api:* " +
        `urn:matrix:org.matrix.msc2967.client:device:${device}`,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    await follow(tab, `https://${AUTH}/authorize?${query.toString()}`);
    const allow = await tab.waitForSelector("#allow[href]", { timeout: 60_000 });
    const back = (await allow?.evaluate((link) => (link as HTMLAnchorElement).href)) ?? "";
    await tab.goto(SITE);
    const tokens = await post(tab, `https://${AUTH}/oauth2/token`, {
      type: "application/x-www-form-urlencoded",
      body: new URLSearchParams({
        grant_type: "authorization_code",
        client_id: String(client["client_id"]),
        code: new URL(back).searchParams.get("code") ?? "",
        redirect_uri: SITE,
        code_verifier: verifier,
      }).toString(),
    });
    const status = await tab.evaluate(
      async (homeserver: string, token: string) => {
        const headers = { Authorization: `Bearer ${token}` };
        const url = `${homeserver}/_matrix/client/v3/account/whoami`;
        return (await fetch(url, { headers })).status;
      },
      `https://${HOMESERVER}`,
      String(tokens["access_token"]),
    );
    if (status !== 200) throw new Error(`the homeserver answered ${status} to the new session`);
    const manage = new URLSearchParams({ action: "org.matrix.session_view", device_id: device });
    await follow(tab, `https://${AUTH}/account?${manage.toString()}`);
    const path = `/_matrix/client/v3/devices/${device}`;
    const { display_name: name } = await synapse.call(account, "GET", path);
    return /Chrome|Firefox/.test(String(name)) ? 1 : 0;
  }

  /** A link Element did not make its own, and the same one opened by another program. */
  async #leave(): Promise<void> {
    await this.page
      .evaluate(() => {
        const link = document.createElement("a");
        link.href = "https://matrix.to/#/!room:hs.example.org";
        document.body.append(link);
        link.click();
      })
      .catch(() => undefined);
    const visitor = await this.page.browser().newPage();
    await visitor
      .goto("https://matrix.to/#/!room:hs.example.org", { timeout: 10_000 })
      .catch(() => undefined);
  }

  async #signIn(user: string): Promise<string> {
    const { userId } = await drive(this.page, "register", user, PASSWORD);
    this.userId = userId;
    const credentials = await drive(this.page, "login", user, PASSWORD);
    const { slidingSync = false } = this.#options;
    await this.check("synced", () =>
      drive(this.page, "start", credentials, {
        storage: slidingSync ? "memory" : "indexeddb",
        slidingSync,
      }),
    );
    await this.#try("login by e-mail", "homeserverCall", "POST", "/_matrix/client/v3/login", {
      type: "m.login.password",
      identifier: { type: "m.id.thirdparty", medium: "email", address: this.canaries.ownEmail },
      password: "wrong",
    });
    this.elsewhere["device-name-peers"] = await this.#tellingNamesForPeers();
    return credentials.deviceId;
  }

  /** How many of this user's sessions another user sees under a telling name. */
  async #tellingNamesForPeers(): Promise<number> {
    const limit = Date.now() + 10_000;
    for (;;) {
      const keys = await this.world.synapse.call(
        this.bob,
        "POST",
        "/_matrix/client/v3/keys/query",
        { device_keys: { [this.userId]: [] } },
      );
      const text = JSON.stringify(keys);
      // A session is seen by others once it has uploaded its keys.
      if (text.includes('"curve25519:') || Date.now() > limit) {
        return [...text.matchAll(/"device_display_name":"[^"]*chat\.example\.org/g)].length;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** An encrypted room with a second user: the heart of the session. */
  async #talk(): Promise<{ roomId: string; eventId: string }> {
    const { roomName, topic, message } = this.canaries;
    const avatar = await drive(
      this.page,
      "uploadPicture",
      "room.png",
      "image/png",
      pictureHolding(this.canaries.avatarContent).toString("base64"),
    );
    const { roomId } = await drive(this.page, "createRoom", {
      name: roomName,
      topic,
      encrypted: true,
      invite: [this.bob.userId],
      avatar: avatar.uri,
    });
    await this.countInvitation(roomName);
    await this.check("saw the room's name", () =>
      drive(this.page, "roomName", roomId, roomName),
    );
    await this.peer.join(roomId);
    let eventId = "";
    await this.check("sent an encrypted message", async () => {
      ({ eventId } = await drive(this.page, "sendText", roomId, message));
    });
    await this.check("the second user read it", async () => {
      const { encrypted } = await this.peer.receive(roomId, message);
      if (!encrypted) throw new Error("it was not encrypted");
    });
    await this.check("received an encrypted answer", async () => {
      await this.peer.send(roomId, `answer to ${message}`);
      const { encrypted } = await drive(this.page, "receive", roomId, `answer to ${message}`);
      if (!encrypted) throw new Error("it was not encrypted");
    });
    await this.#try("reply", "sendReply", roomId, eventId, "a reply");
    await this.#try("reaction", "react", roomId, eventId, "👍");
    await this.#try("edit", "sendEvent", roomId, "m.room.message", {
      msgtype: "m.text",
      body: "* another message",
      "m.new_content": { msgtype: "m.text", body: "another message" },
      "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    const { eventId: mistake } = await drive(this.page, "sendText", roomId, "a mistake");
    await this.#try("redaction", "redact", roomId, mistake, this.canaries.redactionReason);
    return { roomId, eventId };
  }

  async #clearRoom(): Promise<string> {
    const { clearRoomName, clearMessage, alias } = this.canaries;
    const wanted = { name: clearRoomName, encrypted: false, invite: [this.bob.userId] };
    const published = await this.#refuse("public address", "createRoom", { ...wanted, alias });
    const { roomId } = published ?? (await drive(this.page, "createRoom", wanted));
    await this.#try("open history", "homeserverCall", "POST", "/_matrix/client/v3/createRoom", {
      initial_state: [
        {
          type: "m.room.history_visibility",
          state_key: "",
          content: { history_visibility: "world_readable" },
        },
      ],
    });
    await this.peer.join(roomId);
    await this.check("a clear message arrived", async () => {
      await drive(this.page, "sendText", roomId, clearMessage);
      await this.peer.receive(roomId, clearMessage);
    });
    return roomId;
  }

  async #media(): Promise<void> {
    const { filename, fileContent, link } = this.canaries;
    const content = Buffer.from(`text ${fileContent}`).toString("base64");
    await this.check("uploaded and downloaded the same file", async () => {
      const { uri, progressed } = await drive(
        this.page,
        "uploadFile",
        `${filename}.txt`,
        "text/plain",
        content,
      );
      const { status, base64 } = await drive(this.page, "download", uri);
      if (status !== 200 || base64 !== content) throw new Error(`status ${status}, other bytes`);
      if (!progressed) throw new Error("no upload progress was reported");
    });
    const picture = jpegWithPlace("Camera of the tests").toString("base64");
    await this.check("uploaded a photograph", async () => {
      const { uri } = await drive(this.page, "uploadFile", "photo.jpg", "image/jpeg", picture);
      await this.#try("show picture", "showPicture", uri);
      // Past the service worker, as on a page it does not control.
      const media = uri.replace("mxc://", `https://${HOMESERVER}/_matrix/media/r0/download/`);
      await this.#try("picture without token", "visit", media);
    });
    await this.#openMedia(content, picture);
    await this.check("uploaded an encrypted file", async () => {
      await drive(this.page, "uploadEncrypted", content);
    });
    await this.#try("link preview", "previewLink", `https://link.example.org/${link}`);
  }

  /** On a homeserver that serves media to anyone, whatever it says. */
  async #openMedia(text: string, picture: string): Promise<void> {
    const server = this.world.openMedia;
    if (server === undefined) throw new Error("This world has no server with open media.");
    const account = await server.register(`open${Date.now()}`, "a password");
    const upload = async (
      name: string,
      type: string,
      base64: string,
      answer: string,
    ): Promise<string> => {
      const base = `https://${OPEN_HOMESERVER}`;
      const sending = drive(this.page, "uploadTo", base, account.accessToken, name, type, base64);
      return (await this.#answering(answer, sending)).uri;
    };
    await this.check("decided about a file that anyone could open", async () => {
      const { filename } = this.canaries;
      const uri = await upload(`${filename}.txt`, "text/plain", text, "Do not send");
      const at = uri.replace("mxc://", `${server.baseUrl}/_matrix/media/v3/download/`);
      const isPublic = uri !== "" && (await fetch(at)).status === 200;
      this.elsewhere["media-public"] = isPublic ? 1 : 0;
      const name = `${filename}.jpg`;
      const sent = await upload(name, "image/jpeg", picture, "Send without these details");
      if (sent === "") throw new Error("the picture was not sent");
    });
  }

  async #integrations(roomId: string): Promise<void> {
    const account = await this.#try("manager account", "managerAccount", REST);
    const token = account?.token ?? "scalar-token-0123456789";
    await this.#try("manager terms", "managerTerms", REST, token);
    await this.#try("manager page", "openManager", UI, { roomId, token });
    await this.#try("widget state", "disableWidgetAssets", REST, token, "stickers");
    await this.#try(
      "title lookup",
      "lookUpTitle",
      REST,
      token,
      `https://link.example.org/${this.canaries.link}`,
    );
    await this.#try(
      "widget",
      "openWidget",
      "https://widget.example.org/?user=$matrix_user_id&room=$matrix_room_id",
      roomId,
    );
    for (const url of ["https://live.example.org/createStream", "https://livekit.example.org/sfu/get"]) {
      await this.#try("OpenID token to a service", "giveOpenIdToken", url, roomId, "json");
    }
    await this.#try("manager in account data", "writeAccountData", "m.widgets", {
      manager: {
        type: "m.integration_manager",
        content: { type: "m.integration_manager", url: UI, data: { api_url: REST } },
      },
    });
  }

  async #identity(roomId: string): Promise<void> {
    const { ownEmail, contactEmail, invitedEmail } = this.canaries;
    const account = await this.#try("identity account", "identityAccount", IDENTITY);
    const token = account?.token ?? "is-token-0123456789";
    await this.#try("lookup", "lookUp", IDENTITY, [[contactEmail, "email"]], token);
    await this.#try("plain lookup", "lookUp", "https://is.example.org", [[contactEmail, "email"]], token);
    const legacy = new URLSearchParams({ medium: "email", address: contactEmail });
    await this.#try(
      "legacy lookup",
      "identityCall",
      IDENTITY,
      "GET",
      `/_matrix/identity/api/v1/lookup?${legacy.toString()}`,
    );
    await this.#try("back to the default server", "identityCall", IDENTITY, "GET", "/_matrix/identity/v2");
    const validated = await this.#try("validate e-mail", "validateEmail", ownEmail, token);
    await this.#try("validate phone", "validatePhone", PHONE, token);
    for (const path of ["/_matrix/identity/v2/3pid/bind", "/_matrix/identity/v2/store-invite"]) {
      await this.#try(path, "identityCall", IDENTITY, "POST", path, {
        mxid: this.userId,
        sid: "sid1",
        address: ownEmail,
      });
    }
    await this.#try("bind", "bind", validated?.sid ?? "sid1", token);
    await this.#try("legacy bind", "homeserverCall", "POST", "/_matrix/client/r0/account/3pid", {
      three_pid_creds: { sid: "sid1", client_secret: "secret", id_server: "vector.im" },
      bind: true,
    });
    await this.#try("unbind", "unbind", IDENTITY, ownEmail);
    await this.#try("own e-mail", "requestOwnEmail", ownEmail, "vector.im");
    await this.#try("own phone", "requestOwnPhone", PHONE, "vector.im");
    await this.#try("authenticate by e-mail", "authenticateByEmail", "vector.im");
    await this.#try("invite by e-mail", "inviteByEmail", roomId, invitedEmail);
    await this.#try("create a room with an e-mail invitation", "homeserverCall", "POST", "/_matrix/client/v3/createRoom", {
      name: "room with an e-mail invitation",
      invite_3pid: [
        { id_server: "vector.im", id_access_token: token, medium: "email", address: invitedEmail },
      ],
    });
    await this.#try(
      "join by an invitation link",
      "joinRoom",
      roomId,
      "https://sign.example.org/_matrix/identity/api/v1/sign-ed25519?token=t&private_key=k",
    );
    await this.#try("join by a link to any host", "signInvite", "https://sign.example.org/anything?token=t");
    await this.#try("identity server in account data", "writeAccountData", "m.identity_server", {
      base_url: "https://is.example.org",
    });
  }

  async #sessions(deviceId: string): Promise<void> {
    await this.check("renamed the session", async () => {
      await drive(this.page, "renameDevice", deviceId, this.canaries.deviceName);
    });
    await this.#try("client registration", "registerOAuthClient", "https://auth.example.org");
    await this.#try("keys of oneself", "devicesSeenByPeers", this.userId);
  }

  async #rooms(roomId: string, clearRoomId: string): Promise<void> {
    const c = this.canaries;
    await this.#try("reads before renaming", "roomName", roomId, c.roomName);
    await this.#reads(roomId);
    await this.check("renamed the room", async () => {
      await drive(this.page, "setRoomName", roomId, c.newRoomName);
      await drive(this.page, "roomName", roomId, c.newRoomName);
    });
    await this.#try("topic", "setRoomTopic", roomId, c.newTopic);
    await this.#try("room avatar", "sendState", roomId, "m.room.avatar", "", { url: "mxc://x/y" });
    await this.#refuse("nickname", "sendState", roomId, "m.room.member", this.userId, {
      membership: "join",
      displayname: c.roomNickname,
    });
    await this.#try("space tree", "sendState", roomId, "m.space.child", "!child:hs.example.org", {
      via: [HOMESERVER],
    });
    await this.#try(
      "live location",
      "sendState",
      roomId,
      "org.matrix.msc3672.beacon_info",
      this.userId,
      { description: c.pinned, timeout: 1, live: false, "org.matrix.msc3488.ts": 1 },
    );
    const victim = await this.world.synapse.register(
      `victim-${Math.random().toString(36).slice(2, 8)}`,
      PASSWORD,
    );
    await this.#try("invite with a reason", "inviteUser", clearRoomId, victim.userId, c.reason);
    await this.#try("kick with a reason", "kick", clearRoomId, victim.userId, c.reason);
    const room = encodeURIComponent(clearRoomId);
    await this.#try(
      "report",
      "homeserverCall",
      "POST",
      `/_matrix/client/v3/rooms/${room}/report/${encodeURIComponent("$event")}`,
      { reason: c.reason },
    );
    await this.#try("knock", "knock", "!nowhere:hs.example.org", c.knockReason);
    const { roomId: old } = await drive(this.page, "createRoom", {
      name: c.roomUpgradeName,
      encrypted: true,
    });
    await this.#try("name of the old room", "roomName", old, c.roomUpgradeName);
    await this.#try("upgrade", "upgradeRoom", old, "11");
  }

  async #reads(roomId: string): Promise<void> {
    await this.#try("initial sync", "initialSync", roomId);
    await this.#try("state", "roomState", roomId);
    await this.#try("one state event", "stateEvent", roomId, "m.room.name");
    await this.#try("hierarchy", "hierarchy", roomId);
    await this.#try("history", "messages", roomId);
    await this.#try(
      "sliding sync",
      "homeserverCall",
      "POST",
      "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
      {
        lists: {
          all: { ranges: [[0, 20]], timeline_limit: 1, required_state: [["m.room.name", ""]] },
        },
      },
    );
  }

  async #activity(roomId: string, eventId: string): Promise<void> {
    await this.check("read, typed, was present", async () => {
      await drive(this.page, "readUpTo", roomId, eventId);
      await drive(this.page, "typing", roomId);
      await drive(this.page, "presence", "unavailable");
      await drive(this.page, "presence", "online");
    });
    const c = this.canaries;
    await this.#try("tag", "tagRoom", roomId, "m.favourite");
    await this.#refuse("display name", "setDisplayName", c.displayName);
    await this.#refuse("avatar", "setAvatar", "mxc://hs.example.org/avatar");
    await this.#try("time zone", "setProfileField", "us.cloke.msc4175.tz", "Europe/Berlin");
    await this.#try("user search", "searchUsers", c.userSearchTerm.slice(0, 2));
    await this.#try("profile", "profile", this.bob.userId);
    await this.#try("message search", "searchMessages", c.searchTerm, [roomId]);
    await this.#try("directory search", "searchDirectory", c.directorySearchTerm, "matrix.org");
    await this.#try(
      "shared rooms",
      "homeserverCall",
      "GET",
      "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=" +
        encodeURIComponent(this.bob.userId),
    );
    await this.#try("administrator?", "isAdministrator");
    await this.#refuse("keyword", "addKeyword", c.keyword);
    const mute = `/_matrix/client/v3/pushrules/global/room/${encodeURIComponent(roomId)}`;
    await this.#try("mute", "homeserverCall", "PUT", mute, { actions: [] });
    await this.#refuse("pushers", "addPushers", c.ownEmail, "https://push.example.org");
    await this.#try("to-device", "toDevice", this.bob.userId);
    await this.#try("in a call", "setProfileField", "org.matrix.msc4426.call", {
      call_joined_ts: 1_700_000_000_000,
    });
    await this.#refuse("status", "setProfileField", "org.matrix.msc4426.status", {
      text: c.displayName,
      emoji: "🤒",
    });
    await this.#try(
      "dehydrated device",
      "homeserverCall",
      "PUT",
      "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
      { device_id: "DEHYDRATED", initial_device_display_name: "Dehydrated device" },
    );
    const session = { first_message_index: 0, forwarded_count: 1, is_verified: false };
    const keys = "/_matrix/client/v3/room_keys/keys";
    await this.#try("key backup", "homeserverCall", "PUT", `${keys}?version=1`, {
      rooms: { "!room:hs.example.org": { sessions: { session: { ...session, session_data: {} } } } },
    });
    const lost = `${keys}/${encodeURIComponent("!room:hs.example.org")}/session?version=1`;
    await this.#try("key from the backup", "homeserverCall", "GET", lost);
  }

  async #accountData(roomId: string, deviceId: string): Promise<void> {
    const write = (type: string, content: Record<string, unknown>): Promise<unknown> =>
      this.#try(type, "writeAccountData", type, content);
    await write("im.vector.setting.breadcrumbs", { recent_rooms: [roomId] });
    await write("io.element.recent_emoji", { recent_emoji: [["👍", 3]] });
    await write("m.recent_emoji", { recent_emoji: [{ emoji: "👍", total: 3 }] });
    const section = "element.io.section.6f0c7f9a";
    await write("im.vector.web.settings", {
      "SpotlightSearch.recentSearches": [roomId],
      "RoomList.CustomSectionData": { [section]: { tag: section, name: this.canaries.sectionName } },
      notificationSound: { name: `${this.canaries.filename}.mp3`, url: "mxc://hs.example.org/a" },
    });
    await write("im.vector.analytics", { id: "0123", pseudonymousAnalyticsOptIn: true });
    await write("m.direct", { [this.bob.userId]: [roomId] });
    await write("m.ignored_user_list", { ignored_users: { "@troll:hs.example.org": {} } });
    await write(`org.matrix.msc3890.local_notification_settings.${deviceId}`, { is_silenced: false });
    await write(`io.element.matrix_client_information.${deviceId}`, {
      name: "Element",
      version: "1.12.0",
      url: "chat.example.org",
    });
  }

  async #calls(roomId: string, clearRoomId: string): Promise<void> {
    await this.#try("rename back", "setRoomName", roomId, this.canaries.roomName);
    await this.#try("name is back", "roomName", roomId, this.canaries.roomName);
    await this.#try("Jitsi", "startJitsiCall", roomId);
    await this.#try("Element Call", "openElementCall", roomId);
    await this.#try(
      "call membership",
      "sendState",
      roomId,
      "org.matrix.msc3401.call.member",
      `_${this.userId}_DEVICE_m.call`,
      {},
    );
    await this.#try("timing", "sendEvent", clearRoomId, "io.element.performance_metric", { ms: 1 });
    await this.#try("call invitation", "sendEvent", clearRoomId, "m.call.invite", {
      call_id: "1",
      version: "1",
      lifetime: 60_000,
      party_id: "DEVICE",
      offer: { type: "offer", sdp: "v=0\r\na=candidate:1 1 udp 2122 192.0.2.7 5000 typ host\r\n" },
    });
    await this.#try("dial", "dial", "+441632960000");
    await this.#try("transports", "rtcTransports");
    await this.#try("call widget", "visit", `https://build.example.org/?roomId=${encodeURIComponent(roomId)}`);
  }

  async #others(): Promise<void> {
    const event = { event: "$pageview", distinct_id: "0123", properties: { user: this.userId } };
    await this.#try("analytics", "captureUsage", event);
    await this.#try("error report", "captureError", { user: { id: this.userId } });
    await this.#refuse("bug report", "sendBugReport", {
      text: this.canaries.logLine,
      user_id: this.userId,
    });
    const request = "/_matrix/client/v3/sendToDevice/im.vector.auto_rs_request/report1";
    await this.#try("request for logs", "homeserverCall", "PUT", request, {
      messages: { [this.bob.userId]: { "*": { event_id: "$event", room_id: "!room" } } },
    });
    await this.#captcha();
    await this.#try("map", "showLocation", "14/8186/5448");
    await this.#try("welcome bot", "homeserverCall", "POST", "/_matrix/client/v3/createRoom", {
      invite: ["@riot-bot:matrix.org"],
      is_direct: true,
    });
    for (const url of [
      "https://slidingsync.example.org/client/server.json",
      "https://api.klipy.com/v2/search?q=cats",
      "https://riot.im/github/repos/element-hq/element-web/compare/a...b",
      ...(await this.#configured()),
    ]) {
      await this.#try(url, "visit", url);
    }
    await this.#try("version", "pollVersion");
  }

  /** Of a sign-up, and the person says no when Mantle asks. */
  async #captcha(): Promise<void> {
    await drive(this.page, "loadCaptcha");
    const isSeen = (): boolean => this.world.recorder.to("www.recaptcha.net").length > 0;
    const limit = Date.now() + 30_000;
    while (!isSeen() && !(await isAsked(this.page)) && Date.now() < limit) {
      await new Promise((resume) => setTimeout(resume, 50));
    }
    if (!isSeen() && (await isAsked(this.page))) await press(this.page, "Cancel");
  }

  /**
   * Somebody comes into a room in which something was written. Only a session hands keys over that its
   * owner has verified, and only to devices of which that holds too; they leave as an upload.
   */
  async #olderKeys(): Promise<void> {
    await this.peer.client.getCrypto()?.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (upload) => {
        await upload(null);
      },
    });
    await this.check("invited somebody to a room with older messages", async () => {
      await drive(this.page, "signOwnDevice");
      const { roomId } = await drive(this.page, "createRoom", {
        name: "Older",
        encrypted: true,
      });
      await drive(this.page, "sendText", roomId, "written before");
      // Whatever the homeserver's address is.
      const uploads = (): number =>
        this.world.recorder.exchanges.filter(
          ({ method, path }) => method === "POST" && path.includes("/media/v3/upload"),
        ).length;
      const before = uploads();
      const inviting = drive(this.page, "inviteUser", roomId, this.bob.userId);
      await this.#answering("Invite without them", inviting);
      this.elsewhere["history-keys"] = uploads() - before;
    });
  }

  /** What Element fetches only where its configuration names it. */
  async #configured(): Promise<string[]> {
    const { config } = await drive(this.page, "loaded");
    const pages = config["embedded_pages"] as { home_url?: string } | undefined;
    const modules = config["modules"] as string[] | undefined;
    return [pages?.home_url, config["custom_translations_url"], ...(modules ?? [])].filter(
      (url) => typeof url === "string",
    );
  }

  /** Waits for a step, and answers the question that comes up meanwhile, if any. */
  async #answering<T>(answer: string, running: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): boolean => (isOver = true);
    running.then(over, over);
    while (!isOver && !(await isAsked(this.page))) {
      await new Promise((resume) => setTimeout(resume, 50));
    }
    if (!isOver) await press(this.page, answer);
    return running;
  }

  /** A step of which the person says no when Mantle asks. */
  async #refuse<Name extends keyof Calls>(
    step: string,
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<Awaited<ReturnType<Calls[Name]>> | undefined> {
    return this.#answering("Cancel", this.#try(step, name, ...args));
  }

  // A refusal is part of the session: of Mantle, or of a server that lacks the feature.
  async #try<Name extends keyof Calls>(
    step: string,
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<Awaited<ReturnType<Calls[Name]>> | undefined> {
    const outcome = await tryToDrive(this.page, name, ...args);
    if (outcome.ok) return outcome.value;
    this.refused.push({ step, error: outcome.error });
    return undefined;
  }
}
