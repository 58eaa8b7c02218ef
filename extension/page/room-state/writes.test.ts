import "../../testing/page.ts";

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { PausedRequest } from "../intercept/handlers.ts";
import { connectShieldSettings } from "../core/shield-settings.ts";
import type { ShieldSettings } from "../core/guarded-core.ts";
import type { StateEngine } from "./engine.ts";
import { StateWriter } from "./writes.ts";

/** The module is asked for by whatever does not pass at once; here it cannot be had. */
class Unloaded {
  asked = 0;
  isUnloaded = true;
  uncertain = "";

  isFlagUncertain(roomId: string): boolean {
    return this.uncertain === roomId;
  }

  started(): Promise<void> {
    this.asked += 1;
    return Promise.reject(new Error("There is no module."));
  }
}

const HS = "https://hs.example.org";

function handled(
  url: string,
  engine = new Unloaded(),
): { engine: Unloaded; outcome: Promise<{ kind: string }> } {
  const parts = {} as ConstructorParameters<typeof StateWriter>[1];
  const writer = new StateWriter(engine as unknown as StateEngine, parts);
  const request = { method: "PUT", url, headers: [], body: undefined, signal: undefined };
  return { engine, outcome: writer.handle(request as unknown as PausedRequest) };
}

describe("state of other types, where no room has anything encrypted", () => {
  connectShieldSettings(
    () => ({ options: { types: ["org.example.chosen"] } }) as unknown as ShieldSettings,
  );

  test("passes without the module", async () => {
    for (const path of [
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.avatar",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.avatar/",
      "/_matrix/client/v3/rooms/!r:hs/state/org.matrix.msc3401.call.member/_%40a%3Ahs_D_m.call",
      "/sub/folder/_matrix/client/r0/rooms/%21r%3Ahs/state/m.room.pinned_events?user_id=%40a%3Ahs",
    ]) {
      const { engine, outcome } = handled(HS + path);
      assert.deepEqual(await outcome, { kind: "send" }, path);
      assert.equal(engine.asked, 0, path);
    }
  });

  test("is for the module to judge where its type is one of ours, or cannot be told for sure", async () => {
    for (const path of [
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.name",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.topic/",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.encryption/",
      "/_matrix/client/v3/rooms/!r:hs/state/im.vector.modular.widgets/w",
      "/_matrix/client/v3/rooms/!r:hs/state/org.example.chosen/",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room%2Ename/",
      "/_matrix/client/v3/rooms/!r:hs/state/m.room.avatar/../m.room.name",
      "/_matrix/client/v3/rooms/!r:hs/state/x/_matrix/client/v3/rooms/!r:hs/state/m.room.name",
      "/_matrix/client/v3/rooms/!r:hs/state/x/y/z",
      "/_matrix/client/v3/rooms/!r:hs//state/m.room.avatar",
      "/_matrix/client/v3/createRoom",
    ]) {
      const { engine, outcome } = handled(HS + path);
      assert.notEqual((await outcome).kind, "send", path);
      assert.equal(engine.asked, 1, path);
    }
  });
});

describe("state of other types, where the module does not start", () => {
  const FLAG = "io.element.msc4362.encrypt_state_events";
  const encryptions: Record<string, object | null> = {
    "!plain:hs": null,
    "!readable:hs": { algorithm: "m.megolm.v1.aes-sha2" },
    "!flagged:hs": { [FLAG]: true },
    "!stable:hs": { encrypt_state_events: 1 },
  };
  const room = (roomId: string) => ({
    currentState: {
      getStateEvents: (type: string) => {
        if (type === "m.room.create") return {};
        const content = encryptions[roomId];
        return content == null ? null : { getContent: () => content };
      },
    },
  });
  const client = {
    enableEncryptedStateEvents: true,
    getRoom: (roomId: string) => (roomId in encryptions ? room(roomId) : null),
  };
  const sent = async (roomId: string, type: string, uncertain = ""): Promise<boolean> => {
    const engine = Object.assign(new Unloaded(), { isUnloaded: false, uncertain });
    const peg = { mxMatrixClientPeg: { get: () => client } };
    Object.assign((globalThis as unknown as { window: object }).window, peg);
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/${type}/`;
    return (await handled(HS + path, engine).outcome).kind === "send";
  };

  test("passes in rooms that do not encrypt their state", async () => {
    for (const roomId of ["!plain:hs", "!readable:hs"]) {
      assert.equal(await sent(roomId, "m.room.avatar"), true, roomId);
      assert.equal(await sent(roomId, "m.room.name"), false, "never what Mantle encrypts itself");
      assert.equal(await sent(roomId, "org.example.chosen"), false);
      assert.equal(await sent(roomId, "m.room.avatar", roomId), false, "which may have the flag");
    }
  });

  test("is refused in all others", async () => {
    for (const roomId of ["!flagged:hs", "!stable:hs", "!unknown:hs"]) {
      assert.equal(await sent(roomId, "m.room.avatar"), false, roomId);
    }
  });
});
