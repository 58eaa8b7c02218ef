import { logger } from "matrix-js-sdk/lib/logger";
import * as account from "./account.ts";
import { installDriver } from "./driver.ts";
import * as encryptedState from "./encrypted-state.ts";
import * as identity from "./identity.ts";
import * as integrations from "./integrations.ts";
import * as media from "./media.ts";
import * as relations from "./relations.ts";
import * as roomNames from "./room-names.ts";
import * as roomPictures from "./room-pictures.ts";
import * as rooms from "./rooms.ts";
import * as session from "./session.ts";
import * as thirdParties from "./third-parties.ts";

// js-sdk tells the console about each request; a test has the recorder for that.
(logger as unknown as { setLevel(level: "warn", persist: boolean): void }).setLevel("warn", false);

const calls = {
  loaded: () => session.loaded,
  login: session.login,
  register: session.register,
  start: session.start,
  stop: () => session.client().stopClient(),

  managers: integrations.managers,
  managerAccount: integrations.managerAccount,
  managerTerms: integrations.managerTerms,
  openManager: integrations.openManager,
  openFrame: integrations.openFrame,
  openWidget: integrations.openWidget,
  disableWidgetAssets: integrations.disableWidgetAssets,
  lookUpTitle: integrations.lookUpTitle,
  giveOpenIdToken: integrations.giveOpenIdToken,

  identityServer: identity.identityServer,
  identityAccount: identity.identityAccount,
  identityCall: identity.identityCall,
  lookUp: identity.lookUp,
  validateEmail: identity.validateEmail,
  validatePhone: identity.validatePhone,
  bind: identity.bind,
  unbind: identity.unbind,
  homeserverCall: identity.homeserverCall,
  signInvite: identity.signInvite,

  ...account,
  ...encryptedState,
  ...relations,
  ...roomNames,
  ...roomPictures,
  ...rooms,
  ...media,
  ...thirdParties,
  inviteByEmail: (roomId: string, email: string) => session.client().inviteByEmail(roomId, email),
  inviteUser: (roomId: string, user: string, reason?: string) =>
    session.client().invite(roomId, user, reason === undefined ? {} : { reason }),
  kick: (roomId: string, user: string, reason: string) =>
    session.client().kick(roomId, user, reason),
  redact: (roomId: string, eventId: string, reason: string) =>
    session.client().redactEvent(roomId, eventId, undefined, { reason }),
  knock: (room: string, reason: string) =>
    session.client().knockRoom(room, { reason, viaServers: ["hs.example.org"] }),
  setRoomName: (roomId: string, name: string) => session.client().setRoomName(roomId, name),
  setRoomTopic: (roomId: string, topic: string) => session.client().setRoomTopic(roomId, topic),
  upgradeRoom: (roomId: string, version: string) => session.client().upgradeRoom(roomId, version),
  setDisplayName: (name: string) => session.client().setDisplayName(name),
  setAvatar: (uri: string) => session.client().setAvatarUrl(uri),
  setRoomAvatar: (roomId: string, url: string) =>
    session.client().sendStateEvent(roomId, "m.room.avatar" as never, { url } as never, ""),
  setProfileField: (key: string, value: string | Record<string, unknown>) =>
    session.client().setExtendedProfileProperty(key, value),
  profile: (user: string) => session.client().getProfileInfo(user),
  searchUsers: (term: string) => session.client().searchUserDirectory({ term }),
  /** In these rooms, or in all, as Element asks. */
  searchMessages: (term: string, rooms?: string[]) =>
    session.client().search({
      body: {
        search_categories: {
          room_events: { search_term: term, ...(rooms === undefined ? {} : { filter: { rooms } }) },
        },
      },
    }),
  searchDirectory: (term: string, server?: string) =>
    session.client().publicRooms({
      ...(server === undefined ? {} : { server }),
      filter: { generic_search_term: term },
    }),
  sharedRooms: (user: string) => session.client()._unstable_getSharedRooms(user),
  isAdministrator: () => session.client().isSynapseAdministrator(),
  dial: (number: string) =>
    session.client().getThirdpartyUser("m.protocol.pstn", { "m.id.phone": number }),
  tagRoom: (roomId: string, tag: string) =>
    session.client().setRoomTag(roomId, tag, { order: 0.5 }),
  rtcTransports: () => session.client()._unstable_getRTCTransports(),
  toDevice: (user: string) =>
    session
      .client()
      .sendToDevice("org.example.ping", new Map([[user, new Map([["*", { hello: "world" }]])]])),
  initialSync: (roomId: string) => session.client().roomInitialSync(roomId, 20),
  roomState: (roomId: string) => session.client().roomState(roomId),
  stateEvent: (roomId: string, type: string) => session.client().getStateEvent(roomId, type, ""),
  hierarchy: (roomId: string) => session.client().getRoomHierarchy(roomId),
  messages: (roomId: string) =>
    session.client().createMessagesRequest(roomId, null, 50, "b" as never),
};

/** Everything a spec can ask the page to do. */
export type Calls = typeof calls;

declare global {
  interface Window {
    mxMatrixClientPeg: typeof session.clientPeg;
  }
}

window.mxMatrixClientPeg = session.clientPeg;
installDriver(calls);
