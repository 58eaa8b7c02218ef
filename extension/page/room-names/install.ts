/** Puts the page's half of names in one room together and into the hooks. */
import {
  decodeText,
  isPlain,
  now,
  parseJson,
  setTimer,
  stringify,
} from "../primordials/primordials.ts";
import type { OwnProfile } from "../../generated/mantle_state.js";
import type { OwnNameAnswer, OwnNameCommand } from "../../protocol/own-name.ts";
import { onShieldSettings, shieldSettings } from "../core/shield-settings.ts";
import { askHandler } from "../dialogs/consent.ts";
import { showNotice } from "../dialogs/notice.ts";
import { pickPicture } from "../dialogs/picture-picker.ts";
import { ask } from "../dialogs/prompt.ts";
import { registerHandler } from "../intercept/handlers.ts";
import { shownRoom } from "../room-state/conversion.ts";
import { PageCryptoError, runningClient, sentenceIn } from "../room-state/element/client.ts";
import type { PageClient } from "../room-state/element/client.ts";
import type { StateEngine } from "../room-state/engine.ts";
import type { PictureReader } from "../room-pictures/reader.ts";
import type { PictureWriter } from "../room-pictures/writer.ts";
import { HomeserverError, sendAsClient } from "../room-state/homeserver.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";
import type { KeyFetcher } from "../room-state/keys.ts";
import type { StateSharing } from "../room-state/sharing.ts";
import { isKnownReadable } from "../room-state/writes.ts";
import { text } from "../texts/texts.ts";
import { runOwnName } from "./chosen.ts";
import type { ChosenParts } from "./chosen.ts";
import { NameKeeper } from "./keeper.ts";
import { MEMBER, memberPath, outerContent, profileIn } from "./profile.ts";
import type { PublicProfile } from "./profile.ts";
import { NameReader } from "./reader.ts";
import { asNamesClient } from "./sdk.ts";
import type { NamesClient } from "./sdk.ts";
import { NameWriter } from "./writer.ts";

const SHIELD = "room-nicknames";
const STATE = "encrypted-state";
/** Names that come close together are shown together. */
const SOON_MS = 10;

/** What of encrypted state this is made of. */
export interface Parts {
  readonly engine: StateEngine;
  readonly keys: KeyFetcher;
  readonly sharing: StateSharing;
  encryptsState(roomId: string): Promise<boolean>;
  /** Whether what is set there can leave encrypted; rejects where nobody can tell. */
  readonly writes: { encrypts(url: string): Promise<boolean> };
}

/** Whether names leave sealed. */
function isOn(): boolean {
  const state = shieldSettings(STATE)?.mode;
  const isResting = state === undefined || state === "off" || state === "flag";
  return !isResting && shieldSettings(SHIELD)?.mode === "on";
}

export interface RoomNames {
  /** For `watchClient`. */
  watch(client: PageClient | undefined): void;
  /** Whether names and pictures leave sealed. */
  isOn(): boolean;
  readonly writer: NameWriter;
  /** What the popup wants of the room that is shown. */
  own(command: OwnNameCommand): Promise<OwnNameAnswer>;
}

