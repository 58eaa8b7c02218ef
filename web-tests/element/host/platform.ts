import BasePlatform from "element:matrix-react-sdk/src/BasePlatform";
import { defaultDeviceDisplayName } from "../../client/platform.ts";

/** A browser without notifications and updates; the device name is made as Element makes it. */
export class HostPlatform extends BasePlatform {
  readonly #config: Record<string, unknown>;

  constructor(config: Record<string, unknown>) {
    super();
    this.#config = config;
  }

  override getConfig(): Promise<Record<string, unknown>> {
    return Promise.resolve(this.#config);
  }

  override getDefaultDeviceDisplayName(): string {
    return defaultDeviceDisplayName(this.#config);
  }

  override getHumanReadableName(): string {
    return "Web Platform";
  }

  override requestNotificationPermission(): Promise<string> {
    return Promise.resolve("denied");
  }

  override getAppVersion(): Promise<string> {
    return Promise.resolve("3.114.0");
  }

  override reload(): void {
    location.reload();
  }

  override supportsNotifications(): boolean {
    return false;
  }

  override maySendNotifications(): boolean {
    return false;
  }
}
