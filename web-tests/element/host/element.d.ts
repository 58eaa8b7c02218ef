// Element's interface has no types that pass under this tree's settings: what the host page uses
// of it is described here. build.ts resolves "element:" to the installed packages.

declare module "element:buffer" {
  export const Buffer: unknown;
}

declare module "element:process/browser.js" {
  const process: unknown;
  export default process;
}

declare module "element:react" {
  export interface Ref<Target> {
    current: Target | null;
  }
  export function createElement(type: unknown, props: Record<string, unknown>): unknown;
  export function createRef<Target>(): Ref<Target>;
}

declare module "element:react-dom" {
  export function render(element: unknown, container: Element | null): void;
}

declare module "element:matrix-js-sdk/src/browser-index" {}

declare module "element:matrix-js-sdk/src/autodiscovery" {
  export const AutoDiscovery: {
    fromDiscoveryConfig(wellKnown: unknown): Promise<Record<string, unknown>>;
  };
}

declare module "element:matrix-react-sdk/src/BasePlatform" {
  export default abstract class BasePlatform {
    protected constructor();
    abstract getConfig(): Promise<Record<string, unknown> | undefined>;
    abstract getDefaultDeviceDisplayName(): string;
    abstract getHumanReadableName(): string;
    abstract requestNotificationPermission(): Promise<string>;
    abstract getAppVersion(): Promise<string>;
    abstract reload(): void;
    supportsNotifications(): boolean;
    maySendNotifications(): boolean;
  }
}

declare module "element:matrix-react-sdk/src/PlatformPeg" {
  import type BasePlatform from "element:matrix-react-sdk/src/BasePlatform";
  const peg: { set(platform: BasePlatform): void };
  export default peg;
}

declare module "element:matrix-react-sdk/src/SdkConfig" {
  const config: {
    put(values: Record<string, unknown>): void;
    add(values: Record<string, unknown>): void;
    get(): Record<string, unknown>;
  };
  export default config;
}

declare module "element:matrix-react-sdk/src/theme" {
  export function setTheme(theme?: string): Promise<void>;
}

declare module "element:matrix-react-sdk/src/languageHandler" {
  export function setLanguage(preferred: string): Promise<void>;
}

declare module "element:matrix-react-sdk/src/dispatcher/dispatcher" {
  const dispatcher: { register(callback: (payload: { action: string }) => void): string };
  export default dispatcher;
}

declare module "element:matrix-react-sdk/src/MatrixClientPeg" {
  export const MatrixClientPeg: {
    get(): {
      baseUrl: string;
      getAccessToken(): string | null;
      http: {
        authedRequest(
          method: string,
          path: string,
          query: undefined,
          body: undefined,
          options: { prefix: string },
        ): Promise<unknown>;
      };
    } | null;
  };
}

declare module "element:matrix-react-sdk/src/stores/widgets/StopGapWidgetDriver" {
  type Method = (this: Driver, ...args: unknown[]) => Promise<unknown>;
  interface Driver {
    getRtcTransports: Method;
    readStickyEvents: Method;
    sendDelayedEvent: Method;
    updateDelayedEvent: Method;
    cancelScheduledDelayedEvent: Method;
    restartScheduledDelayedEvent: Method;
    sendScheduledDelayedEvent: Method;
  }
  export const StopGapWidgetDriver: { readonly prototype: Driver };
}

declare module "element:matrix-react-sdk/src/utils/AutoDiscoveryUtils" {
  const discovery: {
    buildValidatedConfigFromDiscovery(
      serverName: string | undefined,
      discovered: Record<string, unknown>,
      syntaxOnly: boolean,
    ): Promise<Record<string, unknown>>;
  };
  export default discovery;
}

declare module "element:matrix-react-sdk/src/components/structures/MatrixChat" {
  const MatrixChat: unknown;
  export default MatrixChat;
}
