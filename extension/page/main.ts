import {
  addListener,
  apply,
  dispatch,
  NativeEvent,
  NativeWebAssembly,
  page,
  pageDocument,
  baseUri,
  preventDefault,
  push,
  setTimer,
  startsWith,
  stopEvent,
  then,
} from "./primordials/primordials.ts";
import { installCallPageHook } from "./intercept/call-page.ts";
import { installBeaconHook } from "./intercept/beacon.ts";
import type { Effect } from "../protocol/reports.ts";
import { openChannel } from "./channel/channel.ts";
import { askForFrame, callServerHandler, withdrawForFrame } from "./dialogs/call-server.ts";
import { askHandler, isPermitted } from "./dialogs/consent.ts";
import { GuardedCore } from "./core/guarded-core.ts";
import type { CoreObserver, CoreStatus } from "./core/guarded-core.ts";
import { installFetchHook } from "./intercept/fetch.ts";
import { registerResponseHandler, registerHandler } from "./intercept/handlers.ts";
import { withoutDetails } from "./media/clean.ts";
import { installCopyHook } from "./media/copied.ts";
import { mediaHandler } from "./media/handler.ts";
import { installOutgoingHook } from "./media/outgoing.ts";
import { installFrameHook } from "./intercept/frames.ts";
import { installLinkHook } from "./intercept/links.ts";
import { showBrowser } from "./intercept/navigator.ts";
import { showNotice } from "./dialogs/notice.ts";
import { installPositionHook } from "./intercept/position.ts";
import { connectRequests, takeAnswer } from "./channel/relay-requests.ts";
import { connectShieldSettings, tellOfShieldSettings } from "./core/shield-settings.ts";
import { installRtcHook } from "./intercept/rtc.ts";
import { installEncryptedState } from "./room-state/install.ts";
import { installHistoryKeys } from "./history/keys.ts";
import { watchClient } from "./room-state/element/client.ts";
import { installRelations } from "./relations/install.ts";
import { installRoomNames } from "./room-names/install.ts";
import { installRoomPictures } from "./room-pictures/install.ts";
import { installResponseAccessors } from "./intercept/response.ts";
import { runTask } from "./checkup/tasks.ts";
import { store } from "./channel/store.ts";
import { maskAsNative } from "./intercept/wrap.ts";
import { installSignInHook } from "./intercept/sign-in-link.ts";
import { installXhrHook } from "./intercept/xhr.ts";
import { type PageText, text, useTexts } from "./texts/texts.ts";

/** Effects are gathered for this long before they leave the page. */
const EFFECTS_DELAY = 250;
/** Asks whether hooks are in place already; they cancel it. */
const PRESENCE = "mantle-presence";

const SENTENCES = {
  trapped: "trapped",
  "no-wasm": "noWasm",
  "no-wasm-in-browser": "noWasmInBrowser",
} as const satisfies Record<string, PageText>;
/** A page without Mantle's other half says what it has to say in English. */
const TEXTS_TIMEOUT_MS = 2_000;

if (dispatch(page, new NativeEvent(PRESENCE, { cancelable: true }))) install();

