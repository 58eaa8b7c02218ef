/** What a name in one room looks like: sealed in the member event, and inside. */
import { encodeText, isPlain, stringify } from "../primordials/primordials.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";

export const MEMBER = "m.room.member";
/** What else stands inside, so that its length says little of the name's; nobody reads it. */
const PADDING = "org.mantle.padding";
/** Contents are as long as a multiple of this. Most names are as long as none then. */
const BLOCK = 128;
/** Longer ones are neither sent nor shown. */
export const MAX_NAME = 512;

export type Plain = Record<string, unknown>;

/** What is encrypted, JSON; without a name it says that there is none any more. */
export function innerContent(name: string | undefined): string {
  const content = name === undefined ? {} : { displayname: name };
  const bare = stringify({ ...content, [PADDING]: "" });
  // In bytes, as it is encrypted.
  const length = encodeText(bare).length;
  return stringify({ ...content, [PADDING]: " ".repeat((BLOCK - (length % BLOCK)) % BLOCK) });
}

/** The name in an opened content; undefined where it has none. */
export function nameIn(content: unknown): string | undefined {
  const name = isPlain(content) ? content["displayname"] : undefined;
  return typeof name === "string" && name !== "" && name.length <= MAX_NAME ? name : undefined;
}

/** A member event's content without what is sealed in it, and that. */
export function split(content: Plain): { rest: Plain; sealed: unknown } {
  const { [MEMBER_PROFILE]: sealed, ...rest } = content;
  return { rest, sealed };
}

/** What servers get: the name that everybody knows, and the other one sealed. */
export function outerContent(content: Plain, name: string | undefined, sealed: unknown): Plain {
  const { displayname: _own, ...rest } = split(content).rest;
  const known = name === undefined ? {} : { displayname: name };
  return { ...rest, ...known, [MEMBER_PROFILE]: sealed };
}

const PATH =
  /^[^?#]*\/_matrix\/client\/[^/?#]+\/rooms\/([^/?#]+)\/state\/([^/?#]+)\/([^/?#]+)\/?(?:\?[^#]*)?$/;

/** Room and user of an address that a member event is sent to. */
export function memberIn(url: string): { roomId: string; userId: string } | undefined {
  const [, roomId, type, userId] = PATH.exec(url) ?? [];
  if (roomId === undefined || type === undefined || userId === undefined) return undefined;
  try {
    if (decodeURIComponent(type) !== MEMBER) return undefined;
    return { roomId: decodeURIComponent(roomId), userId: decodeURIComponent(userId) };
  } catch {
    return undefined;
  }
}

/** Where somebody's member event is; with another type, that of theirs. */
export function memberPath(roomId: string, userId: string, type = MEMBER): string {
  const [room, user] = [roomId, userId].map(encodeURIComponent);
  return `/_matrix/client/v3/rooms/${room ?? ""}/state/${type}/${user ?? ""}`;
}
