/** The popup → the relay of a tab's top frame. */
import { type PageStatus, isStatus } from "./reports.ts";
import { isPlain, isText } from "./shapes.ts";

/** popup → relay of the top frame. */
export interface PageQuery {
  kind: "page-query";
}

/** The relay's answer to a `PageQuery`. */
export interface PageState {
  kind: "page-state";
  relay: string;
  status: PageStatus | undefined;
  /** A question of Mantle's stands in the page. The page could say so too; nothing hangs on it. */
  isAsking: boolean;
}

/** True for the popup's question to a relay. */
export function isPageQuery(value: unknown): value is PageQuery {
  return isPlain(value) && value["kind"] === "page-query";
}

/** A relay's answer to the popup, or `undefined` when it is none. */
export function readPageState(value: unknown): PageState | undefined {
  if (!isPlain(value) || value["kind"] !== "page-state" || !isText(value["relay"], 64)) {
    return undefined;
  }
  const { relay, status } = value;
  const isAsking = value["isAsking"] === true;
  return { kind: "page-state", relay, status: isStatus(status) ? status : undefined, isAsking };
}
