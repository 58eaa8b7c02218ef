/** How the value of an option stands in its control, and what a control then stands for. */
import type { OptionValue, OptionView } from "../../browser/settings-core.ts";

type Kind = OptionView["kind"];

/** What of a control says what was chosen or typed. */
export interface Entered {
  readonly value: string;
  readonly checked: boolean;
}

export function enteredFor(kind: Kind, value: OptionValue): Entered {
  if (kind === "flag") return { value: "", checked: value === true };
  if (!("list" in kind)) return { value: String(value), checked: false };
  return { value: Array.isArray(value) ? value.join("\n") : "", checked: false };
}

/** Whether it is one that the setting may have, the Rust module says. */
export function valueOf(kind: Kind, { value, checked }: Entered): OptionValue {
  if (kind === "flag") return checked;
  if ("list" in kind) return value.split(/[\s,]+/).filter((entry) => entry !== "");
  // An empty field is no number, and not nought.
  if ("number" in kind) return value.trim() === "" ? Number.NaN : Number(value);
  return value;
}

/** The hosts of a text that names one a line. */
export function hostsIn(list: string): string[] {
  const lines = list.split("\n").map((line) => line.trim().toLowerCase());
  return [...new Set(lines.filter((line) => line !== ""))];
}
