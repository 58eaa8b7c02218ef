import { OAuth2, PushRuleActionName, PushRuleKind } from "matrix-js-sdk";
import type { AuthDict } from "matrix-js-sdk";
import { fetchJson, randomText } from "./platform.ts";
import { client, loaded } from "./session.ts";

/** Renames this or another session. */
export async function renameDevice(deviceId: string, name: string): Promise<void> {
  await client().setDeviceDetails(deviceId, { display_name: name });
}

/** The sessions as the settings show them. */
export async function devices(): Promise<{ deviceId: string; name: string | null }[]> {
  const { devices: list } = await client().getDevices();
  return list.map((device) => ({ deviceId: device.device_id, name: device.display_name ?? null }));
}

/** Device names the homeserver tells people who ask for somebody's keys. */
export async function devicesSeenByPeers(userId: string): Promise<(string | null)[]> {
  const { device_keys: keys } = await client().downloadKeysForUsers([userId]);
  return Object.values(keys[userId] ?? {}).map(
    (device) => device.unsigned?.device_display_name ?? null,
  );
}

/** Registers this client at an authorisation server, as js-sdk does for Element. */
export async function registerOAuthClient(issuer: string): Promise<{ clientId: string }> {
  const metadata = await fetchJson(`${issuer}/.well-known/openid-configuration`);
  const page = location.origin + "/";
  const clientId = await OAuth2.registerClient(
    metadata as never,
    {
      client_name: String((await loaded).config["brand"] ?? "Element"),
      client_uri: page,
      redirect_uris: [page],
      logo_uri: `${page}vector-icons/1024.png`,
      application_type: "web",
      contacts: [],
      tos_uri: page,
      policy_uri: page,
    } as never,
  );
  return { clientId };
}

/** A token request at the homeserver for an own address, in all three places Element asks. */
export async function requestOwnEmail(email: string, idServer?: string): Promise<void> {
  const named = idServer === undefined ? {} : { id_server: idServer, id_access_token: "is-token" };
  for (const place of ["account/3pid/email", "register/email", "account/password/email"]) {
    await client()
      .http.authedRequest("POST" as never, `/${place}/requestToken`, undefined, {
        email,
        client_secret: randomText(32),
        send_attempt: 1,
        next_link: location.href,
        ...named,
      })
      .catch(() => undefined);
  }
}

/** The same for a phone number. */
export async function requestOwnPhone(phone: string, idServer?: string): Promise<void> {
  const named = idServer === undefined ? {} : { id_server: idServer, id_access_token: "is-token" };
  for (const place of ["account/3pid/msisdn", "register/msisdn", "account/password/msisdn"]) {
    await client()
      .http.authedRequest("POST" as never, `/${place}/requestToken`, undefined, {
        country: "GB",
        phone_number: phone,
        client_secret: randomText(32),
        send_attempt: 1,
        ...named,
      })
      .catch(() => undefined);
  }
}

/** An interactive authentication request whose e-mail stage names the identity server. */
export async function authenticateByEmail(idServer: string): Promise<void> {
  const auth: AuthDict = {
    type: "m.login.email.identity",
    session: "session",
    threepid_creds: { sid: "1", client_secret: randomText(32), id_server: idServer },
    threepidCreds: { sid: "1", client_secret: randomText(32), id_server: idServer },
  };
  const bodies: Record<string, Record<string, unknown>> = {
    "account/password": { new_password: "never used", logout_devices: false },
    "account/deactivate": { erase: false },
    delete_devices: { devices: ["NOSUCHDEVICE"] },
    "keys/device_signing/upload": {},
    register: { username: "somebody", password: "never used" },
  };
  for (const [path, body] of Object.entries(bodies)) {
    await client()
      .http.authedRequest("POST" as never, `/${path}`, undefined, { ...body, auth } as never)
      .catch(() => undefined);
  }
}

/** Account data through js-sdk, which waits for the echo in sync. */
export async function writeAccountData(
  type: string,
  content: Record<string, unknown>,
): Promise<void> {
  await client().setAccountData(type as never, content as never);
}

/** Account data of a room. */
export async function writeRoomAccountData(
  roomId: string,
  type: string,
  content: Record<string, unknown>,
): Promise<void> {
  await client().setRoomAccountData(roomId, type as never, content as never);
}

/** A word to be notified of. */
export async function addKeyword(word: string): Promise<void> {
  await client().addPushRule("global", PushRuleKind.ContentSpecific, word, {
    pattern: word,
    actions: [PushRuleActionName.Notify],
  });
}

/** Unread messages by mail, and a push gateway without `event_id_only`. */
export async function addPushers(email: string, gateway: string): Promise<void> {
  const common = { device_display_name: email, lang: navigator.language, append: true };
  await client()
    .setPusher({
      ...common,
      kind: "http",
      app_id: "org.example.app",
      app_display_name: "Example",
      pushkey: "key",
      data: { url: `${gateway}/_matrix/push/v1/notify` },
    } as never)
    .catch(() => undefined);
  await client()
    .setPusher({
      ...common,
      kind: "email",
      app_id: "m.email",
      app_display_name: "Email Notifications",
      pushkey: email,
      data: { brand: "Element" },
    } as never)
    .catch(() => undefined);
}
