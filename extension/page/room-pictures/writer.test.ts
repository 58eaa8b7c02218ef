import "../../testing/page.ts";

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { connectShieldSettings } from "../core/shield-settings.ts";
import type { Outcome, PausedRequest } from "../intercept/handlers.ts";
import { DELEGATE, NEEDS_BODY, REPLY } from "../intercept/decision.ts";
import type { Delegate } from "../intercept/decision.ts";
import { decrypted } from "./cipher.ts";
import { MAX_BYTES, pictureFile } from "./file.ts";
import { MAX_AGE_MS, MAX_HELD } from "./held.ts";
import { PictureWriter } from "./writer.ts";
import type { UploadingClient } from "./writer.ts";

const HS = "https://hs.example.org/base";
const UPLOAD = `${HS}/_matrix/media/v3/upload?filename=cat.png`;
const AVATAR = `${HS}/_matrix/client/v3/rooms/!r%3Ahs/state/m.room.avatar/`;
const PROFILE = `${HS}/_matrix/client/v3/profile/%40a%3Ahs/avatar_url`;

/** The head of a PNG of this size, and something behind it. */
function png(width = 2, more = "pixels"): Uint8Array<ArrayBuffer> {
  const head = Buffer.alloc(29);
  head.write("\x89PNG\r\n\x1a\n", "latin1");
  head.writeUInt32BE(13, 8);
  head.write("IHDR", 12, "latin1");
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(width, 20);
  return new Uint8Array(Buffer.concat([head, Buffer.from(more)]));
}
const fileOf = (bytes: BlobPart = png(), name = "cat.png", type = "image/png"): File =>
  new File([bytes], name, { type });

let mode: string | undefined;
let time: number;
/** What is pressed, and what there was to press. */
let chosen: string;
let offered: string[][];
/** Of the room. */
let remembered: "encrypt" | "readable" | undefined;
/** Of the state that names the picture. */
let encryptsAnyway: boolean;
/** What reached the homeserver as Element's own, and past the hooks. */
let uploads: { url: string; body: Blob; token: string | null }[];
let sealed: { url: string; body: Uint8Array<ArrayBuffer>; headers: Headers }[];
/** State that left encrypted. */
let put: { url: string; content: Record<string, unknown> }[];
let encrypts: () => Promise<boolean>;
let answer: () => Promise<Response>;
/** Whether pictures of people leave sealed; undefined: that is off. */
let sealsMembers: (() => Promise<boolean>) | undefined;
let putAnswer: Outcome;
let clean: (picture: Blob) => Promise<Blob>;
let shown: string[];
let client: UploadingClient & { crypto: { encryptEvent(event: unknown): Promise<unknown> } };
let writer: PictureWriter;
/** Who else takes a request over. */
let others: Delegate[];
/** What Element's upload is answered, as the hooks do it. */
let respond: (file: unknown) => Promise<unknown>;

connectShieldSettings((shield) =>
  shield === "room-pictures" && mode !== undefined
    ? ({ mode, options: {}, allow: [] } as never)
    : undefined,
);

const uploaded = (uri: string): Promise<Response> =>
  Promise.resolve(Response.json({ content_uri: uri }));

function clientOf(): typeof client {
  const crypto = { encryptEvent: (event: unknown) => Promise.resolve(event) };
  return {
    crypto,
    getUserId: () => "@a:hs.example.org",
    getCrypto: () => crypto as never,
    uploadContent: (file) => respond(file),
    mxcUrlToHttp: (mxc, ...rest) => `https of ${String(mxc)} ${rest.join()}`,
  };
}

