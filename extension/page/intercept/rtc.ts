/**
 * `RTCPeerConnection`: which servers a connection may contact is decided before it exists. The
 * policy "relay" keeps the browser's ICE agent from gathering any other address, so offers,
 * descriptions, candidates and statistics hold none; an empty pool keeps it from gathering before
 * the call is answered.
 */
import {
  addListener,
  apply,
  capturedGetter,
  create,
  getProperty,
  isArray,
  join,
  NativeProxy,
  NativeString,
  page,
  push,
  stopEvent,
} from "../primordials/primordials.ts";
import type { RequestPolicy } from "./decision.ts";
import { replaceConstructor, replaceMethod } from "./wrap.ts";

/** Chromium's older name is the same constructor. */
const NAMES = ["RTCPeerConnection", "webkitRTCPeerConnection"];

const NativePeerConnection = page.RTCPeerConnection as typeof RTCPeerConnection | undefined;
const NativeIceEvent = page.RTCPeerConnectionIceEvent as
  typeof RTCPeerConnectionIceEvent | undefined;
const NativeCandidate = page.RTCIceCandidate as typeof RTCIceCandidate | undefined;
const eventCandidate = capturedGetter<Event, RTCIceCandidate | null>(
  NativeIceEvent?.prototype ?? {},
  "candidate",
);
const candidateLine = capturedGetter<RTCIceCandidate, string>(
  NativeCandidate?.prototype ?? {},
  "candidate",
);
const candidateType = capturedGetter<RTCIceCandidate, string | null>(
  NativeCandidate?.prototype ?? {},
  "type",
);

/** `tell` shows one sentence to the person. Does nothing where WebRTC is switched off. */
export function installRtcHook(gate: RequestPolicy, tell: (sentence: string) => void): void {
  if (NativePeerConnection === undefined) return;
  replaceConstructor(page, NAMES, (construct, args) => {
    const limits = limitsFor(gate, args[0]);
    if (limits === undefined) return construct(args);
    if (limits.sentence !== null) tell(limits.sentence);
    const connection = construct([limits.configuration, args[1]]);
    // First in line, before any listener of the page.
    if (limits.isRelayOnly) addListener(connection as EventTarget, "icecandidate", keepRelays);
    return connection;
  });
  replaceMethod(NativePeerConnection.prototype, "setConfiguration", (native, self, args) => {
    const limits = limitsFor(gate, args[0]);
    return apply(native, self, limits === undefined ? args : [limits.configuration]);
  });
}

interface Limits {
  readonly configuration: object;
  readonly isRelayOnly: boolean;
  readonly sentence: string | null;
}

interface IceServer {
  readonly urls: readonly string[];
  readonly username: unknown;
  readonly credential: unknown;
}

/** undefined: the configuration stays, or is one the browser refuses. Throws what the page's getters throw. */
function limitsFor(gate: RequestPolicy, given: unknown): Limits | undefined {
  if (given !== undefined && given !== null && typeof given !== "object") return undefined;
  const configuration = given ?? (create(null) as object);
  const servers = readServers(getProperty(configuration, "iceServers"));
  const urls: string[] = [];
  for (let at = 0; at < servers.length; at += 1) {
    const { urls: own } = servers[at] as IceServer;
    for (let index = 0; index < own.length; index += 1) push(urls, own[index]);
  }
  const verdict = gate.peer(join(urls, "\n"));
  if (verdict === undefined) return undefined;

  const changes = create(null) as Record<string, unknown>;
  changes["iceServers"] = keptServers(servers, verdict.kept);
  changes["iceCandidatePoolSize"] = 0;
  if (verdict.relayOnly) {
    const policy = getProperty(configuration, "iceTransportPolicy");
    const isKnown = policy === undefined || policy === "all" || policy === "relay";
    // The browser refuses any other in its own words.
    changes["iceTransportPolicy"] = isKnown ? "relay" : policy;
  }
  return {
    configuration: overlaid(configuration, changes),
    isRelayOnly: verdict.relayOnly,
    sentence: verdict.sentence,
  };
}

/** Each member is read once, so that it cannot be another one when the browser reads it. */
function readServers(given: unknown): IceServer[] {
  const list = listOf(given);
  const servers: IceServer[] = [];
  for (let at = 0; at < list.length; at += 1) {
    const server = list[at];
    if (typeof server !== "object" || server === null) continue;
    const named = getProperty(server, "urls") ?? getProperty(server, "url");
    const texts = typeof named === "string" ? [named] : listOf(named);
    const urls: string[] = [];
    for (let index = 0; index < texts.length; index += 1) {
      // A line break would make two of it on the way to the core; no URL has one.
      const url = NativeString(texts[index]);
      push(urls, url.includes("\n") ? "" : url);
    }
    const username = getProperty(server, "username");
    push(servers, { urls, username, credential: getProperty(server, "credential") });
  }
  return servers;
}

function keptServers(servers: readonly IceServer[], kept: readonly boolean[]): object[] {
  const result: object[] = [];
  let next = 0;
  for (let at = 0; at < servers.length; at += 1) {
    const { urls, username, credential } = servers[at] as IceServer;
    const allowed: string[] = [];
    for (let index = 0; index < urls.length; index += 1) {
      if (kept[next] === true) push(allowed, urls[index]);
      next += 1;
    }
    // The browser refuses a server without URLs.
    if (allowed.length > 0) push(result, { urls: allowed, username, credential });
  }
  return result;
}

/** A sequence as the browser reads it. */
function listOf(given: unknown): unknown[] {
  if (given === undefined || given === null) return [];
  if (isArray(given)) return given as unknown[];
  return [...(given as Iterable<unknown>)];
}

/** Reads like `object`, but for a few members. */
function overlaid(object: object, changes: Readonly<Record<string, unknown>>): object {
  const handler = create(null) as ProxyHandler<object>;
  handler.get = (_target, key) =>
    key in changes ? changes[key as string] : getProperty(object, key);
  return new NativeProxy({}, handler);
}

/** Whatever a browser gathers in spite of the policy does not reach the page. */
function keepRelays(event: Event): void {
  const candidate = eventCandidate(event);
  if (candidate === null || candidateLine(candidate) === "") return;
  if (candidateType(candidate) !== "relay") stopEvent(event);
}
