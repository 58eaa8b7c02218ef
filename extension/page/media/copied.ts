/**
 * Links to open media on their way to the clipboard. What was copied stays there until the person
 * chose another form: copying alone tells nobody.
 */
import {
  addListener,
  apply,
  capturedGetter,
  indexOf,
  own,
  page,
  pageDocument,
  pinned,
  runInTask,
  slice,
  uncurry,
} from "../primordials/primordials.ts";
import type { RequestPolicy } from "../intercept/decision.ts";
import { showNotice } from "../dialogs/notice.ts";
import { shieldSettings } from "../core/shield-settings.ts";
import { replaceMethod } from "../intercept/wrap.ts";
import { linkFate, OPEN_MEDIA } from "./link.ts";
import { text } from "../texts/texts.ts";

const SHIELD = "media";

const activeElement = capturedGetter<Document, Element | null>(Document.prototype, "activeElement");
const selectionOf = uncurry(window.getSelection as (this: Window) => Selection | null);
const selectedText = uncurry(Selection.prototype.toString);
const wasPrevented = capturedGetter<Event, boolean>(Event.prototype, "defaultPrevented");
const clipboardOf = capturedGetter<ClipboardEvent, DataTransfer | null>(
  ClipboardEvent.prototype,
  "clipboardData",
);
const dataIn = uncurry(DataTransfer.prototype.getData);
/** Undefined outside secure contexts. */
const clipboard = navigator.clipboard as Clipboard | undefined;
const writeText = clipboard && uncurry(clipboard.writeText);

export function installCopyHook(gate: RequestPolicy): void {
  if (page !== page.top || clipboard === undefined) return;
  const look = (copied: string, written?: Promise<unknown>): void => {
    if (indexOf(copied, OPEN_MEDIA) < 0) return;
    // Not before the browser itself has copied: the question takes the selection away.
    runInTask(() => void offer(gate, copied, written));
  };
  for (const type of ["copy", "cut"]) {
    // After Element's own listeners, which may put something else there.
    addListener(page, type, (event) => look(copiedText(event as ClipboardEvent)));
  }
  replaceMethod(clipboard, "writeText", (native, self, args) => {
    const written = apply(native, self, args) as Promise<unknown>;
    if (typeof args[0] === "string") look(args[0], written);
    return written;
  });
}

function copiedText(event: ClipboardEvent): string {
  try {
    const data = clipboardOf(event);
    if (wasPrevented(event)) return data === null ? "" : dataIn(data, "text/plain");
    const field = activeElement(pageDocument) as Partial<HTMLTextAreaElement> | null;
    const { value, selectionStart, selectionEnd } = field ?? {};
    if (typeof value === "string") {
      return slice(value, selectionStart ?? 0, selectionEnd ?? value.length);
    }
    const selection = selectionOf(page);
    return selection === null ? "" : selectedText(selection);
  } catch {
    // Copied all the same; what it is cannot be told.
    return "";
  }
}

async function offer(
  gate: RequestPolicy,
  copied: string,
  written?: Promise<unknown>,
): Promise<void> {
  const mode = shieldSettings(SHIELD)?.mode;
  if (mode === undefined || mode === "off") return;
  try {
    await written;
    const {
      host,
      text: changed,
      sentence,
      noted,
    } = own(await pinned(linkFate(SHIELD, copied, true)));
    const address = `https://${host}${OPEN_MEDIA}v3/download/x/x`;
    if (noted !== undefined) gate.note(SHIELD, noted, "GET", address);
    if (changed === undefined || clipboard === undefined || writeText === undefined) return;
    await writeText(clipboard, changed);
    if (sentence !== undefined) showNotice(sentence);
  } catch {
    showNotice(text("linkUnchanged"));
  }
}