beforeEach(() => {
  mode = "on";
  time = 0;
  encryptsAnyway = false;
  sealsMembers = undefined;
  chosen = "cancel";
  offered = [];
  remembered = undefined;
  others = [];
  uploads = [];
  sealed = [];
  put = [];
  shown = [];
  encrypts = () => Promise.resolve(true);
  answer = () => uploaded(`mxc://hs.example.org/number${String(uploads.length + sealed.length)}`);
  putAnswer = { kind: "reply", status: 200, body: '{"event_id":"$1"}', noted: "rewritten" };
  clean = (picture) => Promise.resolve(picture);
  client = clientOf();
  writer = new PictureWriter({
    fetch: (url, init) => {
      const token = new Headers(init.headers).get("authorization");
      uploads.push({ url, body: init.body as Blob, token });
      return answer();
    },
    send: (url, init) => {
      const body = init.body as Uint8Array<ArrayBuffer>;
      sealed.push({ url, body, headers: new Headers(init.headers) });
      return answer();
    },
    encrypts: () => encrypts(),
    encryptsAnyway: () => Promise.resolve(encryptsAnyway),
    now: () => time,
    recall: () => Promise.resolve(remembered),
    remember: (_key, choice) => {
      remembered = choice;
      return Promise.resolve();
    },
    ask: ({ choices }) => {
      offered.push(choices.map(({ id }) => id));
      const choice = offered.at(-1)?.includes(chosen) === true ? chosen : "cancel";
      return Promise.resolve({ choice, remember: [] });
    },
    members: {
      isOn: () => sealsMembers !== undefined,
      seals: () => sealsMembers?.() ?? Promise.reject(new Error("off")),
      seal: ({ url }, content) => {
        put.push({ url, content });
        return Promise.resolve({ kind: "send", body: "sealed" } as const);
      },
    },
    putEncrypted: ({ url, body }) => {
      const text = new TextDecoder().decode(body as Uint8Array);
      put.push({ url, content: JSON.parse(text) as Record<string, unknown> });
      return Promise.resolve(putAnswer);
    },
    withoutDetails: (picture) => clean(picture),
    thumbnail: (bytes) =>
      Buffer.from(bytes).includes("broken")
        ? Promise.reject(new Error("cannot be decoded"))
        : Promise.resolve(new Blob(["small"])),
    urlOf: () => "blob:small",
    revoke: (url) => shown.push(url),
  });
  writer.attach(client);
  respond = (file) => handle("POST", UPLOAD, file as Blob).then((outcome) => read(outcome));
});

/** As the hooks do: what is not delegated here is not seen here. */
async function handle(
  method: string,
  url: string,
  body: Blob | string | undefined,
  token = "first",
): Promise<Outcome> {
  const flags = others.length === 0 ? 0 : DELEGATE;
  if ((writer.flags(flags, method, url) & DELEGATE) === 0) return { kind: "send" };
  const request: PausedRequest = {
    method,
    url,
    headers: [["Authorization", `Bearer ${token}`]],
    body: typeof body === "string" ? new TextEncoder().encode(body) : body,
    signal: undefined,
  };
  const [delegate, ...more] = writer.delegates(others);
  assert.equal(delegate?.handler, "room-pictures");
  assert.deepEqual(more, others);
  return writer.handle(request, delegate);
}

function read(outcome: Outcome): unknown {
  return outcome.kind === "reply" ? JSON.parse(outcome.body) : undefined;
}

/** Uploads as Element uploads pictures; gives the name it got, undefined where it went out. */
async function upload(file: File = fileOf(), ...options: unknown[]): Promise<string> {
  const given = (await client.uploadContent(file, ...options)) as { content_uri?: string };
  return given?.content_uri ?? "";
}

const setPicture = (mxc: string, more: object = {}, token = "second"): Promise<Outcome> =>
  handle("PUT", AVATAR, JSON.stringify({ ...more, url: mxc }), token);
const sentenceOf = (outcome: Outcome): string =>
  String((read(outcome) as { error?: string } | undefined)?.error);

/** First of all: what was said of the shield once stays in force. */
describe("an upload before the settings are there", () => {
  const early = (then: string | undefined): void => {
    mode = undefined;
    respond = async (file) => {
      mode = then;
      return read(await handle("POST", UPLOAD, file as Blob));
    };
  };

  test("does not leave where they do not come", async () => {
    early(undefined);
    const outcome = (await client.uploadContent(fileOf())) as { error?: string } | undefined;
    assert.match(outcome?.error ?? "", /could not be uploaded/);
  });

  test("waits where it turns out to be on", async () => {
    early("on");
    assert.match(await upload(), /^mxc:/);
  });

  test("goes out as ever where the shield turns out to be off", async () => {
    early("off");
    assert.equal(await upload(), "");
  });
});

