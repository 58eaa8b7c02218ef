//! TIFF 6.0: directories keep the tags that pixels and colours need; the values of the others
//! become zeros. Offsets stay.
//!
//! A file is rewritten only where every byte of it is accounted for: by the header, a directory, a
//! value, or pixels. A raw photograph, or a layout that is not known, has more than that, and is
//! left as it is.

use super::bytes::{be16, be32, le16, le32};
use super::plan::{Kept, Overlay, Plan};
use super::reader::Reader;
use super::tells::Tell;
use super::{Findings, Kind, Refusal, exif, icc};

const MAX_PAGES: usize = 4_096;
/// Directories within directories: Exif and GPS.
const MAX_INNER: usize = 64;
/// Bytes of one strip or tile table.
const MAX_TABLE: u64 = 32 << 20;
const MAX_XMP: usize = 1 << 16;
/// Between parts of a file there are zeros, and at most so many other bytes.
const MAX_GAP: usize = 4_096;
const MAX_PADDING: usize = 8;

/// Tags of baseline and extended TIFF that say how to decode and show the pixels.
const NEEDED: [u16; 52] = [
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282,
    283, 284, 286, 287, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324,
    325, 332, 334, 336, 338, 339, 340, 341, 342, 347, 529, 530, 531, 532,
];

const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const SUB_DIRECTORIES: u16 = 330;
const PROFILE: u16 = 34_675;
/// Exif, GPS, interoperability.
const INNER: [u16; 3] = [34_665, 34_853, 40_965];

/// None, fax, LZW, JPEG, Deflate, PackBits, JPEG 2000, LZMA, Zstandard, WebP. All others, old-style
/// JPEG with tables all over the file among them, are of raws or not known.
const COMPRESSIONS: [u16; 14] =
    [1, 2, 3, 4, 5, 7, 8, 32_771, 32_773, 32_946, 34_712, 34_925, 50_000, 50_001];
/// Bilevel, grey, RGB, palette, mask, CMYK, YCbCr, the three Lab ones. Not: sensors' own patterns.
const PHOTOMETRICS: [u16; 10] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10];

#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) is_big: bool,
}

impl Order {
    pub(super) fn short(self, bytes: &[u8], at: usize) -> Option<u16> {
        if self.is_big { be16(bytes, at) } else { le16(bytes, at) }
    }

    pub(super) fn long(self, bytes: &[u8], at: usize) -> Option<u32> {
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

struct Work<'a> {
    reader: &'a Reader,
    order: Order,
    kept: Kept,
    /// Directories of pages and colour profiles, some of which are written anew.
    written: Vec<(u64, u64)>,
    /// Values and inner directories that go.
    dropped: Kept,
    overlay: Overlay,
    /// Further directories to be gone through, all of whose bytes go.
    inner: Vec<u64>,
}

pub(super) async fn clean(
    reader: &Reader,
    kind: &mut Kind,
    found: &mut Findings,
) -> Result<Plan, Refusal> {
    let head = reader.read(0, 8).await?;
    let order = Order { is_big: head.starts_with(b"MM") };
    // 43 is BigTIFF.
    if order.short(&head, 2) != Some(42) {
        return Err(Refusal::Unsupported);
    }
    let mut work = Work {
        reader,
        order,
        kept: Kept::default(),
        written: Vec::new(),
        dropped: Kept::default(),
        overlay: Overlay::default(),
        inner: Vec::new(),
    };
    work.kept.add(0, 8);
    let mut seen = Vec::new();
    let mut next = u64::from(order.long(&head, 4).ok_or(Refusal::Truncated)?);
    while next != 0 {
        if seen.contains(&next) {
            return Err(Refusal::Malformed);
        }
        if seen.len() >= MAX_PAGES {
            return Err(Refusal::TooComplex);
        }
        seen.push(next);
        next = match work.page(next, kind, found).await {
            Err(Refusal::NotRemovable) => {
                // What else it says is told all the same.
                note_raw(reader, 4, found).await;
                return Err(Refusal::NotRemovable);
            }
            next => next?,
        };
    }
    if seen.is_empty() {
        return Err(Refusal::Malformed);
    }
    let mut count = 0;
    while let Some(at) = work.inner.pop() {
        count += 1;
        if count > MAX_INNER {
            return Err(Refusal::TooComplex);
        }
        work.inner_directory(at, found).await?;
    }
    work.finish(found).await
}

impl Work<'_> {
    /// Zeros over what goes, if all of the file is accounted for.
    async fn finish(mut self, found: &mut Findings) -> Result<Plan, Refusal> {
        let size = self.reader.size();
        self.written.sort_unstable();
        let pairs = self.written.iter().zip(self.written.iter().skip(1));
        if pairs.into_iter().any(|(one, next)| one.1 > next.0) || self.kept.overlaps(&self.written)
        {
            return Err(Refusal::Unsupported);
        }
        for (from, to) in &self.written {
            self.kept.add(*from, *to);
        }
        let dropped = self.dropped.joined();
        if self.kept.overlaps(&dropped) {
            return Err(Refusal::Unsupported);
        }
        let mut known = Kept::default();
        for (from, to) in self.kept.joined().into_iter().chain(dropped.iter().copied()) {
            known.add(from, to);
        }
        for (from, to) in known.gaps(0, size) {
            if self.reader.is_zero(from, to).await? {
                continue;
            }
            // Some writers leave a head before each page.
            let gap = match usize::try_from(to - from) {
                Ok(length) if length <= MAX_GAP => self.reader.read(from, length).await?,
                _ => return Err(Refusal::Unsupported),
            };
            let is_set = |byte: &u8| *byte != 0;
            let first = gap.iter().position(is_set).unwrap_or(0);
            let last = gap.iter().rposition(is_set).unwrap_or(0);
            if last - first >= MAX_PADDING {
                return Err(Refusal::Unsupported);
            }
            found.hidden = true;
            self.overlay.zero(from, to);
        }
        for (from, to) in dropped {
            self.overlay.zero(from, to);
        }
        let plan = self.overlay.into_plan(size, size)?;
        Ok(if found.any() { plan } else { Plan::unchanged(size) })
    }

