/**
 * The vectors of names in one room, pictures of rooms, reactions and replies, which
 * `docs/encrypted-state.md` names: made by node's cryptography alone, from keys that are written here,
 * so that nothing of Mantle makes what Mantle is tried by. Run as a program it prints them.
 */
import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  sign,
} from "node:crypto";
import { fileURLToPath } from "node:url";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Members = Record<string, Json>;

const ROOM = "!room:example.org";
const ALICE = "@alice:example.org";
const DEVICE = "DEVICE";
const MESSAGE = "$FO1bdDZ0xxJcSw2p8bmjiUmbKBkbR0VBLTp1xkPV7cA";
const ROOT = "$mzEjfZkzHVjRWNG6JPG8EZLuDyCmHXmjGXQ0uS4n2yI";
/** Of the device: the public half of no secret that anybody needs. */
const CURVE25519 = "NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlQ";
const TIME = 1_700_000_000_000;
/** Contents of names are as long as a multiple of this. */
const BLOCK = 128;

const bytes = (from: number, length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, index) => (from + index) % 256));
const base64 = (data: Uint8Array): string =>
  Buffer.from(data).toString("base64").replace(/=+$/, "");

/** Ed25519 by RFC 8410's form of a private key. */
class Signer {
  readonly #key;
  readonly publicKey: Buffer;