describe("an upload that may become a room's picture", () => {
  test("waits, under a name that no server gave", async () => {
    const mxc = await upload();
    assert.match(mxc, /^mxc:\/\/hs\.example\.org\/[A-Za-z0-9_-]{24}$/);
    assert.deepEqual([uploads, sealed], [[], []]);
  });

  test("goes out as ever where the shield is off", async () => {
    mode = "off";
    assert.equal(await upload(), "");
  });

  test("does not wait where Element says more of it, as for messages", async () => {
    assert.equal(await upload(fileOf(), { progressHandler: () => undefined }), "");
    assert.equal(await upload(fileOf(), { includeFilename: false }), "");
    assert.equal(await upload(fileOf(png(), "a.pdf", "application/pdf")), "");
    assert.equal(await upload(new Blob([png()], { type: "image/png" }) as File), "");
  });

  test("does not wait where it came from another window", async () => {
    const file = fileOf();
    const data = { api: "fromWidget", action: "org.matrix.msc4039.upload_file", data: { file } };
    window.dispatchEvent(new MessageEvent("message", { data }));
    assert.equal(await upload(file), "");
  });

  test("is no other's: only the file is held, once", async () => {
    respond = async () => {
      const other = await handle("POST", UPLOAD, fileOf(png(2, "of another length")));
      assert.deepEqual(other, { kind: "send" });
      return {};
    };
    assert.equal(await upload(), "");
    // It is over by then.
    assert.equal(writer.flags(0, "POST", UPLOAD), 0);
  });

  test("waits as often as it is uploaded, also at the same time", async () => {
    const file = fileOf();
    const names = await Promise.all([upload(file), upload(file), upload(file)]);
    assert.equal(new Set(names).size, 3);
    assert.ok(!names.includes(""));
  });

  test("waits where the hooks were given a copy of it", async () => {
    respond = () => handle("POST", UPLOAD, new Blob([png()])).then((outcome) => read(outcome));
    assert.match(await upload(), /^mxc:/);
  });

  test("is shown by Element from here, and never asked of the homeserver", async () => {
    const mxc = await upload();
    await new Promise((done) => setTimeout(done, 5));
    assert.equal(client.mxcUrlToHttp(mxc, 96, 96), "blob:small");
    assert.equal(client.mxcUrlToHttp("mxc://hs/x", 96), "https of mxc://hs/x 96");
    // One that is no picture is its first letter.
    const drawing = await upload(fileOf("<svg/>", "a.svg", "image/svg+xml"));
    await new Promise((done) => setTimeout(done, 5));
    assert.equal(client.mxcUrlToHttp(drawing, 96, 96), null);
  });

  test("is forgotten with its session", async () => {
    const mxc = await upload();
    writer.attach(clientOf());
    assert.equal((await setPicture(mxc)).kind, "send");
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });
});

