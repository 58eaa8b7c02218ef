import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { pictureKind } from "./kind.ts";

const latin = (text: string): Buffer => Buffer.from(text, "latin1");
const be16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const be32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const le16 = (value: number): Buffer => be16(value).reverse();
const le24 = (value: number): Buffer => be32(value).subarray(1).reverse();

const png = (width: number, height: number): Buffer =>
  Buffer.concat([
    latin("\x89PNG\r\n\x1a\n"),
    be32(13),
    latin("IHDR"),
    be32(width),
    be32(height),
    Buffer.alloc(5),
  ]);
const jpeg = (width: number, height: number): Buffer =>
  Buffer.concat([
    latin("\xff\xd8\xff\xe0"),
    be16(16),
    Buffer.alloc(14, 0xff),
    latin("\xff\xff\xc2"),
    be16(11),
    Buffer.from([8]),
    be16(height),
    be16(width),
    Buffer.alloc(8),
  ]);
const gif = (screen: [number, number], frame: [number, number, number, number]): Buffer =>
  Buffer.concat([
    latin("GIF89a"),
    le16(screen[0]),
    le16(screen[1]),
    Buffer.from([0x80, 0, 0]),
    Buffer.alloc(6),
    latin("!\xf9\x04\0\0\0\0\0"),
    latin("!\xfe\x02,,\x01,\0"),
    latin(","),
    ...frame.map(le16),
    Buffer.alloc(4),
  ]);
const webp = (name: string, rest: Buffer): Buffer =>
  Buffer.concat([latin("RIFF"), be32(0), latin("WEBP"), latin(name), be32(0), rest]);
const lossy = (width: number, height: number): Buffer =>
  webp("VP8 ", Buffer.concat([latin("\0\0\0\x9d\x01\x2a"), le16(width), le16(height)]));
const lossless = (width: number, height: number): Buffer => {
  const bits = Buffer.alloc(4);
  bits.writeUInt32LE((width - 1) | ((height - 1) << 14));
  return webp("VP8L", Buffer.concat([latin("/"), bits]));
};
const extended = (width: number, height: number): Buffer =>
  webp("VP8X", Buffer.concat([Buffer.alloc(4), le24(width - 1), le24(height - 1)]));
const ispe = (width: number, height: number): Buffer =>
  Buffer.concat([be32(20), latin("ispe"), be32(0), be32(width), be32(height)]);
const avif = (brand: string, ...sizes: [number, number][]): Buffer =>
  Buffer.concat([
    be32(24),
    latin("ftyp"),
    latin("mif1"),
    be32(0),
    latin("miaf"),
    latin(brand),
    ...sizes.map(([width, height]) => ispe(width, height)),
  ]);

