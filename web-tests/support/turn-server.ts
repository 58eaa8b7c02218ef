/**
 * A STUN and TURN server on loopback that counts every packet it gets: what a call tells servers
 * goes by UDP, where the recorder of requests sees nothing. Enough of RFC 8489 and RFC 8656 for
 * browsers: long-term credentials, UDP relays over IPv4, channels. Permissions are granted and not
 * enforced: on one machine a peer sends from another of its addresses than it offers.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import type { RemoteInfo, Socket } from "node:dgram";

export interface TurnServer {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly username: string;
  readonly credential: string;
  /** Kind of every packet that came in, in their order. */
  readonly packets: PacketKind[];
  /** How many packets peers sent to relays of this server. */
  relayed(): number;
  clear(): void;
  close(): void;
}

export type PacketKind = "binding" | "allocate" | "data" | "other";

const COOKIE = 0x2112a442;
const REALM = "turn.example.org";
const REQUEST = { binding: 1, allocate: 3, refresh: 4, createPermission: 8, channelBind: 9 };
const SEND_INDICATION = 0x0016;
const DATA_INDICATION = 0x0017;
const ATTRIBUTE = {
  username: 0x0006,
  integrity: 0x0008,
  errorCode: 0x0009,
  channelNumber: 0x000c,
  lifetime: 0x000d,
  peer: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  relayed: 0x0016,
  mapped: 0x0020,
};

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

interface Allocation {
  readonly relay: Socket;
  readonly channels: Map<number, Endpoint>;
}

interface Message {
  readonly type: number;
  readonly transaction: Buffer;
  readonly attributes: Map<number, Buffer>;
  /** The bytes that the integrity attribute covers, with the length it had then. */
  readonly covered: Buffer | undefined;
}

/** Starts one on a free port. */
export async function startTurnServer(): Promise<TurnServer> {
  const username = "caller";
  const credential = randomBytes(8).toString("hex");
  const key = createHash("md5").update(`${username}:${REALM}:${credential}`).digest();
  const nonce = randomBytes(8).toString("hex");
  const packets: PacketKind[] = [];
  const allocations = new Map<string, Allocation>();
  let relayed = 0;
  const socket = await bind();

  const reply = (to: RemoteInfo, bytes: Buffer): void => socket.send(bytes, to.port, to.address);

  const allocate = async (message: Message, from: RemoteInfo): Promise<void> => {
    const client = `${from.address}:${from.port}`;
    const allocation = allocations.get(client) ?? {
      relay: await bind(),
      channels: new Map<number, Endpoint>(),
    };
    if (!allocations.has(client)) {
      allocation.relay.on("message", (data, peer) => {
        relayed += 1;
        const channel = [...allocation.channels].find(
          ([, bound]) => bound.address === peer.address && bound.port === peer.port,
        );
        reply(from, channel === undefined ? indication(peer, data) : framed(channel[0], data));
      });
    }
    allocations.set(client, allocation);
    const { port } = allocation.relay.address();
    reply(
      from,
      answer(message, 0x0103, key, [
        [ATTRIBUTE.relayed, xorAddress({ address: "127.0.0.1", port })],
        [ATTRIBUTE.mapped, xorAddress(from)],
        [ATTRIBUTE.lifetime, uint32(600)],
      ]),
    );
  };

  const handle = async (bytes: Buffer, from: RemoteInfo): Promise<void> => {
    const allocation = allocations.get(`${from.address}:${from.port}`);
    const first = bytes[0] ?? 0;
    if (first >= 0x40 && first < 0x80) {
      packets.push("data");
      const peer = allocation?.channels.get(bytes.readUInt16BE(0));
      const data = bytes.subarray(4, 4 + bytes.readUInt16BE(2));
      if (peer !== undefined) allocation?.relay.send(data, peer.port, peer.address);
      return;
    }
    const message = parse(bytes);
    if (message === undefined) {
      packets.push("other");
      return;
    }
    const { type, attributes } = message;
    if (type === REQUEST.binding) {
      packets.push("binding");
      reply(from, answer(message, 0x0101, undefined, [[ATTRIBUTE.mapped, xorAddress(from)]]));
      return;
    }
    packets.push(
      type === REQUEST.allocate ? "allocate" : type === SEND_INDICATION ? "data" : "other",
    );
    const peer = attributes.get(ATTRIBUTE.peer);
    if (type === SEND_INDICATION) {
      const to = peer === undefined ? undefined : readAddress(peer);
      const data = attributes.get(ATTRIBUTE.data);
      if (to !== undefined && data !== undefined) {
        allocation?.relay.send(data, to.port, to.address);
      }
      return;
    }
    if (!isSigned(message, key)) {
      reply(
        from,
        answer(message, type | 0x0110, undefined, [
          [ATTRIBUTE.errorCode, Buffer.concat([Buffer.from([0, 0, 4, 1]), text("Unauthorized")])],
          [ATTRIBUTE.realm, text(REALM)],
          [ATTRIBUTE.nonce, text(nonce)],
        ]),
      );
      return;
    }
    if (type === REQUEST.allocate) return allocate(message, from);
    if (allocation !== undefined && peer !== undefined) {
      const to = readAddress(peer);
      const channel = attributes.get(ATTRIBUTE.channelNumber);
      if (channel !== undefined) allocation.channels.set(channel.readUInt16BE(0), to);
    }
    const lifetime: [number, Buffer][] =
      type === REQUEST.refresh ? [[ATTRIBUTE.lifetime, uint32(600)]] : [];
    reply(from, answer(message, type | 0x0100, key, lifetime));
    return undefined;
  };

  socket.on("message", (bytes, from) => {
    handle(bytes, from).catch(() => packets.push("other"));
  });
  return {
    port: socket.address().port,
    username,
    credential,
    packets,
    relayed: () => relayed,
    clear: () => {
      packets.length = 0;
      relayed = 0;
    },
    close: () => {
      for (const { relay } of allocations.values()) relay.close();
      socket.close();
    },
  };
}

