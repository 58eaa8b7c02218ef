//! PNG (third edition), APNG included: chunks needed for pixels and colours, and nothing else.

use super::bytes::{be32, four};
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif, icc};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

const MAX_CHUNKS: u32 = 2_000_000;
/// Larger Exif blocks are dropped unread.
const MAX_EXIF: u64 = 1 << 20;
/// Of a colour profile, packed.
const MAX_PACKED: u64 = 4 << 20;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    plan.keep(0, 8);
    let mut at = 8;
    let mut is_oriented = false;
    let mut has_pixels = false;
    for _ in 0..MAX_CHUNKS {
        let head = match reader.read_ahead(at, 8, LONG_WINDOW).await {
            Err(Refusal::Truncated) if has_pixels => return ended(plan),
            head => head?,
        };
        let length = u64::from(be32(&head, 0).unwrap_or(0));
        let name = four(&head, 4).unwrap_or_default();
        let end = at + 12 + length;
        if length > 0x7fff_ffff || !name.iter().all(u8::is_ascii_alphabetic) {
            if !has_pixels {
                return Err(Refusal::Malformed);
            }
            found.hidden = true;
            return ended(plan);
        }
        if end > size {
            // Every viewer shows the rows that are there, and does not mind what else is cut.
            return match &name {
                b"IDAT" | b"fdAT" if at + 8 < size => {
                    plan.keep(at, size);
                    Ok(plan)
                }
                _ if has_pixels => ended(plan),
                _ => Err(Refusal::Truncated),
            };
        }
        match &name {
            b"IEND" => {
                found.hidden |= end < size || length > 0;
                return ended(plan);
            }
            b"IHDR" | b"PLTE" | b"IDAT" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB" | b"cICP"
            | b"mDCV" | b"mDCv" | b"cLLI" | b"cLLi" | b"sBIT" | b"bKGD" | b"pHYs" | b"acTL"
            | b"fcTL" | b"fdAT" => {
                has_pixels |= &name == b"IDAT";
                plan.keep(at, end);
            }
            b"iCCP" => {
                if length > MAX_PACKED {
                    return Err(Refusal::TooComplex);
                }
                let whole = usize::try_from(length).unwrap_or(0);
                let content = reader.read_ahead(at + 8, whole, LONG_WINDOW).await?;
                match profile(&content, found)? {
                    Some(made) => plan.put(chunk(*b"iCCP", &made)),
                    None => plan.keep(at, end),
                }
            }
            b"eXIf" => {
                if length <= MAX_EXIF {
                    let whole = usize::try_from(length).unwrap_or(0);
                    let block = reader.read_ahead(at + 8, whole, LONG_WINDOW).await?;
                    let turned = exif::note(&block, found);
                    if turned != 1 && !is_oriented {
                        plan.put(chunk(*b"eXIf", &exif::only_orientation_like(&block, turned)));
                    }
                    is_oriented = true;
                } else {
                    found.other = true;
                }
            }
            b"tEXt" | b"zTXt" | b"iTXt" => {
                // Compressed text is not even opened: it goes.
                let sample = usize::try_from(length).unwrap_or(0).min(4096);
                let text = reader.read_ahead(at + 8, sample, LONG_WINDOW).await?;
                exif::note_xmp(&text, found);
            }
            b"tIME" => found.time = true,
            // An unknown critical chunk: no viewer of this page would show it (CgBI).
            name if name.first().is_some_and(u8::is_ascii_uppercase) => {
                return Err(Refusal::Unsupported);
            }
            _ => found.other = true,
        }
        at = end;
    }
    Err(Refusal::TooComplex)
}

/// What every viewer takes for the end.
fn ended(mut plan: Plan) -> Result<Plan, Refusal> {
    plan.put(chunk(*b"IEND", &[]));
    Ok(plan)
}

/// A colour profile under a name that says nothing; `None` where nothing has to change.
fn profile(content: &[u8], found: &mut Findings) -> Result<Option<Vec<u8>>, Refusal> {
    const NAME: &[u8] = b"icc\0\0";
    let end = content.iter().position(|byte| *byte == 0).ok_or(Refusal::Malformed)?;
    let packed = content.get(end + 2..).ok_or(Refusal::Malformed)?;
    let mut plain = decompress_to_vec_zlib_with_limit(packed, icc::MAX_PROFILE)
        .map_err(|_| Refusal::Malformed)?;
    let is_changed = icc::clean(&mut plain, found)?;
    if !is_changed && content.starts_with(NAME) {
        return Ok(None);
    }
    found.other = true;
    // Stored, not packed: profiles of screens have a few KB.
    let mut made = [NAME, &[0x78, 1]].concat();
    let mut blocks = plain.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(0);
        made.push(u8::from(blocks.peek().is_none()));
        made.extend(length.to_le_bytes());
        made.extend((!length).to_le_bytes());
        made.extend_from_slice(block);
    }
    made.extend(adler32(&plain).to_be_bytes());
    Ok(Some(made))
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut first, mut second) = (1_u32, 0_u32);
    for byte in bytes {
        first = (first + u32::from(*byte)) % 65_521;
        second = (second + first) % 65_521;
    }
    (second << 16) | first
}

fn chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(content.len() + 12);
    #[allow(clippy::cast_possible_truncation)]
    chunk.extend((content.len() as u32).to_be_bytes());
    chunk.extend(name);
    chunk.extend(content);
    let sum = crc32(chunk.get(4..).unwrap_or_default());
    chunk.extend(sum.to_be_bytes());
    chunk
}

/// Bit by bit: it only ever runs over an orientation or a colour profile.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}