describe("a picture's kind", () => {
  const kinds: [string, Buffer, string][] = [
    ["PNG", png(640, 480), "image/png 640 480"],
    ["JPEG, behind segments and filling", jpeg(640, 480), "image/jpeg 640 480"],
    ["GIF", gif([640, 480], [0, 0, 640, 480]), "image/gif 640 480"],
    ["GIF whose first picture is the larger", gif([1, 1], [40, 30, 600, 450]), "image/gif 640 480"],
    ["lossy WebP", lossy(640, 480), "image/webp 640 480"],
    ["lossless WebP", lossless(640, 480), "image/webp 640 480"],
    ["extended WebP", extended(640, 480), "image/webp 640 480"],
  ];
  for (const [what, bytes, expected] of kinds) {
    test(`${what} is told by its bytes`, () => {
      const kind = pictureKind(bytes);
      assert.equal(`${kind?.type} ${kind?.width} ${kind?.height}`, expected);
    });

    test(`${what} that ends early is none, wherever it does`, () => {
      for (let end = 0; end < bytes.length; end += 1) {
        const kind = pictureKind(bytes.subarray(0, end));
        // What comes after the size does not matter here.
        if (kind !== undefined) assert.ok(kind.width <= 640 && kind.height <= 480);
      }
      assert.equal(pictureKind(bytes.subarray(0, 12)), undefined);
    });
  }

  const refused: [string, Buffer][] = [
    ["SVG", latin('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ["SVG behind a declaration", latin('<?xml version="1.0"?><svg/>')],
    ["HTML", latin("<!doctype html><script>1</script>")],
    ["BMP", Buffer.concat([latin("BM"), Buffer.alloc(60, 1)])],
    ["TIFF", Buffer.concat([latin("II*\0"), Buffer.alloc(60, 1)])],
    ["HEIC", avif("heic", [64, 64])],
    ["AVIF, whose stream may be larger than it says", avif("avif", [64, 64])],
    ["a film of AVIF", avif("avis", [64, 64])],
    ["a picture of no size", png(0, 10)],
    ["one with too long a side", png(16_385, 1)],
    ["one of too many pixels", png(8_000, 4_001)],
    ["one whose sides are beyond all numbers", png(0xffff_ffff, 0xffff_ffff)],
    ["a JPEG of which the picture begins before its size", latin("\xff\xd8\xff\xda\0\0\0\0\0\0\0")],
    ["nothing", Buffer.alloc(0)],
  ];
  for (const [what, bytes] of refused) {
    test(`${what} is none`, () => {
      assert.equal(pictureKind(bytes), undefined);
    });
  }

  test("one as large as may be is one", () => {
    assert.equal(pictureKind(png(8_000, 4_000))?.width, 8_000);
    assert.equal(pictureKind(png(16_384, 1))?.height, 1);
  });

  test("no more of it is looked at than a picture needs", () => {
    const reads = (bytes: Buffer): number => {
      let count = 0;
      const { getUint8 } = DataView.prototype;
      DataView.prototype.getUint8 = function (at) {
        count += 1;
        return getUint8.call(this, at);
      };
      try {
        assert.equal(pictureKind(bytes), undefined);
      } finally {
        DataView.prototype.getUint8 = getUint8;
      }
      return count;
    };
    const many = 2_500_000;
    const long: Record<string, Buffer> = {
      segments: Buffer.concat([latin("\xff\xd8"), Buffer.alloc(many * 4, latin("\xff\xe0\0\x02"))]),
      filling: Buffer.concat([latin("\xff\xd8"), Buffer.alloc(many * 4, 0xff)]),
      boxes: Buffer.concat([avif("avif"), Buffer.alloc(many * 4, "ispf")]),
      blocks: Buffer.concat([
        gif([1, 1], [0, 0, 1, 1]).subarray(0, 19),
        latin("!\xfe"),
        Buffer.alloc(many * 4, 1),
      ]),
      extensions: Buffer.concat([
        gif([1, 1], [0, 0, 1, 1]).subarray(0, 19),
        Buffer.alloc(many * 3, latin("!\xfe\0")),
      ]),
    };
    for (const [what, bytes] of Object.entries(long)) {
      const count = reads(bytes);
      assert.ok(count < 300_000, `${what}: ${String(count)}`);
    }
  });

  test("what a picture has before its size may be long", () => {
    const profile = Buffer.concat([latin("\xff\xe2\xff\xff"), Buffer.alloc(65_533)]);
    const photograph = Buffer.concat([
      latin("\xff\xd8"),
      ...Array<Buffer>(140).fill(profile),
      jpeg(640, 480).subarray(2),
    ]);
    assert.equal(pictureKind(photograph)?.width, 640);
    const whole = gif([640, 480], [0, 0, 640, 480]);
    const comment = Buffer.concat([Buffer.from([255]), Buffer.alloc(255)]);
    const blocks = Array<Buffer>(35_000).fill(comment);
    const remark = Buffer.concat([latin("!\xfe"), ...blocks, Buffer.from([0])]);
    const commented = Buffer.concat([whole.subarray(0, 19), remark, whole.subarray(19)]);
    assert.equal(pictureKind(commented)?.width, 640);
  });
});
