/** Puts the page's half of reactions and replies together and into the hooks. */
import { registerHandler } from "../intercept/handlers.ts";
import { type PageClient, runningClient } from "../room-state/element/client.ts";
import { RelationReader } from "./reader.ts";
import { RemovedReactions } from "./removed.ts";
import type { RelationsClient } from "./sdk.ts";
import { RelationWriter } from "./writer.ts";

/** The result is for `watchClient`. */
export function installRelations(): (client: PageClient | undefined) => void {
  const reader = new RelationReader(new RemovedReactions());
  const known = (client: PageClient | undefined): RelationsClient | undefined =>
    client as unknown as RelationsClient | undefined;
  registerHandler("relations", new RelationWriter(reader, () => known(runningClient())));
  return (client) => reader.attach(known(client));
}