function install(): void {
  addListener(
    page,
    PRESENCE,
    (event) => {
      preventDefault(event);
      stopEvent(event);
    },
    true,
  );

  let isDraining = false;
  let told: string | undefined;
  let waiting: (() => void)[] | undefined = [];
  const drain = (): void => {
    isDraining = false;
    if (!channel.isOpen()) return;
    const effects = core.effects();
    if (effects.length > 0) channel.post({ kind: "effects", effects: effects as Effect[] });
  };
  const drainSoon = (): void => {
    if (isDraining) return;
    isDraining = true;
    setTimer(drain, EFFECTS_DELAY);
  };
  let hookedFetch = page.fetch;
  const pictures = installRoomPictures({
    isEncrypted: (roomId) => state.encryptsState(roomId),
    encrypts: (url) => state.writes.encrypts(url),
    encryptsAnyway: (url) => state.writes.encryptsAnyway(url),
    putEncrypted: (request) => state.writes.putEncrypted(request),
    members: {
      isOn: () => names.isOn(),
      seals: (request) => names.writer.sealsPicture(request),
      seal: (request, picture) => names.writer.sealPicture(request, picture),
    },
    fetch: (url, init) => apply(hookedFetch, page, [url, init]) as Promise<Response>,
    withoutDetails,
  });
  const observer: CoreObserver = {
    status: report,
    pending: drainSoon,
    asked: watchClient(
      installRelations(),
      installHistoryKeys(() => core),
      pictures.watch,
      (client) => names.watch(client),
    ),
    kept: (key, value) => {
      // Lost at worst are habits, and only where the disk is full or the extension gone.
      void then(
        store.put("account-data", key, value),
        () => undefined,
        () => undefined,
      );
    },
  };
  const core: GuardedCore = new GuardedCore(documentUrl(), observer, pictures.writer);
  const channel = openChannel({
    opened: () => {
      channel.post({ kind: "status", status: core.status });
      drainSoon();
      connectRequests((request) => channel.post(request));
    },
    answer: takeAnswer,
    wish: (wish) => state.wish(wish),
    checkUp: (command) => {
      void runTask(state.conversion, command).then((answer) => channel.post(answer));
    },
    ownName: (command) => {
      void names.own(command).then((answer) => channel.post(answer));
    },
    callServer: ({ wish, host }) => {
      const answer = (isAllowed: boolean): void =>
        channel.post({ kind: "call-server-answer", wish, isAllowed });
      void then(askForFrame(core, { wish, host }), answer, () => answer(false));
    },
    callServerWithdrawn: ({ wish }) => withdrawForFrame(wish),
    settings: (settings) => {
      // Before anything that waited for settings goes on.
      useTexts(settings.texts);
      tellWaiting();
      showBrowser(settings.browser);
      core.applySettings(settings);
      tellOfShieldSettings();
      state.applySettings();
    },
  });
  const state = installEncryptedState(
    core,
    (message) => {
      if (channel.isOpen()) channel.post(message);
    },
    (request) => pictures.writer.unsealed(request),
  );
  const names = installRoomNames(state, pictures.reader, pictures.writer);
  addListener(page, "pagehide", drain, true);
  connectShieldSettings((shield) => (core.isReady() ? core.shieldSettings(shield) : undefined));

  registerHandler("ask", askHandler);
  registerHandler("ask", callServerHandler, "calls");
  registerHandler("media", mediaHandler);
  registerHandler("session", core.sessions);
  registerResponseHandler("session", core.sessions);
  installResponseAccessors();
  installFetchHook(core);
  hookedFetch = page.fetch;
  installXhrHook(core);
  installBeaconHook(core);
  installRtcHook(core, tellOnce);
  installFrameHook(core, tellOnce, isPermitted);
  installCallPageHook(core);
  installLinkHook(core, isPermitted);
  installSignInHook(core);
  installCopyHook(core);
  installOutgoingHook(core);
  installPositionHook(core, isPermitted);
  maskAsNative();
  if (core.status !== "running") report(core.status);

  function tellOnce(sentence: string): void {
    if (page !== page.top || sentence === told) return;
    told = sentence;
    showNotice(sentence);
  }

  /** Runs what speaks once it is known in which language. */
  function withTexts(speak: () => void): void {
    if (waiting === undefined) {
      speak();
      return;
    }
    push(waiting, speak);
    setTimer(tellWaiting, TEXTS_TIMEOUT_MS);
  }

  function tellWaiting(): void {
    const speaking = waiting ?? [];
    waiting = undefined;
    for (let index = 0; index < speaking.length; index += 1) speaking[index]?.();
  }

  function report(status: CoreStatus): void {
    channel.post({ kind: "status", status });
    // Frames inside are part of a page that says it already.
    if (status === "running" || page !== page.top) return;
    const isTurnedOff = status === "no-wasm" && NativeWebAssembly === undefined;
    const name = SENTENCES[isTurnedOff ? "no-wasm-in-browser" : status];
    withTexts(() => showNotice(text(name)));
  }
}

/** The URL that stands for this document: that of its maker for about:blank, srcdoc and blobs. */
function documentUrl(): string {
  const { href } = page.location;
  if (startsWith(href, "http")) return href;
  return startsWith(page.origin, "http") ? `${page.origin}/` : baseUri(pageDocument);
}
