/** Asking the person before a link, a script or the position; the dialog itself comes from outside. */
import { then } from "../primordials/primordials.ts";
import type { RequestPolicy, Delegate } from "./decision.ts";

/** Resolves when the person has decided; without a question it is refused. */
export type AskPerson = (delegate: Delegate) => Promise<boolean>;

/** Asks where somebody minds, once settings are there; undefined: nobody minds. */
export function permissionFor(
  gate: RequestPolicy,
  what: string,
  askPerson: AskPerson,
): Promise<boolean> | undefined {
  const answer = (): Promise<boolean> | undefined => {
    const delegate = gate.prompt(what);
    return delegate === undefined ? undefined : askPerson(delegate);
  };
  if (gate.isReady()) return answer();
  return then(gate.whenReady(), () => answer() ?? true);
}
