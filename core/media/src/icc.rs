//! Colour profiles (ICC.1:2022): curves and matrices stay to the bit; names, makers, dates, serial
//! numbers and private data go. Nothing moves, since tags are found by their offsets.

use super::bytes::{be16, be32, four};
use super::{Findings, Refusal};

/// Profiles of screens and cameras have a few KB, those of presses up to some MB.
pub(super) const MAX_PROFILE: usize = 4 << 20;
const MAX_TAGS: usize = 1_000;
const HEADER: usize = 128;

/// Tags that colours are computed by.
const NEEDED: &[&[u8; 4]] = &[
    b"A2B0", b"A2B1", b"A2B2", b"A2B3", b"B2A0", b"B2A1", b"B2A2", b"B2A3", b"D2B0", b"D2B1",
    b"D2B2", b"D2B3", b"B2D0", b"B2D1", b"B2D2", b"B2D3", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC",
    b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"bkpt", b"chad", b"chrm", b"cicp", b"gamt", b"lumi",
    b"meas", b"pre0", b"pre1", b"pre2", b"rig0", b"tech", b"view", b"aarg", b"aagg", b"aabg",
];
/// Tags that readers want to find: their text is emptied.
const NAMED: &[&[u8; 4]] = &[b"desc", b"cprt"];

/// Empties `profile` in place; whether that changed it. What is not wholly understood is refused.
pub(super) fn clean(profile: &mut [u8], found: &mut Findings) -> Result<bool, Refusal> {
    let before = profile.to_vec();
    let count = be32(profile, HEADER).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count <= MAX_TAGS).ok_or(Refusal::Malformed)?;
    if four(profile, 36) != Some(*b"acsp") {
        return Err(Refusal::Malformed);
    }
    let table_end = HEADER + 4 + 12 * count;
    let mut kept = vec![(0, table_end)];
    let mut table = Vec::new();
    let mut emptied = Vec::new();
    for index in 0..count {
        let at = HEADER + 4 + 12 * index;
        let name = four(profile, at).ok_or(Refusal::Truncated)?;
        let [from, length] = [at + 4, at + 8]
            .map(|at| be32(profile, at).and_then(|value| usize::try_from(value).ok()));
        let from = from.ok_or(Refusal::Truncated)?;
        let to = length.and_then(|length| from.checked_add(length)).ok_or(Refusal::Malformed)?;
        if from < table_end || to > profile.len() {
            return Err(Refusal::Malformed);
        }
        if NEEDED.contains(&&name) {
            kept.push((from, to));
        } else if NAMED.contains(&&name) {
            emptied.push((from, to));
        } else {
            continue;
        }
        table.extend_from_slice(profile.get(at..at + 12).unwrap_or_default());
    }
    emptied.sort_unstable();
    emptied.dedup();
    let overlaps = |(from, to): &(usize, usize), others: &[(usize, usize)]| {
        others.iter().any(|(start, end)| from < end && start < to && (from, to) != (start, end))
    };
    if emptied
        .iter()
        .any(|range| overlaps(range, &kept) || kept.contains(range) || overlaps(range, &emptied))
    {
        return Err(Refusal::Malformed);
    }
    let left = table.len() / 12;
    put(profile, HEADER, &u32::try_from(left).unwrap_or(0).to_be_bytes());
    table.resize(12 * count, 0);
    put(profile, HEADER + 4, &table);
    let texts: Vec<_> = emptied
        .iter()
        .map(|(from, to)| empty_text(profile.get(*from..*to).unwrap_or_default()))
        .collect::<Option<_>>()
        .ok_or(Refusal::Unsupported)?;
    kept.extend(&emptied);
    kept.sort_unstable();
    let mut at = 0;
    let end = profile.len();
    for (from, to) in kept.into_iter().chain([(end, end)]) {
        if from > at {
            profile.get_mut(at..from).unwrap_or_default().fill(0);
        }
        at = at.max(to);
    }
    for ((from, _), text) in emptied.iter().zip(&texts) {
        put(profile, *from, text);
    }
    // No program, platform, maker, model, creator or checksum, and a date that is one.
    for (from, to) in [(4, 8), (40, 44), (48, 56), (80, 100)] {
        profile.get_mut(from..to).unwrap_or_default().fill(0);
    }
    put(profile, 24, &[7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    let is_changed = profile != before;
    found.other |= is_changed;
    Ok(is_changed)
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

/// The same element without a text, as long as before. `None` for a type that is no text.
fn empty_text(element: &[u8]) -> Option<Vec<u8>> {
    let mut made = vec![0; element.len()];
    let kind = four(element, 0)?;
    put(&mut made, 0, &kind);
    match &kind {
        b"text" if element.len() > 8 => {}
        // One character, the closing zero.
        b"desc" if element.len() >= 13 => put(&mut made, 8, &1_u32.to_be_bytes()),
        b"mluc" => {
            let count = be32(element, 8)?;
            let records = usize::try_from(count).ok()?.checked_mul(12)?;
            if be32(element, 12)? != 12 || count == 0 || 16 + records > element.len() {
                return None;
            }
            // One record, in no particular language ("en", "US"), of no length.
            put(&mut made, 8, &1_u32.to_be_bytes());
            put(&mut made, 12, &12_u32.to_be_bytes());
            put(&mut made, 16, b"enUS");
            put(&mut made, 24, &28_u32.to_be_bytes());
        }
        _ => return None,
    }
    Some(made)
}

/// Number of this part and of all, where a profile is spread over several segments of a JPEG.
pub(super) fn part(payload: &[u8]) -> Option<(u8, u8, &[u8])> {
    let rest = payload.strip_prefix(b"ICC_PROFILE\0")?;
    let numbers = be16(rest, 0)?.to_be_bytes();
    Some((numbers[0], numbers[1], rest.get(2..)?))
}
