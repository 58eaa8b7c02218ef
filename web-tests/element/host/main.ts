/** The page around Element's interface: what its `vector/` folder does, as far as tests need it. */
import "element:matrix-js-sdk/src/browser-index";
import PlatformPeg from "element:matrix-react-sdk/src/PlatformPeg";
import SdkConfig from "element:matrix-react-sdk/src/SdkConfig";
import { setLanguage } from "element:matrix-react-sdk/src/languageHandler";
import { setTheme } from "element:matrix-react-sdk/src/theme";
import { fetchJson } from "../../client/platform.ts";
import { HostPlatform } from "./platform.ts";

async function start(): Promise<void> {
  const config = await fetchJson("config.json", { cache: "no-cache" });
  const platform = new HostPlatform(config);
  PlatformPeg.set(platform);
  SdkConfig.put(config);
  await navigator.serviceWorker?.register("sw.js");
  await setTheme();
  await setLanguage("en");
  // Its settings tabs read the configuration when they are imported.
  const { showElement } = await import("./chat.ts");
  await showElement(config, platform.getDefaultDeviceDisplayName());
}

start().catch((error: unknown) => {
  console.error(error);
  document.body.dataset["failed"] = String(error);
});
