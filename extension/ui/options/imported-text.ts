/** What the options page says once a file of settings was taken. */
import { text } from "../../browser/messages.ts";
import { sitesToAllow } from "../../browser/sites.ts";

/** A file brings sites, but never the browser's permission for them. */
export async function importedText(stored: string): Promise<string> {
  const sites = await sitesToAllow({ stored, managed: null });
  return text(sites.length === 0 ? "imported" : "importedSites");
}