    /// One directory; gives the offset of the next. `NotRemovable`: it is a raw photograph.
    async fn page(
        &mut self,
        at: u64,
        kind: &mut Kind,
        found: &mut Findings,
    ) -> Result<u64, Refusal> {
        let order = self.order;
        let (entries, bytes) = self.directory(at, 4).await?;
        if is_raw(self.reader, order, &entries).await? {
            *kind = Kind::Raw;
            return Err(Refusal::NotRemovable);
        }
        let mut directory: Vec<u8> = Vec::new();
        let mut left: u16 = 0;
        for (index, entry) in entries.iter().enumerate() {
            let from = 2 + 12 * index;
            let raw = bytes.get(from..from + 12).ok_or(Refusal::Truncated)?;
            let is_profile = entry.tag == PROFILE;
            let mut is_written = false;
            if is_profile && !entry.is_inline {
                let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
                if length > icc::MAX_PROFILE {
                    return Err(Refusal::TooComplex);
                }
                let mut profile = self.reader.read(entry.at, length).await?;
                if icc::clean(&mut profile, found)? {
                    self.overlay.put(entry.at, profile);
                    self.written.push((entry.at, entry.at + entry.length));
                    is_written = true;
                }
            }
            if NEEDED.contains(&entry.tag) || is_profile {
                directory.extend(raw);
                left += 1;
                if !entry.is_inline && !is_written {
                    self.kept.add(entry.at, entry.at + entry.length);
                }
            } else {
                self.drop_value(entry, raw, found).await?;
            }
        }
        let length = bytes.len();
        let next = order.long(&bytes, length - 4).ok_or(Refusal::Truncated)?;
        self.pixels(&entries).await?;
        self.written.push((at, at + length as u64));
        if usize::from(left) < entries.len() {
            let mut written = order.put_short(left).to_vec();
            written.extend(directory);
            written.extend(bytes.get(length - 4..).unwrap_or_default());
            written.resize(length, 0);
            self.overlay.put(at, written);
        }
        Ok(u64::from(next))
    }

