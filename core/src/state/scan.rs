//! Where an answer's state events stand, in one forward pass over its bytes.
//!
//! A search for the key `state_key`, then the structure up to the last hit: 64 bytes at a time
//! become bit masks of quotes and brackets, so that only brackets outside strings are looked at one
//! by one. Nothing is copied and nothing parsed. JSON that is malformed before the last hit has no
//! objects here.

use std::ops::Range;

use memchr::memmem;

/// Events come at most at depth 10 or so; what is deeper than this is some member's content, and is
/// passed over.
const MAX_DEPTH: usize = 128;

const BLOCK: usize = 64;

/// Which `state_key`s are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All but those that start with `@`: members are most of all state, and never encrypted.
    NotUsers,
    /// All.
    All,
}

/// An object or array on the way to a hit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) open: usize,
    /// After its last byte; 0 while it is not known.
    pub(super) end: usize,
    pub(super) parent: Option<usize>,
}

/// The objects of an answer that have the key `state_key`, and all that holds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Node>,
    /// Indices into `nodes`, in the answer's order, each once.
    pub(super) objects: Vec<usize>,
}

const KEY: &[u8] = b"\"state_key\"";

/// What stands behind a key `"state_key"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No string.
    None,
    /// The bytes end before that can be said.
    Open,
    /// `""`.
    Empty,
    /// A string that starts with `@`.
    User,
    /// Another string: what encrypted events have.
    Other,
}

fn value_after(answer: &[u8], key: usize) -> Value {
    let after = answer.get(key + KEY.len()..).unwrap_or_default().trim_ascii_start();
    let Some((first, rest)) = after.split_first() else { return Value::Open };
    if *first != b':' {
        return Value::None;
    }
    match rest.trim_ascii_start() {
        [] | [b'"'] => Value::Open,
        [b'"', b'@', ..] => Value::User,
        [b'"', b'"', ..] => Value::Empty,
        [b'"', ..] => Value::Other,
        _ => Value::None,
    }
}

/// Positions of the key `"state_key"` whose value is a string.
pub(super) fn hits(answer: &[u8], wanted: Wanted) -> Vec<usize> {
    memmem::find_iter(answer, KEY)
        .filter(|hit| match value_after(answer, *hit) {
            Value::User => wanted == Wanted::All,
            Value::Empty | Value::Other => true,
            Value::None | Value::Open => false,
        })
        .collect()
}

/// Those of `hits` whose value is neither empty nor a user's id: the only ones an encrypted event may
/// have.
pub(super) fn with_key(answer: &[u8], hits: &[usize]) -> Vec<usize> {
    hits.iter().copied().filter(|hit| value_after(answer, *hit) == Value::Other).collect()
}

/// Where the key `"state_key"` around its `_k` at `mark` starts, and what its value is.
pub(super) fn state_key_at(answer: &[u8], mark: usize) -> Option<(usize, Value)> {
    let key = mark.checked_sub(6)?;
    answer.get(key..)?.starts_with(KEY).then(|| (key, value_after(answer, key)))
}

/// Positions in `within` of `"!`, `"\` and `_k`: where strings start with a room's id or an escape,
/// and inside every `state_key`. One pass, since each costs as much as copying the answer.
pub(super) fn marks(answer: &[u8], within: Range<usize>) -> impl Iterator<Item = usize> {
    let first = answer.get(within.clone()).unwrap_or_default();
    let second = answer.get(within.start + 1..).unwrap_or_default();
    let (blocks, _) = first.as_chunks::<BLOCK>();
    let (next, _) = second.as_chunks::<BLOCK>();
    let start = within.start;
    let tail = start + blocks.len().min(next.len()) * BLOCK;
    let in_blocks = blocks.iter().zip(next).enumerate().flat_map(move |(index, (block, next))| {
        let base = start + index * BLOCK;
        let mut bits = pairs(block, next);
        std::iter::from_fn(move || {
            let offset = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(base + offset)
        })
    });
    let in_tail = (tail..within.end).filter(move |at| {
        let pair = (answer.get(*at), answer.get(at + 1));
        matches!(pair, (Some(b'"'), Some(b'!' | b'\\')) | (Some(b'_'), Some(b'k')))
    });
    in_blocks.chain(in_tail)
}

struct Frame {
    open: usize,
    is_object: bool,
    node: Option<usize>,
    // Its end is needed.
    awaited: bool,
}

