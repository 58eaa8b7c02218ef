/** The asynchronous halves of shields: what takes a request over, and what sees an answer first. */
import {
  blobBuffer,
  create,
  decodeText,
  encodeText,
  NativePromise,
  NativeUint8Array,
  own,
  pinned,
  result,
  then,
  toUpperCase,
} from "../primordials/primordials.ts";
import type { HeaderList } from "../primordials/header-list.ts";
import { UNREADABLE } from "./decision.ts";
import type { RequestPolicy, HandlerAction, SyntheticReply, Delegate } from "./decision.ts";
import { matrixError } from "./matrix-error.ts";
import { text } from "../texts/texts.ts";

/** A request of the page that has not left. */
export interface PausedRequest {
  /** Upper case. */
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** As the page set them, Authorization included. */
  readonly headers: HeaderList;
  /** A Blob is never read unless the handler does; `bodyBytes` reads either. */
  readonly body: Blob | Uint8Array | undefined;
  /** Aborted when the page aborts or a timeout strikes. */
  readonly signal: AbortSignal | undefined;
}

/**
 * What becomes of a held request. `noted`, where given, goes to the ledger instead of the usual;
 * `null`: nothing does.
 */
export type Outcome =
  | {
      readonly kind: "send";
      /** What is not given stays as it was. */
      readonly url?: string;
      readonly body?: Blob | Uint8Array | string;
      readonly headers?: HeaderList;
      readonly noted?: HandlerAction | null;
    }
  | {
      readonly kind: "reply";
      readonly status: number;
      /** JSON: an answer, or a Matrix error. */
      readonly body: string;
      readonly noted?: HandlerAction | null;
    }
  | { readonly kind: "fail"; readonly noted?: HandlerAction | null };

export interface RequestHandler {
  /** A handler that throws has the request refused. `delegate` says for which shield. */
  handle(request: PausedRequest, delegate: Delegate): Promise<Outcome>;
}

/** The request an answer belongs to. */
export type AnsweredRequest = Pick<PausedRequest, "method" | "url" | "headers">;

export interface ResponseHandler {
  /**
   * Sees every answer, errors included, before the core does. undefined, or a throw: the bytes as
   * they are. What it gives may stand in `body`, whose bytes are then gone.
   */
  open(request: AnsweredRequest, status: number, body: Uint8Array): Promise<Uint8Array | undefined>;
  /** Before sending: may answer without sending, or change the request. A throw: sent as it is. */
  before?(request: PausedRequest): Promise<Outcome | undefined> | undefined;
}

type HandlerName = Delegate["handler"];

const requestHandlers = create(null) as Record<string, RequestHandler | undefined>;
const responseHandlers = create(null) as Record<string, ResponseHandler | undefined>;

/** With a shield's id: for that one alone, before the handler that serves all. */
export function registerHandler(name: HandlerName, handler: RequestHandler, shield?: string): void {
  requestHandlers[keyOf(name, shield)] = handler;
}

export function registerResponseHandler(
  name: HandlerName,
  handler: ResponseHandler,
  shield?: string,
): void {
  responseHandlers[keyOf(name, shield)] = handler;
}

function keyOf(name: HandlerName, shield: string | undefined): string {
  return shield === undefined ? name : `${shield}/${name}`;
}

function handlerOf<Handler>(
  handlers: Record<string, Handler | undefined>,
  { handler, shield }: Delegate,
): Handler | undefined {
  return handlers[keyOf(handler, shield)] ?? handlers[handler];
}

/** The bytes of a held body; empty when there is none. */
export async function bodyBytes(body: PausedRequest["body"]): Promise<Uint8Array> {
  if (body === undefined) return result(new NativeUint8Array(0));
  if (body instanceof NativeUint8Array) return result(body);
  return result(new NativeUint8Array(await pinned(blobBuffer(body as Blob))));
}

/** What the hooks do with a request after its handlers. */
export type Handled =
  | { readonly kind: "send"; readonly request: PausedRequest }
  | { readonly kind: "reply"; readonly reply: SyntheticReply }
  | { readonly kind: "fail" };

