import { SERVICE_TYPES } from "matrix-js-sdk";
import type { IOpenIDToken } from "matrix-js-sdk";
import { fetchJson } from "./platform.ts";
import { client, loaded } from "./session.ts";

/** Where an integration manager lives. */
export interface Manager {
  ui: string;
  rest: string;
}

/**
 * The managers Element would use: account data before the homeserver before config.json.
 * An empty list is how Element looks when integrations are off.
 */
export async function managers(): Promise<Manager[]> {
  const { config } = await loaded;
  const found: Manager[] = [];
  const widgets =
    client()
      .getAccountData("m.widgets" as never)
      ?.getContent() ?? {};
  for (const widget of Object.values(widgets) as {
    content?: { type?: string; url?: string; data?: { api_url?: string } };
  }[]) {
    const content = widget.content;
    if (content?.type === "m.integration_manager" && content.url && content.data?.api_url) {
      found.push({ ui: content.url, rest: content.data.api_url });
    }
  }
  const wellKnown = client().getClientWellKnown() as
    { "m.integrations"?: { managers?: { api_url?: string; ui_url?: string }[] } } | undefined;
  for (const manager of wellKnown?.["m.integrations"]?.managers ?? []) {
    if (manager.api_url)
      found.push({ ui: manager.ui_url ?? manager.api_url, rest: manager.api_url });
  }
  const { integrations_ui_url: ui, integrations_rest_url: rest } = config;
  if (ui && rest) found.push({ ui, rest });
  return found;
}

/** Signs up at a manager with an OpenID token and asks whose account that is. */
export async function managerAccount(rest: string): Promise<{ token: string; userId: unknown }> {
  const openId = await client().getOpenIdToken();
  const { scalar_token: token } = await fetchJson(`${rest}/register?v=1.1`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(openId),
  });
  const { user_id: userId } = await fetchJson(
    `${rest}/account?scalar_token=${encodeURIComponent(String(token))}&v=1.1`,
  );
  return { token: String(token), userId };
}

/** Reads and accepts a manager's terms. */
export async function managerTerms(rest: string, token: string): Promise<string[]> {
  const base = new URL(rest).origin;
  const { policies } = (await client().getTerms(SERVICE_TYPES.IM, base)) as unknown as {
    policies: Record<string, { version: string; en: { url: string } }>;
  };
  const urls = Object.values(policies).map((policy) => policy.en.url);
  await client().agreeToTerms(SERVICE_TYPES.IM, base, token, urls);
  return urls;
}

/** Opens the manager's page in a frame, with the decrypted room name in its address. */
export async function openManager(
  ui: string,
  room: { roomId: string; screen?: string; token: string },
): Promise<{ loaded: boolean }> {
  const url = new URL(ui);
  url.searchParams.set("scalar_token", room.token);
  url.searchParams.set("room_id", room.roomId);
  url.searchParams.set("room_name", client().getRoom(room.roomId)?.name ?? "");
  url.searchParams.set("theme", "light");
  if (room.screen) url.searchParams.set("screen", room.screen);
  return openFrame(url.href);
}

/** Puts a frame into the page; `loaded` says whether its page came and ran within the limit (ms). */
export async function openFrame(src: string, limit = 2_000): Promise<{ loaded: boolean }> {
  const frame = document.createElement("iframe");
  frame.sandbox.add("allow-forms", "allow-popups", "allow-scripts", "allow-same-origin");
  frame.src = src;
  const greeted = new Promise<boolean>((resolve) => {
    const onMessage = (event: MessageEvent): void => {
      if (event.source === frame.contentWindow && event.data === "frame page runs") resolve(true);
    };
    window.addEventListener("message", onMessage);
    setTimeout(() => resolve(false), limit);
  });
  document.body.append(frame);
  const result = await greeted;
  frame.remove();
  return { loaded: result };
}

/** Tells a manager that a widget's assets are switched off. */
export async function disableWidgetAssets(
  rest: string,
  token: string,
  widget: string,
): Promise<void> {
  const query = new URLSearchParams({
    scalar_token: token,
    widget_type: "m.stickerpicker",
    widget_id: widget,
    state: "disable",
  });
  await fetchJson(`${rest}/widgets/set_assets_state?${query.toString()}`);
}

/** Asks a manager for the title of a pasted link. */
export async function lookUpTitle(rest: string, token: string, link: string): Promise<unknown> {
  const query = new URLSearchParams({ scalar_token: token, curl: link });
  return fetchJson(`${rest}/widgets/title_lookup?${query.toString()}`);
}

/** Fills a widget's address as Element does and opens it. */
export async function openWidget(
  template: string,
  roomId: string,
  scalarToken?: string,
): Promise<{ loaded: boolean }> {
  const me = client().getSafeUserId();
  const filled: Record<string, string> = {
    $matrix_user_id: me,
    $matrix_display_name: client().getUser(me)?.displayName ?? me,
    $matrix_room_id: roomId,
    "$org.matrix.msc3819.matrix_device_id": client().getDeviceId() ?? "",
    "$org.matrix.msc4039.matrix_base_url": client().getHomeserverUrl(),
  };
  let address = template;
  for (const [name, value] of Object.entries(filled)) {
    address = address.replaceAll(name, encodeURIComponent(value));
  }
  const url = new URL(address);
  url.searchParams.set("widgetId", "widget1");
  url.searchParams.set("parentUrl", location.href);
  if (scalarToken) url.searchParams.set("scalar_token", scalarToken);
  return openFrame(url.href);
}

/** Hands an OpenID token to any address, as live streams, LiveKit and Jitsi do. */
export async function giveOpenIdToken(
  url: string,
  roomId: string,
  form: "json" | "query" | "header" | "form",
): Promise<{ status: number; token: string }> {
  const openId: IOpenIDToken = await client().getOpenIdToken();
  const token = openId.access_token;
  const target = new URL(url);
  let init: RequestInit;
  if (form === "query") {
    target.searchParams.set("token", token);
    init = {};
  } else if (form === "header") {
    init = { headers: { Authorization: `Bearer ${token}` } };
  } else if (form === "form") {
    init = { method: "POST", body: new URLSearchParams({ token }) };
  } else {
    init = {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ room_id: roomId, openid_token: openId }),
    };
  }
  const response = await fetch(target, init);
  return { status: response.status, token };
}