/// The objects that directly hold the keys at `hits` (ascending positions of opening quotes).
/// `None` when the structure up to their ends is broken.
pub(super) fn layout(answer: &[u8], hits: &[usize]) -> Option<Layout> {
    let mut layout = Layout::default();
    let mut stack: Vec<Frame> = Vec::new();
    let mut hits = hits.iter().copied().peekable();
    let mut carry = Carry::default();
    let mut awaited = 0_usize;
    // Brackets open beyond the deepest that is understood.
    let mut beyond = 0_usize;
    let (blocks, rest) = answer.as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    for (index, block) in blocks.iter().chain(std::iter::once(&last)).enumerate() {
        let base = index * BLOCK;
        let mut brackets = carry.brackets(block);
        while brackets != 0 {
            let offset = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let at = base + offset;
            while hits.next_if(|hit| *hit < at).is_some() {
                if beyond == 0 {
                    awaited += mark(&mut layout, &mut stack);
                }
            }
            match block.get(offset)? {
                b'{' | b'[' if stack.len() >= MAX_DEPTH => beyond += 1,
                b'}' | b']' if beyond > 0 => beyond -= 1,
                open @ (b'{' | b'[') => {
                    stack.push(Frame {
                        open: at,
                        is_object: *open == b'{',
                        node: None,
                        awaited: false,
                    });
                }
                close => {
                    let frame = stack.pop()?;
                    if frame.is_object != (*close == b'}') {
                        return None;
                    }
                    if let Some(node) = frame.node.and_then(|node| layout.nodes.get_mut(node)) {
                        node.end = at + 1;
                    }
                    awaited -= usize::from(frame.awaited);
                }
            }
            if awaited == 0 && hits.peek().is_none() {
                return Some(layout);
            }
        }
    }
    None
}

/// Gives a node to every open frame; how many ends more are to be waited for: that of the object on
/// top, and that of the array around it.
fn mark(layout: &mut Layout, stack: &mut [Frame]) -> usize {
    if stack.last().is_none_or(|frame| !frame.is_object) {
        return 0;
    }
    let top = stack.last().map(|frame| frame.open);
    let mut parent = None;
    for frame in stack.iter_mut() {
        let node = *frame.node.get_or_insert_with(|| {
            layout.nodes.push(Node { open: frame.open, end: 0, parent });
            layout.nodes.len() - 1
        });
        parent = Some(node);
    }
    if let Some(object) = parent
        && layout.objects.last() != Some(&object)
    {
        layout.objects.push(object);
    }
    let mut awaited = 0;
    for frame in stack.iter_mut().rev().take(2) {
        if !frame.awaited && (Some(frame.open) == top || !frame.is_object) {
            frame.awaited = true;
            awaited += 1;
        }
    }
    awaited
}

/// What one block tells the next.
#[derive(Default)]
struct Carry {
    escaped: bool,
    in_string: u64,
}

impl Carry {
    /// The brackets outside strings; the lowest bit is the first byte.
    fn brackets(&mut self, block: &[u8; BLOCK]) -> u64 {
        let masks = masks(block);
        let mut escaped = u64::from(self.escaped);
        self.escaped = false;
        let mut backslashes = masks.backslashes & !escaped;
        while backslashes != 0 {
            let at = backslashes.trailing_zeros();
            backslashes &= backslashes - 1;
            if at == 63 {
                self.escaped = true;
            } else {
                let next = 1_u64 << (at + 1);
                escaped |= next;
                backslashes &= !next;
            }
        }
        let in_string = prefix_xor(masks.quotes & !escaped) ^ self.in_string;
        // All ones when the block ends inside a string.
        self.in_string = 0_u64.wrapping_sub(in_string >> 63);
        masks.brackets & !in_string
    }
}

/// Each bit becomes the parity of the bits up to it: from quotes to what stands between them.
const fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

