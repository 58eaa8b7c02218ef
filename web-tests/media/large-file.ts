/** Large files with something to remove, for the bench. */
import { randomBytes } from "node:crypto";

/** Kinds of files that differ in how they are looked into. */
export const LARGE_KINDS = ["jpeg", "png", "tiff", "other"] as const;

/** The parts of a file with metadata: most are one and the same block. */
export function largeFile(kind: (typeof LARGE_KINDS)[number], megabytes: number): Uint8Array[] {
  const block = new Uint8Array(randomBytes(1 << 20));
  const bytes = (...list: (number[] | string)[]): Uint8Array =>
    Uint8Array.from(
      list.flatMap((part) =>
        typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : part,
      ),
    );
  const blocks = Array.from({ length: megabytes }, () => block);
  switch (kind) {
    case "jpeg": {
      // In a scan every 0xff is followed by a stuffed zero.
      for (let at = 0; at + 1 < block.length; at += 1) if (block[at] === 0xff) block[at + 1] = 0;
      block[block.length - 1] = 1;
      const comment = bytes([0xff, 0xfe, 0, 8], "secret");
      const scan = bytes([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
      return [bytes([0xff, 0xd8]), comment, scan, ...blocks, bytes([0xff, 0xd9])];
    }
    case "png": {
      // Chunks of 8 KB, as libpng writes them; their checksums do not matter here.
      const chunk = 8192;
      for (let at = 0; at < block.length; at += chunk) {
        const size = chunk - 12;
        block.set([0, 0, size >> 8, size & 255, 0x49, 0x44, 0x41, 0x54], at);
      }
      const head = bytes(
        [0x89],
        "PNG",
        [13, 10, 26, 10, 0, 0, 0, 13],
        "IHDR",
        new Array<number>(17).fill(0),
      );
      const text = bytes([0, 0, 0, 6], "tEXtsecret", [0, 0, 0, 0]);
      return [head, text, ...blocks, bytes([0, 0, 0, 0], "IEND", [0, 0, 0, 0])];
    }
    case "tiff": {
      const size = megabytes << 20;
      const entry = (tag: number, form: number, value: number): number[] => [
        tag & 255,
        tag >> 8,
        form,
        0,
        1,
        0,
        0,
        0,
        value & 255,
        (value >> 8) & 255,
        (value >> 16) & 255,
        (value >>> 24) & 255,
      ];
      const entries = [
        entry(256, 4, 1),
        entry(257, 4, 1),
        entry(273, 4, 4096),
        entry(279, 4, size - 4096),
        entry(34853, 4, 100),
      ];
      const head = new Uint8Array(4096);
      head.set(bytes("II", [42, 0, 8, 0, 0, 0, entries.length, 0], entries.flat(), [0, 0, 0, 0]));
      return [head, new Uint8Array((1 << 20) - 4096), ...blocks.slice(1)];
    }
    default:
      return blocks;
  }
}
