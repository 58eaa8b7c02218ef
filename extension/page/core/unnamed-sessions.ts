/**
 * Sessions that an authorisation server named after the browser. The answer with a session's first
 * token passes here; the first request in its name then waits until the session has another name.
 */
import { DELEGATE, REPLY, REWRITTEN } from "../intercept/decision.ts";
import type { RequestPolicy, Delegate } from "../intercept/decision.ts";
import type {
  AnsweredRequest,
  ResponseHandler,
  PausedRequest,
  Outcome,
  RequestHandler,
} from "../intercept/handlers.ts";
import { matrixError } from "../intercept/matrix-error.ts";
import {
  decodeText,
  encodeText,
  encodeUriPart,
  execute,
  indexOf,
  nativeFetch,
  NativePromise,
  NativeRegExp,
  page,
  parseJson,
  own,
  pinned,
  push,
  responseStatus,
  responseText,
  result,
  setTimer,
  shift,
  slice,
  then,
  toLowerCase,
} from "../primordials/primordials.ts";
import { text } from "../texts/texts.ts";

/** Sessions that wait for a name at once; the oldest goes. */
const MAX_SESSIONS = 8;
/** Longest answer with a token, in bytes. */
const MAX_ANSWER = 64 * 1024;
const MAX_TRIES = 3;
/** How long the homeserver may take for one answer, and how long it may ask to wait. */
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_WAIT_MS = 5_000;
const FIRST_WAIT_MS = 500;

const SHIELD = "device-name";
const CLIENT_API = "/_matrix/client/";
/** In a token's scope (MSC2967). */
const DEVICE = new NativeRegExp(
  "(?:^| )urn:matrix:(?:org[.]matrix[.]msc2967[.])?client:device:([^ ]+)",
);

interface UnnamedSession {
  readonly token: string;
  /** As addresses have it. */
  readonly inQuery: string;
  /** Where the answer with the token said it. */
  readonly deviceId: string | undefined;
  /** While it is given a name; true: the session may go on. */
  naming: Promise<boolean> | undefined;
}

/** What it needs of the core. */
type Names = Pick<RequestPolicy, "decideBody" | "takeBody" | "note"> & {
  shieldSettings(shield: string): { readonly mode: string } | undefined;
};

export class UnnamedSessions implements ResponseHandler, RequestHandler {
  readonly #core: Names;
  readonly #wait: (milliseconds: number) => Promise<void>;
  readonly #sessions: UnnamedSession[] = [];
  /** Of the decision in hand: whether a session may have to be named, and whether that is all. */
  #holds = false;
  #holdsAlone = false;

  constructor(core: Names, wait = waitFor) {
    this.#core = core;
    this.#wait = wait;
  }

