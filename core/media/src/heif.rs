//! HEIC and AVIF (ISO/IEC 23008-12): offsets stay, so what goes is overwritten in place.
//!
//! Kept are the extents of picture items; whatever else lies in the media data becomes zeros.
//! Orientation is a property of the item (`irot`, `imir`) and stays with the properties.

use super::bmff::{Bmff, MOST_INDEX, boxes_in, top_boxes};
use super::bytes::{be16, be32, be64, four};
use super::plan::{Kept, Overlay, Plan};
use super::reader::Reader;
use super::{Findings, Refusal, exif};

const MOST_ITEMS: u32 = 65_535;
const MOST_EXTENTS: usize = 200_000;
const MOST_EXIF: u64 = 4 << 20;

/// An item of the `meta` box.
#[derive(Debug, Default, Clone)]
struct Item {
    id: u32,
    name: [u8; 4],
    /// 0: offsets in the file; 1: in the `idat` box.
    method: u8,
    /// Start and length.
    extents: Vec<(u64, u64)>,
}

impl Item {
    fn is_picture(&self) -> bool {
        matches!(
            &self.name,
            b"hvc1"
                | b"hev1"
                | b"lhv1"
                | b"av01"
                | b"avc1"
                | b"vvc1"
                | b"evc1"
                | b"jpeg"
                | b"j2k1"
                | b"unci"
                | b"grid"
                | b"iovl"
                | b"iden"
                | b"tmap"
                | b"mski"
        )
    }
}

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let boxes = top_boxes(reader).await?;
    let has_tracks = boxes.iter().any(|part| &part.name == b"moov");
    let mut overlay = Overlay::default();
    let mut end = size;
    let mut media = Vec::new();
    let mut index = None;
    for (at, part) in boxes.iter().enumerate() {
        match &part.name {
            b"ftyp" => {}
            b"mdat" => media.push((part.content, part.end)),
            b"meta" if index.is_none() => index = Some(*part),
            b"moov" => tracks(reader, part, &mut overlay, found).await?,
            b"moof" | b"sidx" | b"mfra" | b"meta" => return Err(Refusal::Unsupported),
            b"free" | b"skip" | b"wide" if part.end - part.content <= 16 => {}
            _ => {
                found.hidden = true;
                if at + 1 == boxes.len() {
                    end = part.start;
                } else {
                    free(part, &mut overlay)?;
                }
            }
        }
    }
    let Some(index) = index else { return Err(Refusal::Malformed) };
    if index.end - index.start > MOST_INDEX {
        return Err(Refusal::TooComplex);
    }
    let length = usize::try_from(index.end - index.content).unwrap_or(0);
    let content = reader.read(index.content, length).await?;
    let meta = read_meta(&content, index.content, &mut overlay, found)?;

    let mut kept = Kept::default();
    let mut metadata = Vec::new();
    for item in &meta.items {
        for &(start, length) in &item.extents {
            let range = meta.range(item, start, length, &media)?;
            if item.is_picture() {
                kept.add(range.0, range.1);
            } else {
                metadata.push((item.name, range));
            }
        }
    }
    let mut blocks = Vec::new();
    for (name, range) in &metadata {
        if let Some(block) = note_item(reader, *name, *range, found).await? {
            blocks.push((range.0, block));
        }
    }
    blocks.sort_unstable();
    if has_tracks {
        // Samples of tracks lie between the items: only what is known goes.
        for (_, (from, to)) in &metadata {
            if kept.gaps(*from, *to) != [(*from, *to)] {
                return Err(Refusal::Malformed);
            }
            blank(&mut overlay, *from, *to, &blocks)?;
        }
    } else {
        let areas = media.iter().copied().chain(meta.data);
        for (from, to) in areas {
            for (from, to) in kept.gaps(from, to) {
                if !metadata.iter().any(|(_, range)| range.0 <= from && to <= range.1)
                    && !is_zero(reader, from, to).await?
                {
                    found.hidden |=
                        !metadata.iter().any(|(_, range)| range.0 < to && from < range.1);
                }
                blank(&mut overlay, from, to, &blocks)?;
            }
        }
    }
    if found.any() { Ok(overlay.into_plan(size, end)) } else { Ok(Plan::unchanged(size)) }
}

/// Zeros, with minimal Exif blocks where they belong; these come in order.
fn blank(
    overlay: &mut Overlay,
    mut from: u64,
    to: u64,
    blocks: &[(u64, Vec<u8>)],
) -> Result<(), Refusal> {
    for (at, bytes) in blocks {
        let end = at + bytes.len() as u64;
        if from <= *at && end <= to {
            overlay.zero(from, *at)?;
            overlay.put(*at, bytes.clone())?;
            from = end;
        }
    }
    overlay.zero(from, to)
}

