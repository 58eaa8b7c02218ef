/** What answers the suites: a server that tells what it was asked, or does what its address says. */
import { gzipSync } from "node:zlib";
import type { ServerResponse } from "node:http";
import type { Handler, RecordedRequest } from "../support/recorder.ts";
import type { Program } from "./program.ts";

/** A server with its memory of what is held back. */
export interface EchoServer {
  /** For every host of the suites. */
  readonly handler: Handler;
  /** Of the page's own host: `/control/seen` and `/control/release`. */
  readonly control: Handler;
}

/** One for each recorder. */
export function echoServer(): EchoServer {
  /** How many requests of a case came in, preflights left out. */
  const seen = new Map<string, number>();
  const held = new Map<string, (() => void)[]>();
  const caseOf = (request: RecordedRequest): string => attributed(request) ?? "nobody's";

  const untilReleased = (name: string, response: ServerResponse): Promise<void> =>
    new Promise((resolve) => {
      response.once("close", resolve);
      held.set(name, [...(held.get(name) ?? []), resolve]);
    });

  const handler: Handler = async (request, response) => {
    // Two runs take place at different times.
    response.sendDate = false;
    const program = programOf(request);
    if (request.method === "OPTIONS" && "access-control-request-method" in request.headers) {
      response.writeHead(204, flat([...corsOf(request, program), ["Cache-Control", "no-store"]]));
      response.end();
      return;
    }
    const name = caseOf(request);
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    if (program.hold === "head") await untilReleased(name, response);
    if (program.cut === "head" || response.destroyed) {
      response.destroy();
      return;
    }
    const isCurrent =
      program.etag !== undefined && request.headers["if-none-match"] === program.etag;
    const status = isCurrent ? 304 : (program.status ?? 200);
    let content = contentOf(request, program, count);
    const headers: (readonly [string, string])[] = [
      ...corsOf(request, program),
      ...(program.headers ?? []),
    ];
    if (program.caching !== true) headers.push(["Cache-Control", "no-store"]);
    if (program.etag !== undefined) headers.push(["ETag", program.etag]);
    if (program.location !== undefined) headers.push(["Location", program.location]);
    const type = program.type === undefined ? "application/json" : program.type;
    if (type !== null) headers.push(["Content-Type", type]);
    if (program.gzip === true) {
      content = gzipSync(content);
      headers.push(["Content-Encoding", "gzip"]);
    }
    const hasBody = request.method !== "HEAD" && status !== 204 && status !== 205 && status !== 304;
    const isWhole = program.hold !== "body" && program.cut !== "body";
    if (hasBody && isWhole && program.chunked !== true) {
      headers.push(["Content-Length", `${content.length}`]);
    } else if (program.cut === "body") {
      headers.push(["Content-Length", `${content.length + 100}`]);
    }
    if (program.reason === undefined) response.writeHead(status, flat(headers));
    else response.writeHead(status, program.reason, flat(headers));
    if (!hasBody) {
      response.end();
      return;
    }
    if (isWhole) {
      response.end(content);
      return;
    }
    await written(response, content);
    if (program.cut === "body") {
      // Not before the page has what was written.
      await untilReleased(name, response);
      response.destroy();
      return;
    }
    await untilReleased(name, response);
    response.end(" and the end");
  };

  const control: Handler = (request, response) => {
    const url = new URL(request.path, "https://host.invalid");
    const name = url.searchParams.get("case") ?? "";
    if (url.pathname.endsWith("release")) {
      for (const release of held.get(name) ?? []) release();
      held.delete(name);
    }
    const waiting = held.get(name)?.length ?? 0;
    response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(JSON.stringify({ seen: seen.get(name) ?? 0, waiting }));
  };
  return { handler, control };
}

/** The case that sent a request: by its address, else by a header or body that says so. */
export function attributed(request: RecordedRequest): string | undefined {
  return (
    /[?&]case=(\d+)/.exec(request.path)?.[1] ??
    /case\/(\d+)/.exec(request.headers.accept ?? "")?.[1] ??
    /case\/(\d+)/.exec(request.body.subarray(0, 1_000).toString("latin1"))?.[1]
  );
}

/** What parts a form, another one each time. */
const BOUNDARY = /----(geckoformboundary[0-9a-f]+|WebKitFormBoundary[0-9A-Za-z]+)/g;

/** A request as it arrived, without what differs between any two runs. */
export function viewOf(request: RecordedRequest): Record<string, unknown> {
  const steady = (text: string): string => text.replaceAll(BOUNDARY, "BOUNDARY");
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers).sort()) {
    // Which connection carried it is the browser's luck.
    if (name === "connection" || name === "host") continue;
    headers[name] = steady(Array.isArray(value) ? value.join(", ") : (value ?? ""));
  }
  const sent = request.body.toString("latin1");
  const body = steady(sent);
  // Firefox's boundaries differ in length.
  if (body !== sent && "content-length" in headers) headers["content-length"] = "known";
  return {
    method: request.method,
    host: request.host,
    path: request.path,
    headers,
    body: body.length > 2_000 ? `${body.slice(0, 2_000)}… ${body.length}` : body,
  };
}

function programOf(request: RecordedRequest): Program {
  const url = new URL(request.path, "https://host.invalid");
  const text = url.searchParams.get("program");
  try {
    const json = Buffer.from(text ?? "", "base64url").toString("utf8");
    return json === "" ? {} : (JSON.parse(json) as Program);
  } catch {
    return {};
  }
}

function contentOf(request: RecordedRequest, program: Program, count: number): Buffer {
  if (program.bytes !== undefined) return Buffer.from(program.bytes);
  if (program.size !== undefined) return Buffer.alloc(program.size, "0123456789");
  if (program.counted === true) return Buffer.from(`${count}`);
  if (program.text !== undefined) return Buffer.from(program.text);
  // Where the request comes from is for the server alone: the shield `referrer` leaves it out.
  const view = viewOf(request)["headers"] as Record<string, string>;
  const { referer: _referer, origin: _origin, ...headers } = view;
  return Buffer.from(JSON.stringify({ ...viewOf(request), headers }));
}

function corsOf(request: RecordedRequest, program: Program): [string, string][] {
  const origin = request.headers.origin;
  // The page's own origin needs none.
  const isOwn = request.headers["sec-fetch-site"] === "same-origin";
  if (program.cors === "none" || origin === undefined || isOwn) return [];
  const asked = request.headers["access-control-request-headers"];
  const method = request.headers["access-control-request-method"];
  return [
    ["Access-Control-Allow-Origin", program.cors === "any" ? "*" : origin],
    ...(program.cors === undefined ? [["Access-Control-Allow-Credentials", "true"] as const] : []),
    ...(method === undefined ? [] : [["Access-Control-Allow-Methods", method] as const]),
    ...(asked === undefined ? [] : [["Access-Control-Allow-Headers", asked] as const]),
    ...(method === undefined ? [] : [["Access-Control-Max-Age", "0"] as const]),
    ...(program.expose === undefined
      ? []
      : [["Access-Control-Expose-Headers", program.expose] as const]),
  ] as [string, string][];
}

function flat(headers: readonly (readonly [string, string])[]): string[] {
  return headers.flatMap(([name, value]) => [name, value]);
}

function written(response: ServerResponse, content: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) resolve();
    else response.write(content, () => resolve());
  });
}
