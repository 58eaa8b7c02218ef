/**
 * Whether a call server that only somebody else in the call names may know the person: asked once for
 * each server while a document is there, and only where a frame cannot pretend to be the window.
 */
import { isAllowedByTop } from "../channel/call-server.ts";
import type { Delegate, RequestPolicy } from "../intercept/decision.ts";
import type { Outcome, PausedRequest, RequestHandler } from "../intercept/handlers.ts";
import { refused } from "../intercept/refusal.ts";
import {
  abortController,
  controllerSignal,
  create,
  NativeAbortController,
  NativeURL,
  page,
  pinned,
  result,
  urlHost,
} from "../primordials/primordials.ts";
import { text } from "../texts/texts.ts";
import { account, consentTo } from "./consent.ts";

/** Whoever is in a call may name servers without end; nobody is asked about more of them. */
export const MAX_ASKED = 8;

/** By account and server. */
const answers = create(null) as Record<string, Promise<boolean> | undefined>;
let asked = 0;

/** Holds what a call's page sends to such a server until the person has decided. */
export const callServerHandler: RequestHandler = {
  async handle({ url }: PausedRequest, delegate: Delegate): Promise<Outcome> {
    const host = urlHost(new NativeURL(url));
    const key = `${account()} ${host}`;
    let answer = answers[key];
    if (answer === undefined && asked < MAX_ASKED) {
      asked += 1;
      answer = answers[key] = page === page.top ? isAllowed(delegate, host) : isAllowedByTop(host);
    }
    return answer !== undefined && (await pinned(answer))
      ? result<Outcome>({ kind: "send", noted: "agreed" })
      : refused(text("notSent"), "asked");
  },
};

/** Of frames, by the number of their question. */
const standing = create(null) as Record<number, AbortController | undefined>;

/** Asks in this window on behalf of a frame in it. */
export async function askForFrame(
  gate: Pick<RequestPolicy, "prompt">,
  { host, wish }: { readonly host: string; readonly wish: number },
): Promise<boolean> {
  const delegate = gate.prompt(`call-server:${host}`);
  if (delegate === undefined) return false;
  const controller = new NativeAbortController();
  standing[wish] = controller;
  const answer = await pinned(isAllowed(delegate, host, controllerSignal(controller)));
  standing[wish] = undefined;
  return answer;
}

/** The frame is gone, and its question with it. */
export function withdrawForFrame(wish: number): void {
  const controller = standing[wish];
  if (controller !== undefined) abortController(controller);
}

async function isAllowed(delegate: Delegate, host: string, signal?: AbortSignal): Promise<boolean> {
  const about = `call-server:${host}`;
  const consent = await pinned(consentTo(delegate, about, signal, undefined, host));
  return consent !== undefined;
}
