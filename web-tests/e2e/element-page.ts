/** Hosts of specs that need no Element of their own: a page that says it is one, and who signs in there. */
import { type Route, answerJson, withPreflight } from "../support/recorder.ts";

/** What Mantle knows an Element by. */
export const ELEMENT_HTML =
  '<!doctype html><meta name="application-name" content="Element"><div id="matrixchat"></div>';

/** At `/no-wasm` a page that forbids WebAssembly. */
export const elementPage: Route = (request, response) => {
  response.writeHead(200, {
    "Content-Type": "text/html",
    ...(request.path === "/no-wasm"
      ? { "Content-Security-Policy": "script-src 'self'; connect-src *" }
      : {}),
  });
  response.end(ELEMENT_HTML);
};

/** Answers whatever it is asked as if somebody had signed in. */
export const signsInAnybody: Route = withPreflight((request, response) =>
  answerJson(request, response, 200, { user_id: "@a:hs.example.org" }),
);
