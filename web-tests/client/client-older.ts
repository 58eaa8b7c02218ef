/** The page of somebody whose Element is older: matrix-js-sdk 35 or 37, without encrypted state of its own. */
import { logger } from "matrix-js-sdk/lib/logger";
import { installDriver } from "./driver.ts";
import * as encryptedState from "./encrypted-state.ts";
import * as relations from "./relations.ts";
import * as rooms from "./rooms.ts";
import * as session from "./session.ts";

(logger as unknown as { setLevel(level: "warn", persist: boolean): void }).setLevel("warn", false);

window.mxMatrixClientPeg = session.clientPeg;
installDriver({
  loaded: () => session.loaded,
  login: session.login,
  start: session.start,
  stop: () => session.client().stopClient(),
  ...encryptedState,
  ...relations,
  ...rooms,
  setRoomName: (roomId: string, name: string) => session.client().setRoomName(roomId, name),
  setRoomTopic: (roomId: string, topic: string) => session.client().setRoomTopic(roomId, topic),
});
