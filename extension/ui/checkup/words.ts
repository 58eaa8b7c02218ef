/** What findings, their items and the plans of their repairs are called. */
import { counted, text } from "../../browser/messages.ts";
import type { Finding, FoundItem } from "../../generated/types.ts";
import { FINDINGS, PARTS } from "./texts.ts";

/** Items shown in a list; a repair has them all. */
export const SHOWN = 100;

/** With `isOwn` nobody else had a say in the name; the address of a picture says nothing to people. */
export function nameOf({ name, of, parts }: FoundItem, isOwn = false): string {
  const known = parts.flatMap((part) => {
    const known = PARTS[part];
    return known === undefined ? [] : [text(known)];
  });
  const about = [...(of === null ? [] : [of]), ...known].join(", ");
  const shown = isOwn && name.startsWith("mxc://") ? text("checkupItemPicture") : name;
  return about === "" ? shown : text("checkupItemOf", shown, about);
}

/** What the encryption of a room's name takes, of which two are for clients without Mantle. */
const SECONDS_A_ROOM = 3;

/** One line a step, before anything is done. */
export function planOf({ id, count, repair }: Finding, sessionName: string): string[] {
  const { plan } = FINDINGS[id];
  if (repair === null || plan === undefined) return [];
  const minutes = id === "readable-rooms" ? Math.round((repair.steps * SECONDS_A_ROOM) / 60) : 0;
  const left = count - repair.steps;
  const isOne = ["integration-manager", "account-widgets", "state-pushes"].includes(id);
  return [
    counted(plan, repair.steps, [sessionName]),
    ...(minutes < 2 ? [] : [counted("checkupPlanMinutes", minutes)]),
    // One change of the account is for all of them.
    ...(left === 0 || isOne ? [] : [counted("checkupPreviewRest", left)]),
    text(repair.undo ? "checkupPreviewUndo" : "checkupPreviewNoUndo"),
  ];
}
