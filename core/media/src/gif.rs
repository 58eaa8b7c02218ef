//! GIF89a: frames and loop counts; comments and other programs' blocks go.

use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif};

const MOST_BLOCKS: u32 = 5_000_000;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    let screen = reader.read(0, 13).await?;
    let mut at = 13 + table_length(screen.get(10).copied());
    plan.keep(0, at);
    let mut left = MOST_BLOCKS;
    loop {
        if at == size {
            // Without its trailer; viewers do not mind.
            return Ok(plan);
        }
        let mark = reader.read_ahead(at, 1, LONG_WINDOW).await?;
        match mark.first() {
            Some(0x3b) => {
                plan.keep(at, at + 1);
                found.hidden |= at + 1 < size;
                return Ok(plan);
            }
            Some(0x2c) => {
                let head = reader.read_ahead(at, 10, LONG_WINDOW).await?;
                let data = at + 10 + table_length(head.get(9).copied()) + 1;
                let end = skip_blocks(reader, data, &mut left).await?;
                plan.keep(at, end);
                at = end;
            }
            Some(0x21) => {
                let head = reader.read_ahead(at, 3, LONG_WINDOW).await?;
                let end = skip_blocks(reader, at + 2, &mut left).await?;
                let is_kept = match head.get(1) {
                    Some(0xf9) => true,
                    Some(0xff) if head.get(2) == Some(&11) => {
                        let name = reader.read_ahead(at + 3, 11, LONG_WINDOW).await?;
                        if name == b"XMP DataXMP" {
                            let sample = usize::try_from(end - at).unwrap_or(0).min(1 << 16);
                            exif::note_xmp(
                                &reader.read_ahead(at, sample, LONG_WINDOW).await?,
                                found,
                            );
                        }
                        name == b"NETSCAPE2.0" || name == b"ANIMEXTS1.0" || name == b"ICCRGBG1012"
                    }
                    Some(0xfe) => {
                        found.text = true;
                        false
                    }
                    _ => false,
                };
                if is_kept {
                    plan.keep(at, end);
                } else {
                    found.other = true;
                }
                at = end;
            }
            _ => return Err(Refusal::Malformed),
        }
    }
}

fn table_length(flags: Option<u8>) -> u64 {
    match flags {
        Some(flags) if flags & 0x80 != 0 => 3 << ((flags & 7) + 1),
        _ => 0,
    }
}

/// Behind a chain of data blocks, each up to 255 bytes.
async fn skip_blocks(reader: &Reader, mut at: u64, left: &mut u32) -> Result<u64, Refusal> {
    loop {
        // Many at a time: a copy for every block would be slow.
        let (next, is_end) = reader
            .look(at, LONG_WINDOW, |bytes| {
                let mut here = 0;
                while let Some(&length) = bytes.get(here) {
                    *left = left.saturating_sub(1);
                    here += 1 + usize::from(length);
                    if length == 0 {
                        return (here, true);
                    }
                }
                (here, false)
            })
            .await?;
        at += next as u64;
        if *left == 0 {
            return Err(Refusal::TooComplex);
        }
        if at > reader.size() {
            return Err(Refusal::Truncated);
        }
        if is_end {
            return Ok(at);
        }
    }
}