/** `pictures`: what shows encrypted pictures of rooms shows those of people; `uploads` holds new ones. */
export function installRoomNames(
  parts: Parts,
  pictures: Pick<PictureReader, "named" | "onOpened">,
  uploads: Pick<PictureWriter, "holdPicked">,
): RoomNames {
  const { engine, keys, sharing } = parts;
  const isEncrypted = async (roomId: string): Promise<boolean> => {
    // No room here has anything encrypted.
    if (engine.isUnloaded) return false;
    try {
      return await parts.encryptsState(roomId);
    } catch (error) {
      if (isKnownReadable(roomId)) return false;
      throw error;
    }
  };
  const reader = new NameReader({
    isEncrypted,
    showsOwn: isOn,
    open: (roomId, members) => {
      engine.call((state) => state.addMemberProfiles(roomId, stringify(members)));
      keys.scheduleRetry();
    },
    picture: (roomId, content) => pictures.named(roomId, content),
    later: (task, delay = SOON_MS) => void setTimer(task, delay),
  });
  pictures.onOpened = (picture) => reader.pictureOpened(picture);
  const held = (roomId: string): OwnProfile | undefined =>
    engine.isRunning ? engine.call((state) => state.ownProfile(roomId)) : undefined;
  const seal = async (
    client: PageClient,
    roomId: string,
    contentJson: string,
  ): Promise<unknown> => {
    const room = await sharing.readyRoom(client, roomId);
    const content = { eventType: MEMBER_PROFILE, stateKey: client.getUserId() ?? "", contentJson };
    const { body } = await sharing.encrypt(client, room, content);
    return parseJson(body);
  };
  const keeper = new NameKeeper({
    isOn,
    held,
    forget: (roomId) => engine.call((state) => state.forgetOwnProfile(roomId)),
    isJoined: (roomId) => isJoined(roomId),
    hasWritten: (roomId, within) => writer.hasWritten(roomId, within),
    current: async (roomId) => {
      const client = await sharing.readyClient();
      const path = memberPath(roomId, client.getUserId() ?? "");
      const found = await sendAsClient(client, "GET", `${path}?format=event`);
      if (!isPlain(found)) return { eventId: undefined, content: {} };
      const { event_id: eventId, content } = found;
      // Homeservers that know no formats give the content alone.
      return typeof eventId === "string" && isPlain(content)
        ? { eventId, content }
        : { eventId: undefined, content: found };
    },
    publicProfile: async () => publicProfile(await sharing.readyClient()),
    seal: async (roomId, contentJson) => seal(await sharing.readyClient(), roomId, contentJson),
    put: async (roomId, content, sealed) => {
      const client = await sharing.readyClient();
      const { displayname } = content;
      const name = typeof displayname === "string" ? displayname : undefined;
      const body = stringify(outerContent(content, name, sealed));
      await sendAsClient(client, "PUT", memberPath(roomId, client.getUserId() ?? ""), body);
    },
    writing: async (task) => engine.writing(await sharing.readyClient(), task),
    later: (task, delay) => void setTimer(task, delay),
    now,
    random: Math.random,
  });
  const canSeal = (roomId: string, userId: string): Promise<boolean> => {
    const base = (runningClient()?.baseUrl ?? "").replace(/\/+$/, "");
    return parts.writes.encrypts(base + memberPath(roomId, userId, MEMBER_PROFILE));
  };
  const isJoined = (roomId: string): boolean =>
    runningClient()?.getRoom(roomId)?.getMyMembership() === "join";
  const writer = new NameWriter({
    runningClient,
    isEncrypted: canSeal,
    picture: (roomId, userId) =>
      asNamesClient(runningClient())?.getRoom(roomId)?.currentState.getStateEvents(MEMBER, userId)
        ?.event.content?.["avatar_url"],
    now,
    publicProfile,
    heldContent: (roomId) => held(roomId)?.contentJson,
    isShown: (roomId, userId) => reader.isShown(roomId, userId),
    seal: (client, roomId, contentJson) =>
      engine.writing(client, () => seal(client, roomId, contentJson)),
  });
  registerHandler("state", writer, SHIELD);
  registerHandler(
    "ask",
    {
      // What is asked about is a name or a picture that stays readable.
      handle: (request, delegate) =>
        writer.isSealed(request.body)
          ? Promise.resolve({ kind: "send" } as const)
          : askHandler.handle(request, delegate),
    },
    "profile",
  );

  const look = (client: NamesClient, roomId: string): void => {
    const own = client
      .getRoom(roomId)
      ?.currentState.getStateEvents(MEMBER, client.getUserId() ?? "");
    const content = own?.event.content;
    keeper.look(roomId, content && { eventId: own?.event.event_id, content });
  };
  keys.onMemberProfile = (roomId, event) => {
    reader.opened(roomId, event);
    if (event["state_key"] === runningClient()?.getUserId()) keeper.cameBack(roomId);
  };
  sharing.onTended = (roomId) => {
    const client = asNamesClient(runningClient());
    if (client !== undefined) look(client, roomId);
  };
  let lookedThrough: NamesClient | undefined;
  let wasOn = isOn();
  onShieldSettings(() => {
    if (wasOn === isOn()) return;
    wasOn = !wasOn;
    // What was written without it meanwhile.
    lookedThrough = undefined;
    reader.tellOwn();
  });
  let watched: NamesClient | undefined;
  const watch = (client: NamesClient): void => {
    if (watched === client) return;
    watched = client;
    client.on("RoomState.events", ({ event }) => {
      const { type, state_key: userId, room_id: roomId } = event;
      if (type !== MEMBER || userId !== client.getUserId() || roomId === undefined) return;
      // The state is set after this is told.
      if (client === watched) void setTimer(() => look(client, roomId), 0);
    });
  };
  /** Once for each client: what a homeserver has written while no page of this person was open. */
  const lookThrough = (client: NamesClient): void => {
    if (lookedThrough === client || !isOn() || !engine.isRunning || !client.isInitialSyncComplete())
      return;
    lookedThrough = client;
    for (const roomId of engine.call((state) => state.ownProfiles())) look(client, roomId);
  };
  /** As Element's own command sets one: the hooks seal it. */
  const setPicture = async (roomId: string, file: Blob): Promise<void> => {
    const client = asNamesClient(runningClient());
    const userId = client?.getUserId() ?? "";
    const member = client?.getRoom(roomId)?.currentState.getStateEvents(MEMBER, userId);
    const content = member?.getContent();
    if (client === undefined || content?.["membership"] !== "join") {
      throw new PageCryptoError(text("ownPictureNotEncrypted"));
    }
    const picture = uploads.holdPicked(file, runningClient()?.baseUrl ?? "");
    await client.sendStateEvent(roomId, MEMBER, { ...content, avatar_url: picture }, userId);
  };
  const chosen: ChosenParts = {
    isOn,
    shownRoom: () => {
      const client = runningClient();
      const roomId = client === undefined ? undefined : shownRoom(client)?.roomId;
      return roomId !== undefined && isJoined(roomId) ? roomId : undefined;
    },
    isEncrypted: (roomId) => canSeal(roomId, runningClient()?.getUserId() ?? ""),
    current: (roomId) => {
      const content = held(roomId)?.contentJson;
      return profileIn(content === undefined ? undefined : parseJson(content));
    },
    pickPicture: async (roomId) => {
      const { choice } = await ask({
        title: text("ownPictureTitle"),
        text: [text("ownPictureWhat")],
        choices: [
          { id: "choose", label: text("ownPictureChoose"), kind: "primary" },
          { id: "cancel", label: text("cancel"), kind: "plain" },
        ],
      });
      const file = choice === "choose" ? await pickPicture() : undefined;
      if (file === undefined) return;
      try {
        await sharing.readyClient();
        await setPicture(roomId, file);
      } catch (error) {
        showNotice(reasonIn(error));
      }
    },
    set: async (roomId, change) => {
      const client = await sharing.readyClient();
      const userId = client.getUserId() ?? "";
      const path = memberPath(roomId, userId);
      const content = await sendAsClient(client, "GET", path);
      if (!isOn() || !isPlain(content) || content["membership"] !== "join") {
        const isName = "name" in change;
        throw new PageCryptoError(text(isName ? "nicknameNotEncrypted" : "ownPictureNotEncrypted"));
      }
      const body = await writer.chosen(client, { roomId, userId }, { content, change });
      // Who has left meanwhile must not come in again by this.
      if (body === undefined || !isJoined(roomId)) return;
      await sendAsClient(client, "PUT", path, decodeText(body));
    },
  };
  return {
    isOn,
    writer,
    watch: (client) => {
      const names = asNamesClient(client);
      reader.attach(names);
      if (names === undefined) return;
      watch(names);
      lookThrough(names);
    },
    own: (command) => runOwnName(chosen, command),
  };
}

/** Why a picture was not set; what is not Mantle's own is not said in its name. */
function reasonIn(error: unknown): string {
  const data = isPlain(error) ? error["data"] : undefined;
  const said = isPlain(data) ? data["error"] : undefined;
  const ours = [text("pictureTooLarge"), text("pictureKind"), text("pictureNotUploaded")];
  return ours.find((one) => one === said) ?? sentenceIn(error) ?? text("ownPictureNotEncrypted");
}

/** What everybody knows, as the homeserver has it now. */
async function publicProfile(client: PageClient): Promise<PublicProfile> {
  const path = `/_matrix/client/v3/profile/${encodeURIComponent(client.getUserId() ?? "")}`;
  const textIn = (value: unknown): string | undefined =>
    typeof value === "string" && value !== "" ? value : undefined;
  try {
    const profile = await sendAsClient(client, "GET", path);
    const { displayname: name, avatar_url: picture } = isPlain(profile) ? profile : {};
    return { name: textIn(name), picture: textIn(picture) };
  } catch (error) {
    if (error instanceof HomeserverError && error.status === 404) {
      return { name: undefined, picture: undefined };
    }
    throw error;
  }
}
