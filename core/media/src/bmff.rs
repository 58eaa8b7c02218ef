//! Boxes of ISO base media files (ISO/IEC 14496-12), and what they are by their brands.

use super::bytes::{be32, be64, four};
use super::reader::Reader;
use super::{Kind, Refusal};

const MAX_BOXES: usize = 10_000;
/// Largest index read into memory.
pub(super) const MAX_INDEX: u64 = 16 << 20;

/// A box and where its content lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bmff {
    pub(super) name: [u8; 4],
    pub(super) start: u64,
    pub(super) content: u64,
    pub(super) end: u64,
}

/// The boxes on a file's outermost level.
pub(super) async fn top_boxes(reader: &Reader) -> Result<Vec<Bmff>, Refusal> {
    let size = reader.size();
    let mut boxes = Vec::new();
    let mut at = 0;
    while at < size {
        if boxes.len() >= MAX_BOXES {
            return Err(Refusal::TooComplex);
        }
        let length = usize::try_from(size - at).unwrap_or(16).min(16);
        let head = reader.read(at, length).await?;
        let found = header(&head, at, size).ok_or(Refusal::Truncated)?;
        at = found.end;
        boxes.push(found);
    }
    Ok(boxes)
}

/// The boxes in `bytes`, which lie at `base` in the file.
pub(super) fn boxes_in(bytes: &[u8], base: u64) -> Result<Vec<Bmff>, Refusal> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if boxes.len() >= MAX_BOXES {
            return Err(Refusal::TooComplex);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let end = base + bytes.len() as u64;
        let found = header(rest, base + at as u64, end).ok_or(Refusal::Malformed)?;
        at = usize::try_from(found.end - base).map_err(|_| Refusal::Malformed)?;
        boxes.push(found);
    }
    Ok(boxes)
}

/// `None` where the box is cut or reaches past `limit`.
pub(super) fn header(head: &[u8], start: u64, limit: u64) -> Option<Bmff> {
    let name = four(head, 4)?;
    let (skip, length) = match be32(head, 0)? {
        0 => (8, limit - start),
        1 => (16, be64(head, 8)?),
        length => (8, u64::from(length)),
    };
    let end = start.checked_add(length)?;
    (length >= skip && end <= limit).then_some(Bmff { name, start, content: start + skip, end })
}

/// Brands of HEIF and AVIF (ISO/IEC 23008-12, MIAF, the AVIF specification).
const PICTURES: &[&[u8; 4]] = &[
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2",
    b"mif3", b"msf1", b"avif", b"avis", b"avio", b"miaf", b"MA1A", b"MA1B", b"avci", b"avcs",
    b"j2ki", b"j2is", b"vvic", b"vvis", b"evbi", b"evbs", b"jpgs", b"unif", b"1pic", b"tmap",
];
const SOUNDS: &[&[u8; 4]] = &[b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ", b"aaxc"];
/// QuickTime files older than brands begin with one of these.
const FIRST: &[&[u8; 4]] =
    &[b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"udta", b"uuid", b"styp", b"moof"];

/// By the brands in the `ftyp` box, or by the first box.
pub(super) fn kind(head: &[u8], size: u64) -> Option<Kind> {
    let name = four(head, 4)?;
    if FIRST.contains(&&name) {
        return header(head, 0, size).map(|_| Kind::Video);
    }
    if &name != b"ftyp" {
        return None;
    }
    let length = usize::try_from(be32(head, 0)?).ok()?.clamp(12, 1024);
    // A short header keeps a brand where others have a version.
    let mut brands = (8..length).step_by(4).filter_map(|at| four(head, at));
    let major = brands.next()?;
    if &major == b"crx " {
        return Some(Kind::Raw);
    }
    let is_picture = PICTURES.contains(&&major)
        || brands.any(|brand| PICTURES.contains(&&brand))
        || has_picture_index(head, length);
    Some(match () {
        () if is_picture => Kind::Heif,
        () if SOUNDS.contains(&&major) => Kind::Sound,
        () => Kind::Video,
    })
}

/// A brand nobody knows, with an index of pictures.
fn has_picture_index(head: &[u8], at: usize) -> bool {
    match four(head, at + 4) {
        Some(name) if &name == b"mini" => true,
        Some(name) if &name == b"meta" => {
            let is_handler = four(head, at + 16) == Some(*b"hdlr");
            is_handler && four(head, at + 28) == Some(*b"pict")
        }
        _ => false,
    }
}
