/**
 * An OAuth 2 server in front of Synapse, as the Matrix Authentication Service is: it registers
 * clients, asks the person, gives, renews and takes back tokens, and names each session itself, after
 * the client's name and the browser that asks for the first token.
 */
import { createHash, createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { answerJson, forward, withPreflight } from "./recorder.ts";
import type { Handler, RecordedRequest } from "./recorder.ts";
import type { Synapse } from "./synapse.ts";

/** Its host. */
export const AUTH = "mas.example.org";
const ISSUER = `https://${AUTH}/`;

/** A session that this server gave tokens for. */
export interface AuthSession {
  readonly clientName: string;
  readonly deviceId: string;
  /** What it called the session. */
  readonly deviceName: string;
  accessToken: string;
  refreshToken: string;
  refreshes: number;
  /** Kinds of tokens that the client gave back. */
  readonly revoked: string[];
}

export interface AuthServer {
  /** For the host `AUTH`. */
  readonly handler: Handler;
  /** For the homeserver's host: Synapse, which says where one signs in. */
  readonly homeserver: Handler;
  readonly sessions: readonly AuthSession[];
  /** From now on the homeserver takes none of the access tokens given so far. */
  expire(): void;
}

interface Grant {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly scope: string;
  readonly nonce: string | null;
  readonly challenge: string;
}

/** The person at the browser is `user`, who says yes to every client. */
export function startAuthServer(synapse: Synapse, user: string, password: string): AuthServer {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const clients = new Map<string, string>();
  const grants = new Map<string, Grant>();
  const sessions: AuthSession[] = [];
  const expired = new Set<string>();
  const metadata = {
    issuer: ISSUER,
    authorization_endpoint: `${ISSUER}authorize`,
    token_endpoint: `${ISSUER}oauth2/token`,
    registration_endpoint: `${ISSUER}oauth2/registration`,
    revocation_endpoint: `${ISSUER}oauth2/revoke`,
    jwks_uri: `${ISSUER}oauth2/keys.json`,
    account_management_uri: `${ISSUER}account`,
    response_types_supported: ["code"],
    response_modes_supported: ["query", "fragment"],
    grant_types_supported: ["authorization_code", "refresh_token"],
    code_challenge_methods_supported: ["S256"],
    prompt_values_supported: ["create"],
  };

  const idToken = (clientId: string, nonce: string | null): string => {
    const part = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: ISSUER, sub: user, aud: clientId, nonce, exp: Date.now() / 1000 + 3600 };
    const text = `${part({ alg: "RS256", kid: "1" })}.${part({ ...claims, iat: Date.now() / 1000 })}`;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")}`;
  };

  const firstTokens = async (form: URLSearchParams, userAgent: string): Promise<unknown> => {
    const grant = grants.get(form.get("code") ?? "");
    grants.delete(form.get("code") ?? "");
    const verifier = createHash("sha256").update(form.get("code_verifier") ?? "");
    if (grant === undefined || verifier.digest("base64url") !== grant.challenge) return undefined;
    if (form.get("redirect_uri") !== grant.redirectUri) return undefined;
    const clientName = clients.get(grant.clientId) ?? "";
    const deviceId = /:device:(\S+)/.exec(grant.scope)?.[1] ?? "";
    const deviceName = `${clientName}: ${browserOf(userAgent)}`;
    const login = await synapse.call(undefined, "POST", "/_matrix/client/v3/login", {
      type: "m.login.password",
      identifier: { type: "m.id.user", user },
      password,
      device_id: deviceId,
      initial_device_display_name: deviceName,
      refresh_token: true,
    });
    const accessToken = String(login["access_token"]);
    const refreshToken = String(login["refresh_token"]);
    sessions.push({
      ...{ clientName, deviceId, deviceName, accessToken, refreshToken },
      refreshes: 0,
      revoked: [],
    });
    return {
      ...{ access_token: accessToken, refresh_token: refreshToken, token_type: "Bearer" },
      ...{ expires_in: 300, scope: grant.scope, id_token: idToken(grant.clientId, grant.nonce) },
    };
  };

  const nextTokens = async (form: URLSearchParams): Promise<unknown> => {
    const session = sessions.find((one) => one.refreshToken === form.get("refresh_token"));
    if (session === undefined) return undefined;
    const next = await synapse.call(undefined, "POST", "/_matrix/client/v3/refresh", {
      refresh_token: session.refreshToken,
    });
    session.accessToken = String(next["access_token"]);
    session.refreshToken = String(next["refresh_token"]);
    session.refreshes += 1;
    const { accessToken, refreshToken } = session;
    return {
      ...{ access_token: accessToken, refresh_token: refreshToken, token_type: "Bearer" },
      expires_in: 300,
    };
  };

  const revoke = async (token: string | null): Promise<void> => {
    const isAccess = sessions.find((one) => one.accessToken === token);
    const isRefresh = sessions.find((one) => one.refreshToken === token);
    isAccess?.revoked.push("access_token");
    isRefresh?.revoked.push("refresh_token");
    const session = isAccess ?? isRefresh;
    if (session === undefined || session.revoked.length > 1) return;
    const account = { userId: user, ...session };
    await synapse.call(account, "POST", "/_matrix/client/v3/logout", {});
  };

  const handler = withPreflight(async (request, response) => {
    const { pathname, searchParams: query } = new URL(request.path, ISSUER);
    const answer = (status: number, content: unknown): void =>
      answerJson(request, response, status, content);
    const form = new URLSearchParams(request.body.toString("utf8"));
    switch (pathname) {
      case "/.well-known/openid-configuration":
        return answer(200, metadata);
      case "/oauth2/keys.json":
        return answer(200, { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1" }] });
      case "/oauth2/registration": {
        const { client_name: name } = JSON.parse(request.body.toString("utf8")) as {
          client_name?: string;
        };
        const clientId = randomBytes(8).toString("hex");
        clients.set(clientId, name ?? "");
        return answer(201, { client_id: clientId });
      }
      case "/authorize": {
        const code = randomBytes(8).toString("hex");
        grants.set(code, {
          clientId: query.get("client_id") ?? "",
          redirectUri: query.get("redirect_uri") ?? "",
          scope: query.get("scope") ?? "",
          nonce: query.get("nonce"),
          challenge: query.get("code_challenge") ?? "",
        });
        const back = new URL(query.get("redirect_uri") ?? "");
        const parts = new URLSearchParams({ code, state: query.get("state") ?? "" }).toString();
        if (query.get("response_mode") === "fragment") back.hash = parts;
        else back.search = parts;
        response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
        response.end(`<!doctype html><title>Sign in</title><a id="allow">Continue</a>
          <script>document.getElementById("allow").href = ${JSON.stringify(back.href)}</script>`);
        return undefined;
      }
      case "/oauth2/token": {
        const isFirst = form.get("grant_type") === "authorization_code";
        const tokens = isFirst
          ? await firstTokens(form, String(request.headers["user-agent"]))
          : await nextTokens(form);
        return tokens === undefined ? answer(400, { error: "invalid_grant" }) : answer(200, tokens);
      }
      case "/oauth2/revoke":
        await revoke(form.get("token"));
        return answer(200, {});
      default:
        return answer(404, {});
    }
  });

  const homeserver = (
    request: RecordedRequest,
    response: Parameters<Handler>[1],
  ): Promise<void> | void => {
    const { pathname } = new URL(request.path, "https://hs");
    const isAsked = (name: string): boolean =>
      request.method === "GET" &&
      pathname.startsWith("/_matrix/client/") &&
      pathname.endsWith(name);
    if (isAsked("/auth_issuer")) return answerJson(request, response, 200, { issuer: ISSUER });
    if (isAsked("/auth_metadata")) return answerJson(request, response, 200, metadata);
    if (expired.has(String(request.headers.authorization))) {
      return answerJson(request, response, 401, {
        ...{ errcode: "M_UNKNOWN_TOKEN", error: "Access token has expired" },
        soft_logout: true,
      });
    }
    return forward(synapse.baseUrl, request, response);
  };
  const expire = (): void => {
    for (const { accessToken } of sessions) expired.add(`Bearer ${accessToken}`);
  };
  return { handler, homeserver, sessions, expire };
}

/** "Chrome on Linux" of a `User-Agent`, roughly. */
function browserOf(userAgent: string): string {
  const [, browser = "Browser"] = /(Firefox|Chrome)\//.exec(userAgent) ?? [];
  const [, system = "an unknown system"] = /(Linux|Windows|Mac OS X)/.exec(userAgent) ?? [];
  return `${browser} on ${system}`;
}
