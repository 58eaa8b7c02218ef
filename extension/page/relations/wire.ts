/** What of a relation stays beside the ciphertext (MSC4392), and how long an encrypted reaction is. */
import { isPlain, keysOf } from "../primordials/primordials.ts";
import { FALLING_BACK, IN_REPLY_TO, RELATES_TO } from "./relation.ts";
import type { Plain, Relation } from "./relation.ts";

const ANNOTATION = "m.annotation";
/** What else stands in a reaction, so that it is as long as some message; nobody reads it. */
const PADDING = "org.mantle.padding";
/** Megolm fills up to whole blocks of this size by itself. */
const BLOCK = 16;
const MAX_BLOCKS = 12;

/**
 * A content whose relation says no more outside than homeservers need: of a thread and of an edit
 * which, of a reply and of a reaction nothing. undefined: it says no more already.
 */
export function outerContent(content: Plain): Plain | undefined {
  const relation = content[RELATES_TO];
  if (!isPlain(relation)) return undefined;
  const kept: Plain = {};
  if (relation["rel_type"] !== ANNOTATION) {
    for (const name of keysOf(relation)) {
      if (name !== IN_REPLY_TO && name !== FALLING_BACK) kept[name] = relation[name];
    }
    if (keysOf(kept).length === keysOf(relation).length) return undefined;
  }
  const { [RELATES_TO]: _whole, ...rest } = content;
  return keysOf(kept).length === 0 ? rest : { ...rest, [RELATES_TO]: kept };
}

/** Whether two relations say the same. */
export function isSame(one: Relation | undefined, other: Relation | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  const [mine, theirs] = [one, other].map((relation) => [
    relation.rel_type,
    relation.event_id,
    relation.key,
    relation[IN_REPLY_TO]?.event_id,
    relation[FALLING_BACK],
  ]);
  return JSON.stringify(mine) === JSON.stringify(theirs);
}

/**
 * A reaction's content as long as a message's may be. Lengths of messages spread over some blocks and
 * get fewer the longer they are; one length for all reactions would name them. `random` has bytes that
 * nobody can foresee.
 */
export function padded(content: Plain, random: Uint8Array): Plain {
  let blocks = 0;
  const [, ...coins] = random;
  for (const coin of coins) {
    if (blocks >= MAX_BLOCKS || coin % 4 === 0) break;
    blocks += 1;
  }
  const length = blocks * BLOCK + ((random[0] ?? 0) % BLOCK);
  return { ...content, [PADDING]: " ".repeat(length) };
}

export const RANDOM_BYTES = MAX_BLOCKS + 1;
