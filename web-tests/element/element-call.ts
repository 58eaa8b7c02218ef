/** Element Call as Element Web ships it: in a frame of Element's own site. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Handler } from "../support/recorder.ts";

const DIST = fileURLToPath(
  new URL("../../node_modules/@element-hq/element-call-embedded/dist", import.meta.url),
);
const FOLDER = "/widgets/element-call/";
const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** False when it was not installed. */
export function callPageInstalled(): boolean {
  return existsSync(join(DIST, "index.html"));
}

/** Serves it beside the page of `element`, which looks for it at `/room`. */
export function withElementCall(element: Handler): Handler {
  return async (request, response) => {
    const { pathname, search } = new URL(request.path, "https://site");
    if (pathname === "/room") {
      // The query says which widget it is and whose.
      response.writeHead(302, { Location: `${FOLDER}index.html${search}` }).end();
      return undefined;
    }
    if (!pathname.startsWith(FOLDER)) return element(request, response);
    const file = join(DIST, normalize(pathname.slice(FOLDER.length)));
    if (!file.startsWith(DIST + sep) || !existsSync(file)) {
      response.writeHead(404).end("Not found");
      return undefined;
    }
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type });
    response.end(await readFile(file));
    return undefined;
  };
}
