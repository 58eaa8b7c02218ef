import { fetchJson } from "./platform.ts";
import { client, loaded } from "./session.ts";
import { openFrame } from "./integrations.ts";

/** Starts a group call: asks the Jitsi host, writes the widget, opens the local wrapper. */
export async function startJitsiCall(roomId: string): Promise<void> {
  const domain = (await loaded).config.jitsi?.preferred_domain ?? "meet.element.io";
  await fetchJson(`https://${domain}/.well-known/element/jitsi`).catch(() => undefined);
  const conference = "Conference" + roomId.replace(/[^a-zA-Z]/g, "").slice(0, 12);
  const name = client().getRoom(roomId)?.name ?? "";
  const me = client().getSafeUserId();
  await client().sendStateEvent(
    roomId,
    "im.vector.modular.widgets" as never,
    {
      type: "jitsi",
      name: "Jitsi",
      creatorUserId: me,
      url: `${location.origin}/jitsi.html?confId=${conference}#conferenceDomain=$domain`,
      data: { conferenceId: conference, roomName: name, domain },
    } as never,
    "jitsi_1",
  );
  const info = new URLSearchParams({
    conferenceDomain: domain,
    conferenceId: conference,
    userId: me,
    displayName: me,
    roomName: name,
  });
  await openFrame(`${location.origin}/jitsi.html#${info.toString()}`, 20_000);
}

/** Opens the remote call page with everything about the user in the fragment. */
export async function openElementCall(roomId: string): Promise<void> {
  const base = (await loaded).config.element_call?.url ?? "https://call.element.io";
  const info = new URLSearchParams({
    userId: client().getSafeUserId(),
    deviceId: client().getDeviceId() ?? "",
    roomId,
    baseUrl: client().getHomeserverUrl(),
  });
  await openFrame(`${base}/room#?${info.toString()}`);
}

/** Renders a shared location: style from the page, tiles from a blob worker. */
export async function showLocation(tile: string): Promise<void> {
  const { config } = await loaded;
  const wellKnown = client().getClientWellKnown() as
    Record<string, { map_style_url?: string } | undefined> | undefined;
  const style =
    wellKnown?.["m.tile_server"]?.map_style_url ??
    config.map_style_url ??
    "https://api.maptiler.com/maps/streets/style.json?key=test";
  await fetchJson(style).catch(() => undefined);
  const host = new URL(style).origin;
  const source = `fetch(${JSON.stringify(`${host}/tiles/${tile}.png`)})
    .then(() => postMessage(1), () => postMessage(0));`;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  await new Promise<void>((resolve) => {
    worker.onmessage = () => resolve();
    setTimeout(resolve, 3_000);
  });
  worker.terminate();
}

/** Usage events by fetch, by XMLHttpRequest and by beacon. */
export async function captureUsage(event: Record<string, unknown>): Promise<void> {
  const host = (await loaded).config.posthog?.api_host ?? "https://posthog.element.io";
  const body = JSON.stringify(event);
  await fetch(`${host}/e/?ip=1`, { method: "POST", mode: "no-cors", body }).catch(() => undefined);
  navigator.sendBeacon(`${host}/i/v0/e/`, new Blob([body], { type: "text/plain" }));
  await xhr("POST", `${host}/decide/?v=3`, body).catch(() => undefined);
}

/** An error report. */
export async function captureError(event: Record<string, unknown>): Promise<void> {
  const dsn = new URL((await loaded).config.sentry?.dsn ?? "https://0@sentry.tools.element.io/6");
  await fetch(`https://${dsn.host}/api${dsn.pathname}/envelope/`, {
    method: "POST",
    mode: "no-cors",
    body: JSON.stringify(event),
  }).catch(() => undefined);
}

/** A bug report with logs: multipart by XMLHttpRequest. */
export async function sendBugReport(fields: Record<string, string>): Promise<void> {
  const { config } = await loaded;
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("compressed-log", new Blob(["log of " + fields["user_id"]]), "logs-0000.log.gz");
  await xhr(
    "POST",
    config.bug_report_endpoint_url ?? "https://element.io/bugreports/submit",
    form,
  ).catch(() => undefined);
}

/** A request nobody reads the answer of, as an image would make it. */
export async function requestImage(url: string): Promise<void> {
  const picture = new Image();
  await new Promise<void>((resolve) => {
    picture.onload = () => resolve();
    picture.onerror = () => resolve();
    setTimeout(resolve, 3_000);
    picture.src = url;
  });
}

/** A plain GET to any host; quiet when it fails. */
export async function visit(url: string): Promise<{ status: number }> {
  return fetch(url).then(
    (response) => ({ status: response.status }),
    () => ({ status: 0 }),
  );
}

/** Begins to load the captcha of a registration, as Element does. */
export async function loadCaptcha(): Promise<void> {
  const script = document.createElement("script");
  script.setAttribute("src", "https://www.recaptcha.net/recaptcha/api.js?render=explicit");
  document.body.append(script);
  await Promise.resolve();
}

/** Keeps the page's `version` poll going once. */
export async function pollVersion(): Promise<void> {
  await fetch("version", { cache: "no-cache" });
}

function xhr(method: string, url: string, body: XMLHttpRequestBodyInit): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "json";
    request.timeout = 10_000;
    request.onload = () => resolve(request.status);
    request.onerror = () => reject(new Error("XMLHttpRequest failed"));
    request.ontimeout = () => reject(new Error("XMLHttpRequest timed out"));
    request.send(body);
  });
}
