//! TIFF 6.0: directories keep the tags that pixels and colours need; everything else, also what no
//! directory refers to, becomes zeros. Offsets stay.

use super::bytes::{be16, be32, le16, le32};
use super::plan::{Kept, Overlay, Plan};
use super::reader::Reader;
use super::{Findings, Refusal, exif};

const MOST_PAGES: usize = 4_096;
/// Bytes of one strip or tile table.
const MOST_TABLE: u64 = 32 << 20;
const MOST_XMP: usize = 1 << 16;

/// Tags of baseline and extended TIFF that say how to decode and show the pixels.
const NEEDED: [u16; 53] = [
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282,
    283, 284, 286, 287, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324,
    325, 332, 334, 336, 338, 339, 340, 341, 342, 347, 529, 530, 531, 532, 34675,
];

const COMPRESSION: u16 = 259;
const STRIP_OFFSETS: u16 = 273;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;

#[derive(Debug, Clone, Copy)]
struct Order {
    is_big: bool,
}

impl Order {
    fn short(self, bytes: &[u8], at: usize) -> Option<u16> {
        if self.is_big { be16(bytes, at) } else { le16(bytes, at) }
    }

    fn long(self, bytes: &[u8], at: usize) -> Option<u32> {
        if self.is_big { be32(bytes, at) } else { le32(bytes, at) }
    }

    fn put_short(self, value: u16) -> [u8; 2] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    form: u16,
    count: u32,
    /// Where the value lies in the file.
    at: u64,
    length: u64,
    is_inline: bool,
}

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let head = reader.read(0, 8).await?;
    let order = Order { is_big: head.starts_with(b"MM") };
    // 43 is BigTIFF.
    if order.short(&head, 2) != Some(42) {
        return Err(Refusal::Unsupported);
    }
    let mut kept = Kept::default();
    let mut overlay = Overlay::default();
    kept.add(0, 8);
    let mut seen = Vec::new();
    let mut next = u64::from(order.long(&head, 4).ok_or(Refusal::Truncated)?);
    while next != 0 {
        if seen.contains(&next) {
            return Err(Refusal::Malformed);
        }
        if seen.len() >= MOST_PAGES {
            return Err(Refusal::TooComplex);
        }
        seen.push(next);
        next = page(reader, order, next, &mut kept, &mut overlay, found).await?;
    }
    if seen.is_empty() {
        return Err(Refusal::Malformed);
    }
    for (from, to) in kept.gaps(0, size) {
        // Alignment, and what belongs to entries that went.
        if to - from > 1 {
            found.hidden |= !found.any();
        }
        overlay.zero(from, to)?;
    }
    if found.any() { Ok(overlay.into_plan(size, size)) } else { Ok(Plan::unchanged(size)) }
}

