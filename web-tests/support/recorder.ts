import { createServer, request as httpRequest, Agent } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { certificate } from "./certificate.ts";

/** One request as a server saw it. */
export interface RecordedRequest {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly scheme: "https" | "http" | "wss" | "ws";
  /** Host name; the port only when it is not the scheme's own. */
  readonly host: string;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A request with what it was answered. `status` is 0 until the answer began. */
export interface Exchange extends RecordedRequest {
  status: number;
  answer: Buffer;
}

/** Answers one request; it may stream, wait, or destroy the response. */
export type Handler = (request: RecordedRequest, response: ServerResponse) => void | Promise<void>;

/**
 * Changes a JSON answer on its way back, as a homeserver that lies would; undefined leaves it. What
 * a recorder keeps is what the browser was given.
 */
export type ResponseRewrite = (request: RecordedRequest, answer: Buffer) => Buffer | undefined;

/** Where the requests for one host go. */
export type Route = Handler | { readonly forward: string; readonly rewrite?: ResponseRewrite };

/** Takes a WebSocket, or refuses it; gives the status it answered. */
export type SocketHandler = (incoming: IncomingMessage, socket: Duplex, head: Buffer) => number;

/** A proxy that sees, records and answers every request of a browser. */
export interface Recorder {
  readonly port: number;
  readonly exchanges: Exchange[];
  /** Hosts a connection was opened to, also when no request followed. */
  readonly connections: { time: number; host: string }[];
  /** Replaces the route of a host; without one the host is answered 404. */
  route(host: string, route: Route | undefined): void;
  /** Who takes WebSockets to a host; without one they are answered 404. */
  routeSocket(host: string, handler: SocketHandler): void;
  /** Exchanges with one host, preflights left out. */
  to(host: string): Exchange[];
  clear(): void;
  close(): Promise<void>;
}

const WEBSOCKET_REFUSAL = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n";

// What browsers ask for themselves, whatever the page does; answered, but not part of a record.
const BROWSER_OWN_HOSTS =
  /(^|\.)(googleapis\.com|google\.com|gvt1\.com|mozilla\.(com|org|net)|firefox\.com)$/;

/** Starts a recorder on a free loopback port. */
export async function startRecorder(options: { hosts?: Record<string, Route> }): Promise<Recorder> {
  const routes = new Map<string, Route>(Object.entries(options.hosts ?? {}));
  const socketRoutes = new Map<string, SocketHandler>();
  const exchanges: Exchange[] = [];
  const connections: { time: number; host: string }[] = [];
  const sockets = new Set<Duplex>();
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const { key, cert } = await certificate();

  const answer = async (
    scheme: "https" | "http",
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const target = targetOf(scheme, incoming);
    const body = await collect(incoming);
    const exchange: Exchange = {
      time: Date.now(),
      scheme,
      host: target.host,
      method: incoming.method ?? "GET",
      path: target.pathname + target.search,
      headers: incoming.headers,
      body,
      status: 0,
      answer: Buffer.alloc(0),
    };
    if (!isBrowserOwn(exchange.host)) exchanges.push(exchange);
    recordAnswer(response, exchange);
    const route = routes.get(target.host);
    if (route === undefined) notFound(exchange, response);
    else if (typeof route === "function") await route(exchange, response);
    else await forward(route.forward, exchange, response, agent, route.rewrite);
  };

  const serve =
    (scheme: "https" | "http") =>
    (incoming: IncomingMessage, response: ServerResponse): void => {
      answer(scheme, incoming, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502, corsHeaders({})).end(String(error));
      });
    };
  const upgrade =
    (scheme: "wss" | "ws") =>
    (incoming: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const target = targetOf("http", incoming);
      const exchange: Exchange = {
        time: Date.now(),
        scheme,
        host: target.host,
        method: "GET",
        path: target.pathname + target.search,
        headers: incoming.headers,
        body: Buffer.alloc(0),
        status: 404,
        answer: Buffer.alloc(0),
      };
      exchanges.push(exchange);
      const handler = socketRoutes.get(target.host);
      if (handler === undefined) socket.end(WEBSOCKET_REFUSAL);
      else exchange.status = handler(incoming, socket, head);
    };

  const secure = createTlsServer({ key, cert }, serve("https"));
  secure.on("upgrade", upgrade("wss"));
  // A browser that refuses the certificate ends the handshake; that is its answer, not an error.
  secure.on("tlsClientError", () => undefined);
  const proxy = createServer(serve("http"));
  proxy.on("upgrade", upgrade("ws"));
  proxy.on("connect", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    const host = incoming.url ?? "";
    if (!isBrowserOwn(host)) {
      connections.push({ time: Date.now(), host: host.replace(/:443$/, "") });
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    if (head.length > 0) socket.unshift(head);
    socket.once("data", (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const isTls = first[0] === 0x16;
      (isTls ? secure : proxy).emit("connection", socket);
    });
  });
  for (const server of [secure, proxy] as Server[]) {
    server.keepAliveTimeout = 60_000;
    server.requestTimeout = 0;
    server.on("clientError", (_error, socket) => socket.destroy());
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
  }

  await new Promise<void>((resolve, reject) => {
    proxy.once("error", reject);
    proxy.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (proxy.address() as AddressInfo).port,
    exchanges,
    connections,
    route: (host, route) => {
      if (route === undefined) routes.delete(host);
      else routes.set(host, route);
    },
    routeSocket: (host, handler) => {
      socketRoutes.set(host, handler);
    },
    to: (host) =>
      exchanges.filter((exchange) => exchange.host === host && exchange.method !== "OPTIONS"),
    clear: () => {
      exchanges.length = 0;
      connections.length = 0;
    },
    close: async () => {
      agent.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        proxy.close(() => resolve());
      });
    },
  };
}

