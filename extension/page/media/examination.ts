import type { Examination } from "../../generated/mantle_media.js";
import {
  blobBuffer,
  freeBuffer,
  blobSize,
  blobSlice,
  blobType,
  NativeBlob,
  NativeUint8Array,
  parseJson,
  pinned,
  push,
  result,
  shift,
  subarray,
  then,
  viewBuffer,
} from "../primordials/primordials.ts";
import type { PausedRequest } from "../intercept/handlers.ts";
import { guarded, mediaModule } from "./module.ts";

type Body = NonNullable<PausedRequest["body"]>;
/** As `Examination.pieces()` tells them: a range to keep, bytes to put, or a number of zeros. */
type Piece = [from: number, to: number] | { bytes: number[] } | number;

/** Zeros are put in by blocks of this size, all of them the same one. */
const ZEROS = 1 << 16;

const isBlob = (body: Body): body is Blob => !(body instanceof NativeUint8Array);
const sizeOf = (body: Body): number => (isBlob(body) ? blobSize(body) : body.length);

/** Ranges of this size are read one after the other, so the next ones are asked for in advance. */
const LONG = 1 << 20;
/** How many of them, at 8 MB each. */
const AHEAD = 2;

/** A range on its way. */
interface Range {
  readonly from: number;
  readonly to: number;
  readonly bytes: Promise<Uint8Array>;
}

/** Looks into a body, range by range; the file itself is never held. */
export async function examine(body: Body): Promise<Examination> {
  const glue = await pinned(mediaModule());
  const size = sizeOf(body);
  const examination = guarded(() => new glue.Examination(size));
  const ahead: (Range | undefined)[] = [];
  while (guarded(() => examination.next())) {
    const { offset, length } = examination;
    const next = shift(ahead);
    let current = next?.from === offset && next.to === offset + length ? next : undefined;
    if (current === undefined) {
      ahead.length = 0;
      current = startReading(body, offset, offset + length);
    }
    if (isBlob(body) && length >= LONG) {
      let at = ahead[ahead.length - 1]?.to ?? current.to;
      while (ahead.length < AHEAD && at < size) {
        const to = at + length < size ? at + length : size;
        push(ahead, startReading(body, at, to));
        at = to;
      }
    }
    const bytes = await pinned(current.bytes);
    guarded(() => examination.supply(bytes));
    // At once: browsers let hundreds of MB pile up before they look for what nobody needs.
    if (isBlob(body)) freeBuffer(viewBuffer(bytes) as ArrayBuffer);
  }
  return result(examination);
}

function startReading(body: Body, from: number, to: number): Range {
  const bytes = read(body, from, to);
  // Where it fails, so does the one that waits for it.
  void then(bytes, ignore, ignore);
  return { from, to, bytes };
}

const ignore = (): undefined => undefined;

async function read(body: Body, from: number, to: number): Promise<Uint8Array> {
  if (!isBlob(body)) return result(subarray(body, from, to));
  return result(new NativeUint8Array(await pinned(blobBuffer(blobSlice(body, from, to)))));
}

/** The body as the examination wants it: made of slices of the first one, which stay where they are. */
export function cleaned(examination: Examination, body: Body): Blob {
  const pieces = parseJson(guarded(() => examination.pieces()) ?? "[]") as Piece[];
  const parts: BlobPart[] = [];
  for (let index = 0; index < pieces.length; index += 1) {
    const piece = pieces[index] as Piece;
    if (typeof piece === "number") addZeros(parts, piece);
    else if ("bytes" in piece) push(parts, bytesOf(piece.bytes));
    else if (isBlob(body)) push(parts, blobSlice(body, piece[0], piece[1]));
    else push(parts, subarray(body, piece[0], piece[1]));
  }
  return new NativeBlob(parts, { type: isBlob(body) ? blobType(body) : "" });
}

function addZeros(parts: BlobPart[], length: number): void {
  const block = new NativeUint8Array(length < ZEROS ? length : ZEROS);
  for (let left = length; left > 0; left -= block.length) {
    push(parts, left < block.length ? subarray(block, 0, left) : block);
  }
}

function bytesOf(list: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new NativeUint8Array(list.length);
  for (let index = 0; index < list.length; index += 1) bytes[index] = list[index] ?? 0;
  return bytes;
}
