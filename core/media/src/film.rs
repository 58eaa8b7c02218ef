//! Films and sound files of the ISO base media kind (MP4, QuickTime, 3GP, M4A): what they tell. A
//! film's cameras write in too many places, so it is told, not removed; of a sound file the tags
//! become zeros in their place, since its index counts bytes.

use super::bmff::{Bmff, header};
use super::bytes::{be32, be64, contains, four};
use super::plan::{Overlay, Plan};
use super::reader::Reader;
use super::tells::Tell;
use super::{Findings, Refusal};

const MAX_BOXES: usize = 20_000;
/// Bytes of all tables of samples.
const MAX_INDEX: u64 = 16 << 20;
/// What is looked through of one piece of metadata.
const MAX_TEXT: u64 = 1 << 18;

/// Boxes of boxes.
const CONTAINERS: &[&[u8; 4]] = &[
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"udta", b"meta",
    b"ilst",
];

/// Needed, and silent.
const NEEDED: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"mdat", b"vmhd", b"smhd", b"hmhd", b"nmhd", b"gmhd", b"sthd", b"stts",
    b"stss", b"ctts", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"sdtp", b"sbgp", b"sgpd",
    b"subs", b"edts", b"dinf", b"iods", b"mehd", b"trex", b"mfhd", b"tfhd", b"tfdt", b"trun",
    b"mfra", b"sidx", b"ssix", b"pdin", b"saiz", b"saio", b"senc", b"pssh", b"tapt", b"load",
    b"tref", b"prft", b"emsg", b"cslg", b"stps", b"hdlr", b"clip", b"matt", b"trgr", b"elng",
    b"leva", b"trep", b"alst", b"ludt", b"imap", b"ctab",
];

/// Metadata by the name of its box.
const TAGS: &[(&[u8; 4], Tell)] = &[
    (b"\xa9xyz", Tell::Place),
    (b"loci", Tell::Place),
    (b"GPMF", Tell::Place),
    (b"gps ", Tell::Place),
    (b"\xa9gpt", Tell::Place),
    (b"\xa9mak", Tell::Camera),
    (b"\xa9mod", Tell::Camera),
    (b"\xa9swr", Tell::Camera),
    (b"\xa9too", Tell::Camera),
    (b"\xa9enc", Tell::Camera),
    (b"@mak", Tell::Camera),
    (b"@mod", Tell::Camera),
    (b"manu", Tell::Camera),
    (b"modl", Tell::Camera),
    (b"FIRM", Tell::Camera),
    (b"LENS", Tell::Camera),
    (b"CNCV", Tell::Camera),
    (b"CNMN", Tell::Camera),
    (b"CNDM", Tell::Camera),
    (b"NCDT", Tell::Camera),
    (b"NIKO", Tell::Camera),
    (b"PENT", Tell::Camera),
    (b"SONY", Tell::Camera),
    (b"TAGS", Tell::Camera),
    (b"CAME", Tell::Serial),
    (b"MUID", Tell::Serial),
    (b"GUMI", Tell::Serial),
    (b"BCID", Tell::Serial),
    (b"slno", Tell::Serial),
    (b"cpid", Tell::Serial),
    (b"\xa9day", Tell::Time),
    (b"\xa9TIM", Tell::Time),
    (b"date", Tell::Time),
    (b"yrrc", Tell::Time),
    (b"\xa9ART", Tell::Names),
    (b"aART", Tell::Names),
    (b"\xa9aut", Tell::Names),
    (b"\xa9wrt", Tell::Names),
    (b"\xa9dir", Tell::Names),
    (b"\xa9prd", Tell::Names),
    (b"\xa9prf", Tell::Names),
    (b"\xa9cpy", Tell::Names),
    (b"cprt", Tell::Names),
    (b"auth", Tell::Names),
    (b"perf", Tell::Names),
    (b"apID", Tell::Names),
    (b"ownr", Tell::Names),
    (b"\xa9nam", Tell::Text),
    (b"\xa9cmt", Tell::Text),
    (b"\xa9des", Tell::Text),
    (b"\xa9inf", Tell::Text),
    (b"\xa9lyr", Tell::Text),
    (b"\xa9alb", Tell::Text),
    (b"desc", Tell::Text),
    (b"titl", Tell::Text),
    (b"dscp", Tell::Text),
    (b"kywd", Tell::Text),
    (b"albm", Tell::Text),
    (b"name", Tell::Text),
    (b"XMP_", Tell::Text),
    (b"xml ", Tell::Text),
    (b"bxml", Tell::Text),
    (b"thmb", Tell::Preview),
    (b"thum", Tell::Preview),
    (b"tnal", Tell::Preview),
    (b"covr", Tell::Preview),
    (b"PICT", Tell::Preview),
    (b"pnot", Tell::Preview),
];

