/**
 * A stand-in for a call server: the service that gives tokens for OpenID tokens (MSC4195), and a
 * LiveKit server that says what it hears of whom. Its media are a browser's, which nobody looks at.
 */
import { randomUUID } from "node:crypto";
import { gunzipSync } from "node:zlib";
import {
  JoinRequest,
  JoinResponse,
  LeaveRequest_Action,
  ParticipantInfo,
  ParticipantInfo_State,
  ParticipantPermission,
  Room,
  ServerInfo,
  SignalRequest,
  SignalResponse,
  SignalTarget,
  TrackInfo,
  TrackPublishedResponse,
  WrappedJoinRequest,
  WrappedJoinRequest_Compression,
} from "@livekit/protocol";
import type { SessionDescription } from "@livekit/protocol";
import type { Page } from "puppeteer-core";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { launch } from "./browsers.ts";
import { answerJson, withPreflight } from "./recorder.ts";
import type { Handler, RecordedRequest, SocketHandler } from "./recorder.ts";

/** What one participant did, in the order the server heard of it. */
export type Heard =
  | { readonly what: "join"; readonly identity: string }
  | { readonly what: "publish"; readonly kind: string }
  | { readonly what: "mute"; readonly kind: string; readonly isMuted: boolean }
  | { readonly what: "leave" };

export interface CallServer {
  /** The service that gives tokens. */
  readonly handler: Handler;
  /** The LiveKit server. */
  readonly socket: SocketHandler;
  readonly heard: Heard[];
  /** Packets of sound and pictures that came in so far, of who is still there. */
  packets(): Promise<number>;
}

export interface CallServers {
  /**
   * One more; `liveKit` is the host its WebSocket is at, and its requests come by a recorder's
   * routes.
   */
  add(liveKit: string): CallServer;
  close(): Promise<void>;
}

/** Runs in the browser that takes the media. */
const MEDIA_SCRIPT = `
window.media = {
  connections: new Map(),
  async answer(id, sdp) {
    let connection = media.connections.get(id);
    if (connection === undefined) {
      connection = new RTCPeerConnection();
      media.connections.set(id, connection);
    }
    await connection.setRemoteDescription({ type: "offer", sdp });
    await connection.setLocalDescription(await connection.createAnswer());
    while (connection.iceGatheringState !== "complete") {
      await new Promise((resolve) => connection.addEventListener("icegatheringstatechange", resolve, { once: true }));
    }
    return connection.localDescription.sdp;
  },
  async add(id, candidate) {
    await media.connections.get(id)?.addIceCandidate(candidate);
  },
  async packets(ids) {
    let packets = 0;
    for (const id of ids) {
      (await media.connections.get(id)?.getStats())?.forEach((entry) => {
        if (entry.type === "inbound-rtp") packets += entry.packetsReceived;
      });
    }
    return packets;
  },
  close(id) {
    media.connections.get(id)?.close();
    media.connections.delete(id);
  },
};`;

/** `homeserver` is the address of whoever knows to whom an OpenID token belongs. */
export async function startCallServers(homeserver: string): Promise<CallServers> {
  const browser = await launch("chromium", { proxyPort: 9 });
  const media = await browser.newPage();
  await media.evaluate(MEDIA_SCRIPT);
  const sockets = new WebSocketServer({ noServer: true });
  return {
    add: (liveKit) => {
      const heard: Heard[] = [];
      const ids: string[] = [];
      return {
        handler: tokens(liveKit, homeserver),
        socket: (request, socket, head) => {
          const url = new URL(request.url ?? "/", `https://${liveKit}`);
          // Its older path has another way to join.
          if (url.pathname !== "/rtc/v1") {
            socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
            return 404;
          }
          sockets.handleUpgrade(request, socket, head, (opened) => {
            const participant = new Participant(opened, media, heard);
            ids.push(participant.id);
            participant.join(url.searchParams);
          });
          return 101;
        },
        heard,
        packets: () => inMedia<number>(media, "packets", ids),
      };
    },
    close: async () => {
      for (const opened of sockets.clients) opened.terminate();
      await browser.close();
    },
  };
}

/** Gives who proves a Matrix ID a token for the LiveKit server, as the newer path and the older one. */
function tokens(liveKit: string, homeserver: string): Handler {
  return withPreflight(async (request, response) => {
    const { pathname } = new URL(request.path, "https://service");
    if (!/\/(sfu\/get|get_token)$/.test(pathname)) {
      answerJson(request, response, 404, { errcode: "M_UNRECOGNIZED", error: "Unknown" });
      return;
    }
    const sub = await identityOf(request, homeserver);
    if (sub === undefined) {
      answerJson(request, response, 401, { errcode: "M_UNAUTHORIZED", error: "Nobody" });
      return;
    }
    // Its LiveKit server looks at no signature.
    const jwt = [{ alg: "none" }, { sub, video: { room: "call" } }, {}]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64"))
      .join(".");
    answerJson(request, response, 200, { url: `wss://${liveKit}`, jwt });
  });
}

