import { decodeText, join, parseJson } from "../captured.ts";
import type { Taker } from "../decision.ts";
import { bodyBytes } from "../handlers.ts";
import type { HeldRequest, Outcome } from "../handlers.ts";
import { ask } from "../question.ts";
import { shieldSettings } from "../shield-settings.ts";
import { guarded, mediaModule } from "./module.ts";
import { refused } from "../refusal.ts";

const NOT_SENT = "You chose not to send this message.";

/** A clear message that links to media which needs no signing in. */
export async function handleLinks(request: HeldRequest, taker: Taker): Promise<Outcome> {
  const glue = await mediaModule();
  const text = decodeText(await bodyBytes(request.body));
  const hosts = parseJson(guarded(() => glue.linkHosts(text))) as string[];
  if (hosts.length === 0) return { kind: "send" };
  const replaced = (authenticated: boolean): Outcome => ({
    kind: "send",
    body: guarded(() => glue.replaceLinks(text, authenticated)),
  });
  if (shieldSettings(taker.shield)?.mode !== "ask") return replaced(false);
  const { signal } = request;
  const { choice } = await ask({ ...question(hosts), ...(signal === undefined ? {} : { signal }) });
  switch (choice) {
    case "mxc":
      return { ...replaced(false), noted: "asked" };
    case "authenticated":
      return { ...replaced(true), noted: "asked" };
    case "send":
      return { kind: "send", noted: "asked" };
    default:
      return refused(NOT_SENT, "asked");
  }
}

/** For clear messages, and for what is pasted into any. */
export function question(hosts: readonly string[]): {
  title: string;
  text: string[];
  choices: { id: string; label: string; kind: "primary" | "danger" | "plain" }[];
} {
  const host = join(hosts as string[], ", ");
  return {
    title: "This link may open a file to anyone. Send it?",
    text: [
      `Whoever has the link can fetch the file from ${host} without signing in, where that server ` +
        "still allows it, and the server learns the network address of everyone who opens it.",
      "A mxc:// link opens in Matrix clients only; the other form asks for signing in.",
    ],
    choices: [
      { id: "mxc", label: "Send as mxc:// link", kind: "primary" },
      { id: "authenticated", label: "Send the form that needs signing in", kind: "plain" },
      { id: "send", label: "Send as it is", kind: "danger" },
      { id: "cancel", label: "Do not send", kind: "plain" },
    ],
  };
}