/// Tracks that cameras, drones and phones write beside picture and sound, with the place in them.
const TRACKS: &[&[u8; 4]] =
    &[b"gpmd", b"camm", b"rtmd", b"djmd", b"dbgi", b"CTMD", b"mebx", b"mett", b"metx", b"urim"];

pub(super) async fn tell(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    walk(reader, None, found).await?;
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(reader.size())) }
}

/// Sound alone: tags, dates and boxes that no player needs go.
pub(super) async fn sound(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let mut film = walk(reader, Some(Overlay::default()), found).await?;
    film.media.sort_unstable();
    // Where the index does not point into the media data, nothing is known of what is played.
    let is_whole = !film.media.is_empty() && film.tables.iter().all(|t| t.lies_in(&film.media));
    let overlay = film.overlay.filter(|_| is_whole).ok_or(Refusal::NotRemovable)?;
    overlay.into_plan(reader.size(), reader.size())
}

#[derive(Default)]
struct Film {
    /// What goes; `None` where that is not all.
    overlay: Option<Overlay>,
    media: Vec<(u64, u64)>,
    /// One for each box of boxes, as a track has its tables in one.
    tables: Vec<Tables>,
    /// Bytes of all of them.
    indexed: u64,
}

/// Where a track's samples lie: the content of `stsz`, `stsc`, and `stco` or `co64`.
#[derive(Default)]
struct Tables {
    sizes: Vec<u8>,
    runs: Vec<u8>,
    places: Vec<u8>,
    /// Bytes of one place.
    width: usize,
}

