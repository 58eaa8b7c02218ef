import { client } from "./session.ts";

/** Uploads a named file by XMLHttpRequest, in clear, with progress. */
export async function uploadFile(
  name: string,
  type: string,
  base64: string,
): Promise<{ uri: string; progressed: boolean }> {
  let progressed = false;
  const file = new File([bytes(base64)], name, { type });
  const { content_uri: uri } = await client().uploadContent(file, {
    progressHandler: ({ loaded }) => {
      progressed ||= loaded > 0;
    },
  });
  return { uri, progressed };
}

/** Uploads as Element uploads pictures of people, rooms and spaces: by nothing but the file. */
export async function uploadPicture(
  name: string,
  type: string,
  base64: string,
): Promise<{ uri: string }> {
  const file = new File([bytes(base64)], name, { type });
  return { uri: (await client().uploadContent(file)).content_uri };
}

let begun: ReturnType<ReturnType<typeof client>["uploadContent"]> | undefined;
let ended: Promise<string> | undefined;

/** Begins an upload that may take longer than a driver's call may. */
export function startUpload(name: string, type: string, base64: string): void {
  begun = client().uploadContent(new File([bytes(base64)], name, { type }));
  ended = begun.then(
    () => "sent",
    (error: Error) => error.name,
  );
}

/** Takes the upload that was begun back, as Element's "cancel" does. */
export function cancelUpload(): void {
  if (begun !== undefined) client().cancelUpload(begun);
}

/** How the upload that was begun ended: "sent", or the error's name. */
export async function endOfUpload(): Promise<string> {
  return (await ended) ?? "nothing was begun";
}

/** The other ways a client may upload: `fetch`, streams, and MSC2246's create and PUT. */
export async function uploadOtherwise(
  how: "fetch" | "create" | "create by XHR" | "r0" | "stream",
  name: string,
  type: string,
  base64: string,
): Promise<{ status: number; uri: string }> {
  const base = `${client().getHomeserverUrl()}/_matrix/media`;
  const headers = { Authorization: `Bearer ${client().getAccessToken()}`, "Content-Type": type };
  const query = `filename=${encodeURIComponent(encodeURIComponent(name))}`;
  let url = `${base}/${how === "r0" ? "r0" : "v3"}/upload?${query}`;
  let method = "POST";
  let uri: string | undefined;
  if (how === "create" || how === "create by XHR") {
    const created = await fetch(`${base}/v1/create`, { method: "POST", headers, body: "{}" });
    uri = ((await created.json()) as { content_uri: string }).content_uri;
    url = `${base}/v3/upload/${uri.replace("mxc://", "")}?${query}`;
    method = "PUT";
  }
  const blob = new Blob([bytes(base64)], { type });
  if (how === "create by XHR") return byRequest(method, url, headers, blob, uri ?? "");
  if (how === "stream") {
    // Its length is known to nobody before its end; Chromium only.
    const init = { method, headers, body: blob.stream(), duplex: "half" };
    const streamed = await fetch(url, init as RequestInit);
    return { status: streamed.status, uri: await streamed.text() };
  }
  const body = how === "r0" ? bytes(base64) : blob;
  const response = await fetch(new Request(url, { method, headers, body }));
  const answer = (await response.json()) as { content_uri?: string; error?: string };
  return { status: response.status, uri: uri ?? answer.content_uri ?? answer.error ?? "" };
}

/** Uploads to another homeserver, as a client signed in there would. */
export async function uploadTo(
  base: string,
  token: string,
  name: string,
  type: string,
  base64: string,
): Promise<{ uri: string }> {
  const url = `${base}/_matrix/media/v3/upload?filename=${encodeURIComponent(name)}`;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": type };
  const { answer } = await byRequest("POST", url, headers, new Blob([bytes(base64)], { type }), "");
  return { uri: (JSON.parse(answer) as { content_uri?: string }).content_uri ?? "" };
}

/** By XMLHttpRequest; rejects where there was no answer. */
function byRequest(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: Blob,
  uri: string,
): Promise<{ status: number; uri: string; answer: string }> {
  const request = new XMLHttpRequest();
  request.open(method, url);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  return new Promise((resolve, reject) => {
    request.onload = () => resolve({ status: request.status, uri, answer: request.responseText });
    request.onerror = () => reject(new Error("the upload failed"));
    request.send(body);
  });
}

/** Encrypts like Element does for attachments (AES-CTR) and uploads the nameless result. */
export async function uploadEncrypted(base64: string): Promise<{ uri: string }> {
  const key = await crypto.subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt"]);
  const counter = new Uint8Array(16);
  crypto.getRandomValues(counter.subarray(0, 8));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-CTR", counter, length: 64 },
    key,
    bytes(base64),
  );
  const blob = new Blob([sealed], { type: "application/octet-stream" });
  const { content_uri: uri } = await client().uploadContent(blob, {
    includeFilename: false,
    type: "application/octet-stream",
  });
  return { uri };
}

/** Fetches a file with the token, as the authenticated media endpoints want it. */
export async function download(uri: string): Promise<{ status: number; base64: string }> {
  const url = client().mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
  if (url === null) throw new Error("Not an mxc address");
  const response = await fetch(url, {
    headers: { Authorization: `Bearer ${client().getAccessToken()}` },
  });
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, base64: btoa(String.fromCharCode(...body)) };
}

/** Shows a picture by an `img` at the old path, which the service worker may upgrade. */
export async function showPicture(uri: string): Promise<{ shown: boolean }> {
  const url = client().mxcUrlToHttp(uri);
  if (url === null) throw new Error("Not an mxc address");
  const picture = new Image();
  const shown = await new Promise<boolean>((resolve) => {
    picture.onload = () => resolve(true);
    picture.onerror = () => resolve(false);
    picture.src = url;
  });
  return { shown };
}

/** Asks the homeserver what is behind a link. */
export async function previewLink(url: string): Promise<void> {
  await client().getUrlPreview(url, Date.now());
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
