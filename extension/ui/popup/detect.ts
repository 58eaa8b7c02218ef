/** Whether a tab shows Element, asked only when a person opens the popup on it. */
import { runInPage } from "../../browser/api.ts";

/** False also where the browser does not let an extension look. */
export async function looksLikeElement(tabId: number): Promise<boolean> {
  try {
    return (await runInPage(tabId, probe)) === true;
  } catch {
    return false;
  }
}

/** Runs in the page's world: may use nothing from outside. Two of three signs are enough. */
function probe(): boolean {
  const name = document.querySelector<HTMLMetaElement>('meta[name="application-name"]')?.content;
  const signs = [
    document.getElementById("matrixchat") !== null,
    "mxMatrixClientPeg" in window,
    name !== undefined && /^element\b/i.test(name),
  ];
  return signs.filter(Boolean).length >= 2;
}