/** Gives a request from handler to handler, until one answers it or all let it go. Never rejects. */
export async function delegateRequest(
  gate: RequestPolicy,
  delegates: readonly Delegate[],
  held: PausedRequest,
): Promise<Handled> {
  // A core that cannot say who takes it over would not have let it out.
  if (delegates.length === 0) return result<Handled>({ kind: "reply", reply: failure("mantle") });
  let request = held;
  for (let index = 0; index < delegates.length; index += 1) {
    const delegate = delegates[index] as Delegate;
    let outcome: Outcome | undefined;
    try {
      const handler = handlerOf(requestHandlers, delegate);
      if (handler !== undefined) outcome = await pinned(handler.handle(request, delegate));
    } catch {
      // Refused below: a protected request does not leave unseen.
    }
    const handled = settled(outcome, request, delegate.shield);
    note(gate, delegate, outcome, request, handled);
    if (handled.kind !== "send") return handled;
    request = handled.request;
  }
  return result<Handled>({ kind: "send", request });
}

/** What the answer's handler wants done before the request is sent. Never rejects. */
export function beforeSending(
  gate: RequestPolicy,
  delegate: Delegate,
  held: PausedRequest,
): Promise<Handled> | undefined {
  const handler = handlerOf(responseHandlers, delegate);
  if (handler?.before === undefined) return undefined;
  try {
    const early = handler.before(held);
    if (early === undefined) return undefined;
    const unchanged = result<Handled>({ kind: "send", request: held });
    return then(
      early,
      (outcome) =>
        outcome === undefined
          ? unchanged
          : seenByCore(gate, held, settled(outcome, held, delegate.shield)),
      () => unchanged,
    );
  } catch {
    return undefined;
  }
}

/** An answer made here is one of the homeserver's to all other shields. */
function seenByCore(
  gate: RequestPolicy,
  { method, url }: PausedRequest,
  handled: Handled,
): Handled {
  if (handled.kind !== "reply") return handled;
  const { reply } = handled;
  const seen = gate.answer(method, url, reply.status, encodeText(reply.body));
  if (seen === UNREADABLE) return result<Handled>({ kind: "fail" });
  return seen === undefined
    ? handled
    : result<Handled>({ kind: "reply", reply: { ...reply, body: decodeText(seen) } });
}

/** The answer's bytes after its handler. Never rejects. */
export function delegateResponse(
  delegate: Delegate,
  request: AnsweredRequest,
  status: number,
  body: Uint8Array,
): Promise<Uint8Array | undefined> {
  const unchanged = (): undefined => undefined;
  try {
    const opened = handlerOf(responseHandlers, delegate)?.open(request, status, body);
    if (opened !== undefined) return then(opened, (bytes) => bytes && result(bytes), unchanged);
  } catch {
    // As it is.
  }
  return new NativePromise((resolve) => resolve(undefined));
}

function settled(given: Outcome | undefined, request: PausedRequest, shield: string): Handled {
  return result(handledBy(given && own(given), request, shield));
}

function handledBy(outcome: Outcome | undefined, request: PausedRequest, shield: string): Handled {
  switch (outcome?.kind) {
    case "send": {
      const { url, body, headers } = outcome;
      return {
        kind: "send",
        request: {
          method: toUpperCase(request.method),
          url: url ?? request.url,
          headers: headers ?? request.headers,
          body: typeof body === "string" ? encodeText(body) : (body ?? request.body),
          signal: request.signal,
        },
      };
    }
    case "reply":
      return { kind: "reply", reply: replyOf(outcome.status, outcome.body, shield) };
    case "fail":
      return { kind: "fail" };
    default:
      return { kind: "reply", reply: failure(shield) };
  }
}

function note(
  gate: RequestPolicy,
  delegate: Delegate,
  outcome: Outcome | undefined,
  before: PausedRequest,
  handled: Handled,
): void {
  let action = outcome && own(outcome).noted;
  if (action === undefined) {
    if (handled.kind !== "send") {
      action = "answered";
    } else {
      const { url, body, headers } = handled.request;
      const isChanged = url !== before.url || body !== before.body || headers !== before.headers;
      if (isChanged) action = "rewritten";
    }
  }
  if (action !== undefined && action !== null)
    gate.note(delegate.shield, action, before.method, before.url);
}

/** A protected request whose handler broke or is missing. */
function failure(shield: string): SyntheticReply {
  return replyOf(403, matrixError(text("unhandled")), shield);
}

function replyOf(status: number, body: string, shield: string): SyntheticReply {
  return {
    status,
    statusText: texts[status] ?? "",
    headers: [
      ["content-type", "application/json"],
      ["x-mantle", shield],
    ],
    body,
  };
}

const texts: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  413: "Payload Too Large",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};
