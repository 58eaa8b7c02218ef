import {
  addListener,
  dispatch,
  eventDetail,
  messageData,
  messagePorts,
  messageSource,
  NativeEvent,
  page,
  postToPort,
  startPort,
  stopEvent,
} from "../primordials/primordials.ts";
import { readRelayAnswer, readSettingsMessage } from "../../protocol/page-relay.ts";
import { readRoomsCommand } from "../../protocol/rooms.ts";
import { readCheckUpCommand } from "../../protocol/check-up.ts";
import { readOwnNameCommand } from "../../protocol/own-name.ts";
import { readCallServerCommand, readCallServerWithdrawn } from "../../protocol/call-server.ts";
import type { CallServerCommand, CallServerWithdrawn } from "../../protocol/call-server.ts";
import type { PageMessage, RelayAnswer, SettingsMessage } from "../../protocol/page-relay.ts";
import type { RoomsCommand } from "../../protocol/rooms.ts";
import type { CheckUpCommand } from "../../protocol/check-up.ts";
import type { OwnNameCommand } from "../../protocol/own-name.ts";

/** The page's end of the channel to the relay in the isolated world. */
export interface Channel {
  isOpen(): boolean;
  /** Lost when the channel is not open. */
  post(message: PageMessage): void;
}

/**
 * Listens for the relay's offer. Both sides run before any page script, so the first offer is the
 * relay's; none is taken after it.
 */
export function openChannel(handlers: {
  opened: () => void;
  settings: (message: SettingsMessage) => void;
  answer: (message: RelayAnswer) => void;
  wish: (message: RoomsCommand) => void;
  checkUp: (message: CheckUpCommand) => void;
  ownName: (message: OwnNameCommand) => void;
  callServer: (message: CallServerCommand) => void;
  callServerWithdrawn: (message: CallServerWithdrawn) => void;
}): Channel {
  let nonce: string | undefined;
  let port: MessagePort | undefined;

  addListener(
    page,
    "mantle-relay",
    (event) => {
      const detail = eventDetail(event as CustomEvent);
      if (nonce === undefined && typeof detail === "string") nonce = detail;
      stopEvent(event);
    },
    true,
  );
  addListener(
    page,
    "message",
    (event) => {
      if (nonce === undefined || messageSource(event as MessageEvent) !== page) return;
      const data = messageData(event as MessageEvent) as { mantle?: unknown } | null;
      if (typeof data !== "object" || data === null || data.mantle !== nonce) return;
      stopEvent(event);
      if (port !== undefined) return;
      port = messagePorts(event as MessageEvent)[0];
      if (port === undefined) return;
      addListener(port, "message", (message) => {
        const data = messageData(message as MessageEvent);
        const settings = readSettingsMessage(data);
        if (settings !== undefined) return handlers.settings(settings);
        const answer = readRelayAnswer(data);
        if (answer !== undefined) return handlers.answer(answer);
        const wish = readRoomsCommand(data);
        if (wish !== undefined) return handlers.wish(wish);
        const command = readCheckUpCommand(data);
        if (command !== undefined) return handlers.checkUp(command);
        const ownName = readOwnNameCommand(data);
        if (ownName !== undefined) return handlers.ownName(ownName);
        const callServer = readCallServerCommand(data);
        if (callServer !== undefined) return handlers.callServer(callServer);
        const withdrawn = readCallServerWithdrawn(data);
        if (withdrawn !== undefined) handlers.callServerWithdrawn(withdrawn);
      });
      startPort(port);
      handlers.opened();
    },
    true,
  );
  // For a relay that came first and found nobody listening.
  dispatch(page, new NativeEvent("mantle-page"));

  return {
    isOpen: () => port !== undefined,
    post: (message) => {
      if (port !== undefined) postToPort(port, message);
    },
  };
}