async fn is_zero(reader: &Reader, mut from: u64, to: u64) -> Result<bool, Refusal> {
    while from < to {
        let left = usize::try_from(to - from).unwrap_or(usize::MAX);
        let (seen, is_clear) = reader
            .look(from, left.min(1 << 16), |bytes| {
                let bytes = bytes.get(..left).unwrap_or(bytes);
                (bytes.len(), bytes.iter().all(|byte| *byte == 0))
            })
            .await?;
        if !is_clear {
            return Ok(false);
        }
        from += seen as u64;
    }
    Ok(true)
}

/// Notes what a metadata item tells; for an Exif item the block to leave in its place.
async fn note_item(
    reader: &Reader,
    name: [u8; 4],
    range: (u64, u64),
    found: &mut Findings,
) -> Result<Option<Vec<u8>>, Refusal> {
    let length = range.1 - range.0;
    match &name {
        b"Exif" if length <= MOST_EXIF => {
            let item = reader.read(range.0, usize::try_from(length).unwrap_or(0)).await?;
            let skip = be32(&item, 0).and_then(|skip| usize::try_from(skip).ok()).unwrap_or(0);
            let block = item.get(4..).and_then(|rest| rest.get(skip..)).unwrap_or_default();
            let turned = exif::note(block, found);
            let mut left = vec![0; 4];
            left.extend(exif::only_orientation(turned));
            Ok((left.len() as u64 <= length).then_some(left))
        }
        b"mime" => {
            let sample = usize::try_from(length).unwrap_or(0).min(1 << 16);
            exif::note_xmp(&reader.read(range.0, sample).await?, found);
            Ok(None)
        }
        _ => {
            found.other = true;
            Ok(None)
        }
    }
}

/// Makes a box a free one: its name goes, its content becomes zeros.
fn free(part: &Bmff, overlay: &mut Overlay) -> Result<(), Refusal> {
    overlay.put(part.start + 4, b"free".to_vec())?;
    overlay.zero(part.content, part.end)
}

