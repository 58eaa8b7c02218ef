/**
 * How an encrypted event relates to another, after MSC4392: what stands inside the ciphertext counts,
 * and what stands beside it, where a homeserver may write, only where senders put it nowhere else.
 */
import { create, isPlain, keysOf } from "../primordials/primordials.ts";

/** A JSON object. */
export type Plain = Record<string, unknown>;

/** `m.relates_to` of which each known field has the type it must have. */
export interface Relation {
  readonly rel_type?: string;
  readonly event_id?: string;
  readonly key?: string;
  readonly "m.in_reply_to"?: { readonly event_id: string };
  readonly is_falling_back?: boolean;
}

/** What a decrypted event says, and what stands beside its ciphertext. */
export interface Decrypted {
  readonly type: string;
  readonly content: Plain;
  /** `m.relates_to` as it stands outside. */
  readonly outer: unknown;
  /**
   * Whether the relation in `content` was inside for certain. matrix-sdk-crypto copies the outer one
   * into contents that have none.
   */
  readonly isInnerCertain: boolean;
}

export const RELATES_TO = "m.relates_to";
export const IN_REPLY_TO = "m.in_reply_to";
export const FALLING_BACK = "is_falling_back";
export const REACTION = "m.reaction";
export const ENCRYPTED = "m.room.encrypted";
const ANNOTATION = "m.annotation";
export const REPLACE = "m.replace";
const THREAD = "m.thread";

/** undefined where it is none, or one of which a known field is something else. */
export function relationOf(value: unknown): Relation | undefined {
  if (!isPlain(value)) return undefined;
  const { rel_type: type, event_id: id, key } = value;
  for (const text of [type, id, key]) {
    if (text !== undefined && typeof text !== "string") return undefined;
  }
  const reply = value[IN_REPLY_TO];
  const isReply = isPlain(reply) && typeof reply["event_id"] === "string";
  if (reply !== undefined && !isReply) return undefined;
  const isFallingBack = value[FALLING_BACK];
  if (isFallingBack !== undefined && typeof isFallingBack !== "boolean") return undefined;
  return value as Relation;
}

/** Whether the event's own relation stands inside, so that whoever sent it speaks MSC4392. */
export function isInnerOnly({ content, outer }: Decrypted): boolean {
  return outer === undefined && relationOf(content[RELATES_TO]) !== undefined;
}

/**
 * What stands beside a ciphertext that is not decrypted, as far as matrix-js-sdk may place the event by
 * it: nobody puts a reaction there, and by a made-up one the event would come into no timeline.
 */
export function placingRelation(outer: unknown): unknown {
  return isPlain(outer) && outer["rel_type"] === ANNOTATION ? undefined : outer;
}

/** The relation that may be shown. */
export function shownRelation(decrypted: Decrypted): Relation | undefined {
  const { type, content, isInnerCertain } = decrypted;
  const outer = relationOf(decrypted.outer);
  // What was edited while it was on its way out had a name that only its sender's client knew. That is
  // what is inside; matrix-js-sdk puts the one outside right.
  if (outer?.rel_type === REPLACE && isOfUnsent(relationOf(content[RELATES_TO]))) {
    return isPlain(content["m.new_content"]) ? outer : undefined;
  }
  const hasInner = content[RELATES_TO] !== undefined;
  if (hasInner && (isInnerCertain || decrypted.outer === undefined || type !== REACTION)) {
    const inner = relationOf(content[RELATES_TO]);
    if (inner?.rel_type !== THREAD || outer?.rel_type === THREAD) return inner;
    // A thread that the homeserver knows nothing of cannot be shown as one; what it answers can.
    const reply = inner[IN_REPLY_TO];
    return reply === undefined ? undefined : { [IN_REPLY_TO]: reply };
  }
  // Who encrypts reactions has what they are to inside.
  if (outer === undefined || type === REACTION || outer.rel_type === ANNOTATION) return undefined;
  // An edit has its new text inside, whoever sends it.
  if (outer.rel_type === REPLACE && !isPlain(content["m.new_content"])) return undefined;
  // Clients before MSC4392 may have it outside alone.
  return outer;
}

/** An edit of what has only the name that matrix-js-sdk gives to what is not sent yet. */
function isOfUnsent(relation: Relation | undefined): boolean {
  return relation?.rel_type === REPLACE && relation.event_id?.[0] === "~";
}

/** A content with this relation in place of its own. */
export function withRelation(content: Plain, relation: Relation | undefined): Plain {
  const result = create(null) as Plain;
  for (const name of keysOf(content)) if (name !== RELATES_TO) result[name] = content[name];
  if (relation !== undefined) result[RELATES_TO] = relation;
  return { ...result };
}
