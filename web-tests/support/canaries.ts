import { randomBytes } from "node:crypto";
import { pngOf } from "./pictures.ts";

const FIELDS = [
  "roomName",
  "newRoomName",
  "clearRoomName",
  "topic",
  "newTopic",
  "alias",
  "message",
  "clearMessage",
  "filename",
  "fileContent",
  "keyword",
  "displayName",
  "roomNickname",
  "sealedNickname",
  "deviceName",
  "reason",
  "redactionReason",
  "knockReason",
  "searchTerm",
  "userSearchTerm",
  "directorySearchTerm",
  "invitedEmail",
  "ownEmail",
  "contactEmail",
  "sticker",
  "link",
  "logLine",
  "pinned",
  "roomUpgradeName",
  "avatarContent",
  "ownPictureContent",
  "sectionName",
] as const;

/** A field that holds something only its readers should see. */
export type CanaryField = (typeof FIELDS)[number];

/** A random-looking string for each field; letters and digits only, so no encoding changes it. */
export type Canaries = Record<CanaryField, string>;

/** New canaries; every run has its own, so nothing can be found by habit. */
export function makeCanaries(): Canaries {
  const entries = FIELDS.map((field) => [
    field,
    `${field.toLowerCase()}${randomBytes(6).toString("hex")}`,
  ]);
  const canaries = Object.fromEntries(entries) as Canaries;
  for (const field of ["invitedEmail", "ownEmail", "contactEmail"] as const) {
    canaries[field] = `${canaries[field]}@mail.example.org`;
  }
  return canaries;
}

/** True when `haystack` holds the canary, also percent-encoded or doubly so. */
export function holds(haystack: string | Buffer, canary: string): boolean {
  const text = haystack.toString("utf8");
  if (text.includes(canary)) return true;
  if (!canary.includes("@")) return false;
  const encoded = encodeURIComponent(canary);
  return text.includes(encoded) || text.includes(encodeURIComponent(encoded));
}

/** A small JPEG that says in its EXIF block where and with which camera it was taken. */
export function jpegWithPlace(camera: string): Buffer {
  const tiff = exif(camera);
  const app1 = Buffer.concat([
    Buffer.from([0xff, 0xe1]),
    uint16(tiff.length + 8),
    Buffer.from("Exif\0\0", "latin1"),
    tiff,
  ]);
  return Buffer.concat([JPEG.subarray(0, 2), app1, JPEG.subarray(2)]);
}

/** 51.5° N 0.125° W, as big-endian EXIF rationals. */
export const GPS_BYTES: Buffer = Buffer.concat([51, 1, 30, 1, 0, 1].map((value) => uint32(value)));

// A 1 × 1 baseline JPEG.
const JPEG = Buffer.from(
  "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////" +
    "////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA=",
  "base64",
);

function exif(camera: string): Buffer {
  const text = Buffer.from(camera + "\0", "latin1");
  // Layout: header 8, IFD0 (2 entries) 30, camera text, GPS IFD (2 entries) 30, latitude.
  const textAt = 8 + 2 + 2 * 12 + 4;
  const gpsAt = textAt + text.length;
  const latitudeAt = gpsAt + 2 + 2 * 12 + 4;
  return Buffer.concat([
    Buffer.from("MM\0\x2a", "latin1"),
    uint32(8),
    uint16(2),
    entry(0x0110, 2, text.length, uint32(textAt)),
    entry(0x8825, 4, 1, uint32(gpsAt)),
    uint32(0),
    text,
    uint16(2),
    entry(1, 2, 2, Buffer.from("N\0\0\0", "latin1")),
    entry(2, 5, 3, uint32(latitudeAt)),
    uint32(0),
    GPS_BYTES,
  ]);
}

function entry(tag: number, type: number, count: number, value: Buffer): Buffer {
  return Buffer.concat([uint16(tag), uint16(type), uint32(count), value]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A PNG of one line whose grey values are the text, in clear. */
export function pictureHolding(text: string): Buffer {
  const line = Buffer.from(text);
  const lines = Buffer.concat([Buffer.alloc(1), line]);
  return pngOf([line.length, 1], "grey", lines, { level: 0 });
}
