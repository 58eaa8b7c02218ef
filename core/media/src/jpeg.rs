//! JPEG (ITU-T T.81): segments up to the scans, the scans themselves, and nothing after the end.

use super::bytes::be16;
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif};
use memchr::memchr;

const MOST_SEGMENTS: u32 = 50_000;
const HEAD_WINDOW: usize = 1 << 17;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    plan.keep(0, 2);
    let mut at = 2;
    let mut segments = 0;
    let mut has_scan = false;
    let mut orientation = None;
    loop {
        segments += 1;
        if segments > MOST_SEGMENTS {
            return Err(Refusal::TooComplex);
        }
        if at == size && has_scan {
            // Broken off between scans: everything there is was seen.
            return Ok(plan);
        }
        let head = reader.read_ahead(at, 2, HEAD_WINDOW).await?;
        let (Some(0xff), Some(&marker)) = (head.first(), head.get(1)) else {
            return Err(Refusal::Malformed);
        };
        match marker {
            // Padding.
            0xff => {
                at += 1;
                continue;
            }
            EOI => {
                plan.keep(at, at + 2);
                // A second picture, a film, or a file of another kind.
                found.hidden |= at + 2 < size;
                return Ok(plan);
            }
            0x01 | 0xd0..=0xd7 => {
                plan.keep(at, at + 2);
                at += 2;
                continue;
            }
            0x00 | 0x02..=0xbf | SOI | 0xc8 => return Err(Refusal::Malformed),
            _ => {}
        }
        let length = reader.read_ahead(at + 2, 2, HEAD_WINDOW).await?;
        let length = u64::from(be16(&length, 0).unwrap_or(0));
        let end = at + 2 + length;
        if length < 2 {
            return Err(Refusal::Malformed);
        }
        if end > size {
            return Err(Refusal::Truncated);
        }
        match marker {
            SOS => {
                plan.keep(at, end);
                has_scan = true;
                let next = scan_end(reader, end).await?;
                plan.keep(end, next);
                at = next;
                continue;
            }
            0xe0..=0xfe => {
                let whole = usize::try_from(end - at).unwrap_or(0);
                let segment = reader.read_ahead(at, whole, HEAD_WINDOW).await?;
                let payload = segment.get(4..).unwrap_or_default();
                match treat(marker, payload, found, &mut orientation) {
                    Treated::Keep => plan.keep(at, end),
                    Treated::Drop => {}
                    Treated::Replace(bytes) => plan.put(bytes),
                }
            }
            _ => plan.keep(at, end),
        }
        at = end;
    }
}

enum Treated {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// Application and comment segments: only what decoders need for the right colours stays.
fn treat(
    marker: u8,
    payload: &[u8],
    found: &mut Findings,
    orientation: &mut Option<u8>,
) -> Treated {
    match marker {
        0xe0 if payload.starts_with(b"JFIF\0") => {
            if payload.len() == 14 && payload.ends_with(&[0, 0]) {
                return Treated::Keep;
            }
            found.preview = true;
            let Some(fixed) = payload.get(..12) else { return Treated::Drop };
            Treated::Replace([&[0xff, 0xe0, 0, 16], fixed, &[0, 0]].concat())
        }
        0xe0 => {
            found.preview |= payload.starts_with(b"JFXX\0");
            found.other = true;
            Treated::Drop
        }
        0xe1 if payload.starts_with(b"Exif\0\0") => {
            let turned = exif::note(payload, found);
            // Readers go by the first.
            if orientation.is_none() {
                *orientation = Some(turned);
                if turned != 1 {
                    let block = exif::only_orientation(turned);
                    #[allow(clippy::cast_possible_truncation)]
                    let length = (block.len() + 8) as u8;
                    return Treated::Replace(
                        [&[0xff, 0xe1, 0, length], b"Exif\0\0".as_slice(), &block].concat(),
                    );
                }
            }
            Treated::Drop
        }
        0xe1 => {
            exif::note_xmp(payload, found);
            Treated::Drop
        }
        0xe2 if payload.starts_with(b"ICC_PROFILE\0") => Treated::Keep,
        // Says how the colours are coded.
        0xee if payload.starts_with(b"Adobe") && payload.len() >= 12 => {
            if payload.len() == 12 {
                return Treated::Keep;
            }
            found.other = true;
            let fixed = payload.get(..12).unwrap_or_default();
            Treated::Replace([&[0xff, 0xee, 0, 14], fixed].concat())
        }
        0xe2 => {
            found.preview |= payload.starts_with(b"MPF\0");
            found.other = true;
            Treated::Drop
        }
        0xed | 0xfe => {
            found.text = true;
            Treated::Drop
        }
        _ => {
            found.other = true;
            Treated::Drop
        }
    }
}

/// Where the entropy-coded data that starts at `at` ends: at the next marker, or at the file's end.
async fn scan_end(reader: &Reader, mut at: u64) -> Result<u64, Refusal> {
    let size = reader.size();
    while at < size {
        let step = reader
            .look(at, LONG_WINDOW, |bytes| {
                let mut from = 0;
                while let Some(found) = bytes.get(from..).and_then(|rest| memchr(0xff, rest)) {
                    let here = from + found;
                    match bytes.get(here + 1) {
                        // Stuffed byte or restart marker: still data.
                        Some(0x00 | 0xd0..=0xd7) => from = here + 2,
                        Some(0xff) => from = here + 1,
                        Some(_) => return Step::Marker(here),
                        None if here == 0 => return Step::Last,
                        None => return Step::On(here),
                    }
                }
                Step::On(bytes.len())
            })
            .await?;
        match step {
            Step::Marker(here) => return Ok(at + here as u64),
            Step::On(here) => at += here as u64,
            Step::Last if at + 1 >= size => return Ok(size),
            // The byte behind it lies in the next window.
            Step::Last => {
                reader.read_ahead(at, 2, LONG_WINDOW).await?;
            }
        }
    }
    Ok(size)
}

enum Step {
    Marker(usize),
    On(usize),
    Last,
}