struct Masks {
    quotes: u64,
    backslashes: u64,
    brackets: u64,
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn masks(block: &[u8; BLOCK]) -> Masks {
    use std::arch::wasm32::{i8x16_bitmask, u8x16_eq, u8x16_splat, v128_or};
    let mut masks = Masks { quotes: 0, backslashes: 0, brackets: 0 };
    let (lanes, _) = block.as_chunks::<16>();
    for (index, lane) in lanes.iter().enumerate() {
        let Some(bytes) = self::lane(lane) else { continue };
        let shift = index * 16;
        let bits = |found| u64::from(i8x16_bitmask(found)) << shift;
        masks.quotes |= bits(u8x16_eq(bytes, u8x16_splat(b'"')));
        masks.backslashes |= bits(u8x16_eq(bytes, u8x16_splat(b'\\')));
        // `[` and `]` are `{` and `}` without bit 5, and nothing else is.
        let folded = v128_or(bytes, u8x16_splat(0x20));
        masks.brackets |=
            bits(v128_or(u8x16_eq(folded, u8x16_splat(b'{')), u8x16_eq(folded, u8x16_splat(b'}'))));
    }
    masks
}

/// One bit for each byte that starts one of the pairs [`marks`] tells of; `next` is the same bytes
/// from the second on.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn pairs(block: &[u8; BLOCK], next: &[u8; BLOCK]) -> u64 {
    use std::arch::wasm32::{i8x16_bitmask, u8x16_eq, u8x16_splat, v128_and, v128_or};
    let mut pairs = 0;
    let lanes = block.as_chunks::<16>().0.iter().zip(next.as_chunks::<16>().0);
    for (index, (first, second)) in lanes.enumerate() {
        let (Some(first), Some(second)) = (lane(first), lane(second)) else { continue };
        let is = |bytes, byte| u8x16_eq(bytes, u8x16_splat(byte));
        let starts = v128_or(is(second, b'!'), is(second, b'\\'));
        let found =
            v128_or(v128_and(is(first, b'"'), starts), v128_and(is(first, b'_'), is(second, b'k')));
        pairs |= u64::from(i8x16_bitmask(found)) << (index * 16);
    }
    pairs
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn lane(bytes: &[u8; 16]) -> Option<std::arch::wasm32::v128> {
    let &[low, high] = bytes.as_chunks::<8>().0 else { return None };
    Some(std::arch::wasm32::u64x2(u64::from_le_bytes(low), u64::from_le_bytes(high)))
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn pairs(block: &[u8; BLOCK], next: &[u8; BLOCK]) -> u64 {
    let mut pairs = 0;
    let words = block.as_chunks::<8>().0.iter().zip(next.as_chunks::<8>().0);
    for (index, (first, second)) in words.enumerate() {
        let (first, second) = (u64::from_le_bytes(*first), u64::from_le_bytes(*second));
        let starts = equal(second, b'!') | equal(second, b'\\');
        let found = equal(first, b'"') & starts | equal(first, b'_') & equal(second, b'k');
        pairs |= found << (index * 8);
    }
    pairs
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn masks(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks { quotes: 0, backslashes: 0, brackets: 0 };
    let (words, _) = block.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let shift = index * 8;
        masks.quotes |= equal(word, b'"') << shift;
        masks.backslashes |= equal(word, b'\\') << shift;
        let folded = word | 0x2020_2020_2020_2020;
        masks.brackets |= (equal(folded, b'{') | equal(folded, b'}')) << shift;
    }
    masks
}

/// One bit for each of eight bytes that equals `byte`.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
const fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let different = word ^ (byte as u64 * 0x0101_0101_0101_0101);
    let zero = !(((different & LOW) + LOW) | different) & !LOW;
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The key of the member whose value, an object or array, opens at `open`: the raw text between the
/// quotes. `None` for an array's element.
pub(super) fn key_before(answer: &[u8], open: usize) -> Option<&[u8]> {
    let before = answer.get(..open)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let key = before.strip_suffix(b"\"")?;
    let mut end = key.len();
    loop {
        let quote = memchr::memrchr(b'"', key.get(..end)?)?;
        let slashes = key.get(..quote)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if slashes % 2 == 0 {
            return key.get(quote + 1..);
        }
        end = quote;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
        block
            .iter()
            .enumerate()
            .filter(|(_, byte)| is(**byte))
            .fold(0, |bits, (at, _)| bits | 1 << at)
    }

    proptest! {
        #[test]
        fn masks_are_those_of_a_plain_look(bytes in prop::collection::vec(prop_oneof![
            any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'),
        ], BLOCK)) {
            let block: [u8; BLOCK] = bytes.try_into().unwrap();
            let masks = masks(&block);
            prop_assert_eq!(masks.quotes, plain(&block, |byte| byte == b'"'));
            prop_assert_eq!(masks.backslashes, plain(&block, |byte| byte == b'\\'));
            prop_assert_eq!(masks.brackets, plain(&block, |byte| b"{}[]".contains(&byte)));
        }

        #[test]
        fn marks_are_those_of_a_plain_look(
            text in r#"["!\\\\_k]{0,200}"#, start in 0_usize..80, less in 0_usize..80,
        ) {
            let bytes = text.as_bytes();
            let start = start.min(bytes.len());
            let end = bytes.len().saturating_sub(less).max(start);
            let expected: Vec<usize> = (start..end)
                .filter(|at| {
                    let pair = bytes.get(*at..at + 2);
                    [b"\"!", b"\"\\", b"_k"].iter().any(|mark| pair == Some(&mark[..]))
                })
                .collect();
            prop_assert_eq!(marks(bytes, start..end).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn strings_are_those_of_a_plain_walk(text in r#"[a"\\{\]]{0,300}"#) {
            let mut expected = Vec::new();
            let (mut in_string, mut escaped) = (false, false);
            for (at, byte) in text.bytes().enumerate() {
                if escaped {
                    escaped = false;
                } else if byte == b'\\' {
                    escaped = true;
                } else if byte == b'"' {
                    in_string = !in_string;
                }
                if !in_string && b"{]".contains(&byte) {
                    expected.push(at);
                }
            }
            let mut padded = text.into_bytes();
            padded.resize(padded.len().next_multiple_of(BLOCK), b' ');
            let mut carry = Carry::default();
            let mut found = Vec::new();
            for (index, block) in padded.as_chunks::<BLOCK>().0.iter().enumerate() {
                let mut brackets = carry.brackets(block);
                while brackets != 0 {
                    found.push(index * BLOCK + brackets.trailing_zeros() as usize);
                    brackets &= brackets - 1;
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn keys_are_found_before_their_values() {
        for (text, key) in [
            (r#"{"rooms" : ["#, "rooms"),
            (r#"{"a\"b":["#, r#"a\"b"#),
            (r#"{"a\\":["#, r"a\\"),
            (r#"{"":["#, ""),
        ] {
            assert_eq!(key_before(text.as_bytes(), text.len() - 1), Some(key.as_bytes()), "{text}");
        }
        assert_eq!(key_before(b"[[", 1), None);
        assert_eq!(key_before(br#"["x",["#, 5), None);
    }
}
