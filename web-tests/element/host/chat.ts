import { createElement, createRef } from "element:react";
import { render } from "element:react-dom";
import { AutoDiscovery } from "element:matrix-js-sdk/src/autodiscovery";
import { MatrixClientPeg } from "element:matrix-react-sdk/src/MatrixClientPeg";
import SdkConfig from "element:matrix-react-sdk/src/SdkConfig";
import MatrixChat from "element:matrix-react-sdk/src/components/structures/MatrixChat";
import dispatcher from "element:matrix-react-sdk/src/dispatcher/dispatcher";
import AutoDiscoveryUtils from "element:matrix-react-sdk/src/utils/AutoDiscoveryUtils";
import { serveCallPage } from "./call-page.ts";

type Params = Record<string, string>;

interface Chat {
  showScreen(screen: string, params?: Params): void;
}

/** Finds the homeserver, then hands the page over to Element. */
export async function showElement(
  config: Record<string, unknown>,
  defaultDeviceDisplayName: string,
): Promise<void> {
  const discovered = await AutoDiscovery.fromDiscoveryConfig(config["default_server_config"]);
  const server = await AutoDiscoveryUtils.buildValidatedConfigFromDiscovery(
    undefined,
    discovered,
    true,
  );
  server["isDefault"] = true;
  SdkConfig.add({ validated_server_config: server });
  dispatcher.register(({ action }) => {
    if (action === "client_started") giveTokenToWorker();
  });

  serveCallPage();

  const chat = createRef<Chat>();
  let ownHash = location.hash;
  addEventListener("hashchange", () => {
    if (location.hash === ownHash) return;
    ownHash = location.hash;
    const { screen, params } = parseHash();
    chat.current?.showScreen(screen, params);
  });
  const initial = parseHash();
  render(
    createElement(MatrixChat, {
      ref: chat,
      config: SdkConfig.get(),
      enableGuest: config["disable_guests"] !== true,
      realQueryParams: Object.fromEntries(new URLSearchParams(location.search)),
      startingFragmentQueryParams: initial.params,
      initialScreenAfterLogin: initial,
      defaultDeviceDisplayName,
      onTokenLoginCompleted: () =>
        history.replaceState(null, "", location.pathname + location.hash),
      onNewScreen: (screen: string, replaceLast: boolean) => {
        ownHash = `#/${screen}`;
        if (replaceLast) location.replace(ownHash);
        else location.assign(ownHash);
      },
    }),
    document.getElementById("matrixchat"),
  );
}

function parseHash(): { screen: string; params: Params } {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { screen: path, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Media requests get their token from the service worker. */
function giveTokenToWorker(): void {
  const client = MatrixClientPeg.get();
  const token = client?.getAccessToken();
  if (client === null || !token) return;
  const message = { type: "token", origin: new URL(client.baseUrl).origin, token };
  void navigator.serviceWorker?.ready.then(({ active }) => active?.postMessage(message));
}