/// One directory; gives the offset of the next.
async fn page(
    reader: &Reader,
    order: Order,
    at: u64,
    kept: &mut Kept,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<u64, Refusal> {
    let count = reader.read(at, 2).await?;
    let count = usize::from(order.short(&count, 0).unwrap_or(0));
    let length = 2 + 12 * count + 4;
    let bytes = reader.read(at, length).await?;
    let mut directory: Vec<u8> = Vec::new();
    let mut left: u16 = 0;
    let mut entries = Vec::new();
    for index in 0..count {
        let from = 2 + 12 * index;
        let raw = bytes.get(from..from + 12).ok_or(Refusal::Truncated)?;
        let entry = read_entry(order, raw, at + from as u64).ok_or(Refusal::Malformed)?;
        if is_raw_photograph(&entry) {
            return Err(Refusal::Unsupported);
        }
        if NEEDED.contains(&entry.tag) {
            directory.extend(raw);
            left += 1;
            if !entry.is_inline {
                kept.add(entry.at, entry.at + entry.length);
            }
            if entry.at + entry.length > reader.size() {
                return Err(Refusal::Truncated);
            }
            entries.push(entry);
        } else {
            note(reader, &entry, found).await?;
        }
    }
    let next = order.long(&bytes, length - 4).ok_or(Refusal::Truncated)?;
    pixels(reader, order, &entries, kept).await?;
    kept.add(at, at + length as u64);
    if usize::from(left) < count {
        let mut written = order.put_short(left).to_vec();
        written.extend(directory);
        written.extend(bytes.get(length - 4..).unwrap_or_default());
        written.resize(length, 0);
        overlay.put(at, written)?;
    }
    Ok(u64::from(next))
}

fn read_entry(order: Order, raw: &[u8], at: u64) -> Option<Entry> {
    let form = order.short(raw, 2)?;
    let count = order.long(raw, 4)?;
    let size = match form {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 => 8,
        _ => return None,
    };
    let length = u64::from(count) * size;
    let is_inline = length <= 4;
    let at = if is_inline { at + 8 } else { u64::from(order.long(raw, 8)?) };
    Some(Entry { tag: order.short(raw, 0)?, form, count, at, length, is_inline })
}

/// DNG, and what cameras call TIFF.
fn is_raw_photograph(entry: &Entry) -> bool {
    matches!(entry.tag, 50_706 | 33_421 | 50_752)
}

async fn note(reader: &Reader, entry: &Entry, found: &mut Findings) -> Result<(), Refusal> {
    match entry.tag {
        34_853 => found.place = true,
        271 | 272 | 305 => found.camera = true,
        306 => found.time = true,
        315 | 33_432 => found.names = true,
        34_665 => {
            found.other = true;
            found.time = true;
        }
        700 => {
            let sample = usize::try_from(entry.length).unwrap_or(MOST_XMP).min(MOST_XMP);
            if entry.at + sample as u64 <= reader.size() {
                exif::note_xmp(&reader.read(entry.at, sample).await?, found);
            }
            found.text = true;
        }
        269 | 270 | 285 | 33_723 | 34_377 => found.text = true,
        330 => found.preview = true,
        _ => found.other = true,
    }
    Ok(())
}

/// Strips and tiles.
async fn pixels(
    reader: &Reader,
    order: Order,
    entries: &[Entry],
    kept: &mut Kept,
) -> Result<(), Refusal> {
    let find = |tag| entries.iter().find(|entry| entry.tag == tag);
    if let Some(compression) = find(COMPRESSION) {
        let value = reader.read(compression.at, 2).await?;
        // Old-style JPEG scatters its tables over the file.
        if order.short(&value, 0) == Some(6) {
            return Err(Refusal::Unsupported);
        }
    }
    let mut is_there = false;
    for (offsets, lengths) in [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)] {
        let (Some(offsets), Some(lengths)) = (find(offsets), find(lengths)) else { continue };
        let starts = numbers(reader, order, offsets).await?;
        let sizes = numbers(reader, order, lengths).await?;
        if starts.len() != sizes.len() {
            return Err(Refusal::Malformed);
        }
        for (start, size) in starts.into_iter().zip(sizes) {
            if start + size > reader.size() {
                return Err(Refusal::Truncated);
            }
            kept.add(start, start + size);
        }
        is_there = true;
    }
    if is_there { Ok(()) } else { Err(Refusal::Malformed) }
}

async fn numbers(reader: &Reader, order: Order, entry: &Entry) -> Result<Vec<u64>, Refusal> {
    if entry.length > MOST_TABLE {
        return Err(Refusal::TooComplex);
    }
    let bytes = reader.read(entry.at, usize::try_from(entry.length).unwrap_or(0)).await?;
    (0..usize::try_from(entry.count).unwrap_or(0))
        .map(|index| match entry.form {
            3 => order.short(&bytes, 2 * index).map(u64::from),
            4 => order.long(&bytes, 4 * index).map(u64::from),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or(Refusal::Malformed)
}
