/**
 * Message searches without encrypted rooms: a homeserver finds nothing there, and is told no words
 * of them. Which rooms are readable Element's own client knows, also after a reload.
 */
import {
  create,
  decodeText,
  isArray,
  parseJson,
  push,
  stringify,
} from "../primordials/primordials.ts";
import { bodyBytes } from "../intercept/handlers.ts";
import type { PausedRequest, Outcome, RequestHandler } from "../intercept/handlers.ts";
import { matrixError } from "../intercept/matrix-error.ts";
import { runningClient } from "./element/client.ts";
import type { PageClient } from "./element/client.ts";
import { text } from "../texts/texts.ts";

/** Client-Server API, `POST search`. */
interface Wanted {
  readonly search_categories?: {
    readonly room_events?: { readonly filter?: { readonly rooms?: unknown } };
  };
}

const NOTHING = stringify({
  search_categories: { room_events: { count: 0, results: [], highlights: [] } },
});

export const searchHandler: RequestHandler = {
  async handle({ body }: PausedRequest): Promise<Outcome> {
    const client = runningClient();
    if (client === undefined)
      return { kind: "reply", status: 403, body: matrixError(text("searchUnknown")) };
    const wanted = parseJson(decodeText(await bodyBytes(body))) as Wanted;
    const categories = wanted.search_categories;
    const events = categories?.room_events;
    if (events === undefined) return { kind: "send" };
    const asked = events.filter?.rooms;
    const rooms = readable(client, isArray(asked) ? (asked as unknown[]) : undefined);
    if (rooms.length === 0) return { kind: "reply", status: 200, body: NOTHING };
    if (isArray(asked) && rooms.length === asked.length) return { kind: "send" };
    const filter = { ...events.filter, rooms };
    const next = {
      ...wanted,
      search_categories: { ...categories, room_events: { ...events, filter } },
    };
    return { kind: "send", body: stringify(next) };
  },
};

/** Those of the rooms, or of all, that are known not to be encrypted. */
function readable(client: PageClient, asked: readonly unknown[] | undefined): string[] {
  const chosen = create(null) as Record<string, true>;
  for (let index = 0; index < (asked?.length ?? 0); index += 1)
    chosen[asked?.[index] as string] = true;
  const rooms = client.getRooms();
  const found: string[] = [];
  for (let index = 0; index < rooms.length; index += 1) {
    const room = rooms[index];
    if (room === undefined || room.hasEncryptionStateEvent()) continue;
    if (asked === undefined || chosen[room.roomId] === true) push(found, room.roomId);
  }
  return found;
}