  constructor(seed: Buffer) {
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    this.publicKey = createPublicKey(this.#key)
      .export({ format: "der", type: "spki" })
      .subarray(-32);
  }

  sign(data: Uint8Array): Buffer {
    return sign(null, data, this.#key);
  }
}

/** Megolm as its sender runs it, for fewer than 256 messages: by then only the last part moves. */
class Session {
  readonly #signer: Signer;
  readonly #ratchet: Buffer;
  #index = 0;
  readonly exported: string;

  constructor(ratchet: Buffer, seed: Buffer) {
    this.#signer = new Signer(seed);
    this.#ratchet = Buffer.from(ratchet);
    const head = Buffer.from([1, 0, 0, 0, 0]);
    this.exported = base64(Buffer.concat([head, ratchet, this.#signer.publicKey]));
  }

  get id(): string {
    return base64(this.#signer.publicKey);
  }

  encrypt(text: string): string {
    const keys = Buffer.from(hkdfSync("sha256", this.#ratchet, "", "MEGOLM_KEYS", 80));
    const cipher = createCipheriv("aes-256-cbc", keys.subarray(0, 32), keys.subarray(64));
    const ciphertext = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    const fields = [[3, 0x08, this.#index, 0x12], varint(ciphertext.length)].flat();
    const body = Buffer.concat([Buffer.from(fields), ciphertext]);
    const mac = createHmac("sha256", keys.subarray(32, 64)).update(body).digest().subarray(0, 8);
    const signed = Buffer.concat([body, mac]);
    this.#index += 1;
    const last = createHmac("sha256", this.#ratchet.subarray(96))
      .update(Buffer.from([3]))
      .digest();
    last.copy(this.#ratchet, 96);
    return base64(Buffer.concat([signed, this.#signer.sign(signed)]));
  }
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** Of what has no numbers but whole ones, and no names beyond ASCII. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? null)}`).join(",")}}`;
}

/** A content and what makes it as long as others. */
function padded(content: Members): Members {
  const bare = JSON.stringify({ ...content, "org.mantle.padding": "" });
  const missing = (BLOCK - (bare.length % BLOCK)) % BLOCK;
  return { ...content, "org.mantle.padding": " ".repeat(missing) };
}

/** The file of a picture and its ciphertext. */
function sealedPicture(picture: Buffer): { file: Members; ciphertext: Buffer } {
  const key = bytes(64, 32);
  const counter = Buffer.concat([bytes(200, 8), Buffer.alloc(8)]);
  const cipher = createCipheriv("aes-256-ctr", key, counter);
  const ciphertext = Buffer.concat([cipher.update(picture), cipher.final()]);
  const file = {
    v: "v2",
    url: "mxc://example.org/FHyPlCeYUSFFxlgbQYZmoEoe",
    key: {
      kty: "oct",
      alg: "A256CTR",
      ext: true,
      key_ops: ["encrypt", "decrypt"],
      k: key.toString("base64url"),
    },
    iv: base64(counter),
    hashes: { sha256: base64(createHash("sha256").update(ciphertext).digest()) },
  };
  return { file, ciphertext };
}

/** One pixel. */
const PICTURE = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

/** Relations as they stand inside, and what of each stays outside (MSC4392). */
const RELATIONS: readonly { type: string; content: Members; outer?: Members }[] = [
  {
    type: "m.reaction",
    content: {
      "m.relates_to": { rel_type: "m.annotation", event_id: MESSAGE, key: "👍" },
      "org.mantle.padding": " ".repeat(37),
    },
  },
  {
    type: "m.room.message",
    content: {
      msgtype: "m.text",
      body: "A reply",
      "m.relates_to": { "m.in_reply_to": { event_id: MESSAGE } },
    },
  },
  {
    type: "m.room.message",
    content: {
      msgtype: "m.text",
      body: "In a thread",
      "m.relates_to": {
        rel_type: "m.thread",
        event_id: ROOT,
        is_falling_back: true,
        "m.in_reply_to": { event_id: MESSAGE },
      },
    },
    outer: { rel_type: "m.thread", event_id: ROOT },
  },
  {
    type: "m.room.message",
    content: {
      msgtype: "m.text",
      body: "* Corrected",
      "m.new_content": { msgtype: "m.text", body: "Corrected" },
      "m.relates_to": { rel_type: "m.replace", event_id: MESSAGE },
    },
    outer: { rel_type: "m.replace", event_id: MESSAGE },
  },
];

const NEW_TEXT: Members = { msgtype: "m.text", body: "Corrected" };
const REPLY: Members = { "m.in_reply_to": { event_id: MESSAGE } };
const THREAD: Members = { rel_type: "m.thread", event_id: ROOT };
const EDIT: Members = { rel_type: "m.replace", event_id: MESSAGE };
const REACTED: Members = { rel_type: "m.annotation", event_id: MESSAGE, key: "👍" };
const FORGED: Members = { rel_type: "m.annotation", event_id: ROOT, key: "👎" };

/** What stands inside and outside, and what may be shown of it. */
const READINGS: readonly {
  says: string;
  type?: string;
  inside?: Json;
  more?: Members;
  outside?: Json;
  shown?: Json;
}[] = [
  { says: "a reaction", type: "m.reaction", inside: REACTED, shown: REACTED },
  {
    says: "a forged one beside it",
    type: "m.reaction",
    inside: REACTED,
    outside: FORGED,
    shown: REACTED,
  },
  { says: "a reaction outside alone", type: "m.reaction", outside: REACTED },
  { says: "a message made a reaction", outside: FORGED },
  { says: "a reply", inside: REPLY, shown: REPLY },
  {
    says: "a reply that is moved",
    inside: REPLY,
    outside: { "m.in_reply_to": { event_id: ROOT } },
    shown: REPLY,
  },
  { says: "an older client's reply", outside: REPLY, shown: REPLY },
  { says: "a malformed relation", inside: { "m.in_reply_to": MESSAGE }, outside: REPLY },
  { says: "an older client's thread", outside: THREAD, shown: THREAD },
  {
    says: "a reply in a thread",
    inside: { ...THREAD, ...REPLY },
    outside: THREAD,
    shown: { ...THREAD, ...REPLY },
  },
  {
    says: "one whose thread is moved",
    inside: { ...THREAD, ...REPLY },
    outside: { ...THREAD, event_id: MESSAGE },
    shown: { ...THREAD, ...REPLY },
  },
  {
    says: "a reply in a thread that homeservers know nothing of",
    inside: { ...THREAD, ...REPLY },
    shown: REPLY,
  },
  { says: "a thread that homeservers know nothing of", inside: THREAD },
  { says: "a message made an edit", outside: EDIT },
  {
    says: "an older client's edit",
    more: { "m.new_content": NEW_TEXT },
    outside: EDIT,
    shown: EDIT,
  },
  {
    says: "an edit of what was not sent yet",
    inside: { ...EDIT, event_id: "~local" },
    more: { "m.new_content": NEW_TEXT },
    outside: EDIT,
    shown: EDIT,
  },
];

/** All of them. */
export function makeVectors(): Json {
  const device = new Signer(bytes(0, 32));
  const ed25519 = base64(device.publicKey);
  const state = new Session(bytes(0, 128), bytes(32, 32));
  const messages = new Session(bytes(128, 128), bytes(96, 32));

  const carrying = (session: Session, payload: string): Members => ({
    algorithm: "m.megolm.v1.aes-sha2",
    ciphertext: session.encrypt(payload),
    device_id: DEVICE,
    sender_key: CURVE25519,
    session_id: session.id,
  });
  const exported = (session: Session): Members => ({
    algorithm: "m.megolm.v1.aes-sha2",
    forwarding_curve25519_key_chain: [],
    room_id: ROOM,
    sender_claimed_keys: { ed25519 },
    sender_key: CURVE25519,
    session_id: session.id,
    session_key: session.exported,
  });
  const sealedState = (type: string, stateKey: string, content: Members, counter: number) => {
    const signed = canonical({
      content,
      "org.mantle.authorship": {
        counter,
        curve25519: CURVE25519,
        device_id: DEVICE,
        ed25519,
        session_id: state.id,
        ts: TIME + counter,
        user_id: ALICE,
      },
      room_id: ROOM,
      state_key: stateKey,
      type,
    });
    const signature = base64(device.sign(Buffer.from(signed)));
    const signatures = JSON.stringify({ [ALICE]: { [`ed25519:${DEVICE}`]: signature } });
    const payload = `${signed.slice(0, -1)},"signatures":${signatures}}`;
    return { payload, content: carrying(state, payload) };
  };
  const inOneRoom = (profile: Members, counter: number): Members => {
    const sealed = sealedState("org.mantle.member_profile", ALICE, padded(profile), counter);
    return {
      payload: sealed.payload,
      event: {
        type: "m.room.member",
        state_key: ALICE,
        sender: ALICE,
        room_id: ROOM,
        event_id: `$name${counter}`,
        origin_server_ts: TIME + counter,
        content: {
          membership: "join",
          displayname: "Alice",
          "org.mantle.member_profile": sealed.content,
        },
      },
    };
  };

  const named = (displayname: string | undefined, counter: number): Members => ({
    displayname: displayname ?? null,
    ...inOneRoom(displayname === undefined ? {} : { displayname }, counter),
  });

  const { file, ciphertext } = sealedPicture(PICTURE);
  const info = { mimetype: "image/png", size: PICTURE.length };
  const memberProfiles = [named("Rosa", 1), named(undefined, 2)];
  const picture = sealedState("m.room.avatar", "", { file, info }, 1);
  const memberPicture = inOneRoom({ displayname: "Rosa", avatar: { file, info } }, 3);
  return {
    room_id: ROOM,
    device: {
      user_id: ALICE,
      device_id: DEVICE,
      seed_ed25519: base64(bytes(0, 32)),
      curve25519: CURVE25519,
      ed25519,
    },
    room_keys: [exported(state), exported(messages)],
    member_profiles: memberProfiles,
    member_picture: memberPicture,
    room_picture: {
      picture: base64(PICTURE),
      ciphertext: base64(ciphertext),
      payload: picture.payload,
      event: {
        type: "m.room.encrypted",
        state_key: "m.room.avatar:",
        sender: ALICE,
        room_id: ROOM,
        event_id: "$picture",
        origin_server_ts: TIME,
        content: picture.content,
      },
    },
    relations: RELATIONS.map(({ type, content, outer }, index) => {
      const payload = JSON.stringify({ type, content, room_id: ROOM });
      const relation = outer === undefined ? {} : { "m.relates_to": outer };
      return {
        payload,
        event: {
          type: "m.room.encrypted",
          sender: ALICE,
          room_id: ROOM,
          event_id: `$relation${index}`,
          origin_server_ts: TIME + index,
          content: { ...carrying(messages, payload), ...relation },
        },
      };
    }),
    relation_readings: READINGS.map(
      ({ says, type = "m.room.message", inside, more, outside = null, shown = null }) => ({
        says,
        type,
        content: {
          ...(type === "m.reaction" ? {} : { msgtype: "m.text", body: "Some words" }),
          ...more,
          ...(inside === undefined ? {} : { "m.relates_to": inside }),
        },
        outside,
        shown,
      }),
    ),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(makeVectors(), undefined, 2));
}