describe("a room's picture", () => {
  test("leaves encrypted, and the state that names it too", async () => {
    const mxc = await upload();
    const outcome = await setPicture(mxc, { "org.example": 1 });
    assert.deepEqual(outcome, putAnswer);
    assert.deepEqual(uploads, []);
    const [sent, state] = [sealed[0], put[0]];
    assert.equal(sent?.url, `${HS}/_matrix/media/v3/upload`);
    assert.equal(sent?.headers.get("content-type"), "application/octet-stream");
    assert.equal(sent?.headers.get("authorization"), "Bearer second");
    assert.equal(state?.url, AVATAR);
    const { file: wire, ...rest } = state?.content ?? {};
    const info = { mimetype: "image/png", size: png().length };
    assert.deepEqual(rest, { "org.example": 1, info });
    assert.equal((wire as { url?: string }).url, "mxc://hs.example.org/number1");
    const file = pictureFile(state?.content);
    assert.ok(file !== undefined && sent !== undefined);
    assert.deepEqual([...(await decrypted(file, sent.body))], [...png()]);
    assert.equal(Buffer.from(sent.body).includes("pixels"), false);
  });

  test("loses its hidden details first, and is not set where they would stay", async () => {
    clean = () => Promise.resolve(new Blob([png(2, "clean")]));
    await setPicture(await upload());
    const file = pictureFile(put[0]?.content);
    assert.ok(file !== undefined && sealed[0] !== undefined);
    const bytes = await decrypted(file, sealed[0].body);
    assert.ok(Buffer.from(bytes).includes("clean"));
    clean = () => Promise.reject(new Error("It keeps them."));
    assert.equal(sentenceOf(await setPicture(await upload())), "It keeps them.");
    assert.deepEqual([uploads.length, sealed.length, put.length], [0, 1, 1]);
  });

  test("of another kind, or too large, is refused in words, and nothing of it leaves", async () => {
    const wrong: [File, RegExp][] = [
      [fileOf("<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "image/svg+xml"), /PNG, JPEG/],
      [fileOf("<svg/>", "a.png", "image/png"), /PNG, JPEG/],
      [fileOf(png(60_000)), /PNG, JPEG/],
      [fileOf(png(2, "broken")), /PNG, JPEG/],
      [fileOf(new Uint8Array(50_000_000)), /at most 10 MB/],
      [fileOf(new Uint8Array(MAX_BYTES + 1)), /at most 10 MB/],
    ];
    for (const [file, sentence] of wrong) {
      assert.match(sentenceOf(await setPicture(await upload(file))), sentence);
    }
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });

  test("as large as may be is set", async () => {
    const bytes = new Uint8Array(MAX_BYTES);
    bytes.set(png());
    assert.deepEqual(await setPicture(await upload(fileOf(bytes))), putAnswer);
    assert.equal(sealed[0]?.body.length, MAX_BYTES);
  });

  test("is set in two rooms, with two keys", async () => {
    const mxc = await upload();
    await setPicture(mxc);
    const other = AVATAR.replace("!r", "!other");
    assert.deepEqual(await handle("PUT", other, JSON.stringify({ url: mxc })), putAnswer);
    const files = put.map(({ content }) => pictureFile(content));
    assert.equal(new Set(files.map((file) => file?.key)).size, 2);
    assert.equal(new Set(files.map((file) => file?.place)).size, 2);
    assert.deepEqual(uploads, []);
  });

  test("is not set where its bytes were not taken, and can be tried again", async () => {
    const mxc = await upload();
    const working = answer;
    const failures: (() => Promise<Response>)[] = [
      () => Promise.reject(new TypeError("network")),
      () => Promise.resolve(Response.json({ errcode: "M_TOO_LARGE" }, { status: 413 })),
      () => Promise.resolve(new Response("<html>")),
      () => uploaded("https://elsewhere.example.org/x"),
      () => uploaded("mxc://../x"),
    ];
    for (const failure of failures) {
      answer = failure;
      assert.match(sentenceOf(await setPicture(mxc)), /could not be uploaded/);
    }
    assert.deepEqual([uploads, put], [[], []]);
    answer = working;
    assert.deepEqual(await setPicture(mxc), putAnswer);
  });

  test("is not set where the homeserver refuses its state, and can be tried again", async () => {
    const mxc = await upload();
    putAnswer = { kind: "reply", status: 403, body: '{"errcode":"M_FORBIDDEN","error":"no"}' };
    assert.equal(sentenceOf(await setPicture(mxc)), "no");
    putAnswer = { kind: "reply", status: 200, body: "{}" };
    assert.deepEqual(await setPicture(mxc), putAnswer);
    assert.deepEqual(uploads, []);
  });

  test("is not set where nobody can tell whether the room encrypts its state", async () => {
    encrypts = () => Promise.reject(new Error("Wait a little."));
    const mxc = await upload();
    assert.equal(sentenceOf(await setPicture(mxc)), "Wait a little.");
    encrypts = () => Promise.reject(new TypeError("x is undefined"));
    assert.match(sentenceOf(await setPicture(mxc)), /could not protect this change/);
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });

  test("that is readable somewhere already is not set as if it were not", async () => {
    const mxc = await upload();
    await handle("PUT", PROFILE, JSON.stringify({ avatar_url: mxc }));
    assert.match(sentenceOf(await setPicture(mxc)), /choose it again/);
    assert.deepEqual(put, []);
  });

  test("is found by a type that is written otherwise", async () => {
    const mxc = await upload();
    for (const type of ["m%2Eroom%2Eavatar", "m.room.avatar"]) {
      const url = `${HS}/_matrix/client/r0/rooms/!r%3Ahs/state/${type}?user_id=x`;
      assert.deepEqual(await handle("PUT", url, JSON.stringify({ url: mxc })), putAnswer);
    }
    assert.deepEqual(uploads, []);
  });
});

describe("an upload that turns out to be something else", () => {
  test("goes out as Element made it, before what names it, with its address there", async () => {
    const file = fileOf();
    const mxc = await upload(file);
    const outcome = await handle("PUT", PROFILE, JSON.stringify({ avatar_url: mxc }), "second");
    assert.equal(
      outcome.kind === "send" && outcome.body,
      '{"avatar_url":"mxc://hs.example.org/number1"}',
    );
    assert.equal(outcome.kind === "send" && outcome.noted, null);
    assert.deepEqual(uploads, [{ url: UPLOAD, body: file, token: "Bearer second" }]);
    assert.deepEqual(sealed, []);
    // What Element remembers of it shows the picture.
    assert.equal(client.mxcUrlToHttp(mxc, 96), "https of mxc://hs.example.org/number1 96");
    const again = await handle("PUT", PROFILE, JSON.stringify({ avatar_url: mxc }));
    assert.equal(
      again.kind === "send" && again.body,
      '{"avatar_url":"mxc://hs.example.org/number1"}',
    );
    assert.equal(uploads.length, 1);
  });

  const readable: Record<string, () => void> = {
    "a room whose state is readable": () => (encrypts = () => Promise.resolve(false)),
    "a shield that was switched off meanwhile": () => (mode = "off"),
  };
  for (const [what, begin] of Object.entries(readable)) {
    test(`as the picture of ${what}`, async () => {
      const mxc = await upload();
      begin();
      const outcome = await setPicture(mxc);
      assert.equal(
        outcome.kind === "send" && outcome.body,
        '{"url":"mxc://hs.example.org/number1"}',
      );
      assert.deepEqual([uploads.length, sealed.length, put.length], [1, 0, 0]);
    });
  }

  const others: Record<string, [string, string, (mxc: string) => string]> = {
    "a message": ["PUT", "rooms/!r/send/m.room.message/1", (url) => JSON.stringify({ url })],
    "a room that is made without encrypted state": [
      "POST",
      "createRoom",
      (url) => JSON.stringify(newRoom(url)),
    ],
    "a member's own picture": [
      "PUT",
      "rooms/!r/state/m.room.member/%40a%3Ahs",
      (avatar_url) => JSON.stringify({ avatar_url }),
    ],
  };
  for (const [what, [method, path, bodyOf]] of Object.entries(others)) {
    test(`as ${what}`, async () => {
      const mxc = await upload();
      const outcome = await handle(method, `${HS}/_matrix/client/v3/${path}`, bodyOf(mxc));
      assert.equal(outcome.kind === "send" && outcome.body, bodyOf("mxc://hs.example.org/number1"));
      assert.deepEqual([uploads.length, sealed.length, put.length], [1, 0, 0]);
    });
  }

  test("as part of an encrypted message", async () => {
    const mxc = await upload();
    const event = { event: { content: { url: mxc } } };
    await client.crypto.encryptEvent(event);
    assert.deepEqual(event.event.content, { url: "mxc://hs.example.org/number1" });
    assert.equal(uploads.length, 1);
    answer = () => Promise.reject(new TypeError("network"));
    const other = { event: { content: { url: await upload() } } };
    await assert.rejects(client.crypto.encryptEvent(other), /could not be uploaded/);
  });

  test("tells Element what the homeserver says of it, and is kept", async () => {
    const mxc = await upload();
    answer = () => Promise.resolve(Response.json({ errcode: "M_TOO_LARGE" }, { status: 413 }));
    const body = JSON.stringify({ avatar_url: mxc });
    assert.deepEqual(await handle("PUT", PROFILE, body), {
      kind: "reply",
      status: 413,
      body: '{"errcode":"M_TOO_LARGE"}',
    });
    // What a homeserver says must not become a part of what is sent.
    answer = () => uploaded('mxc://hs.example.org/x","y":"z');
    assert.equal((await handle("PUT", PROFILE, body)).kind, "reply");
    answer = () => Promise.reject(new TypeError("network"));
    assert.deepEqual(await handle("PUT", PROFILE, body), { kind: "fail" });
    answer = () => uploaded("mxc://hs.example.org/late");
    const outcome = await handle("PUT", PROFILE, body);
    assert.equal(
      outcome.kind === "send" && outcome.body,
      '{"avatar_url":"mxc://hs.example.org/late"}',
    );
  });

  test("goes out once, however many requests name it at the same time", async () => {
    const mxc = await upload();
    const body = JSON.stringify({ avatar_url: mxc });
    await Promise.all(Array.from({ length: 5 }, () => handle("PUT", PROFILE, body)));
    assert.equal(uploads.length, 1);
  });

  test("does not go out where nothing can name it as it is written there", async () => {
    const [mxc, other] = [await upload(), await upload()];
    const hidden = `{"a":"${mxc}","b":"${other.replaceAll("/", "\\/")}"}`;
    const profile = `{"avatar_url":"${mxc}"}`;
    assert.match(sentenceOf(await handle("PUT", PROFILE, hidden)), /choose it again/);
    const byPath = `${PROFILE}/${other.slice("mxc://".length)}`;
    assert.match(sentenceOf(await handle("PUT", byPath, profile)), /choose it again/);
    const event = { event: { content: { mxc, b: other.slice(-24) } } };
    await assert.rejects(client.crypto.encryptEvent(event));
    assert.deepEqual(uploads, []);
  });
});

/** What is to leave encrypted must not leave readable because something went wrong. */
describe("an upload that nothing names where it may be read", () => {
  const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

  test("does not leave where it is one of too many", async () => {
    const first = await upload();
    for (let count = 0; count < MAX_HELD * 3; count += 1) await upload();
    await settled();
    assert.deepEqual(uploads, []);
    for (const set of [setPicture, (mxc: string) => handle("PUT", PROFILE, `{"a":"${mxc}"}`)]) {
      assert.match(sentenceOf(await set(first)), /choose it again/);
    }
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });

  test("does not leave after tries that were refused, nor for its size", async () => {
    const tries: (() => Promise<void>)[] = [
      async () => {
        const large = await upload(fileOf(new Uint8Array(60_000_000)));
        assert.match(sentenceOf(await setPicture(large)), /at most 10 MB/);
      },
      async () => {
        clean = () => Promise.reject(new Error("It keeps them."));
        assert.match(sentenceOf(await setPicture(await upload())), /keeps them/);
      },
      async () => {
        clean = (picture) => Promise.resolve(picture);
        const working = answer;
        answer = () => Promise.resolve(Response.json({ errcode: "M_X" }, { status: 500 }));
        assert.match(sentenceOf(await setPicture(await upload())), /could not be uploaded/);
        answer = working;
      },
    ];
    for (let count = 0; count < MAX_HELD; count += 1) for (const one of tries) await one();
    await settled();
    assert.deepEqual([uploads, put], [[], []]);
  });

  test("is not told to who is asked for it, since it could be named then", async () => {
    const mxc = await upload();
    const place = mxc.slice("mxc://".length);
    const media = `${HS}/_matrix/client/v1/media/thumbnail/`;
    assert.match(sentenceOf(await handle("GET", media + place, undefined)), /choose it again/);
    await handle("PUT", PROFILE, JSON.stringify({ avatar_url: mxc }));
    const outcome = await handle("GET", `${media}${place}?width=9`, undefined);
    assert.equal(outcome.kind === "send" && outcome.url, `${media}hs.example.org/number1?width=9`);
    assert.equal((await handle("GET", `${media}hs.example.org/x`, undefined)).kind, "send");
  });

  test("does not leave as a picture that the room's state names in another way", async () => {
    const mxc = await upload();
    const bodies = [
      JSON.stringify({ url: "mxc://hs/x", thumbnail_url: mxc }),
      JSON.stringify([{ url: mxc }]),
      `{"url":"${mxc}"`,
    ];
    for (const body of bodies) {
      assert.match(sentenceOf(await handle("PUT", AVATAR, body)), /could not protect this change/);
    }
    const event = { event: { type: "m.room.avatar", content: { url: mxc } } };
    await assert.rejects(client.crypto.encryptEvent(event), /could not protect this change/);
    assert.deepEqual(uploads, []);
  });

  test("does not leave for another of its size", async () => {
    respond = async (file) => {
      // Of a widget, as a copy: nobody can tell which is which.
      await handle("POST", UPLOAD, new Blob([png(2, "widget")]));
      return read(await handle("POST", UPLOAD, new Blob([file as Blob])));
    };
    assert.match(await upload(), /^mxc:/);
    assert.deepEqual(uploads, []);
    respond = () => Promise.resolve({});
    assert.equal(await upload(), "");
    assert.deepEqual(await handle("POST", UPLOAD, fileOf()), { kind: "send" });
  });

  test("does not leave for a session that ended meanwhile", async () => {
    let told = "";
    respond = async (file) => {
      writer.attach(clientOf());
      const outcome = await handle("POST", UPLOAD, file as Blob);
      told = sentenceOf(outcome);
      return {};
    };
    await upload();
    assert.match(told, /could not be uploaded/);
    assert.deepEqual(uploads, []);
  });
});

describe("a picture that is asked about", () => {
  test("may stay readable, where its state does", async () => {
    mode = "ask";
    chosen = "readable";
    assert.equal((await setPicture(await upload())).kind, "send");
    assert.deepEqual(offered, [["encrypt", "readable", "cancel"]]);
    assert.deepEqual([uploads.length, sealed.length], [1, 0]);
    assert.equal((await setPicture(await upload())).kind, "send");
    assert.equal(offered.length, 1);
  });

  test("cannot stay readable where its state is encrypted in any case", async () => {
    mode = "ask";
    encryptsAnyway = true;
    // As an answer that was given before the room had an encrypted picture.
    remembered = "readable";
    assert.equal((await setPicture(await upload())).kind, "reply");
    assert.deepEqual(offered, [["encrypt", "cancel"]]);
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
    chosen = "encrypt";
    assert.deepEqual(await setPicture(await upload()), putAnswer);
    assert.deepEqual([uploads.length, sealed.length], [0, 1]);
  });
});

function newRoom(url: string, more: object = {}): Record<string, unknown> {
  const initial_state = [
    { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
    { type: "m.room.avatar", content: { url } },
  ];
  return { preset: "private_chat", name: "Garden", initial_state, ...more };
}

describe("a room that is made with a picture", () => {
  const CREATE = `${HS}/_matrix/client/v3/createRoom`;
  const make = (body: object): Promise<Outcome> => {
    others = [{ handler: "state", shield: "encrypted-state", name: "", question: null }];
    return handle("POST", CREATE, JSON.stringify(body));
  };
  const bodyOf = (outcome: Outcome): Record<string, unknown> =>
    JSON.parse(outcome.kind === "send" ? String(outcome.body) : "{}") as Record<string, unknown>;
  const pictureIn = (outcome: Outcome): Record<string, unknown> => {
    const [, picture] = bodyOf(outcome)["initial_state"] as { content: Record<string, unknown> }[];
    return picture?.content ?? {};
  };
  const asBytes = (body: unknown): PausedRequest => ({
    method: "POST",
    url: CREATE,
    headers: [["Authorization", "Bearer third"]],
    body: new TextEncoder().encode(JSON.stringify(body)),
    signal: undefined,
  });

  test("has it encrypted before those who encrypt its state see it", async () => {
    const mxc = await upload();
    const outcome = await make(newRoom(mxc));
    assert.equal(outcome.kind === "send" && outcome.noted, "rewritten");
    const file = pictureFile(pictureIn(outcome));
    assert.ok(file !== undefined && sealed[0] !== undefined);
    assert.deepEqual([...(await decrypted(file, sealed[0].body))], [...png()]);
    const { initial_state: events, ...rest } = bodyOf(outcome);
    assert.deepEqual(rest, { preset: "private_chat", name: "Garden" });
    assert.deepEqual((events as unknown[])[0], (newRoom("")["initial_state"] as unknown[])[0]);
    assert.deepEqual(uploads, []);
  });

  test("has it readable again where they say that its state stays so", async () => {
    const outcome = await make(newRoom(await upload()));
    const back = await writer.unsealed(asBytes(bodyOf(outcome)));
    assert.ok(back !== undefined);
    assert.deepEqual(bodyOf(back), newRoom("mxc://hs.example.org/number2"));
    assert.equal(uploads[0]?.token, "Bearer third");
    answer = () => Promise.reject(new TypeError("network"));
    const other = bodyOf(await make(newRoom(await upload())));
    assert.deepEqual(other, {});
    assert.equal(await writer.unsealed(asBytes(newRoom("mxc://hs/x"))), undefined);
  });

  test("is not made where the picture cannot be encrypted or put back", async () => {
    const mxc = await upload(fileOf("<svg/>", "a.svg", "image/svg+xml"));
    assert.match(sentenceOf(await make(newRoom(mxc))), /PNG, JPEG/);
    const outcome = await make(newRoom(await upload()));
    answer = () => Promise.resolve(Response.json({ errcode: "M_X" }, { status: 500 }));
    assert.deepEqual(await writer.unsealed(asBytes(bodyOf(outcome))), {
      kind: "reply",
      status: 500,
      body: '{"errcode":"M_X"}',
    });
  });

  test("is not made where nobody can tell which picture is to be encrypted", async () => {
    const [mxc, other] = [await upload(), await upload()];
    const avatar = (content: unknown): object => ({ type: "m.room.avatar", content });
    const [encryption] = newRoom("")["initial_state"] as object[];
    for (const events of [
      [avatar({ url: mxc }), avatar({ url: other })],
      [avatar([mxc])],
      [avatar({ url: mxc, thumbnail_url: other })],
      [avatar({ url: "mxc://hs/x", thumbnail_url: mxc })],
    ]) {
      const outcome = await make(newRoom("", { initial_state: [encryption, ...events] }));
      assert.match(sentenceOf(outcome), /could not protect this change/);
    }
    assert.deepEqual([uploads, sealed], [[], []]);
  });

  test("has its picture put back also where the session ended meanwhile", async () => {
    const outcome = await make(newRoom(await upload()));
    writer.attach(clientOf());
    const back = await writer.unsealed(asBytes(bodyOf(outcome)));
    assert.deepEqual(back && bodyOf(back), newRoom("mxc://hs.example.org/number2"));
  });

  const readable: Record<string, object> = {
    public: { visibility: "public" },
    "public by its preset": { preset: "public_chat" },
    unencrypted: { initial_state: [{ type: "m.room.avatar", content: { url: "" } }] },
  };
  for (const [what, more] of Object.entries(readable)) {
    test(`has it as ever where the room is ${what}`, async () => {
      const mxc = await upload();
      const body = JSON.stringify(newRoom(mxc, more)).replace('"url":""', `"url":"${mxc}"`);
      const outcome = await make(JSON.parse(body) as object);
      assert.equal(
        outcome.kind === "send" && outcome.body,
        body.replaceAll(mxc, "mxc://hs.example.org/number1"),
      );
      assert.deepEqual([uploads.length, sealed.length], [1, 0]);
    });
  }
});

describe("other requests", () => {
  test("are not looked at while nothing waits", () => {
    assert.equal(writer.flags(NEEDS_BODY, "PUT", PROFILE), NEEDS_BODY);
    assert.deepEqual(writer.delegates([]), []);
    others = [{ handler: "media", shield: "media", name: "", question: null }];
    assert.equal(writer.delegates(others), others);
  });

  test("are looked at no more some minutes after all is where it belongs", async () => {
    const mxc = await upload();
    await setPicture(await upload());
    time += MAX_AGE_MS;
    assert.notEqual(writer.flags(0, "PUT", AVATAR), 0);
    await handle("PUT", PROFILE, JSON.stringify({ avatar_url: mxc }));
    assert.notEqual(writer.flags(0, "PUT", AVATAR), 0);
    time += MAX_AGE_MS;
    assert.equal(writer.flags(0, "PUT", AVATAR), 0);
    assert.equal(client.mxcUrlToHttp(mxc, 96), "https of mxc://hs.example.org/number2 96");
  });

  test("are looked at first while something does, and pass", async () => {
    await upload();
    assert.equal(writer.flags(0, "GET", PROFILE), 0);
    assert.equal(writer.flags(REPLY, "PUT", PROFILE), REPLY);
    assert.equal(writer.flags(0, "PUT", "https://elsewhere.example.org/x"), 0);
    assert.equal(writer.flags(DELEGATE, "PUT", PROFILE), DELEGATE);
    const media = { handler: "media", shield: "media", name: "", question: null } as const;
    assert.deepEqual(
      writer.delegates([media]).map(({ handler }) => handler),
      ["room-pictures", "media"],
    );
    // A core that delegates to nobody knows it is broken: nothing may hide that.
    assert.deepEqual(writer.delegates([]), []);
    for (const body of ["{}", "no JSON", undefined]) {
      assert.deepEqual(await handle("PUT", PROFILE, body), { kind: "send" });
    }
    assert.deepEqual(await handle("POST", UPLOAD, fileOf()), { kind: "send" });
    assert.deepEqual(uploads, []);
  });
});

describe("a person's picture in one room", () => {
  const OWN = `${HS}/_matrix/client/v3/rooms/!r%3Ahs/state/m.room.member/%40a%3Ahs.example.org`;
  const setOwn = (mxc: string, more: object = {}): Promise<Outcome> =>
    handle("PUT", OWN, JSON.stringify({ membership: "join", avatar_url: mxc, ...more }));

  beforeEach(() => {
    mode = "off";
    sealsMembers = () => Promise.resolve(true);
  });

  test("waits and leaves encrypted, whatever is said of pictures of rooms", async () => {
    const outcome = await setOwn(await upload());
    assert.deepEqual(outcome, { kind: "send", body: "sealed" });
    assert.deepEqual(uploads, []);
    const file = pictureFile(put[0]?.content);
    assert.ok(file !== undefined && sealed[0] !== undefined);
    assert.deepEqual([...(await decrypted(file, sealed[0].body))], [...png()]);
    // And a room's is as it was chosen for those.
    assert.equal((await setPicture(await upload())).kind, "send");
    assert.equal(uploads.length, 1);
  });

  test("of another kind, or too large, is refused in words, and nothing of it leaves", async () => {
    for (const [file, sentence] of [
      [fileOf("<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "image/svg+xml"), /PNG, JPEG/],
      [fileOf(new Uint8Array(50_000_000)), /at most 10 MB/],
    ] as const) {
      assert.match(sentenceOf(await setOwn(await upload(file))), sentence);
    }
    clean = () => Promise.reject(new Error("It keeps them."));
    assert.equal(sentenceOf(await setOwn(await upload())), "It keeps them.");
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });

  test("is refused where nobody can tell, or something else names it", async () => {
    const mxc = await upload();
    assert.match(sentenceOf(await setOwn(mxc, { "org.example": mxc })), /your picture/);
    assert.match(sentenceOf(await setOwn("mxc://hs/x", { "org.example": mxc })), /your picture/);
    sealsMembers = () => Promise.reject(new TypeError("?"));
    assert.match(sentenceOf(await setOwn(mxc)), /your picture/);
    assert.deepEqual([uploads, sealed, put], [[], [], []]);
  });

  test("that is picked in Mantle leaves encrypted or not at all", async () => {
    const take = (): string => writer.holdPicked(fileOf(), `${HS}/`);
    assert.deepEqual(await setOwn(take()), { kind: "send", body: "sealed" });
    assert.equal(sealed[0]?.url, UPLOAD.replace(/[?].*/, ""));
    const mxc = take();
    for (const seals of [() => Promise.resolve(false), undefined]) {
      sealsMembers = seals;
      assert.match(sentenceOf(await setOwn(mxc)), /your picture/);
      assert.match(sentenceOf(await handle("PUT", PROFILE, mxc)), /your picture/);
    }
    assert.throws(take, /could not be uploaded/);
    sealsMembers = () => Promise.resolve(true);
    writer.attach(undefined);
    assert.throws(take, /could not be uploaded/);
    assert.deepEqual([uploads.length, sealed.length], [0, 1]);
  });

  test("goes out as ever where it is readable, and does not wait where that is off", async () => {
    const mxc = await upload();
    sealsMembers = () => Promise.resolve(false);
    assert.equal((await setOwn(mxc)).kind, "send");
    assert.equal(uploads.length, 1);
    sealsMembers = undefined;
    assert.equal(await upload(), "");
    assert.deepEqual([sealed, put], [[], []]);
  });
});
