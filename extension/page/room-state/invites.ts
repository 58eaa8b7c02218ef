/** A room's name and topic for people who are invited: sent to their devices in the Olm channel. */
import { eachTarget, mayHaveState, runningClient, sendThroughOlm } from "./element/client.ts";
import type { DeviceName, PageClient, PageRoom } from "./element/client.ts";
import type { StateEngine } from "./engine.ts";
import type { KeyFetcher } from "./keys.ts";

/** matrix-js-sdk's `ReceivedToDeviceMessage`, from version 37. */
interface ReceivedMessage {
  readonly message: {
    readonly type?: unknown;
    readonly sender?: unknown;
    readonly content?: unknown;
  };
  /** null: it came in clear, so anyone may have made it. */
  readonly encryptionInfo: { readonly sender?: unknown } | null;
}

const TYPE = "org.mantle.room_state";

export class InvitePreviews {
  readonly #engine: StateEngine;
  readonly #keys: KeyFetcher;
  readonly #told = new Set<string>();
  #heard: PageClient | undefined;

  constructor(engine: StateEngine, keys: KeyFetcher) {
    this.#engine = engine;
    this.#keys = keys;
  }

  /** Listens to the running client, once. Clients before js-sdk 37 do not tell who encrypted. */
  listen(): void {
    const client = runningClient();
    if (client === undefined || client === this.#heard) return;
    this.#heard = client;
    client.on("receivedToDeviceMessage", (received) => {
      const { message, encryptionInfo } = received as ReceivedMessage;
      if (message.type !== TYPE || typeof encryptionInfo?.sender !== "string") return;
      try {
        const content = JSON.stringify(message.content);
        const { sender } = encryptionInfo;
        this.#engine.call((state) => state.addInvitePreview(sender, content));
        this.#engine.persistSoon();
        this.#keys.scheduleRetry();
      } catch {
        // A malformed one says nothing.
      }
    });
  }

  /**
   * Tells people the own user has invited, once a page for each. What fails is no loss: the name
   * comes with joining.
   */
  async tellInvited(client: PageClient, room: PageRoom): Promise<void> {
    const { roomId } = room;
    const preview = this.#engine.call((state) => state.invitePreview(roomId));
    if (preview === undefined) return;
    const users: string[] = [];
    for (const member of room.getMembersWithMembership("invite")) {
      const isOwn = member.events.member?.getSender() === client.getUserId();
      if (isOwn && !this.#told.has(`${roomId}|${member.userId}`)) users.push(member.userId);
    }
    if (users.length === 0) return;
    const devices: DeviceName[] = [];
    await eachTarget(client, room, (targets) => {
      for (const { userId, devices: theirs } of targets) {
        if (!users.includes(userId)) continue;
        for (const device of theirs) {
          if (mayHaveState(device)) devices.push({ userId, deviceId: device.deviceId });
        }
      }
    });
    const untold = new Set<string>(users);
    for (const userId of users) this.#told.add(`${roomId}|${userId}`);
    try {
      await sendThroughOlm(client, preview.type, devices, preview.content, (reached) => {
        for (const { userId } of reached) untold.delete(userId);
        return true;
      });
    } finally {
      // They are told with the next look at the room.
      for (const userId of untold) this.#told.delete(`${roomId}|${userId}`);
    }
  }
}
