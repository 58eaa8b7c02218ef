//! Numbers in byte slices; `None` past the end.

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

pub(super) fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    array(bytes, at)
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    find(bytes, part).is_some()
}

/// Every place where a short part of two bytes and more begins. `memchr::memmem` is some kilobytes of
/// WASM more, for haystacks larger than those here. The second byte of a name is rarer than its first,
/// which is a slash, a bracket or a zero in many.
pub(super) fn find_iter<'a>(bytes: &'a [u8], part: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let second = part.get(1).copied().unwrap_or_default();
    memchr::memchr_iter(second, bytes).filter_map(move |at| {
        let start = at.checked_sub(1)?;
        bytes.get(start..)?.starts_with(part).then_some(start)
    })
}

pub(super) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    find_iter(bytes, part).next()
}

/// Where a short part begins last. `memmem` for the way back would be three kilobytes of WASM for two
/// searches, which end soon.
pub(super) fn last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}
