//! WebP (RFC 9649): the RIFF chunks needed to show it.

use super::bytes::{four, le32};
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal, exif, icc};

const MAX_CHUNKS: u32 = 100_000;
const MAX_EXIF: u64 = 1 << 20;
const WINDOW: usize = 1 << 17;

const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let head = reader.read(0, 12).await?;
    let end = u64::from(le32(&head, 4).unwrap_or(0)) + 8;
    if end > size {
        return Err(Refusal::Truncated);
    }
    // An odd last chunk may lack its padding in the count.
    found.hidden |= end + 1 < size;
    let mut body = Plan::new(size);
    // Readers go by the first block.
    let mut hint = None;
    let mut extended = None;
    let mut has_picture = false;
    let mut at = 12;
    let mut chunks = 0;
    while at < end {
        chunks += 1;
        if chunks > MAX_CHUNKS {
            return Err(Refusal::TooComplex);
        }
        let (name, content, next) = chunk(reader, at, end).await?;
        match &name {
            b"VP8X" => {
                let bytes = reader.read_ahead(at, 18, WINDOW).await?;
                if content.1 - content.0 != 10 || extended.is_some() || chunks != 1 {
                    return Err(Refusal::Malformed);
                }
                extended = Some(bytes);
            }
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" => {
                has_picture |= name.starts_with(b"VP8");
                body.keep(at, next);
            }
            b"ICCP" => {
                let length = content.1 - content.0;
                let whole = usize::try_from(length).ok().filter(|size| *size <= icc::MAX_PROFILE);
                let mut profile =
                    reader.read_ahead(content.0, whole.ok_or(Refusal::TooComplex)?, WINDOW).await?;
                if icc::clean(&mut profile, found)? {
                    body.keep(at, content.0);
                    body.put(profile);
                    body.keep(content.1, next);
                } else {
                    body.keep(at, next);
                }
            }
            b"ANMF" => {
                has_picture = true;
                frame(reader, at, content, &mut body, found).await?;
            }
            b"EXIF" => {
                if content.1 - content.0 <= MAX_EXIF {
                    let whole = usize::try_from(content.1 - content.0).unwrap_or(0);
                    let block = reader.read_ahead(content.0, whole, WINDOW).await?;
                    let turned = exif::note(&block, found);
                    hint.get_or_insert_with(|| {
                        (turned != 1).then(|| exif::only_orientation_like(&block, turned))
                    });
                } else {
                    found.other = true;
                    hint.get_or_insert(None);
                }
            }
            b"XMP " => {
                let sample = usize::try_from(content.1 - content.0).unwrap_or(0).min(1 << 16);
                let packet = reader.read_ahead(content.0, sample, WINDOW).await?;
                exif::note_xmp(&packet, found);
            }
            _ => found.other = true,
        }
        at = next;
    }
    if !found.any() {
        return Ok(Plan::unchanged(size));
    }
    if !has_picture {
        return Err(Refusal::Malformed);
    }
    assemble(size, extended, body, hint.flatten())
}

/// Header and flags anew, for what is left.
fn assemble(
    size: u64,
    extended: Option<Vec<u8>>,
    mut body: Plan,
    hint: Option<Vec<u8>>,
) -> Result<Plan, Refusal> {
    let mut head = b"RIFF\0\0\0\0WEBP".to_vec();
    if let Some(mut bytes) = extended {
        if let Some(flags) = bytes.get_mut(8) {
            let announced = *flags & HAS_EXIF;
            *flags &= !(HAS_EXIF | HAS_XMP);
            if let Some(block) = hint {
                *flags |= announced;
                #[allow(clippy::cast_possible_truncation)]
                let length = (block.len() as u32).to_le_bytes();
                body.put([b"EXIF".as_slice(), &length, &block].concat());
            }
        }
        head.extend(bytes);
    }
    let length = head.len() as u64 - 8 + body.new_size();
    let length = u32::try_from(length).map_err(|_| Refusal::Malformed)?;
    if let Some(field) = head.get_mut(4..8) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    let mut plan = Plan::new(size);
    plan.put(head);
    plan.append(body);
    Ok(plan)
}

/// Name, range of the content, and where the next chunk starts.
async fn chunk(reader: &Reader, at: u64, end: u64) -> Result<([u8; 4], (u64, u64), u64), Refusal> {
    let head = reader.read_ahead(at, 8, WINDOW).await?;
    let name = four(&head, 0).unwrap_or_default();
    let length = u64::from(le32(&head, 4).unwrap_or(0));
    let content = (at + 8, at + 8 + length);
    if content.1 > end {
        return Err(Refusal::Truncated);
    }
    // Chunks are padded to an even length; a last one may lack it.
    let next = (content.1 + (length & 1)).min(end);
    Ok((name, content, next))
}

/// A frame of an animation is a box of chunks itself.
async fn frame(
    reader: &Reader,
    at: u64,
    content: (u64, u64),
    body: &mut Plan,
    found: &mut Findings,
) -> Result<(), Refusal> {
    let inner = content.0 + 16;
    if inner > content.1 {
        return Err(Refusal::Malformed);
    }
    let mut kept = Plan::new(content.1);
    let mut at_chunk = inner;
    let mut is_changed = false;
    let mut has_picture = false;
    while at_chunk < content.1 {
        let (name, _, next) = chunk(reader, at_chunk, content.1).await?;
        if matches!(&name, b"ALPH" | b"VP8 " | b"VP8L") {
            has_picture |= &name != b"ALPH";
            kept.keep(at_chunk, next);
        } else {
            found.other = true;
            is_changed = true;
        }
        at_chunk = next;
    }
    if !has_picture {
        return Err(Refusal::Malformed);
    }
    if is_changed {
        let length = u32::try_from(16 + kept.new_size()).map_err(|_| Refusal::Malformed)?;
        body.put([b"ANMF".as_slice(), &length.to_le_bytes()].concat());
        body.keep(content.0, inner);
        body.append(kept);
        if length & 1 == 1 {
            body.put(vec![0]);
        }
    } else {
        let padded = content.1 + ((content.1 - content.0) & 1);
        body.keep(at, padded.min(reader.size()));
    }
    Ok(())
}
