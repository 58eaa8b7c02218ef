//! JPEG (ITU-T T.81): segments up to the scans, the scans themselves, and nothing after the end.

use super::bytes::be16;
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal, exif, icc};
use memchr::memchr;

const MAX_SEGMENTS: u32 = 50_000;
const HEAD_WINDOW: usize = 1 << 17;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// A part of the colour profile and the piece of the plan that holds it.
struct ProfilePart {
    number: u8,
    of: u8,
    piece: usize,
    bytes: Vec<u8>,
}

/// Reads as libjpeg does, which skips what stands between segments; writes without it.
pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut plan = Plan::new(size);
    plan.keep(0, 2);
    let mut at = 2;
    let mut segments = 0;
    let mut has_scan = false;
    let mut orientation = None;
    let mut profile = Vec::new();
    loop {
        segments += 1;
        if segments > MAX_SEGMENTS {
            return Err(Refusal::TooComplex);
        }
        let Some((start, marker, is_stray)) = next_marker(reader, at).await? else {
            // Broken off between scans: everything there is was seen.
            return if has_scan { finish(plan, profile, found) } else { Err(Refusal::Truncated) };
        };
        found.hidden |= is_stray;
        at = start;
        match marker {
            EOI => {
                plan.keep(at, at + 2);
                // A second picture, a film, or a file of another kind.
                found.hidden |= at + 2 < size;
                return finish(plan, profile, found);
            }
            0x01 | 0xd0..=0xd7 => {
                plan.keep(at, at + 2);
                at += 2;
                continue;
            }
            0x00 | 0x02..=0xbf | SOI | 0xc8 => return Err(Refusal::Malformed),
            _ => {}
        }
        let length = match reader.read_ahead(at + 2, 2, HEAD_WINDOW).await {
            Err(Refusal::Truncated) if has_scan => return finish(plan, profile, found),
            length => u64::from(be16(&length?, 0).unwrap_or(0)),
        };
        let end = at + 2 + length;
        if length < 2 {
            return Err(Refusal::Malformed);
        }
        if end > size {
            // What decoders show lies before it.
            return if has_scan { finish(plan, profile, found) } else { Err(Refusal::Truncated) };
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
                if let Some((number, of, bytes)) = icc::part(payload).filter(|_| marker == 0xe2) {
                    // Decided upon when all of it is there.
                    if profile.len() >= usize::from(u8::MAX) {
                        return Err(Refusal::Malformed);
                    }
                    let bytes = bytes.to_vec();
                    profile.push(ProfilePart {
                        number,
                        of,
                        piece: plan.keep_apart(at, end),
                        bytes,
                    });
                } else {
                    match treat(marker, payload, found, &mut orientation) {
                        Treated::Keep => plan.keep(at, end),
                        Treated::Drop => {}
                        Treated::Replace(bytes) => plan.put(bytes),
                    }
                }
            }
            _ => plan.keep(at, end),
        }
        at = end;
    }
}

/// Where the next marker's last 0xff stands, the marker, and whether anything but padding stands
/// before it; `None` at the file's end.
async fn next_marker(reader: &Reader, mut at: u64) -> Result<Option<(u64, u8, bool)>, Refusal> {
    let size = reader.size();
    let mut is_stray = false;
    while at + 1 < size {
        let (here, marker, stray) = reader
            .look(at, HEAD_WINDOW, |bytes| {
                let mut from = 0;
                let mut is_stray = false;
                while let Some(found) = bytes.get(from..).and_then(|rest| memchr(0xff, rest)) {
                    let here = from + found;
                    is_stray |= found > 0;
                    match bytes.get(here + 1) {
                        // Padding before a marker.
                        Some(0xff) => from = here + 1,
                        Some(0) => {
                            is_stray = true;
                            from = here + 2;
                        }
                        marker => return (here, marker.copied(), is_stray),
                    }
                }
                (bytes.len(), None, is_stray || from < bytes.len())
            })
            .await?;
        is_stray |= stray;
        if let Some(marker) = marker {
            return Ok(Some((at + here as u64, marker, is_stray)));
        }
        at += here as u64;
        if here == 0 {
            // The byte behind it lies in the next window.
            reader.read_ahead(at, 2, HEAD_WINDOW).await?;
        }
    }
    Ok(None)
}

/// Puts the cleaned colour profile in.
fn finish(
    mut plan: Plan,
    mut profile: Vec<ProfilePart>,
    found: &mut Findings,
) -> Result<Plan, Refusal> {
    profile.sort_by_key(|part| part.number);
    let count = profile.len();
    let is_whole = profile.iter().enumerate().all(|(index, part)| {
        usize::from(part.of) == count && usize::from(part.number) == index + 1
    });
    if !is_whole || count == 0 {
        // Decoders heed no profile with parts missing; all of it goes.
        found.other |= count > 0;
        profile.iter().for_each(|part| plan.replace(part.piece, Vec::new()));
        return Ok(plan.joined());
    }
    let mut whole: Vec<u8> = profile.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    if icc::clean(&mut whole, found)? {
        let mut rest = whole.as_slice();
        for part in &profile {
            let (here, left) = rest.split_at_checked(part.bytes.len()).unwrap_or((rest, &[]));
            let length = u16::try_from(here.len() + 16).map_err(|_| Refusal::Malformed)?;
            let mut segment = [&[0xff, 0xe2][..], &length.to_be_bytes(), b"ICC_PROFILE\0"].concat();
            segment.extend([part.number, part.of]);
            segment.extend_from_slice(here);
            plan.replace(part.piece, segment);
            rest = left;
        }
    }
    Ok(plan.joined())
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