/** Headers that let any page read an answer, as the Matrix specification asks of servers. */
export function corsHeaders(requestHeaders: IncomingHttpHeaders): Record<string, string> {
  return {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS",
    "Access-Control-Allow-Headers":
      requestHeaders["access-control-request-headers"] ??
      "X-Requested-With, Content-Type, Authorization",
  };
}

/** Ends a response with JSON that every origin may read. */
export function answerJson(
  request: RecordedRequest,
  response: ServerResponse,
  status: number,
  content: unknown,
): void {
  response.writeHead(status, {
    ...corsHeaders(request.headers),
    "Content-Type": "application/json",
  });
  response.end(JSON.stringify(content));
}

/** Answers preflights; everything else goes to `handler`. */
export function withPreflight(handler: Handler): Handler {
  return (request, response) => {
    if (request.method !== "OPTIONS") return handler(request, response);
    response.writeHead(204, corsHeaders(request.headers)).end();
    return undefined;
  };
}

/** Sends a request on to an HTTP server on this machine. */
export function forward(
  base: string,
  request: RecordedRequest,
  response: ServerResponse,
  agent?: Agent,
  rewrite?: ResponseRewrite,
): Promise<void> {
  return new Promise((resolve) => {
    const upstream = httpRequest(
      new URL(request.path, base),
      {
        method: request.method,
        agent,
        headers: {
          ...request.headers,
          "accept-encoding": "identity",
          connection: "keep-alive",
          "x-forwarded-for": "127.0.0.1",
          "x-forwarded-proto": request.scheme,
        },
      },
      (answer) => {
        answer.once("error", () => response.destroy());
        response.once("close", resolve);
        const status = answer.statusCode ?? 502;
        const headers = withoutHopHeaders(answer.headers);
        if (rewrite === undefined || headers["content-type"] !== "application/json") {
          response.writeHead(status, headers);
          answer.pipe(response);
          return;
        }
        void collect(answer)
          .then((original) => {
            const content = rewrite(request, original) ?? original;
            response.writeHead(status, { ...headers, "content-length": content.length });
            response.end(content);
          })
          .catch(() => response.destroy());
      },
    );
    upstream.once("error", () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502, corsHeaders({})).end();
      resolve();
    });
    // The browser went away: the server need not go on.
    response.once("close", () => upstream.destroy());
    upstream.end(request.body);
  });
}

/** Browsers send a proxy whole addresses, and a server paths, which may begin with two slashes. */
function targetOf(scheme: "https" | "http", incoming: IncomingMessage): URL {
  const { url = "/", headers } = incoming;
  return new URL(url.startsWith("/") ? `${scheme}://${headers.host ?? "unknown"}${url}` : url);
}

function isBrowserOwn(host: string): boolean {
  return BROWSER_OWN_HOSTS.test(host.replace(/:\d+$/, ""));
}

function withoutHopHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _, "keep-alive": _keepAlive, "transfer-encoding": _te, ...rest } = headers;
  return rest;
}

function notFound(request: RecordedRequest, response: ServerResponse): void {
  void withPreflight((exchange, answer) =>
    answerJson(exchange, answer, 404, { errcode: "M_NOT_FOUND", error: "Nothing here" }),
  )(request, response);
}

async function collect(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function recordAnswer(response: ServerResponse, exchange: Exchange): void {
  const chunks: Buffer[] = [];
  const keep = (chunk: unknown, encoding: unknown): void => {
    if (typeof chunk === "string") {
      chunks.push(Buffer.from(chunk, typeof encoding === "string" ? (encoding as "utf8") : "utf8"));
    } else if (chunk instanceof Uint8Array) {
      chunks.push(Buffer.from(chunk));
    }
    exchange.status = response.statusCode;
    exchange.answer = Buffer.concat(chunks);
  };
  const write = response.write.bind(response) as (...rest: unknown[]) => boolean;
  const end = response.end.bind(response) as (...rest: unknown[]) => ServerResponse;
  response.write = (...rest: unknown[]): boolean => {
    keep(rest[0], rest[1]);
    return write(...rest);
  };
  response.end = (...rest: unknown[]): ServerResponse => {
    keep(rest[0], rest[1]);
    return end(...rest);
  };
}
