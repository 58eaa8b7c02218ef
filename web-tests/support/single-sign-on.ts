/** A homeserver whose people sign in by a page of its own (Client-Server API, 'SSO client login'). */
import { answerJson, forward } from "./recorder.ts";
import type { Handler } from "./recorder.ts";
import type { Account, Synapse } from "./synapse.ts";

/** Needed of Synapse, so that it makes tokens for the way back. */
export const LOGIN_TOKENS = {
  login_via_existing_session: { enabled: true, require_ui_auth: false },
};

/** Its page says yes at once, for this person; everything else is Synapse's. */
export function withSingleSignOn(synapse: Synapse, person: Account): Handler {
  return async (request, response) => {
    const { pathname, searchParams: query } = new URL(request.path, "https://hs");
    if (request.method === "GET" && /\/login\/sso\/redirect/.test(pathname)) {
      const path = "/_matrix/client/v1/login/get_token";
      const { login_token: token } = await synapse.call(person, "POST", path, {});
      const back = new URL(query.get("redirectUrl") ?? "");
      back.searchParams.set("loginToken", String(token));
      response.writeHead(302, { Location: back.href }).end();
      return;
    }
    if (request.method === "GET" && pathname.endsWith("/v3/login")) {
      const flows = [{ type: "m.login.sso" }, { type: "m.login.token" }];
      answerJson(request, response, 200, { flows });
      return;
    }
    await forward(synapse.baseUrl, request, response);
  };
}
