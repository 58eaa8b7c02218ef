//! PNG (third edition), APNG included: chunks needed for pixels and colours, and nothing else.

use super::bytes::{be32, four};
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif};

const MOST_CHUNKS: u32 = 2_000_000;
/// Larger Exif blocks are dropped unread.
const MOST_EXIF: u64 = 1 << 20;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    plan.keep(0, 8);
    let mut at = 8;
    let mut is_oriented = false;
    for _ in 0..MOST_CHUNKS {
        let head = reader.read_ahead(at, 8, LONG_WINDOW).await?;
        let length = u64::from(be32(&head, 0).unwrap_or(0));
        let name = four(&head, 4).unwrap_or_default();
        let end = at + 12 + length;
        if length > 0x7fff_ffff || !name.iter().all(u8::is_ascii_alphabetic) {
            return Err(Refusal::Malformed);
        }
        if end > size {
            return Err(Refusal::Truncated);
        }
        match &name {
            b"IEND" => {
                plan.keep(at, end);
                found.hidden |= end < size;
                return Ok(plan);
            }
            b"IHDR" | b"PLTE" | b"IDAT" | b"tRNS" | b"gAMA" | b"cHRM" | b"sRGB" | b"iCCP"
            | b"cICP" | b"mDCV" | b"mDCv" | b"cLLI" | b"cLLi" | b"sBIT" | b"bKGD" | b"pHYs"
            | b"acTL" | b"fcTL" | b"fdAT" => plan.keep(at, end),
            b"eXIf" => {
                if length <= MOST_EXIF {
                    let whole = usize::try_from(length).unwrap_or(0);
                    let block = reader.read_ahead(at + 8, whole, LONG_WINDOW).await?;
                    let turned = exif::note(&block, found);
                    if turned != 1 && !is_oriented {
                        plan.put(chunk(*b"eXIf", &exif::only_orientation(turned)));
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

/// Bit by bit: it only ever runs over the 30 bytes of an orientation.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}
