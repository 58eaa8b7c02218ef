import type { Examination } from "../../generated/mantle_media.js";
import {
  execute,
  NativeRegExp,
  NativeUint8Array,
  NativeURL,
  parseJson,
  pinned,
  result,
  stringify,
  toLowerCase,
  urlHost,
} from "../primordials/primordials.ts";
import type { Delegate } from "../intercept/decision.ts";
import type { PausedRequest, Outcome } from "../intercept/handlers.ts";
import type { HeaderList } from "../primordials/header-list.ts";
import { ask } from "../dialogs/prompt.ts";
import type { Answer, Choice } from "../dialogs/prompt.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { showNotice } from "../dialogs/notice.ts";
import { cleaned, examine } from "./examination.ts";
import { recallChoice, rememberChoice, roomKey } from "./memory.ts";
import type { Remembered } from "./memory.ts";
import { guarded, mediaModule } from "./module.ts";
import { refused } from "../intercept/refusal.ts";
import { serverMedia } from "./server.ts";
import { text } from "../texts/texts.ts";

/** As `Examination.decide()` tells it. */
type Decision =
  | {
      kind: "send";
      clean: boolean;
      withoutName: boolean;
      flagged: boolean;
      sentence: string | null;
    }
  | {
      kind: "ask";
      question: { title: string; text: string[]; choices: Choice[]; remember: Choice[] };
      withoutName: boolean;
    }
  | { kind: "refuse"; sentence: string };

const BASE = new NativeRegExp("^(.*?)/_matrix/media/");
const TOKEN = new NativeRegExp("[?&]access_token=([^&#]*)");

/** Looks at an upload, and sends it, cleans it, asks about it or refuses it. */
export async function handleUpload(request: PausedRequest, delegate: Delegate): Promise<Outcome> {
  const glue = await pinned(mediaModule());
  const body = request.body ?? new NativeUint8Array(0);
  const settings = stringify(shieldSettings(delegate.shield) ?? {});
  const withoutName = guarded(() => glue.withoutName(request.url));
  const contentType = headerIn(request.headers, "content-type");
  const host = urlHost(new NativeURL(request.url));
  const early = { host, contentType, hasName: withoutName !== undefined };
  const room = await pinned(roomKey());
  const examination = await pinned(examine(body));
  try {
    // Ciphertext, or a shield that only tells: nothing about the server matters.
    const isPlain = !guarded(() => examination.isCiphertext(stringify(early)));
    const isActing = (shieldSettings(delegate.shield)?.mode ?? "on") !== "flag";
    const about =
      isPlain && isActing
        ? { ...early, ...(await pinned(around(request, host, room))), hasRoom: room !== undefined }
        : early;
    const decision = decide(examination, settings, about);
    const serverKey = `server/${host}`;
    const upload = { request, body, examination, withoutName, serverKey, room };
    return await pinned(carryOut(decision, upload));
  } finally {
    examination.free();
  }
}

interface Upload {
  readonly request: PausedRequest;
  readonly body: Blob | Uint8Array;
  readonly examination: Examination;
  /** The URL without the file's name, where it has one. */
  readonly withoutName: string | undefined;
  readonly serverKey: string;
  readonly room: string | undefined;
}

function decide(examination: Examination, settings: string, about: object): Decision {
  const decision = guarded(() => examination.decide(settings, stringify(about)));
  return parseJson(decision ?? "null") as Decision;
}

/** What the server does, and what the person chose before. */
async function around(
  request: PausedRequest,
  host: string,
  room: string | undefined,
): Promise<object> {
  const base = execute(BASE, request.url)?.[1] ?? "";
  const server = await serverMedia(base, authorizationOf(request));
  const remembered = await pinned(recallChoice(room, `server/${host}`));
  return result(remembered === undefined ? { ...server } : { ...server, remembered });
}

async function carryOut(decision: Decision, upload: Upload): Promise<Outcome> {
  switch (decision.kind) {
    case "send": {
      const { clean, flagged } = decision;
      const outcome = sent(upload, clean, decision.withoutName);
      if (decision.sentence !== null) showNotice(decision.sentence);
      return result<Outcome>(flagged ? { ...outcome, noted: "flagged" } : outcome);
    }
    case "refuse":
      return refused(decision.sentence, "blocked");
    default: {
      const { signal } = upload.request;
      const answer = await ask({
        ...decision.question,
        ...(signal === undefined ? {} : { signal }),
      });
      const { choice } = answer;
      if (choice !== "clean" && choice !== "send") return refused(text("notSentFile"), "asked");
      await pinned(keep(answer, choice, upload));
      const outcome = sent(upload, choice === "clean", decision.withoutName);
      return result<Outcome>({ ...outcome, noted: "asked" });
    }
  }
}

async function keep(answer: Answer, choice: Remembered, upload: Upload): Promise<void> {
  for (let index = 0; index < answer.remember.length; index += 1) {
    const key = answer.remember[index] === "room" ? upload.room : upload.serverKey;
    if (key !== undefined) await rememberChoice(key, choice);
  }
}

function sent(
  upload: Upload,
  clean: boolean,
  withoutName: boolean,
): Extract<Outcome, { kind: "send" }> {
  const url = withoutName ? upload.withoutName : undefined;
  return {
    kind: "send",
    ...(url === undefined ? {} : { url }),
    ...(clean ? { body: cleaned(upload.examination, upload.body) } : {}),
  };
}

function headerIn(headers: HeaderList, wanted: string): string {
  for (let index = 0; index < headers.length; index += 1) {
    const header = headers[index] as HeaderList[number];
    if (toLowerCase(header[0]) === wanted) return header[1];
  }
  return "";
}

/** The page's own credentials; older clients put them into the URL. */
function authorizationOf(request: PausedRequest): HeaderList {
  const header = headerIn(request.headers, "authorization");
  if (header !== "") return [["Authorization", header]];
  const token = execute(TOKEN, request.url)?.[1];
  return token === undefined ? [] : [["Authorization", `Bearer ${decodeURIComponent(token)}`]];
}