    /// The entries of the directory at `at`, and all its bytes with `tail` behind them.
    async fn directory(&self, at: u64, tail: usize) -> Result<(Vec<Entry>, Vec<u8>), Refusal> {
        let count = self.reader.read(at, 2).await?;
        let count = usize::from(self.order.short(&count, 0).unwrap_or(0));
        let bytes = self.reader.read(at, 2 + 12 * count + tail).await?;
        let mut entries = Vec::with_capacity(count);
        for index in 0..count {
            let from = 2 + 12 * index;
            let raw = bytes.get(from..from + 12).ok_or(Refusal::Truncated)?;
            let entry = read_entry(self.order, raw, at + from as u64).ok_or(Refusal::Malformed)?;
            if entry.at + entry.length > self.reader.size() {
                return Err(Refusal::Truncated);
            }
            entries.push(entry);
        }
        Ok((entries, bytes))
    }

    /// Exif's own directories go with all they hold.
    async fn inner_directory(&mut self, at: u64, found: &mut Findings) -> Result<(), Refusal> {
        // The offset of a next one, which none has, need not be there.
        let (entries, bytes) = self.directory(at, 0).await?;
        for (index, entry) in entries.iter().enumerate() {
            let from = 2 + 12 * index;
            let raw = bytes.get(from..from + 12).unwrap_or_default();
            self.drop_value(entry, raw, found).await?;
        }
        self.dropped.add(at, at + bytes.len() as u64);
        Ok(())
    }

    async fn drop_value(
        &mut self,
        entry: &Entry,
        raw: &[u8],
        found: &mut Findings,
    ) -> Result<(), Refusal> {
        note(self.reader, entry, found).await?;
        if INNER.contains(&entry.tag) {
            let at = self.order.long(raw, 8).ok_or(Refusal::Truncated)?;
            if self.inner.len() >= MAX_INNER || !entry.is_inline {
                return Err(Refusal::Unsupported);
            }
            self.inner.push(u64::from(at));
        } else if !entry.is_inline {
            self.dropped.add(entry.at, entry.at + entry.length);
        }
        Ok(())
    }

