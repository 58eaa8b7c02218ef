/** What a name and a picture in one room look like: sealed in the member event, and inside. */
import { encodeText, isPlain, stringify } from "../primordials/primordials.ts";
import { pictureFile } from "../room-pictures/file.ts";
import { MEMBER_PROFILE } from "../room-state/keys.ts";

export const MEMBER = "m.room.member";
/** What else stands inside, so that its length says little of the name's; nobody reads it. */
const PADDING = "org.mantle.padding";
/** Contents are as long as a multiple of this. Most names are as long as none then. */
const BLOCK = 128;
/** Longer ones are neither sent nor shown. */
export const MAX_NAME = 512;

export type Plain = Record<string, unknown>;

/** What somebody is in one room alone. */
export interface Profile {
  readonly name: string | undefined;
  /** `file` and `info`, as of a room's encrypted picture. */
  readonly picture: Plain | undefined;
}

/** What they are everywhere, which is public. */
export interface PublicProfile {
  readonly name: string | undefined;
  readonly picture: string | undefined;
}

/** What is encrypted, JSON; what it has not is what everybody knows. */
export function innerContent({ name, picture }: Profile): string {
  const content = {
    ...(name === undefined ? {} : { displayname: name }),
    ...(picture === undefined ? {} : { avatar: picture }),
  };
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

/** The picture in an opened content; undefined where it has none that could be shown. */
export function pictureIn(content: unknown): Plain | undefined {
  const picture = isPlain(content) ? content["avatar"] : undefined;
  if (!isPlain(picture) || pictureFile(picture) === undefined) return undefined;
  const { file, info } = picture;
  return info === undefined ? { file } : { file, info };
}

export function profileIn(content: unknown): Profile {
  return { name: nameIn(content), picture: pictureIn(content) };
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

/** The content with this picture, which everybody can read. */
export function withPicture(content: Plain, url: string | undefined): Plain {
  const { avatar_url: _own, ...rest } = content;
  return url === undefined ? rest : { ...rest, avatar_url: url };
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
