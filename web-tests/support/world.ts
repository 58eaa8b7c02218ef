import { clientPage } from "./client-page.ts";
import type { ClientPageOptions } from "./client-page.ts";
import { answerJson, startRecorder, withPreflight } from "./recorder.ts";
import type { Handler, RecordedRequest, Recorder, Route } from "./recorder.ts";
import { startSynapse } from "./synapse.ts";
import type { Synapse } from "./synapse.ts";

/** The homeserver's host. */
export const HOMESERVER = "hs.example.org";
/** A homeserver that serves media to anyone, in worlds that have one. */
export const OPEN_HOMESERVER = "open.example.org";
/** The integration manager config.json names. */
export const MANAGER = "scalar.vector.im";

/** A homeserver, a client page and every other server Element may talk to. */
export interface World {
  readonly recorder: Recorder;
  readonly synapse: Synapse;
  /** The one at `OPEN_HOMESERVER`. */
  readonly openMedia: Synapse | undefined;
  /** One more recorder with the same hosts, so that two browsers do not mix. */
  openRecorder(): Promise<Recorder>;
  close(): Promise<void>;
}

/** Starts Synapse and the recorder with all hosts of the tests. */
export async function startWorld(
  options: {
    client?: ClientPageOptions;
    wellKnown?: Record<string, unknown>;
    enableAuthenticatedMedia?: boolean;
    /** With a second homeserver that serves media to anyone. */
    withOpenMedia?: boolean;
    synapseConfig?: Record<string, unknown>;
  } = {},
): Promise<World> {
  const page = await clientPage(options.client);
  const synapse = await startSynapse({
    ...(options.enableAuthenticatedMedia === undefined
      ? {}
      : { enableAuthenticatedMedia: options.enableAuthenticatedMedia }),
    ...(options.wellKnown === undefined ? {} : { wellKnown: options.wellKnown }),
    ...(options.synapseConfig === undefined ? {} : { config: options.synapseConfig }),
  });
  const openMedia =
    options.withOpenMedia === true
      ? await startSynapse({ enableAuthenticatedMedia: false }).catch(async (error: unknown) => {
          // Left alone, the other one would keep this process from ending.
          await synapse.stop();
          throw error;
        })
      : undefined;
  const hosts: Record<string, Route> = {
    "chat.example.org": page,
    "app.element.io": page,
    [HOMESERVER]: { forward: synapse.baseUrl },
    ...(openMedia === undefined ? {} : { [OPEN_HOMESERVER]: { forward: openMedia.baseUrl } }),
    "vector.im": identityServer(),
    "matrix.org": identityServer(),
    "is.example.org": identityServer(),
    [MANAGER]: integrationManager(),
    "scalar-staging.vector.im": integrationManager(),
    "scalar-staging.riot.im": integrationManager(),
    "im.example.org": integrationManager(),
    "auth.example.org": authorisationServer("auth.example.org"),
    "meet.element.io": framePage(),
    "call.element.io": framePage(),
    "widget.example.org": framePage(),
    "api.maptiler.com": withPreflight((request, response) =>
      answerJson(request, response, 200, { version: 8, sources: {}, layers: [] }),
    ),
  };
  const recorders: Recorder[] = [];
  const openRecorder = async (): Promise<Recorder> => {
    const recorder = await startRecorder({ hosts });
    recorders.push(recorder);
    return recorder;
  };
  return {
    recorder: await openRecorder(),
    synapse,
    openMedia,
    openRecorder,
    close: async () => {
      await Promise.all(recorders.map((recorder) => recorder.close()));
      await synapse.stop();
      await openMedia?.stop();
    },
  };
}