async function identityOf(
  { body }: RecordedRequest,
  homeserver: string,
): Promise<string | undefined> {
  const asked = JSON.parse(body.toString("utf8")) as {
    openid_token?: { access_token?: string };
    device_id?: string;
    member?: { claimed_device_id?: string };
  };
  const token = encodeURIComponent(asked.openid_token?.access_token ?? "");
  const told = await fetch(
    `${homeserver}/_matrix/federation/v1/openid/userinfo?access_token=${token}`,
  );
  const { sub } = (await told.json()) as { sub?: string };
  const device = asked.device_id ?? asked.member?.claimed_device_id;
  return sub === undefined || device === undefined ? undefined : `${sub}:${device}`;
}

class Participant {
  readonly id = randomUUID();
  /** What is published, by the ID the server gave it. */
  readonly #kinds = new Map<string, string>();
  readonly #socket: WebSocket;
  readonly #media: Page;
  readonly #heard: Heard[];
  /** One message after the other, as a server reads them. */
  #work: Promise<void> = Promise.resolve();

  constructor(socket: WebSocket, media: Page, heard: Heard[]) {
    this.#socket = socket;
    this.#media = media;
    this.#heard = heard;
  }

  join(parameters: URLSearchParams): void {
    const [, payload = ""] = (parameters.get("access_token") ?? "").split(".");
    const { sub } = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { sub: string };
    this.#heard.push({ what: "join", identity: sub });
    this.#socket.on("message", (bytes: Buffer) => {
      this.#then(() => this.#hear(SignalRequest.fromBinary(bytes)));
    });
    this.#socket.on("close", () => {
      void inMedia(this.#media, "close", this.id).catch(() => undefined);
    });
    this.#say({
      case: "join",
      value: new JoinResponse({
        room: new Room({ sid: "RM_1", name: "call" }),
        participant: new ParticipantInfo({
          sid: `PA_${this.id}`,
          identity: sub,
          state: ParticipantInfo_State.JOINED,
          permission: new ParticipantPermission({
            canPublish: true,
            canPublishData: true,
            canSubscribe: true,
          }),
        }),
        serverInfo: new ServerInfo({ version: "1.9.0", protocol: 16 }),
        fastPublish: true,
        pingInterval: 5,
        pingTimeout: 60,
      }),
    });
    const offer = joinRequest(parameters)?.publisherOffer;
    if (offer !== undefined) this.#then(() => this.#answer(offer));
  }

  async #hear({ message }: SignalRequest): Promise<void> {
    switch (message.case) {
      case "offer":
        return this.#answer(message.value);
      case "trickle":
        if (message.value.target === SignalTarget.PUBLISHER && !message.value.final) {
          const candidate: unknown = JSON.parse(message.value.candidateInit);
          await inMedia(this.#media, "add", this.id, candidate).catch(() => undefined);
        }
        return undefined;
      case "addTrack": {
        const { cid, name, type, source, muted } = message.value;
        const sid = `TR_${randomUUID()}`;
        const kind = type === 0 ? "audio" : "video";
        this.#kinds.set(sid, kind);
        this.#heard.push({ what: "publish", kind });
        const track = new TrackInfo({ sid, name, type, source, muted });
        return this.#say({
          case: "trackPublished",
          value: new TrackPublishedResponse({ cid, track }),
        });
      }
      case "mute": {
        const kind = this.#kinds.get(message.value.sid) ?? "unknown";
        this.#heard.push({ what: "mute", kind, isMuted: message.value.muted });
        return undefined;
      }
      case "leave":
        if (message.value.action !== LeaveRequest_Action.RESUME)
          this.#heard.push({ what: "leave" });
        return undefined;
      case "ping":
        return this.#say({ case: "pong", value: BigInt(Date.now()) });
      case "pingReq":
        return this.#say({
          case: "pongResp",
          value: { lastPingTimestamp: message.value.timestamp, timestamp: BigInt(Date.now()) },
        });
      default:
        return undefined;
    }
  }

  async #answer(offer: SessionDescription): Promise<void> {
    const sdp = await inMedia<string>(this.#media, "answer", this.id, offer.sdp);
    this.#say({ case: "answer", value: { type: "answer", sdp, id: offer.id } });
  }

  #then(work: () => Promise<void>): void {
    // Whoever is gone hears no answer.
    this.#work = this.#work.then(work).catch(() => this.#socket.close());
  }

  #say(
    message: ConstructorParameters<typeof SignalResponse>[0] extends infer Given
      ? Given extends { message?: infer Message }
        ? Message
        : never
      : never,
  ): void {
    this.#socket.send(new SignalResponse({ message }).toBinary());
  }
}

function joinRequest(parameters: URLSearchParams): JoinRequest | undefined {
  const given = parameters.get("join_request");
  if (given === null) return undefined;
  const wrapped = WrappedJoinRequest.fromBinary(Buffer.from(given, "base64url"));
  const bytes =
    wrapped.compression === WrappedJoinRequest_Compression.GZIP
      ? gunzipSync(wrapped.joinRequest)
      : wrapped.joinRequest;
  return JoinRequest.fromBinary(bytes);
}

function inMedia<Result>(page: Page, name: string, ...args: unknown[]): Promise<Result> {
  return page.evaluate(
    (called: string, given: unknown[]) =>
      (window as unknown as { media: Record<string, (...list: unknown[]) => unknown> }).media[
        called
      ]?.(...given),
    name,
    args,
  ) as Promise<Result>;
}
