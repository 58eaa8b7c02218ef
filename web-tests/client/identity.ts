import { SERVICE_TYPES } from "matrix-js-sdk";
import { fetchJson, randomText } from "./platform.ts";
import { client, loaded, setIdentityToken } from "./session.ts";

/** Signs up at the identity server and accepts its terms; as Element does before any other call. */
export async function identityAccount(base: string): Promise<{ token: string }> {
  const openId = await client().getOpenIdToken();
  client().setIdentityServerUrl(base);
  const answer = await client().registerWithIdentityServer(openId);
  const token = answer.token ?? answer.access_token;
  setIdentityToken(token);
  await client().getIdentityAccount(token);
  const { policies } = (await client().getTerms(SERVICE_TYPES.IS, base)) as unknown as {
    policies: Record<string, { en: { url: string } }>;
  };
  const urls = Object.values(policies).map((policy) => policy.en.url);
  await client().agreeToTerms(SERVICE_TYPES.IS, base, token, urls);
  return { token };
}

/** Looks for people by address. */
export async function lookUp(
  base: string,
  addresses: [address: string, medium: string][],
  token: string,
): Promise<unknown> {
  client().setIdentityServerUrl(base);
  return client().identityHashedLookup(addresses, token);
}

/** Any identity server call of either version, as other clients and older builds make it. */
export async function identityCall(
  base: string,
  method: string,
  path: string,
  body?: Record<string, unknown>,
): Promise<{ status: number; body: string; contentType: string | null }> {
  const response = await fetch(`${base}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    body: await response.text(),
    contentType: response.headers.get("Content-Type"),
  };
}

/** "Make discoverable": verifies an address at the identity server, then publishes it. */
export async function validateEmail(email: string, token: string): Promise<{ sid: string }> {
  const answer = await client().requestEmailToken(email, randomText(32), 1, location.href, token);
  return { sid: answer.sid };
}

/** The same with a phone number. */
export async function validatePhone(phone: string, token: string): Promise<{ sid: string }> {
  const secret = randomText(32);
  const answer = await client().requestMsisdnToken("GB", phone, secret, 1, location.href, token);
  await client().submitMsisdnToken(answer.sid, secret, "123456", token);
  return { sid: answer.sid };
}

/** Binds an address through the homeserver. */
export async function bind(sid: string, token: string): Promise<void> {
  await client().bindThreePid({
    client_secret: randomText(32),
    id_server: client().getIdentityServerUrl(true) ?? "vector.im",
    id_access_token: token,
    sid,
  });
}

/** Asks the homeserver to forget a binding. */
export async function unbind(base: string, email: string): Promise<void> {
  client().setIdentityServerUrl(base);
  await client().unbindThreePid("email", email);
}

/** An authenticated call to the homeserver that js-sdk has no (longer a) function for. */
export async function homeserverCall(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: string }> {
  const response = await fetch(client().getHomeserverUrl() + path, {
    method,
    headers: {
      Authorization: `Bearer ${client().getAccessToken()}`,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.text() };
}

/** Opens an e-mail invitation link: signs at whatever address the link names. */
export async function signInvite(signUrl: string): Promise<unknown> {
  const url = new URL(signUrl);
  url.searchParams.set("mxid", client().getSafeUserId());
  return fetchJson(url.href, { method: "POST" });
}

/** The identity server Element would use now, if any. */
export async function identityServer(): Promise<string | null> {
  return (await loaded).identityServerUrl ?? null;
}