/** An identity server that does its work, version 2 and what remains of version 1. */
export function identityServer(options: { algorithms?: string[] } = {}): Handler {
  return withPreflight((request, response) => {
    const path = new URL(request.path, "https://is").pathname;
    const version1 = path.startsWith("/_matrix/identity/api/v1");
    const name = path.replace(/^\/_matrix\/identity\/(api\/v1|v2)/, "");
    const found = identityAnswer(version1 ? `v1${name}` : name, request, options);
    if (found === undefined) {
      return answerJson(request, response, 404, { errcode: "M_UNRECOGNIZED", error: "Unknown" });
    }
    return answerJson(request, response, 200, found);
  });
}

function identityAnswer(
  name: string,
  request: RecordedRequest,
  options: { algorithms?: string[] },
): unknown {
  switch (name) {
    case "":
    case "v1":
      return {};
    case "/account/register":
      return { token: "is-token-0123456789", access_token: "is-token-0123456789" };
    case "/account":
      return { user_id: "@alice:hs.example.org" };
    case "/account/logout":
      return {};
    case "/terms":
      return request.method === "GET" ? TERMS : {};
    case "/hash_details":
      return { algorithms: options.algorithms ?? ["sha256"], lookup_pepper: "pepper" };
    case "/lookup":
      return { mappings: {} };
    case "v1/lookup":
      return {};
    case "v1/bulk_lookup":
      return { threepids: [] };
    case "/3pid/bind":
    case "/3pid/unbind":
    case "v1/3pid/bind":
      return {};
    case "/store-invite":
    case "v1/store-invite":
      return { token: "t", public_keys: [], public_key: "k", display_name: "i...@m..." };
    case "/sign-ed25519":
    case "v1/sign-ed25519":
      return { mxid: "", sender: "", token: "t", signatures: {} };
    default:
      if (/\/validate\/(email|msisdn)\/requestToken$/.test(name)) return { sid: "sid1" };
      if (/\/validate\/(email|msisdn)\/submitToken$/.test(name)) return { success: true };
      return undefined;
  }
}

const TERMS = {
  policies: { terms: { version: "1", en: { name: "Terms", url: "https://terms.example.org/1" } } },
};

/** An integration manager: accounts for OpenID tokens, terms, widget states and a page. */
export function integrationManager(): Handler {
  return withPreflight((request, response) => {
    const path = new URL(request.path, "https://im").pathname;
    if (path.endsWith("/register")) {
      return answerJson(request, response, 200, { scalar_token: "scalar-token-0123456789" });
    }
    if (path.endsWith("/account")) {
      return answerJson(request, response, 200, { user_id: "@alice:hs.example.org" });
    }
    if (path.endsWith("/terms")) {
      return answerJson(request, response, 200, request.method === "GET" ? TERMS : {});
    }
    if (/\/widgets\/(set_assets_state|title_lookup)$/.test(path)) {
      return answerJson(request, response, 200, { page_title_cache_item: {} });
    }
    return framePage()(request, response);
  });
}

function authorisationServer(host: string): Handler {
  const issuer = `https://${host}`;
  return withPreflight((request, response) => {
    if (request.path.startsWith("/.well-known/openid-configuration")) {
      return answerJson(request, response, 200, {
        issuer: `${issuer}/`,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        registration_endpoint: `${issuer}/oauth2/registration`,
        revocation_endpoint: `${issuer}/revoke`,
        response_types_supported: ["code"],
        response_modes_supported: ["query", "fragment"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        code_challenge_methods_supported: ["S256"],
      });
    }
    if (request.path === "/oauth2/registration") {
      return answerJson(request, response, 201, { client_id: "client-id-1" });
    }
    return answerJson(request, response, 404, {});
  });
}

/** A page for frames that tells its opener that it runs. */
function framePage(): Handler {
  return withPreflight((request, response) => {
    if (request.path.startsWith("/.well-known/")) {
      return answerJson(request, response, 200, { auth: "openidtoken-jwt" });
    }
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(
      `<!doctype html><title>Frame</title><script>parent.postMessage("frame page runs", "*")</script>`,
    );
    return undefined;
  });
}
