//! Boxes of ISO base media files (ISO/IEC 14496-12), and what a video tells.

use super::bytes::{be32, be64, contains, four};
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal};

const MOST_BOXES: usize = 10_000;
/// Largest index read into memory.
pub(super) const MOST_INDEX: u64 = 16 << 20;

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
        if boxes.len() >= MOST_BOXES {
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
        if boxes.len() >= MOST_BOXES {
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
fn header(head: &[u8], start: u64, limit: u64) -> Option<Bmff> {
    let name = four(head, 4)?;
    let (skip, length) = match be32(head, 0)? {
        0 => (8, limit - start),
        1 => (16, be64(head, 8)?),
        length => (8, u64::from(length)),
    };
    let end = start.checked_add(length)?;
    (length >= skip && end <= limit).then_some(Bmff { name, start, content: start + skip, end })
}

/// A film's index may hold place, device and time among much that is needed: told, not removed.
pub(super) async fn video(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    for part in top_boxes(reader).await? {
        match &part.name {
            b"moov" | b"meta" | b"udta" => {
                let length = part.end - part.start;
                if length > MOST_INDEX {
                    return Err(Refusal::TooComplex);
                }
                let index = reader.read(part.start, usize::try_from(length).unwrap_or(0)).await?;
                found.place |= contains(&index, b"\xa9xyz")
                    || contains(&index, b"location.ISO6709")
                    || contains(&index, b"loci");
                found.camera |= contains(&index, b"quicktime.model")
                    || contains(&index, b"\xa9mod")
                    || contains(&index, b"com.android");
                found.names |= contains(&index, b"\xa9ART") || contains(&index, b"auth");
                found.text |= contains(&index, b"\xa9nam") || contains(&index, b"\xa9cmt");
            }
            b"uuid" => found.text = true,
            _ => {}
        }
    }
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(reader.size())) }
}
