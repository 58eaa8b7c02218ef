//! Films and sound files of the ISO base media kind (MP4, QuickTime, 3GP, M4A): what they tell. An
//! index may hold place, device and time among much that is needed, so it is told, not removed.

use super::bmff::{Bmff, header};
use super::bytes::{be32, be64, contains, four};
use super::plan::Plan;
use super::reader::Reader;
use super::tells::Tell;
use super::{Findings, Refusal};

const MOST_BOXES: usize = 20_000;
/// What is looked through of one piece of metadata.
const MOST_TEXT: u64 = 1 << 18;

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
    let size = reader.size();
    let mut left = vec![(0, size)];
    let mut boxes = 0;
    while let Some((mut at, end)) = left.pop() {
        while at < end {
            boxes += 1;
            if boxes > MOST_BOXES {
                found.other = true;
                left.clear();
                break;
            }
            let length = usize::try_from(end - at).unwrap_or(16).min(16);
            let head = reader.read(at, length).await?;
            let Some(part) = header(&head, at, end) else {
                // Four zeros may close user data; anything else is not for players.
                found.hidden |= head.iter().any(|byte| *byte != 0);
                break;
            };
            at = part.end;
            if CONTAINERS.contains(&&part.name) {
                left.push((inner(reader, &part).await, part.end));
            } else {
                leaf(reader, &part, found).await;
            }
        }
    }
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}

/// Where the first box within a container stands: `meta` has a version before it, but in QuickTime.
async fn inner(reader: &Reader, part: &Bmff) -> u64 {
    let Ok(start) = reader.read(part.content, 12).await else { return part.content };
    let is_plain = be32(&start, 0).is_some_and(|length| length >= 8)
        || four(&start, 4).is_some_and(|name| &name == b"hdlr");
    if &part.name == b"meta" && !is_plain { part.content + 4 } else { part.content }
}

async fn leaf(reader: &Reader, part: &Bmff, found: &mut Findings) {
    let length = (part.end - part.content).min(MOST_TEXT);
    let sample = |length: u64| reader.read(part.content, usize::try_from(length).unwrap_or(0));
    match &part.name {
        b"mvhd" | b"tkhd" | b"mdhd" => {
            let Ok(bytes) = sample(length.min(24)).await else { return };
            // Made and changed.
            let times = match bytes.first() {
                Some(1) => be64(&bytes, 4).zip(be64(&bytes, 12)),
                _ => be32(&bytes, 4).zip(be32(&bytes, 8)).map(|(a, b)| (a.into(), b.into())),
            };
            found.time |= times.is_some_and(|(made, changed)| made != 0 || changed != 0);
        }
        b"stsd" => {
            let Ok(bytes) = sample(length).await else { return };
            if four(&bytes, 12).is_some_and(|kind| TRACKS.contains(&&kind)) {
                found.place = true;
                found.camera = true;
                found.note_words(&bytes);
            }
        }
        b"free" | b"skip" | b"wide" => {
            let Ok(bytes) = sample(length).await else { return };
            // Cameras keep their own things there.
            found.hidden |= bytes.iter().any(|byte| *byte != 0);
        }
        name if NEEDED.contains(&name) => {}
        name => {
            let tell = TAGS.iter().find(|(tag, _)| *tag == name).map(|(_, tell)| *tell);
            let Ok(bytes) = sample(length).await else { return };
            if bytes.iter().all(|byte| *byte == 0) {
                return;
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
