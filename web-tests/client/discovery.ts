import { AutoDiscovery, createClient } from "matrix-js-sdk";
import type { ClientConfig } from "matrix-js-sdk";
import { defaultDeviceDisplayName } from "./platform.ts";

/** The keys of config.json that the driver looks at. */
export interface ElementConfig {
  default_server_config?: {
    "m.homeserver"?: { base_url?: string; server_name?: string };
    "m.identity_server"?: { base_url?: string | null };
  };
  default_is_url?: string;
  default_device_display_name?: string;
  disable_guests?: boolean;
  integrations_ui_url?: string | null;
  integrations_rest_url?: string | null;
  integrations_widgets_urls?: string[] | null;
  map_style_url?: string;
  bug_report_endpoint_url?: string;
  posthog?: { api_host?: string };
  sentry?: { dsn?: string };
  jitsi?: { preferred_domain?: string };
  element_call?: { url?: string };
  [key: string]: unknown;
}

/** What the page learnt before anybody signed in. */
export interface Loaded {
  readonly config: ElementConfig;
  readonly discovered: ClientConfig;
  readonly homeserverUrl: string;
  /** Undefined when Element would run without an identity server. */
  readonly identityServerUrl: string | undefined;
  readonly guest: { userId: string; deviceId: string } | undefined;
  /** Steps that failed, with the error's text. */
  readonly problems: string[];
}

// Element's own default; a null in config.json switches it off, a missing key does not.
const DEFAULT_INTEGRATIONS = {
  integrations_ui_url: "https://scalar.vector.im/",
  integrations_rest_url: "https://scalar.vector.im/api",
};

/** Everything Element does at page load, in its order. */
export async function load(): Promise<Loaded> {
  const problems: string[] = [];
  const attempt = async <T>(what: string, step: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await step();
    } catch (error) {
      problems.push(`${what}: ${String(error)}`);
      return undefined;
    }
  };

  const [general, own] = await Promise.all([
    attempt("config.json", () => fetchConfig("config.json")),
    fetchConfig(`config.${location.hostname}.json`).catch(() => ({})),
  ]);
  // The host's own file replaces the general one, unless it is missing or empty.
  const chosen = Object.keys(own).length > 0 ? own : general;
  const config: ElementConfig = { ...DEFAULT_INTEGRATIONS, ...chosen };
  await attempt("sw.js", registerServiceWorker);
  await attempt("version", () => fetch("version", { cache: "no-cache" }));

  const discovered = await AutoDiscovery.fromDiscoveryConfig(discoveryInput(config));
  const homeserverUrl =
    discovered["m.homeserver"].base_url ??
    config.default_server_config?.["m.homeserver"]?.base_url ??
    "";
  const identityServerUrl = discovered["m.identity_server"].base_url ?? undefined;
  const temporary = createClient({ baseUrl: homeserverUrl });
  // matrix-js-sdk 35 has none.
  await temporary.getAuthMetadata?.().catch(() => undefined);
  const guest =
    config.disable_guests === true
      ? undefined
      : await attempt("guest registration", async () => {
          const answer = await temporary.registerGuest({
            body: { initial_device_display_name: defaultDeviceDisplayName(config) },
          });
          return { userId: answer.user_id, deviceId: String(answer.device_id) };
        });
  return { config, discovered, homeserverUrl, identityServerUrl, guest, problems };
}

function discoveryInput(
  config: ElementConfig,
): Parameters<typeof AutoDiscovery.fromDiscoveryConfig>[0] {
  const input = { ...config.default_server_config } as Record<string, unknown>;
  if (config.default_is_url !== undefined) {
    input["m.identity_server"] = { base_url: config.default_is_url };
  }
  return input as Parameters<typeof AutoDiscovery.fromDiscoveryConfig>[0];
}

async function fetchConfig(name: string): Promise<ElementConfig> {
  const response = await fetch(`${name}?cachebuster=${Date.now()}`, {
    method: "GET",
    cache: "no-cache",
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return (await response.json()) as ElementConfig;
}

async function registerServiceWorker(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register("sw.js");
}
