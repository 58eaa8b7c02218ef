//! HEIC and AVIF (ISO/IEC 23008-12): the index is written anew, at its old place and length, with
//! what the first picture needs and nothing else; in the media data the rest becomes zeros.
//!
//! Needed are the primary item, what it is put together from, and its transparency, with the
//! properties that decoders know. Orientation is one of these (`irot`, `imir`). Thumbnails, further
//! pictures, gain and depth maps, names, groups and unknown boxes go.

use super::bmff::{Bmff, MAX_INDEX, boxes_in, top_boxes};
use super::bytes::{be16, be32, be64, contains, find_iter, four};
use super::index::Index;
use super::plan::{Kept, Overlay, Plan, gaps};
use super::reader::Reader;
use super::{Findings, Refusal, exif, icc};

const MAX_ITEMS: u32 = 65_535;
const MAX_EXTENTS: usize = 200_000;
const MAX_EXIF: u64 = 4 << 20;
/// `mdat` boxes.
const MAX_AREAS: usize = 64;
/// Largest number of samples of an image sequence.
const MAX_SAMPLES: usize = 1_000_000;

/// Coded pictures, and pictures put together from others.
const PICTURES: &[&[u8; 4]] = &[
    b"hvc1", b"hev1", b"lhv1", b"av01", b"avc1", b"vvc1", b"evc1", b"jpeg", b"j2k1", b"unci",
    b"grid", b"iovl", b"iden", b"tmap",
];
/// Properties that decoders need, or that say how to show the picture.
const PROPERTIES: &[&[u8; 4]] = &[
    b"ispe", b"pixi", b"colr", b"pasp", b"clap", b"irot", b"imir", b"iscl", b"hvcC", b"av1C",
    b"avcC", b"vvcC", b"evcC", b"lhvC", b"jpgC", b"j2kH", b"a1op", b"a1lx", b"lsel", b"auxC",
    b"clli", b"mdcv", b"cclv", b"amve", b"cmpd", b"uncC", b"cmpC", b"icef", b"tols", b"oinf",
    b"rloc", b"rref",
];
/// References to what a picture is decoded from.
const PARTS: &[&[u8; 4]] = &[b"dimg", b"base", b"pred", b"tbas", b"prem"];
const ALPHA: &[&[u8]] =
    &[b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0"];

#[derive(Debug, Default, Clone)]
struct Item {
    id: u32,
    name: [u8; 4],
    version: u8,
    flags: [u8; 3],
    /// 0: offsets in the file; 1: in the `idat` box.
    method: u8,
    /// Start and length.
    extents: Vec<(u64, u64)>,
    /// Its entry of `iloc` as it is.
    place: Vec<u8>,
}

/// From which item to which others, and why.
#[derive(Debug)]
struct Reference {
    name: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let boxes = top_boxes(reader).await?;
    let mut overlay = Overlay::default();
    let mut end = size;
    let mut media = Vec::new();
    let mut index = None;
    let mut samples: Option<Kept> = None;
    for (at, part) in boxes.iter().enumerate() {
        match &part.name {
            b"ftyp" => {}
            b"mdat" => media.push((part.content, part.end)),
            b"meta" if index.is_none() => index = Some(*part),
            b"moov" if samples.is_none() => {
                samples = Some(tracks(reader, part, &mut overlay, found).await?);
            }
            b"moof" | b"sidx" | b"mfra" | b"meta" | b"moov" | b"mini" => {
                return Err(Refusal::Unsupported);
            }
            b"free" | b"skip" | b"wide" => {
                if !reader.is_zero(part.content, part.end).await? {
                    found.hidden = true;
                    overlay.zero(part.content, part.end);
                }
            }
            _ => {
                found.hidden = true;
                if at + 1 == boxes.len() {
                    end = part.start;
                } else {
                    free(part, &mut overlay);
                }
            }
        }
    }
    let index = index.ok_or(Refusal::Unsupported)?;
    if index.end - index.start > MAX_INDEX {
        return Err(Refusal::TooComplex);
    }
    let length = usize::try_from(index.end - index.start).unwrap_or(0);
    let bytes = reader.read(index.start, length).await?;
    let skip = usize::try_from(index.content - index.start).unwrap_or(0);
    let meta = Meta::read(bytes.get(skip..).unwrap_or_default()).ok_or(Refusal::Malformed)?;
    let needed = meta.needed()?;

    // What stays and goes of the media data.
    let mut kept = Kept::default();
    let mut gone = Vec::new();
    let mut stored = Kept::default();
    if media.len() > MAX_AREAS {
        return Err(Refusal::TooComplex);
    }
    for item in &meta.items {
        let is_needed = needed.contains(item.id);
        found.other |= !is_needed && item.extents.is_empty();
        for &(start, length) in &item.extents {
            let range = meta.range(item, start, length, &media)?;
            match (item.method, is_needed) {
                (1, true) => stored.add(range.0, range.1),
                (_, true) => kept.add(range.0, range.1),
                (_, false) => gone.push((item, range)),
            }
        }
    }
    let describing = Index::of(
        meta.references
            .iter()
            .filter(|reference| &reference.name == b"cdsc")
            .filter(|reference| reference.to.iter().any(|id| needed.contains(*id)))
            .map(|reference| reference.from),
    );
    // A hint for readers that turn by it.
    let mut turned: Option<(u32, u64, Vec<u8>)> = None;
    for (item, range) in &gone {
        let left = note_item(reader, &meta, item, *range, found).await?;
        if let Some(left) = left
            && turned.is_none()
            && item.method == 0
            && item.extents.len() == 1
            && describing.contains(item.id)
        {
            turned = Some((item.id, range.0, left));
        }
    }
    // Details that lie within the picture's own data could not go without it.
    for (method, needed) in [(0, &mut kept), (1, &mut stored)] {
        let mut details = Kept::default();
        let is_detail = |item: &Item| item.method == method && !PICTURES.contains(&&item.name);
        gone.iter()
            .filter(|(item, _)| is_detail(item))
            .for_each(|(_, (from, to))| details.add(*from, *to));
        if needed.overlaps(&details.joined()) {
            return Err(Refusal::Unsupported);
        }
    }
    let gone: Vec<_> = gone.iter().filter(|(item, _)| item.method == 0).copied().collect();
    let areas: Vec<(u64, u64)> = match &mut samples {
        // Samples of tracks lie between the items: only what is metadata goes.
        Some(samples) => {
            let mut areas = Kept::default();
            for (item, range) in &gone {
                if !PICTURES.contains(&&item.name) {
                    areas.add(range.0, range.1);
                }
            }
            let areas = areas.joined();
            if samples.overlaps(&areas) || kept.overlaps(&areas) {
                return Err(Refusal::Unsupported);
            }
            areas
        }
        None => {
            let kept = kept.joined();
            media.iter().flat_map(|(from, to)| gaps(&kept, *from, *to)).collect()
        }
    };
    let mut listed = Kept::default();
    gone.iter().for_each(|(_, range)| listed.add(range.0, range.1));
    let listed = listed.joined();
    for (from, to) in areas {
        if reader.is_zero(from, to).await? {
            continue;
        }
        // What no item refers to.
        let item = listed.partition_point(|range| range.1 <= from);
        found.hidden |= listed.get(item).is_none_or(|range| range.0 >= to);
        match &turned {
            Some((_, at, left)) if from <= *at && at + left.len() as u64 <= to => {
                overlay.zero(from, *at);
                overlay.put(*at, left.clone());
                overlay.zero(at + left.len() as u64, to);
            }
            _ => overlay.zero(from, to),
        }
    }
    let hint = turned.map(|(id, ..)| id);
    let made = meta.write(&bytes, skip, &needed, hint, &mut stored, found)?;
    if made != bytes {
        overlay.put(index.start, made);
    }
    let plan = overlay.into_plan(size, end)?;
    Ok(if found.any() { plan } else { Plan::unchanged(size) })
}

/// Notes what an item tells that goes; for an Exif item the block to leave in its place.
async fn note_item(
    reader: &Reader,
    meta: &Meta<'_>,
    item: &Item,
    range: (u64, u64),
    found: &mut Findings,
) -> Result<Option<Vec<u8>>, Refusal> {
    let length = usize::try_from(range.1 - range.0).unwrap_or(usize::MAX);
    let sample = match &item.name {
        b"Exif" if length as u64 <= MAX_EXIF => length,
        name if PICTURES.contains(&name) => {
            found.preview = true;
            return Ok(None);
        }
        _ => length.min(1 << 16),
    };
    let content = if item.method == 1 {
        let from = usize::try_from(range.0).unwrap_or(usize::MAX);
        meta.data.get(from..from.saturating_add(sample)).unwrap_or_default().to_vec()
    } else {
        reader.read(range.0, sample).await?
    };
    match &item.name {
        b"Exif" => {
            let skip = be32(&content, 0).and_then(|skip| usize::try_from(skip).ok()).unwrap_or(0);
            let block = content.get(4..).and_then(|rest| rest.get(skip..)).unwrap_or_default();
            // What an earlier cleaning left: the orientation, and zeros.
            let end = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let own = (2..=8).find(|turned| {
                let left = exif::only_orientation(*turned);
                block.starts_with(&left) && end <= left.len() && skip == 0
            });
            let turned = own.unwrap_or_else(|| exif::note(block, found));
            let mut left = vec![0; 4];
            left.extend(exif::only_orientation(turned));
            Ok((turned != 1 && left.len() <= length).then_some(left))
        }
        b"mime" => {
            exif::note_xmp(&content, found);
            Ok(None)
        }
        _ => {
            found.other = true;
            Ok(None)
        }
    }
}

/// Makes a box a free one: its name goes, its content becomes zeros.
fn free(part: &Bmff, overlay: &mut Overlay) {
    overlay.put(part.start + 4, b"free".to_vec());
    overlay.zero(part.content, part.end);
}

/// Image sequences have tracks as films do: user data, times, names and metadata of theirs go.
/// Gives where samples lie, or may lie.
async fn tracks(
    reader: &Reader,
    moov: &Bmff,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<Kept, Refusal> {
    if moov.end - moov.start > MAX_INDEX {
        return Err(Refusal::TooComplex);
    }
    let length = usize::try_from(moov.end - moov.content).unwrap_or(0);
    let content = reader.read(moov.content, length).await?;
    let slice = |part: &Bmff| {
        let from = usize::try_from(part.content - moov.content).unwrap_or(0);
        let to = usize::try_from(part.end - moov.content).unwrap_or(0);
        content.get(from..to).unwrap_or_default()
    };
    let mut samples = Kept::default();
    let mut left = boxes_in(&content, moov.content)?;
    while let Some(part) = left.pop() {
        let bytes = slice(&part);
        match &part.name {
            b"trak" | b"mdia" | b"minf" => left.extend(boxes_in(bytes, part.content)?),
            b"stbl" => {
                let inner = boxes_in(bytes, part.content)?;
                chunks(&inner, &slice, &mut samples).ok_or(Refusal::Malformed)?;
                for part in inner.iter().filter(|part| &part.name == b"stsd") {
                    profiles(slice(part), part.content, overlay, found)?;
                }
            }
            // Made and changed.
            b"mvhd" | b"tkhd" | b"mdhd" => {
                let length = if bytes.first() == Some(&1) { 16 } else { 8 };
                if bytes.get(4..4 + length).ok_or(Refusal::Malformed)?.iter().any(|byte| *byte != 0)
                {
                    found.time = true;
                    overlay.zero(part.content + 4, part.content + 4 + length as u64);
                }
            }
            b"hdlr" => {
                // Sound or other data beside the pictures is not known here.
                if !matches!(four(bytes, 8), Some(name) if matches!(&name, b"pict" | b"auxv" | b"vide"))
                {
                    return Err(Refusal::Unsupported);
                }
                if bytes.get(24..).unwrap_or_default().iter().any(|byte| *byte != 0) {
                    // Writers name themselves there.
                    found.other = true;
                    overlay.zero(part.content + 24, part.end);
                }
            }
            b"edts" | b"tref" | b"dinf" | b"vmhd" | b"nmhd" => {}
            b"free" | b"skip" if bytes.iter().all(|byte| *byte == 0) => {}
            _ => {
                found.other = true;
                free(&part, overlay);
            }
        }
    }
    Ok(samples)
}

/// Where the samples of a track may lie: each chunk as long as all samples of it together.
fn chunks<'a>(
    table: &[Bmff],
    slice: &impl Fn(&Bmff) -> &'a [u8],
    samples: &mut Kept,
) -> Option<()> {
    let find = |name: &[u8; 4]| table.iter().find(|part| &part.name == name).map(slice);
    let sizes = find(b"stsz")?;
    let count = usize::try_from(be32(sizes, 8)?).ok().filter(|count| *count <= MAX_SAMPLES)?;
    let total: u64 = match be32(sizes, 4)? {
        0 => {
            (0..count).map(|index| be32(sizes, 12 + 4 * index).map(u64::from)).sum::<Option<_>>()?
        }
        size => u64::from(size) * count as u64,
    };
    let (offsets, width) =
        find(b"stco").map(|bytes| (bytes, 4)).or(find(b"co64").map(|b| (b, 8)))?;
    let count = usize::try_from(be32(offsets, 4)?).ok().filter(|count| *count <= MAX_SAMPLES)?;
    for index in 0..count {
        let at = number(offsets, &mut (8 + width * index), width)?;
        samples.add(at, at.checked_add(total)?);
    }
    Some(())
}

/// Colour profiles of a track's pictures.
fn profiles(
    bytes: &[u8],
    base: u64,
    overlay: &mut Overlay,
    found: &mut Findings,
) -> Result<(), Refusal> {
    for name in [b"colrprof", b"colrrICC"] {
        for at in find_iter(bytes, name) {
            let start = at.checked_sub(4).ok_or(Refusal::Malformed)?;
            let length = be32(bytes, start).and_then(|length| usize::try_from(length).ok());
            let to = start + length.ok_or(Refusal::Malformed)?;
            let mut profile = bytes.get(at + 8..to).ok_or(Refusal::Malformed)?.to_vec();
            if icc::clean(&mut profile, found)? {
                overlay.put(base + at as u64 + 8, profile);
            }
        }
    }
    Ok(())
}

/// The index, read whole.
#[derive(Debug, Default)]
struct Meta<'a> {
    primary: u32,
    items: Vec<Item>,
    references: Vec<Reference>,
    /// Boxes of the list of properties: name, and all of it.
    properties: Vec<([u8; 4], &'a [u8])>,
    /// Properties of items: number in the list, from one, and whether it is essential.
    owned: Associations,
    /// Places in `owned` by the items' numbers.
    owners: Index,
    /// Content of the `idat` box.
    data: &'a [u8],
    children: Vec<([u8; 4], &'a [u8])>,
    /// Places in `items` by their numbers.
    by_id: Index,
}

impl<'a> Meta<'a> {
    /// `content` of the box.
    fn read(content: &'a [u8]) -> Option<Self> {
        let mut meta = Self { children: split(content.get(4..)?)?, ..Self::default() };
        let mut places = Vec::new();
        let names: Vec<_> = meta.children.iter().map(|(name, _)| *name).collect();
        // Two of a kind: readers differ in which of them they take.
        let is_double = |name: &[u8; 4]| {
            !matches!(name, b"free" | b"skip")
                && names.iter().filter(|other| *other == name).count() > 1
        };
        if names.iter().any(is_double) {
            return None;
        }
        for (name, whole) in meta.children.clone() {
            let bytes = content_of(whole)?;
            match &name {
                b"hdlr" if four(bytes, 8)? != *b"pict" => return None,
                b"pitm" if bytes.first()? == &0 => meta.primary = u32::from(be16(bytes, 4)?),
                b"pitm" => meta.primary = be32(bytes, 4)?,
                b"iinf" => meta.items = read_items(bytes)?,
                b"iloc" => places = read_places(bytes)?,
                b"idat" => meta.data = bytes,
                b"iref" => meta.references = read_references(bytes)?,
                b"iprp" => {
                    for (name, whole) in split(bytes)? {
                        let bytes = content_of(whole)?;
                        match &name {
                            b"ipco" if meta.properties.is_empty() => {
                                meta.properties = split(bytes)?
                            }
                            b"ipma" => meta.owned.extend(read_associations(bytes)?),
                            _ => return None,
                        }
                    }
                }
                b"iprt" => return None,
                _ => {}
            }
        }
        if !names.contains(b"hdlr") {
            return None;
        }
        meta.owners = Index::of(meta.owned.iter().map(|(id, _)| *id));
        meta.by_id = Index::of(meta.items.iter().map(|item| item.id));
        for place in places {
            let item = meta.by_id.get(place.id).and_then(|at| meta.items.get_mut(at));
            if let Some(item) = item {
                item.method = place.method;
                item.extents = place.extents;
                item.place = place.place;
            }
        }
        Some(meta)
    }

    fn item(&self, id: u32) -> Option<&Item> {
        self.items.get(self.by_id.get(id)?)
    }

    /// The primary item, what it is made of, and its transparency.
    fn needed(&self) -> Result<Index, Refusal> {
        // What an item leads to: its parts, and its transparency.
        let mut leads: Vec<(u32, u32)> = Vec::new();
        for reference in &self.references {
            // A picture that belongs to another one: readers differ in which of them they show.
            if reference.from == self.primary && matches!(&reference.name, b"thmb" | b"auxl") {
                return Err(Refusal::Unsupported);
            }
            if PARTS.contains(&&reference.name) {
                leads.extend(reference.to.iter().map(|to| (reference.from, *to)));
            }
            if &reference.name == b"auxl" && self.is_alpha(reference.from) {
                leads.extend(reference.to.iter().map(|to| (*to, reference.from)));
            }
        }
        let by_start = Index::of(leads.iter().map(|(from, _)| *from));
        let mut is_needed = vec![false; self.items.len()];
        let mut left = vec![self.primary];
        while let Some(id) = left.pop() {
            let at = self.by_id.get(id).ok_or(Refusal::Malformed)?;
            let is_known = is_needed.get_mut(at).ok_or(Refusal::Malformed)?;
            if std::mem::replace(is_known, true) {
                continue;
            }
            let item = self.item(id).ok_or(Refusal::Malformed)?;
            let is_empty = item.extents.is_empty() && &item.name != b"iden";
            if !PICTURES.contains(&&item.name) || is_empty || item.method > 1 {
                return Err(Refusal::Unsupported);
            }
            for (number, is_essential) in self.properties_of(id) {
                let (name, _) = self.property(number).ok_or(Refusal::Malformed)?;
                // No decoder shows the item that does not know it.
                if is_essential && !PROPERTIES.contains(&&name) {
                    return Err(Refusal::Unsupported);
                }
            }
            left.extend(by_start.all(id).filter_map(|at| leads.get(at)).map(|(_, to)| *to));
        }
        let needed = self.items.iter().zip(&is_needed).filter(|(_, is_needed)| **is_needed);
        Ok(Index::of(needed.map(|(item, _)| item.id)))
    }

    fn properties_of(&self, id: u32) -> impl Iterator<Item = (u16, bool)> {
        let own = self.owners.all(id).filter_map(|at| self.owned.get(at));
        own.flat_map(|(_, own)| own).copied().filter(|(number, _)| *number > 0)
    }

    fn property(&self, number: u16) -> Option<([u8; 4], &'a [u8])> {
        self.properties.get(usize::from(number).checked_sub(1)?).copied()
    }

    fn is_alpha(&self, id: u32) -> bool {
        self.properties_of(id)
            .filter_map(|(number, _)| self.property(number))
            .any(|(name, whole)| &name == b"auxC" && ALPHA.iter().any(|urn| contains(whole, urn)))
    }

    /// Where an extent lies: in the file's media data, or within `idat`; or it is refused.
    fn range(
        &self,
        item: &Item,
        start: u64,
        length: u64,
        media: &[(u64, u64)],
    ) -> Result<(u64, u64), Refusal> {
        let to = start.checked_add(length).ok_or(Refusal::Malformed)?;
        let is_there = match item.method {
            0 => media.iter().any(|&(first, last)| first <= start && to <= last),
            1 => to <= self.data.len() as u64,
            _ => return Err(Refusal::Unsupported),
        };
        if is_there { Ok((start, to)) } else { Err(Refusal::Truncated) }
    }

    /// The box anew, as long as `old`, with a free one behind it where it became shorter. `skip`
    /// bytes of it are its head.
    fn write(
        &self,
        old: &[u8],
        skip: usize,
        needed: &Index,
        hint: Option<u32>,
        stored: &mut Kept,
        found: &mut Findings,
    ) -> Result<Vec<u8>, Refusal> {
        let list = Index::of(needed.keys().chain(hint));
        let properties = self.write_properties(needed, found)?;
        let mut body = Vec::new();
        let mut handler = 0..0;
        for (name, whole) in &self.children {
            let bytes = content_of(whole).ok_or(Refusal::Malformed)?;
            match name {
                b"hdlr" => {
                    let mut made = [&[0; 8][..], b"pict", &[0; 12]].concat();
                    if bytes.len() > made.len() {
                        made.push(0);
                    }
                    found.text |=
                        bytes.get(24..).is_some_and(|name| name.iter().any(|byte| *byte != 0));
                    found.other |= bytes.get(..24).is_none_or(|head| !made.starts_with(head));
                    let start = body.len();
                    body.extend(boxed(*b"hdlr", &made));
                    handler = start..body.len();
                }
                b"pitm" => body.extend_from_slice(whole),
                b"iinf" => body.extend(self.write_items(bytes, &list, found)?),
                b"iloc" => body.extend(self.write_places(bytes, &list)?),
                b"iref" => body.extend(self.write_references(bytes, needed, hint)?),
                b"iprp" => body.extend_from_slice(&properties),
                b"idat" => {
                    let mut data = bytes.to_vec();
                    for (from, to) in stored.gaps(0, data.len() as u64) {
                        let [from, to] = [from, to].map(|at| usize::try_from(at).unwrap_or(0));
                        let gap = data.get_mut(from..to).unwrap_or_default();
                        found.hidden |= gap.iter().any(|byte| *byte != 0);
                        gap.fill(0);
                    }
                    body.extend(boxed(*b"idat", &data));
                }
                b"free" | b"skip" => found.hidden |= bytes.iter().any(|byte| *byte != 0),
                // Where data lies, which is always this file; groups of what goes.
                b"dinf" => {}
                b"grpl" => found.preview = true,
                _ => found.other = true,
            }
        }
        let mut made = old.get(..skip + 4).ok_or(Refusal::Malformed)?.to_vec();
        let room = old.len().checked_sub(made.len() + body.len()).ok_or(Refusal::Unsupported)?;
        if (1..8).contains(&room) {
            // Too little for a box: the handler's empty name is closed by more zeros.
            let length = u32::try_from(handler.len() + room).unwrap_or(0);
            put(&mut body, handler.start, &length.to_be_bytes());
            body.splice(handler.end..handler.end, vec![0; room]);
        }
        made.extend(body);
        let length = made.len() as u64;
        if skip == 16 {
            put(&mut made, 8, &length.to_be_bytes());
        } else {
            put(
                &mut made,
                0,
                &u32::try_from(length).map_err(|_| Refusal::TooComplex)?.to_be_bytes(),
            );
        }
        if room >= 8 {
            made.extend(boxed(*b"free", &vec![0; room - 8]));
        }
        Ok(made)
    }

    /// `iprp`: what goes keeps its number as a free box.
    fn write_properties(&self, needed: &Index, found: &mut Findings) -> Result<Vec<u8>, Refusal> {
        let used = Index::of(
            needed
                .keys()
                .flat_map(|id| self.properties_of(id))
                .map(|(number, _)| number)
                .filter(|number| {
                    self.property(*number).is_some_and(|(name, _)| PROPERTIES.contains(&&name))
                })
                .map(u32::from),
        );
        let last = used.keys().next_back().unwrap_or(0);
        let mut list = Vec::new();
        for (number, (name, whole)) in (1_u16..).zip(&self.properties) {
            if used.contains(u32::from(number)) {
                list.extend(without_texts(name, whole, found)?);
                continue;
            }
            let content = content_of(whole).unwrap_or_default();
            if !(name == b"free" && content.iter().all(|byte| *byte == 0)) {
                match name {
                    b"udes" | b"altt" => found.text = true,
                    b"crtt" | b"mdft" | b"itai" | b"taic" => found.time = true,
                    b"cmin" | b"cmex" => found.camera = true,
                    // Of a thumbnail or another picture that goes.
                    name if PROPERTIES.contains(&name) => found.preview = true,
                    _ => found.other = true,
                }
            }
            if u32::from(number) < last {
                list.extend(boxed(*b"free", &[]));
            }
        }
        let mut made = boxed(*b"ipco", &list);
        let iprp = self.children.iter().find(|(name, _)| name == b"iprp");
        let Some((_, whole)) = iprp else { return Ok(Vec::new()) };
        for (name, whole) in split(content_of(whole).unwrap_or_default()).unwrap_or_default() {
            if &name == b"ipma" {
                let bytes = content_of(whole).unwrap_or_default();
                made.extend(write_associations(bytes, needed, &used).ok_or(Refusal::Malformed)?);
            }
        }
        Ok(boxed(*b"iprp", &made))
    }

    fn write_items(
        &self,
        bytes: &[u8],
        list: &Index,
        found: &mut Findings,
    ) -> Result<Vec<u8>, Refusal> {
        let mut entries = Vec::new();
        let mut count = 0_u32;
        for item in self.items.iter().filter(|item| list.contains(item.id)) {
            let mut entry = vec![item.version];
            entry.extend(item.flags);
            if item.version == 2 {
                entry.extend(u16::try_from(item.id).map_err(|_| Refusal::Malformed)?.to_be_bytes());
            } else {
                entry.extend(item.id.to_be_bytes());
            }
            // No protection, and no name.
            entry.extend([0, 0]);
            entry.extend(item.name);
            entry.push(0);
            entries.extend(boxed(*b"infe", &entry));
            count += 1;
        }
        let mut made = bytes.get(..4).ok_or(Refusal::Malformed)?.to_vec();
        if made.first() == Some(&0) {
            made.extend(u16::try_from(count).map_err(|_| Refusal::Malformed)?.to_be_bytes());
        } else {
            made.extend(count.to_be_bytes());
        }
        made.extend(entries);
        let made = boxed(*b"iinf", &made);
        // With all items kept, only names can have gone.
        found.text |= list.len() == self.items.len() && made.len() < bytes.len() + 8;
        Ok(made)
    }

    fn write_places(&self, bytes: &[u8], list: &Index) -> Result<Vec<u8>, Refusal> {
        let mut made = bytes.get(..6).ok_or(Refusal::Malformed)?.to_vec();
        let kept: Vec<_> = self
            .items
            .iter()
            .filter(|item| list.contains(item.id) && !item.place.is_empty())
            .collect();
        let count = u32::try_from(kept.len()).map_err(|_| Refusal::Malformed)?;
        if made.first().is_some_and(|version| *version < 2) {
            made.extend(u16::try_from(count).map_err(|_| Refusal::Malformed)?.to_be_bytes());
        } else {
            made.extend(count.to_be_bytes());
        }
        for item in kept {
            made.extend_from_slice(&item.place);
        }
        Ok(boxed(*b"iloc", &made))
    }

    fn write_references(
        &self,
        bytes: &[u8],
        needed: &Index,
        hint: Option<u32>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut made = bytes.get(..4).ok_or(Refusal::Malformed)?.to_vec();
        let is_short = made.first() == Some(&0);
        let put = |into: &mut Vec<u8>, id: u32| {
            if is_short {
                into.extend(u16::try_from(id).unwrap_or(0).to_be_bytes());
            } else {
                into.extend(id.to_be_bytes());
            }
        };
        let mut is_any = false;
        for reference in &self.references {
            let is_part = PARTS.contains(&&reference.name) || &reference.name == b"auxl";
            let is_hint = Some(reference.from) == hint && &reference.name == b"cdsc";
            if !(is_part && needed.contains(reference.from) || is_hint) {
                continue;
            }
            let to: Vec<_> = reference.to.iter().filter(|id| needed.contains(**id)).collect();
            if to.is_empty() {
                continue;
            }
            let mut body = Vec::new();
            put(&mut body, reference.from);
            body.extend(u16::try_from(to.len()).unwrap_or(0).to_be_bytes());
            to.into_iter().for_each(|id| put(&mut body, *id));
            made.extend(boxed(reference.name, &body));
            is_any = true;
        }
        Ok(if is_any { boxed(*b"iref", &made) } else { Vec::new() })
    }
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

fn boxed(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap_or(0);
    [&length.to_be_bytes()[..], &name, content].concat()
}

/// Boxes one behind the other: names, and each as a whole.
fn split(bytes: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let boxes = boxes_in(bytes, 0).ok()?;
    boxes
        .iter()
        .map(|part| {
            let from = usize::try_from(part.start).ok()?;
            let to = usize::try_from(part.end).ok()?;
            Some((part.name, bytes.get(from..to)?))
        })
        .collect()
}

/// Content of a whole box; within an index none has a length of 64 bits or none.
fn content_of(whole: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(be32(whole, 0)?).ok()?;
    if length == whole.len() { whole.get(8..) } else { None }
}

/// A property; colour profiles without their texts.
fn without_texts(name: &[u8; 4], whole: &[u8], found: &mut Findings) -> Result<Vec<u8>, Refusal> {
    let mut made = whole.to_vec();
    if name == b"colr"
        && let Some(kind) = four(whole, 8)
        && (&kind == b"prof" || &kind == b"rICC")
    {
        icc::clean(made.get_mut(12..).unwrap_or_default(), found)?;
    }
    Ok(made)
}

/// `iinf`: id and type of every item.
fn read_items(bytes: &[u8]) -> Option<Vec<Item>> {
    let (count, at) = match bytes.first()? {
        0 => (u32::from(be16(bytes, 4)?), 6),
        _ => (be32(bytes, 4)?, 8),
    };
    if count > MAX_ITEMS {
        return None;
    }
    let entries = split(bytes.get(at..)?)?;
    let mut items: Vec<Item> = Vec::new();
    for (name, whole) in entries {
        if &name != b"infe" {
            return None;
        }
        let info = content_of(whole)?;
        let version = *info.first()?;
        // Older entries have no type: nothing can be told apart by them.
        let (id, at) = match version {
            2 => (u32::from(be16(info, 4)?), 6),
            3 => (be32(info, 4)?, 8),
            _ => return None,
        };
        let flags = [*info.get(1)?, *info.get(2)?, *info.get(3)?];
        // A protected item.
        if be16(info, at)? != 0 {
            return None;
        }
        items.push(Item { id, name: four(info, at + 2)?, version, flags, ..Item::default() });
    }
    // Two by the same number.
    Index::of(items.iter().map(|item| item.id)).is_unique().then_some(items)
}

/// `iloc`: where the items lie.
fn read_places(bytes: &[u8]) -> Option<Vec<Item>> {
    let version = *bytes.first()?;
    let sizes = be16(bytes, 4)?;
    let [offset_size, length_size, base_size, index_size] =
        [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15, sizes & 15].map(usize::from);
    let mut at = 6;
    let count = number(bytes, &mut at, if version < 2 { 2 } else { 4 })?;
    if version > 2 || count > u64::from(MAX_ITEMS) {
        return None;
    }
    let mut places: Vec<Item> = Vec::new();
    let mut total = 0;
    for _ in 0..count {
        let start = at;
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
            if length == 0 || total > MAX_EXTENTS {
                return None;
            }
            item.extents.push((base.checked_add(offset)?, length));
        }
        item.place = bytes.get(start..at)?.to_vec();
        places.push(item);
    }
    Index::of(places.iter().map(|item| item.id)).is_unique().then_some(places)
}

fn read_references(bytes: &[u8]) -> Option<Vec<Reference>> {
    let width = if bytes.first()? == &0 { 2 } else { 4 };
    let mut references = Vec::new();
    for (name, whole) in split(bytes.get(4..)?)? {
        let bytes = content_of(whole)?;
        let mut at = 0;
        let from = u32::try_from(number(bytes, &mut at, width)?).ok()?;
        let count = number(bytes, &mut at, 2)?;
        let to = (0..count)
            .map(|_| number(bytes, &mut at, width).and_then(|id| u32::try_from(id).ok()))
            .collect::<Option<_>>()?;
        references.push(Reference { name, from, to });
    }
    Some(references)
}

/// Width of ids, of property numbers, and the entries' count and place in an `ipma` box.
fn association_form(bytes: &[u8]) -> Option<(usize, usize, u64)> {
    let id_width = if bytes.first()? == &0 { 2 } else { 4 };
    let width = if bytes.get(3)? & 1 == 1 { 2 } else { 1 };
    Some((id_width, width, u64::from(be32(bytes, 4)?)))
}

type Associations = Vec<(u32, Vec<(u16, bool)>)>;

fn read_associations(bytes: &[u8]) -> Option<Associations> {
    let (id_width, width, count) = association_form(bytes)?;
    let mut entries = Vec::new();
    let mut at = 8;
    for _ in 0..count {
        let id = u32::try_from(number(bytes, &mut at, id_width)?).ok()?;
        let length = *bytes.get(at)?;
        at += 1;
        let mut properties = Vec::new();
        for _ in 0..length {
            let value = if width == 2 { be16(bytes, at)? } else { u16::from(*bytes.get(at)?) };
            at += width;
            let mark = if width == 2 { 0x8000 } else { 0x80 };
            properties.push((value & (mark - 1), value & mark != 0));
        }
        entries.push((id, properties));
    }
    Some(entries)
}

fn write_associations(bytes: &[u8], needed: &Index, used: &Index) -> Option<Vec<u8>> {
    let (id_width, width, _) = association_form(bytes)?;
    let mut body = Vec::new();
    let mut count = 0_u32;
    for (id, properties) in read_associations(bytes)?.iter().filter(|(id, _)| needed.contains(*id))
    {
        if id_width == 2 {
            body.extend(u16::try_from(*id).ok()?.to_be_bytes());
        } else {
            body.extend(id.to_be_bytes());
        }
        let kept: Vec<_> =
            properties.iter().filter(|(number, _)| used.contains(u32::from(*number))).collect();
        body.push(u8::try_from(kept.len()).ok()?);
        for (number, is_essential) in kept {
            if width == 2 {
                body.extend((number | if *is_essential { 0x8000 } else { 0 }).to_be_bytes());
            } else {
                body.push(u8::try_from(*number).ok()? | if *is_essential { 0x80 } else { 0 });
            }
        }
        count += 1;
    }
    let head = [bytes.get(..4)?, &count.to_be_bytes()].concat();
    Some(boxed(*b"ipma", &[head, body].concat()))
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
