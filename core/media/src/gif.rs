//! GIF89a: frames and loop counts; comments and other programs' blocks go.

use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif, icc};

const MAX_BLOCKS: u32 = 5_000_000;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    let screen = reader.read(0, 13).await?;
    let mut at = 13 + table_length(screen.get(10).copied());
    plan.keep(0, at);
    let mut left = MAX_BLOCKS;
    let mut has_frame = false;
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
                let Ok(head) = reader.read_ahead(at, 10, LONG_WINDOW).await else {
                    return cut(plan, at, size, has_frame);
                };
                let data = at + 10 + table_length(head.get(9).copied()) + 1;
                match skip_blocks(reader, data, &mut left).await {
                    Err(Refusal::Truncated) if data < size || has_frame => {
                        // Viewers show the rows that are there.
                        plan.keep(at, size);
                        return Ok(plan);
                    }
                    end => {
                        let end = end?;
                        plan.keep(at, end);
                        at = end;
                    }
                }
                has_frame = true;
            }
            Some(0x21) => {
                let end = match skip_blocks(reader, at + 2, &mut left).await {
                    Err(Refusal::Truncated) => return cut(plan, at, size, has_frame),
                    end => end?,
                };
                let sample = usize::try_from(end - at).unwrap_or(0).min(1 << 16);
                let block = reader.read_ahead(at, sample, LONG_WINDOW).await?;
                match extension(&block, found)? {
                    Extension::Keep => plan.keep(at, end),
                    Extension::Drop => found.other = true,
                    Extension::Replace(bytes) => {
                        found.other = true;
                        plan.put(bytes);
                    }
                }
                at = end;
            }
            // Stray bytes, mostly zeros: viewers go on to the next block.
            _ => {
                let next = reader
                    .look(at, LONG_WINDOW, |bytes| {
                        let is_block = |byte: &u8| matches!(byte, 0x21 | 0x2c | 0x3b);
                        bytes.iter().position(is_block).unwrap_or(bytes.len())
                    })
                    .await?;
                found.hidden = true;
                at += next as u64;
            }
        }
    }
}

/// A file that ends in the middle of a block; what was whole before it is shown.
fn cut(plan: Plan, at: u64, size: u64, has_frame: bool) -> Result<Plan, Refusal> {
    if has_frame && at < size { Ok(plan) } else { Err(Refusal::Truncated) }
}

enum Extension {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// An extension by its first 64 KB: times and transparency of frames, loops, and a colour profile
/// without its texts stay.
fn extension(block: &[u8], found: &mut Findings) -> Result<Extension, Refusal> {
    let body = block.get(2..).unwrap_or_default();
    match block.get(1) {
        Some(0xf9) if body.first() == Some(&4) && body.len() == 6 => Ok(Extension::Keep),
        Some(0xf9) if body.first() == Some(&4) => {
            Ok(Extension::Replace([block.get(..7).unwrap_or_default(), &[0]].concat()))
        }
        Some(0xff)
            if body.starts_with(b"\x0bNETSCAPE2.0") || body.starts_with(b"\x0bANIMEXTS1.0") =>
        {
            match body.get(12..15) {
                Some([3, 1, _]) if block.len() == 19 => Ok(Extension::Keep),
                Some([3, 1, _]) => {
                    Ok(Extension::Replace([block.get(..18).unwrap_or_default(), &[0]].concat()))
                }
                _ => Ok(Extension::Drop),
            }
        }
        Some(0xff) if body.starts_with(b"\x0bICCRGBG1012") => {
            let (mut profile, mut at) = (Vec::new(), 12);
            loop {
                match body.get(at).copied() {
                    Some(0) => break,
                    Some(length) => {
                        let end = at + 1 + usize::from(length);
                        profile
                            .extend_from_slice(body.get(at + 1..end).ok_or(Refusal::TooComplex)?);
                        at = end;
                    }
                    None => return Err(Refusal::TooComplex),
                }
            }
            if !icc::clean(&mut profile, found)? {
                return Ok(Extension::Keep);
            }
            let mut made = block.get(..14).unwrap_or_default().to_vec();
            for part in profile.chunks(255) {
                made.push(u8::try_from(part.len()).unwrap_or(0));
                made.extend_from_slice(part);
            }
            made.push(0);
            Ok(Extension::Replace(made))
        }
        Some(0xff) if body.starts_with(b"\x0bXMP DataXMP") => {
            exif::note_xmp(block, found);
            Ok(Extension::Drop)
        }
        Some(0xfe) => {
            found.text = true;
            Ok(Extension::Drop)
        }
        _ => Ok(Extension::Drop),
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