impl Tables {
    /// Whether all pieces of sound lie in the media data, whose ranges are in order, one behind the
    /// other: of pieces that overlap, players read the second elsewhere.
    fn lies_in(&self, media: &[(u64, u64)]) -> bool {
        let size = be32(&self.sizes, 4).unwrap_or(0);
        let mut sizes = self.sizes.get(12..).unwrap_or_default().chunks_exact(4);
        let mut run = 8;
        let mut behind = 0;
        let places = self.places.get(8..).unwrap_or_default().chunks_exact(self.width.max(1));
        places.zip(1_u32..).all(|(place, number)| {
            while be32(&self.runs, run + 12).is_some_and(|first| first <= number) {
                run += 12;
            }
            let count = be32(&self.runs, run + 4).unwrap_or(0);
            let length = match size {
                0 => sizes.by_ref().take(count as usize).map(number_of).sum(),
                size => u64::from(size) * u64::from(count),
            };
            let from = number_of(place);
            let is_next = from >= behind;
            behind = from.saturating_add(length);
            let area = media.partition_point(|(start, _)| *start <= from).checked_sub(1);
            area.and_then(|area| media.get(area))
                .is_some_and(|(_, to)| is_next && from < *to && behind <= *to)
        })
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

async fn walk(
    reader: &Reader,
    overlay: Option<Overlay>,
    found: &mut Findings,
) -> Result<Film, Refusal> {
    let size = reader.size();
    let mut film = Film { overlay, ..Film::default() };
    let mut left = vec![(0, size)];
    let mut boxes = 0;
    while let Some((mut at, end)) = left.pop() {
        film.tables.push(Tables::default());
        while at < end {
            boxes += 1;
            if boxes > MAX_BOXES {
                found.other = true;
                film.overlay = None;
                return Ok(film);
            }
            let length = usize::try_from(end - at).unwrap_or(16).min(16);
            let head = reader.read(at, length).await?;
            let Some(part) = header(&head, at, end) else {
                // Four zeros may close user data; anything else is not for players.
                if head.iter().any(|byte| *byte != 0) {
                    found.hidden = true;
                    film.overlay = None;
                }
                break;
            };
            at = part.end;
            if CONTAINERS.contains(&&part.name) {
                left.push((inner(reader, &part).await, part.end));
            } else {
                leaf(reader, &part, &mut film, found).await;
            }
        }
    }
    Ok(film)
}

/// Where the first box within a container stands: `meta` has a version before it, but in QuickTime.
async fn inner(reader: &Reader, part: &Bmff) -> u64 {
    let Ok(start) = reader.read(part.content, 12).await else { return part.content };
    let is_plain = be32(&start, 0).is_some_and(|length| length >= 8)
        || four(&start, 4).is_some_and(|name| &name == b"hdlr");
    if &part.name == b"meta" && !is_plain { part.content + 4 } else { part.content }
}

async fn leaf(reader: &Reader, part: &Bmff, film: &mut Film, found: &mut Findings) {
    let overlay = &mut film.overlay;
    let length = (part.end - part.content).min(MAX_TEXT);
    let sample = |length: u64| reader.read(part.content, usize::try_from(length).unwrap_or(0));
    match &part.name {
        b"mvhd" | b"tkhd" | b"mdhd" => {
            let Ok(bytes) = sample(length.min(24)).await else { return };
            // Made and changed.
            let times = match bytes.first() {
                Some(1) => be64(&bytes, 4).zip(be64(&bytes, 12)),
                _ => be32(&bytes, 4).zip(be32(&bytes, 8)).map(|(a, b)| (a.into(), b.into())),
            };
            if times.is_some_and(|(made, changed)| made != 0 || changed != 0) {
                found.time = true;
                let length = if bytes.first() == Some(&1) { 16 } else { 8 };
                if let Some(overlay) = overlay {
                    overlay.zero(part.content + 4, part.content + 4 + length);
                }
            }
        }
        b"stsd" => {
            let Ok(bytes) = sample(length).await else { return };
            if four(&bytes, 12).is_some_and(|kind| TRACKS.contains(&&kind)) {
                found.place = true;
                found.camera = true;
                found.note_words(&bytes);
                *overlay = None;
            }
        }
        b"free" | b"skip" | b"wide" => {
            // Cameras keep their own things there. A free box within is how tags are left.
            let Ok(bytes) = sample(length.min(8)).await else { return };
            let is_own = bytes.get(4..) == Some(b"free")
                && be32(&bytes, 0).map(u64::from) == Some(part.end - part.content);
            let from = if is_own { part.content + 8 } else { part.content };
            if !reader.is_zero(from, part.end).await.unwrap_or(true) {
                found.hidden = true;
                if let Some(overlay) = overlay {
                    overlay.zero(part.content, part.end);
                }
            }
        }
        b"mdat" => film.media.push((part.content, part.end)),
        name @ (b"stco" | b"co64" | b"stsz" | b"stsc") if overlay.is_some() => {
            let length = part.end - part.content;
            film.indexed += length;
            let bytes = if film.indexed > MAX_INDEX {
                Err(())
            } else {
                sample(length).await.map_err(|_| ())
            };
            let Some(tables) = film.tables.last_mut() else { return };
            let table = match name {
                b"stsz" => &mut tables.sizes,
                b"stsc" => &mut tables.runs,
                _ => {
                    tables.width = if name == b"stco" { 4 } else { 8 };
                    &mut tables.places
                }
            };
            match bytes {
                // Two of a kind: players differ in which of them they take.
                Ok(bytes) if table.is_empty() => *table = bytes,
                _ => *overlay = None,
            }
        }
        // Pieces of films have an index each; sizes of four bits are not looked into.
        b"trun" | b"stz2" => *overlay = None,
        name if NEEDED.contains(&name) => {}
        name => {
            let tell = TAGS.iter().find(|(tag, _)| *tag == name).map(|(_, tell)| *tell);
            let Ok(bytes) = sample(length).await else { return };
            // How many samples before and behind the sound are none of it, among Apple's own tags.
            if bytes.iter().all(|byte| *byte == 0) || contains(&bytes, b"\0iTunSMPB") {
                return;
            }
            if let Some(overlay) = overlay {
                // Readers look for a box within each tag.
                let head = u32::try_from(part.end - part.content).unwrap_or(0).to_be_bytes();
                let skip = if part.end - part.content < 8 { 0 } else { 8 };
                overlay.put(part.start + 4, b"free".to_vec());
                overlay.put(part.content, [head, *b"free"].concat().split_off(8 - skip));
                overlay.zero(part.content + skip as u64, part.end);
            }
            found.tell(tell.unwrap_or(Tell::Other));
            found.note_words(&bytes);
            if contains(&bytes, b"GoPro") || contains(&bytes, b"DJI") || contains(&bytes, b"Canon")
            {
                found.camera = true;
            }
        }
    }
}