/// Image sequences have tracks as films do: user data and metadata of theirs go.
async fn tracks(
    reader: &Reader,
    moov: &Bmff,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<(), Refusal> {
    if moov.end - moov.start > MOST_INDEX {
        return Err(Refusal::TooComplex);
    }
    let length = usize::try_from(moov.end - moov.content).unwrap_or(0);
    let content = reader.read(moov.content, length).await?;
    for part in boxes_in(&content, moov.content)? {
        if is_user_data(&part) {
            found.other = true;
            free(&part, overlay)?;
        }
        if &part.name == b"trak" {
            let from = usize::try_from(part.content - moov.content).unwrap_or(0);
            let to = usize::try_from(part.end - moov.content).unwrap_or(0);
            for inner in boxes_in(content.get(from..to).unwrap_or_default(), part.content)? {
                if is_user_data(&inner) {
                    found.other = true;
                    free(&inner, overlay)?;
                }
            }
        }
    }
    Ok(())
}

fn is_user_data(part: &Bmff) -> bool {
    matches!(&part.name, b"udta" | b"meta" | b"uuid")
}

#[derive(Debug, Default)]
struct Meta {
    items: Vec<Item>,
    /// Content of the `idat` box.
    data: Option<(u64, u64)>,
}

impl Meta {
    /// Where an extent lies in the file: within media data, or it is refused.
    fn range(
        &self,
        item: &Item,
        start: u64,
        length: u64,
        media: &[(u64, u64)],
    ) -> Result<(u64, u64), Refusal> {
        let base = match (item.method, self.data) {
            (0, _) => 0,
            (1, Some((data, _))) => data,
            (1, None) => return Err(Refusal::Malformed),
            _ => return Err(Refusal::Unsupported),
        };
        let from = base.checked_add(start).ok_or(Refusal::Malformed)?;
        let to = from.checked_add(length).ok_or(Refusal::Malformed)?;
        let is_inside = |&(first, last): &(u64, u64)| first <= from && to <= last;
        let is_there = match item.method {
            0 => media.iter().any(is_inside),
            _ => self.data.iter().any(is_inside),
        };
        if is_there { Ok((from, to)) } else { Err(Refusal::Truncated) }
    }
}

/// `content` lies at `base`; what is not needed in the index is overwritten.
fn read_meta(
    content: &[u8],
    base: u64,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<Meta, Refusal> {
    let slice = |part: &Bmff| {
        let from = usize::try_from(part.content - base).ok()?;
        let to = usize::try_from(part.end - base).ok()?;
        content.get(from..to)
    };
    let mut meta = Meta::default();
    let mut places = Vec::new();
    for part in boxes_in(content.get(4..).ok_or(Refusal::Malformed)?, base + 4)? {
        let bytes = slice(&part).ok_or(Refusal::Malformed)?;
        match &part.name {
            b"iinf" => meta.items = read_items(bytes, part.content).ok_or(Refusal::Malformed)?,
            b"iloc" => places = read_places(bytes).ok_or(Refusal::Malformed)?,
            b"idat" => meta.data = Some((part.content, part.end)),
            b"iprp" => {
                for inner in boxes_in(bytes, part.content)? {
                    if &inner.name == b"ipco" {
                        let from = usize::try_from(inner.content - part.content).unwrap_or(0);
                        let to = usize::try_from(inner.end - part.content).unwrap_or(0);
                        let list = bytes.get(from..to).ok_or(Refusal::Malformed)?;
                        properties(list, inner.content, overlay, found)?;
                    }
                }
            }
            b"hdlr" | b"pitm" | b"iref" | b"dinf" | b"grpl" | b"iprt" | b"free" | b"skip" => {}
            _ => {
                found.other = true;
                free(&part, overlay)?;
            }
        }
    }
    for item in &mut meta.items {
        if let Some(place) = places.iter_mut().find(|place| place.id == item.id) {
            item.method = place.method;
            item.extents = std::mem::take(&mut place.extents);
        }
    }
    // Media data that no item of ours refers to would be dropped; better not touch such a file.
    if meta.items.is_empty() || !meta.items.iter().any(Item::is_picture) {
        return Err(Refusal::Unsupported);
    }
    Ok(meta)
}

/// Descriptions and dates among the properties; they keep their place, since others are counted.
fn properties(
    list: &[u8],
    base: u64,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<(), Refusal> {
    for part in boxes_in(list, base)? {
        match &part.name {
            b"udes" | b"altt" => found.text = true,
            b"crtt" | b"mdft" => found.time = true,
            b"uuid" => found.other = true,
            _ => continue,
        }
        free(&part, overlay)?;
    }
    Ok(())
}

/// `iinf`: id and type of every item.
fn read_items(bytes: &[u8], base: u64) -> Option<Vec<Item>> {
    let (count, at) = match bytes.first()? {
        0 => (u32::from(be16(bytes, 4)?), 6),
        _ => (be32(bytes, 4)?, 8),
    };
    if count > MOST_ITEMS {
        return None;
    }
    let entries = boxes_in(bytes.get(at..)?, base + at as u64).ok()?;
    let mut items = Vec::new();
    for entry in entries.iter().filter(|entry| &entry.name == b"infe") {
        let from = usize::try_from(entry.content - base).ok()?;
        let info = bytes.get(from..)?;
        let (id, name) = match info.first()? {
            2 => (u32::from(be16(info, 4)?), four(info, 8)?),
            3 => (be32(info, 4)?, four(info, 10)?),
            // Older entries have no type: nothing can be told apart by them.
            _ => return None,
        };
        items.push(Item { id, name, ..Item::default() });
    }
    Some(items)
}

/// `iloc`: where the items lie.
fn read_places(bytes: &[u8]) -> Option<Vec<Item>> {
    let version = *bytes.first()?;
    let sizes = be16(bytes, 4)?;
    let [offset_size, length_size, base_size, index_size] =
        [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15, sizes & 15].map(usize::from);
    let mut at = 6;
    let count = number(bytes, &mut at, if version < 2 { 2 } else { 4 })?;
    if version > 2 || count > u64::from(MOST_ITEMS) {
        return None;
    }
    let mut places = Vec::new();
    let mut total = 0;
    for _ in 0..count {
        let id = u32::try_from(number(bytes, &mut at, if version < 2 { 2 } else { 4 })?).ok()?;
        let method = if version == 0 { 0 } else { number(bytes, &mut at, 2)? & 15 };
        // Data in another file.
        if number(bytes, &mut at, 2)? != 0 {
            return None;
        }
        let base = number(bytes, &mut at, base_size)?;
        let extents = number(bytes, &mut at, 2)?;
        let mut item = Item { id, method: u8::try_from(method).ok()?, ..Item::default() };
        for _ in 0..extents {
            total += 1;
            if version > 0 {
                number(bytes, &mut at, index_size)?;
            }
            let offset = number(bytes, &mut at, offset_size)?;
            let length = number(bytes, &mut at, length_size)?;
            // No length means the whole file.
            if length == 0 || total > MOST_EXTENTS {
                return None;
            }
            item.extents.push((base.checked_add(offset)?, length));
        }
        places.push(item);
    }
    Some(places)
}

fn number(bytes: &[u8], at: &mut usize, size: usize) -> Option<u64> {
    let value = match size {
        0 => 0,
        2 => u64::from(be16(bytes, *at)?),
        4 => u64::from(be32(bytes, *at)?),
        8 => be64(bytes, *at)?,
        _ => return None,
    };
    *at += size;
    Some(value)
}
