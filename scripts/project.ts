/** project.json: what the project is called by others, in one place. */

import { readFileSync } from "node:fs";

export interface Project {
  /** By which Firefox knows the add-on; it never changes once a store has it. */
  firefoxId: string;
  /** For the browser's list of extensions and the bill of materials; null until there is one. */
  homepage: string | null;
  /** Where the source lies and reports go; null until there is one. */
  repository: string | null;
}

export const project = JSON.parse(
  readFileSync(new URL("../project.json", import.meta.url), "utf8"),
) as Project;

/** A GUID in braces, or what looks like an address; Firefox takes nothing else. */
export function isFirefoxId(text: string): boolean {
  return /^(\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|[\w.+-]*@[\w.-]+)$/i.test(text);
}