function bind(): Promise<Socket> {
  const socket = createSocket("udp4");
  // A peer that went away is no error of the server.
  socket.on("error", () => undefined);
  return new Promise((resolve) => {
    socket.bind(0, "127.0.0.1", () => resolve(socket));
  });
}

function parse(bytes: Buffer): Message | undefined {
  if (bytes.length < 20 || bytes.readUInt32BE(4) !== COOKIE) return undefined;
  const attributes = new Map<number, Buffer>();
  let covered: Buffer | undefined;
  for (let at = 20; at + 4 <= bytes.length;) {
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    if (type === ATTRIBUTE.integrity) {
      covered = Buffer.from(bytes.subarray(0, at));
      covered.writeUInt16BE(at + 24 - 20, 2);
    }
    attributes.set(type, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length + ((4 - (length % 4)) % 4);
  }
  return { type: bytes.readUInt16BE(0), transaction: bytes.subarray(8, 20), attributes, covered };
}

function isSigned({ attributes, covered }: Message, key: Buffer): boolean {
  const given = attributes.get(ATTRIBUTE.integrity);
  return (
    given !== undefined &&
    covered !== undefined &&
    createHmac("sha1", key).update(covered).digest().equals(given)
  );
}

function answer(
  to: Message,
  type: number,
  key: Buffer | undefined,
  attributes: readonly [number, Buffer][],
): Buffer {
  return build(type, to.transaction, attributes, key);
}

function indication(peer: Endpoint, data: Buffer): Buffer {
  return build(DATA_INDICATION, randomBytes(12), [
    [ATTRIBUTE.peer, xorAddress(peer)],
    [ATTRIBUTE.data, data],
  ]);
}

function build(
  type: number,
  transaction: Buffer,
  attributes: readonly [number, Buffer][],
  key?: Buffer,
): Buffer {
  const body = Buffer.concat(attributes.map(([name, value]) => attribute(name, value)));
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + (key === undefined ? 0 : 24), 2);
  header.writeUInt32BE(COOKIE, 4);
  transaction.copy(header, 8);
  const message = Buffer.concat([header, body]);
  if (key === undefined) return message;
  const integrity = createHmac("sha1", key).update(message).digest();
  return Buffer.concat([message, attribute(ATTRIBUTE.integrity, integrity)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function framed(channel: number, data: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(channel, 0);
  head.writeUInt16BE(data.length, 2);
  return Buffer.concat([head, data]);
}

function xorAddress({ address, port }: Endpoint): Buffer {
  const value = Buffer.alloc(8);
  value[1] = 1;
  value.writeUInt16BE(port ^ (COOKIE >>> 16), 2);
  const parts = address.split(".").map(Number);
  value.writeUInt32BE((Buffer.from(parts).readUInt32BE(0) ^ COOKIE) >>> 0, 4);
  return value;
}

function readAddress(value: Buffer): Endpoint {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((value.readUInt32BE(4) ^ COOKIE) >>> 0, 0);
  return { address: bytes.join("."), port: value.readUInt16BE(2) ^ (COOKIE >>> 16) };
}

function uint32(number: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(number, 0);
  return value;
}

function text(content: string): Buffer {
  return Buffer.from(content, "utf8");
}
