/**
 * What a picture is, by its own bytes: one of the formats that are shown, and how large it becomes when
 * it is decoded, since a few bytes can stand for gigabytes of pixels. The sizes read here are the ones
 * that decoders go by: frames of an animated PNG or WebP, and the stream inside an extended WebP, that
 * are larger make the file a broken one. AVIF is none: its size stands in properties of the file and
 * again in each stream, and a decoder makes room by the stream's.
 */

export interface PictureKind {
  readonly type: PictureType;
  /** In pixels. */
  readonly width: number;
  readonly height: number;
}

export type PictureType = "image/png" | "image/jpeg" | "image/gif" | "image/webp";

/** Longest side that is decoded, and most pixels, which take four bytes each. */
const MAX_SIDE = 16_384;
const MAX_PIXELS = 32_000_000;
/** Segments and blocks before the size: as many as 10 MB of the longest ones have. */
const MAX_STEPS = 50_000;

/** undefined: it is none that is shown. */
export function pictureKind(bytes: Uint8Array): PictureKind | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let kind: PictureKind | undefined;
  try {
    kind = png(view) ?? jpeg(view) ?? gif(view) ?? webp(view);
  } catch {
    // It ends before it has said how large it is, or says too much before.
    return undefined;
  }
  if (kind === undefined) return undefined;
  const { width, height } = kind;
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) return undefined;
  return width * height > MAX_PIXELS ? undefined : kind;
}

function has(view: DataView, at: number, text: string): boolean {
  if (at + text.length > view.byteLength) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (view.getUint8(at + index) !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Throws once it was called too often for one file. */
function counter(): () => void {
  let steps = 0;
  return () => {
    steps += 1;
    if (steps > MAX_STEPS) throw new RangeError("too long");
  };
}

function png(view: DataView): PictureKind | undefined {
  if (!has(view, 0, "\u0089PNG\r\n\u001a\n") || !has(view, 12, "IHDR")) return undefined;
  return { type: "image/png", width: view.getUint32(16), height: view.getUint32(20) };
}

function jpeg(view: DataView): PictureKind | undefined {
  if (!has(view, 0, "\u00ff\u00d8\u00ff")) return undefined;
  const step = counter();
  for (let at = 2; ;) {
    step();
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    // Any number of these may stand before a marker.
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      return { type: "image/jpeg", width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    // The picture itself begins or ends: no size came before.
    if (marker === 0xda || marker === 0xd9) return undefined;
    at += 2 + view.getUint16(at + 2);
  }
}

/** As large as the screen or the first picture, which may be larger. */
function gif(view: DataView): PictureKind | undefined {
  if (!has(view, 0, "GIF87a") && !has(view, 0, "GIF89a")) return undefined;
  const table = (flags: number): number => ((flags & 0x80) === 0 ? 0 : 3 << ((flags & 7) + 1));
  let at = 13 + table(view.getUint8(10));
  const step = counter();
  while (view.getUint8(at) === 0x21) {
    step();
    at += 2;
    for (let length = view.getUint8(at); length !== 0; length = view.getUint8(at)) {
      step();
      at += length + 1;
    }
    at += 1;
  }
  if (view.getUint8(at) !== 0x2c) return undefined;
  const end = (offset: number): number =>
    view.getUint16(at + 1 + offset, true) + view.getUint16(at + 5 + offset, true);
  return {
    type: "image/gif",
    width: Math.max(view.getUint16(6, true), end(0)),
    height: Math.max(view.getUint16(8, true), end(2)),
  };
}

function webp(view: DataView): PictureKind | undefined {
  if (!has(view, 0, "RIFF") || !has(view, 8, "WEBP")) return undefined;
  const type = "image/webp";
  const uint24 = (at: number): number => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (has(view, 12, "VP8X")) return { type, width: uint24(24) + 1, height: uint24(27) + 1 };
  if (has(view, 12, "VP8L")) {
    const bits = view.getUint32(21, true);
    return { type, width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
  }
  if (!has(view, 12, "VP8 ")) return undefined;
  const side = (at: number): number => view.getUint16(at, true) & 0x3fff;
  return { type, width: side(26), height: side(28) };
}