    /// Strips and tiles.
    async fn pixels(&mut self, entries: &[Entry]) -> Result<(), Refusal> {
        let find = |tag| entries.iter().find(|entry| entry.tag == tag);
        let mut is_there = false;
        for (offsets, lengths) in [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)] {
            let (Some(offsets), Some(lengths)) = (find(offsets), find(lengths)) else { continue };
            let starts = self.numbers(offsets).await?;
            let sizes = self.numbers(lengths).await?;
            if starts.len() != sizes.len() {
                return Err(Refusal::Malformed);
            }
            let rows = if offsets.tag == STRIP_OFFSETS { self.rows(entries).await? } else { None };
            for (index, (start, size)) in (0_u64..).zip(starts.into_iter().zip(sizes)) {
                if start + size > self.reader.size() {
                    return Err(Refusal::Truncated);
                }
                // Readers go on into what stands behind a strip that is too short.
                if let Some((row, rows, height)) = rows {
                    let above = index % height.div_ceil(rows) * rows;
                    if row.saturating_mul(rows.min(height - above)) > size {
                        return Err(Refusal::Malformed);
                    }
                }
                self.kept.add(start, start + size);
            }
            is_there = true;
        }
        if is_there { Ok(()) } else { Err(Refusal::Malformed) }
    }

    /// Of a picture without compression or shared colours: bytes of a row, rows of a strip, and of
    /// all of it.
    async fn rows(&self, entries: &[Entry]) -> Result<Option<(u64, u64, u64)>, Refusal> {
        let mut values = [1, 1, 1, 1, 1, 1, u32::MAX.into(), 1];
        let tags = [COMPRESSION, PHOTOMETRIC, 256, 257, 258, 277, 278, 284];
        for (value, tag) in values.iter_mut().zip(tags) {
            if let Some(entry) = entries.iter().find(|entry| entry.tag == tag) {
                *value = self.numbers(entry).await?.first().copied().unwrap_or(1);
            }
        }
        let [compression, photometric, width, height, bits, samples, rows, planes] = values;
        let samples = if planes == 2 { 1 } else { samples };
        let row = width.saturating_mul(bits * samples).div_ceil(8);
        let rows = rows.clamp(1, height.max(1));
        Ok((compression == 1 && photometric != 6).then_some((row, rows, height.max(1))))
    }

    async fn numbers(&self, entry: &Entry) -> Result<Vec<u64>, Refusal> {
        if entry.length > MAX_TABLE {
            return Err(Refusal::TooComplex);
        }
        let length = usize::try_from(entry.length).unwrap_or(0);
        let bytes = self.reader.read(entry.at, length).await?;
        (0..usize::try_from(entry.count).unwrap_or(0))
            .map(|index| match entry.form {
                3 => self.order.short(&bytes, 2 * index).map(u64::from),
                4 => self.order.long(&bytes, 4 * index).map(u64::from),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or(Refusal::Malformed)
    }
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

/// Further directories, sensors' patterns, DNG, slices of Canon, previews: what such a file shows
/// is not what its first directory says.
async fn is_raw(reader: &Reader, order: Order, entries: &[Entry]) -> Result<bool, Refusal> {
    for entry in entries {
        let allowed = match entry.tag {
            SUB_DIRECTORIES | 513 | 514 | 33_421 | 33_422 | 50_706..=50_752 => return Ok(true),
            COMPRESSION => &COMPRESSIONS[..],
            PHOTOMETRIC => &PHOTOMETRICS,
            _ => continue,
        };
        let value = reader.read(entry.at, 2).await?;
        if entry.form != 3 || !allowed.contains(&order.short(&value, 0).unwrap_or(0)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What tags tell that are not needed.
const TELLS: &[(u16, Tell)] = &[
    (34_853, Tell::Place),
    (271, Tell::Camera),
    (272, Tell::Camera),
    (305, Tell::Camera),
    (42_035, Tell::Camera),
    (42_036, Tell::Camera),
    (42_033, Tell::Serial),
    (42_037, Tell::Serial),
    (42_016, Tell::Serial),
    (37_500, Tell::Serial),
    (50_735, Tell::Serial),
    (306, Tell::Time),
    (36_867, Tell::Time),
    (36_868, Tell::Time),
    (315, Tell::Names),
    (316, Tell::Names),
    (33_432, Tell::Names),
    (42_032, Tell::Names),
    (700, Tell::Text),
    (269, Tell::Text),
    (270, Tell::Text),
    (285, Tell::Text),
    (33_723, Tell::Text),
    (34_377, Tell::Text),
    (37_510, Tell::Text),
    (SUB_DIRECTORIES, Tell::Preview),
    (513, Tell::Preview),
];

async fn note(reader: &Reader, entry: &Entry, found: &mut Findings) -> Result<(), Refusal> {
    if entry.tag == 700 {
        let sample = usize::try_from(entry.length).unwrap_or(MAX_XMP).min(MAX_XMP);
        exif::note_xmp(&reader.read(entry.at, sample).await?, found);
    }
    found.tell(tell(entry.tag));
    Ok(())
}

/// What a tag tells.
pub(super) fn tell(tag: u16) -> Tell {
    TELLS.iter().find(|(known, _)| *known == tag).map_or(Tell::Other, |(_, tell)| *tell)
}

/// What a raw photograph's directories tell, as far as they can be read. The first one's offset
/// stands at `start`.
pub(super) async fn note_raw(reader: &Reader, start: u64, found: &mut Findings) {
    // Every camera puts its name, and nearly every one its number and a date into them.
    found.camera = true;
    found.other = true;
    let Ok(head) = reader.read(0, 2).await else { return };
    let order = Order { is_big: head.starts_with(b"MM") };
    let Ok(offset) = reader.read(start, 4).await else { return };
    let mut left = vec![u64::from(order.long(&offset, 0).unwrap_or(0))];
    let mut seen = Vec::new();
    while let Some(at) = left.pop() {
        if at == 0 || seen.contains(&at) || seen.len() >= MAX_INNER {
            continue;
        }
        seen.push(at);
        let Ok(count) = reader.read(at, 2).await else { continue };
        let count = usize::from(order.short(&count, 0).unwrap_or(0));
        let Ok(bytes) = reader.read(at, 2 + 12 * count).await else { continue };
        for index in 0..count {
            let from = 2 + 12 * index;
            let raw = bytes.get(from..from + 12).unwrap_or_default();
            let Some(entry) = read_entry(order, raw, at + from as u64) else { continue };
            // The tags of pixels say nothing.
            if !NEEDED.contains(&entry.tag) {
                let _ = note(reader, &entry, found).await;
            }
            if INNER.contains(&entry.tag) {
                left.extend(order.long(raw, 8).map(u64::from));
            }
        }
    }
}
