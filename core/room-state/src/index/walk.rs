//! From a place in a response to the object around it, without an index of the whole: for looks that
//! find little in most responses.

use memchr::{memmem, memrchr};

use mantle_wire::json::walk_on;

/// How far from a hit its object's ends are looked for; an event has at most 64 KiB, with what the
/// server adds in `unsigned` some more.
const MAX_WALK_BYTES: usize = 512 * 1024;

/// The bytes of the object that directly holds what starts at `at`, outside any string; `None` when
/// they do not all stand here, or the budget of bytes to walk over is spent, which is 0 then.
pub(crate) fn object_around<'a>(
    response: &'a [u8],
    at: usize,
    budget: &mut usize,
) -> Option<&'a [u8]> {
    let start = object_start(response, at, budget)?;
    response.get(start..object_end(response, at, budget)?)
}

/// For a response of `length` bytes: honest ones are walked over about once.
pub(crate) const fn walk_budget(length: usize) -> usize {
    length.saturating_mul(2).saturating_add(MAX_WALK_BYTES)
}

/// True when one of the state events with these keys may be encrypted; far cheaper than an index.
pub(crate) fn may_be_encrypted(response: &[u8], hits: &[usize]) -> bool {
    let encrypted = memmem::Finder::new("\"m.room.encrypted\"");
    // One made to be walked over at every hit is looked at in full.
    let mut budget = walk_budget(response.len());
    hits.iter().any(|hit| match object_around(response, *hit, &mut budget) {
        Some(object) => encrypted.find(object).is_some(),
        None => budget == 0,
    })
}

/// The response with letters, digits and signs in plain that need no escape and have one, as no honest
/// server writes them; `None` when there are none. Such could keep a type or a key from being found
/// behind `\u00…`.
pub(crate) fn unhidden(response: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    for at in memmem::find_iter(response, b"\\u00") {
        let before = response.get(..at).unwrap_or_default();
        let Some([high, low]) = response.get(at + 4..at + 6) else { continue };
        let digits = char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16));
        let Some(byte) = digits.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) else {
            continue;
        };
        let plain = byte.is_ascii_alphanumeric() || b"!#$*+-./:=?@^_~".contains(&byte);
        if !plain || ends_escaped(before) {
            continue;
        }
        out.extend_from_slice(response.get(copied..at).unwrap_or_default());
        out.push(byte);
        copied = at + 6;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(response.get(copied..).unwrap_or_default());
    Some(out)
}

/// True when the byte after `bytes` is escaped: an odd number of backslashes before it.
fn ends_escaped(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The start of the object that directly holds what starts at `from`, outside any string.
fn object_start(response: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let floor = from.saturating_sub(MAX_WALK_BYTES.min(*budget));
    let start = walk_back(response, from, floor);
    *budget = budget.saturating_sub(from - start.unwrap_or(floor));
    start
}

fn walk_back(response: &[u8], from: usize, floor: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = from;
    while at > floor {
        at -= 1;
        match response.get(at)? {
            b'"' => loop {
                at = floor + memrchr(b'"', response.get(floor..at)?)?;
                if !ends_escaped(response.get(..at)?) {
                    break;
                }
            },
            b'}' | b']' => depth += 1,
            b'{' if depth == 0 => return Some(at),
            b'[' if depth == 0 => return None,
            b'{' | b'[' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The end of the object that directly holds what starts at `from`, outside any string.
fn object_end(response: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let ceiling = from.saturating_add(MAX_WALK_BYTES.min(*budget)).min(response.len());
    let end = walk_on(response, from, ceiling);
    *budget = budget.saturating_sub(end.unwrap_or(ceiling) - from);
    end
}
