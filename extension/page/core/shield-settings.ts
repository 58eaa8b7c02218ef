/** Settings for the handlers: what is in force now, and a word when that changes. */
import { create, push } from "../primordials/primordials.ts";
import type { ShieldSettings } from "./guarded-core.ts";

type Read = (shield: string) => ShieldSettings | undefined;

let read: Read = () => undefined;
const listeners: (() => void)[] = [];
const told = create(null) as Record<string, ShieldSettings | undefined>;

/**
 * undefined while no settings arrived and for an unknown shield. Where the core says nothing, since
 * it has trapped, what it said last stays in force.
 */
export function shieldSettings(shield: string): ShieldSettings | undefined {
  const current = read(shield);
  if (current !== undefined) told[shield] = current;
  return told[shield];
}

/** Called after every change; what is in force then is read with `shieldSettings`. */
export function onShieldSettings(listener: () => void): void {
  push(listeners, listener);
}

export function connectShieldSettings(source: Read): void {
  read = source;
}

export function tellOfShieldSettings(): void {
  for (let index = 0; index < listeners.length; index += 1) {
    try {
      listeners[index]?.();
    } catch {
      // The others are to hear of it all the same.
    }
  }
}