  /** The flags of a decision, with those that make a request wait for a name. */
  flags(flags: number, url: string): number {
    this.#holds =
      this.#sessions.length > 0 && (flags & REPLY) === 0 && indexOf(url, CLIENT_API) !== -1;
    if (!this.#holds) return flags;
    this.#holdsAlone = (flags & DELEGATE) === 0;
    return flags | DELEGATE;
  }

  /** Who takes the request over; first of all a session has its name. */
  delegates(others: readonly Delegate[]): readonly Delegate[] {
    // A core that cannot say who takes it over would not have let it out.
    if (!this.#holds || (others.length === 0 && !this.#holdsAlone)) return others;
    const all: Delegate[] = [namer];
    for (let index = 0; index < others.length; index += 1) push(all, others[index]);
    return all;
  }

  /** Sees the answer to a request for a session's first token, which stays as it is. */
  async open(_request: AnsweredRequest, status: number, body: Uint8Array): Promise<undefined> {
    if (status < 200 || status > 299 || body.length > MAX_ANSWER) return undefined;
    const { access_token: token, scope } = parseJson(decodeText(body)) as {
      access_token?: unknown;
      scope?: unknown;
    };
    if (typeof token !== "string" || token === "") return undefined;
    const deviceId = typeof scope === "string" ? execute(DEVICE, scope)?.[1] : undefined;
    let inQuery: string;
    try {
      inQuery = `access_token=${encodeUriPart(token)}`;
    } catch {
      // Half a character: neither a header nor an address can hold it, so nothing is asked with it.
      return undefined;
    }
    if (this.#sessions.length >= MAX_SESSIONS) shift(this.#sessions);
    push(this.#sessions, { token, inQuery, deviceId, naming: undefined });
    return undefined;
  }

  async handle(request: PausedRequest): Promise<Outcome> {
    const session = this.#sessionOf(request);
    if (session === undefined) return result<Outcome>({ kind: "send" });
    const base = slice(request.url, 0, indexOf(request.url, CLIENT_API));
    session.naming ??= this.#tryToName(session, base);
    const isNamed = await pinned(session.naming);
    if (isNamed) {
      this.#forget(session);
      return result<Outcome>({ kind: "send" });
    }
    // The next request of it tries again.
    session.naming = undefined;
    const body = matrixError(text("sessionNotNamed"), "M_UNKNOWN");
    return result<Outcome>({ kind: "reply", status: 503, body });
  }

  #sessionOf({ headers, url }: PausedRequest): UnnamedSession | undefined {
    let authorization = "";
    for (let index = 0; index < headers.length; index += 1) {
      const header = headers[index] as (typeof headers)[number];
      if (toLowerCase(header[0]) === "authorization") authorization = header[1];
    }
    for (let index = 0; index < this.#sessions.length; index += 1) {
      const session = this.#sessions[index] as UnnamedSession;
      const isInQuery = indexOf(url, session.inQuery) !== -1;
      if (authorization === `Bearer ${session.token}` || isInQuery) return session;
    }
    return undefined;
  }

  #forget(session: UnnamedSession): void {
    for (let rest = this.#sessions.length; rest > 0; rest -= 1) {
      const first = shift(this.#sessions);
      if (first !== undefined && first !== session) push(this.#sessions, first);
    }
  }

  /** Never rejects: a device's name from the server may be none that an address can hold. */
  async #tryToName(session: UnnamedSession, base: string): Promise<boolean> {
    try {
      return await pinned(this.#name(session, base));
    } catch {
      return false;
    }
  }

  /** False where the homeserver gave no answer that would stay the same. */
  async #name(session: UnnamedSession, base: string): Promise<boolean> {
    const api = `${base}${CLIENT_API}v3/`;
    const known = session.deviceId;
    const ask = (method: string, path: string, body?: Uint8Array): Promise<Answer | undefined> =>
      this.#ask(session.token, method, `${api}${path}`, body);
    let deviceId = known;
    if (deviceId === undefined) {
      const answer = await pinned(ask("GET", "account/whoami"));
      if (answer === undefined) return false;
      const said = (answer.content as { device_id?: unknown } | null | undefined)?.device_id;
      // Whose token this is the request itself will be told.
      if (typeof said !== "string") return true;
      deviceId = said;
    }
    const path = `devices/${encodeUriPart(deviceId)}`;
    const mode = this.#core.shieldSettings(SHIELD)?.mode;
    if (mode === "off" || mode === "flag") return true;
    const empty = encodeText('{"display_name":""}');
    const flags = this.#core.decideBody("PUT", `${api}${path}`, JSON_HEADER, empty);
    if ((flags & REPLY) !== 0) return false;
    const body = (flags & REWRITTEN) === 0 ? empty : this.#core.takeBody();
    const answer = await pinned(ask("PUT", path, body));
    if (answer === undefined) return false;
    // It lets nobody rename a session: nothing to wait for.
    if (answer.status > 299) this.#core.note(SHIELD, "flagged", "PUT", `${api}${path}`);
    return true;
  }

  /** An answer that would be the same if it were asked again; undefined: there was none. */
  async #ask(
    token: string,
    method: string,
    url: string,
    body: Uint8Array | undefined,
  ): Promise<Answer | undefined> {
    let pause = FIRST_WAIT_MS;
    for (let tries = 1; ; tries += 1) {
      const answer = await pinned(answerTo(token, method, url, body));
      const status = answer?.status ?? 0;
      if (status >= 200 && status < 500 && status !== 408 && status !== 429) return answer;
      if (tries === MAX_TRIES) return undefined;
      const wanted = (answer?.content as { retry_after_ms?: unknown } | null | undefined)
        ?.retry_after_ms;
      if (typeof wanted === "number" && wanted > pause) pause = wanted;
      await pinned(this.#wait(pause < MAX_WAIT_MS ? pause : MAX_WAIT_MS));
      pause *= 2;
    }
  }
}

interface Answer {
  readonly status: number;
  /** undefined: no JSON. */
  readonly content: unknown;
}

const JSON_HEADER = "content-type: application/json\n";
const namer: Delegate = { handler: "session", shield: SHIELD, name: "", question: null };

function waitFor(milliseconds: number): Promise<void> {
  return new NativePromise((done) => void setTimer(done, milliseconds));
}

/** undefined: none came in time. */
function answerTo(
  token: string,
  method: string,
  url: string,
  body: Uint8Array | undefined,
): Promise<Answer | undefined> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const read = async (): Promise<Answer> => {
    const init = own(body === undefined ? { method, headers } : { method, headers, body });
    const response = await pinned(nativeFetch(page, url, init as RequestInit));
    const text = await pinned(responseText(response));
    let content: unknown;
    try {
      content = parseJson(text);
    } catch {
      // An error page, or nothing.
    }
    return result({ status: responseStatus(response), content });
  };
  return new NativePromise((done) => {
    setTimer(() => done(undefined), ANSWER_TIMEOUT_MS);
    void then(read(), done, () => done(undefined));
  });
}
