//! Where an answer's state events stand, in one forward pass over its bytes.
//!
//! A look for the key `state_key`, then the structure around it: 64 bytes at a time become bit masks
//! of quotes and brackets, so that only brackets outside strings are looked at one by one. Nothing
//! is copied and nothing parsed. JSON that is malformed before the last hit has no objects here.

use std::ops::Range;

use mantle_json::chunked::{Source, Window};

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod swar;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use simd::{Letters, Signs};
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use swar::{Letters, Signs};

/// Events come at most at depth 10 or so; what is deeper than this is some member's content, and is
/// passed over.
const MAX_DEPTH: usize = 128;

const BLOCK: usize = 64;
/// What is looked through for marks at a time.
const PAIR: usize = 2 * BLOCK;

/// Which `state_key`s are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All but those that start with `@`: members are most of all state, and never encrypted.
    NotUsers,
    /// All.
    All,
}

/// An object or array on the way to a hit.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Where its bracket opens.
    pub open: usize,
    /// Else an array.
    pub is_object: bool,
    /// After its last byte; 0 while it is not known.
    pub end: usize,
    /// The node it stands in, by its place among the nodes.
    pub parent: Option<usize>,
}

/// The objects of an answer that have the key `state_key`, and all that holds them.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// In the order in which they open.
    pub nodes: Vec<Node>,
    /// Indices into `nodes`, in the answer's order, each once.
    pub objects: Vec<usize>,
}

const KEY: &[u8] = b"\"state_key\"";

/// What stands behind a key `"state_key"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
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

/// Adds the positions in the answer of the keys `"state_key"` whose value is a string, of those that
/// a window is to be looked at for; false when it ends before that can be said of one.
#[inline(never)]
fn add_hits(window: &Window<'_>, wanted: Wanted, hits: &mut Vec<usize>) -> bool {
    let Window { bytes, from, own } = window;
    let mut is_clear = true;
    let mut add = |at: usize| {
        match state_key_at(bytes, at) {
            Some(Value::Empty | Value::Other) => hits.push(from + at),
            Some(Value::User) if wanted == Wanted::All => hits.push(from + at),
            Some(Value::Open) => is_clear = false,
            Some(Value::User | Value::None) | None => {}
        }
        false
    };
    any_of::<false>(bytes, own.clone(), wanted == Wanted::All, &mut add);
    is_clear
}

/// Those of `hits` whose value is neither empty nor a user's id: the only ones an encrypted event may
/// have.
pub fn with_key(answer: &[u8], hits: &[usize]) -> Vec<usize> {
    hits.iter().copied().filter(|hit| value_after(answer, *hit) == Value::Other).collect()
}

/// What stands behind a key `"state_key"` that starts at `mark`.
pub fn state_key_at(answer: &[u8], mark: usize) -> Option<Value> {
    answer.get(mark..)?.starts_with(KEY).then(|| value_after(answer, mark))
}

/// True when `is` says so of one of the positions in `within` of `"!` and `"\`, where strings start
/// with a room's id or an escape, and of a quote with a `k` seven bytes behind it, as `"state_key"`
/// has. Those of users are left out, as far as that can be seen from one byte.
///
/// `is` is no type parameter, so that this is compiled as its crate is and not as its caller's.
#[inline(never)]
pub fn any_mark(answer: &[u8], within: Range<usize>, is: &mut dyn FnMut(usize) -> bool) -> bool {
    any_of::<true>(answer, within, false, is)
}

/// `ROOMS`: the marks of rooms and escapes as well; `users`: those of users too. One pass, since each
/// costs as much as copying the answer.
#[inline(always)]
fn any_of<const ROOMS: bool>(
    answer: &[u8],
    within: Range<usize>,
    users: bool,
    mut is: impl FnMut(usize) -> bool,
) -> bool {
    let from = |start: usize| answer.get(start..).unwrap_or_default().as_chunks::<PAIR>().0;
    let own = answer.get(within.clone()).unwrap_or_default().as_chunks::<PAIR>().0;
    let (seconds, eighths) = (from(within.start + 1), from(within.start + 7));
    let letters = Letters::new();
    let mut base = within.start;
    for ((pair, second), eighth) in own.iter().zip(seconds).zip(eighths) {
        for mut bits in letters.marks::<ROOMS>(pair, second, eighth) {
            while bits != 0 {
                let at = base + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if (users || !is_users(answer, at)) && is(at) {
                    return true;
                }
            }
            base += BLOCK;
        }
    }
    (base..within.end).any(|at| {
        let is_mark = match answer.get(at..).unwrap_or_default() {
            [b'"', b'!' | b'\\', ..] => ROOMS,
            [b'"', _, _, _, _, _, _, b'k', ..] => users || !is_users(answer, at),
            _ => false,
        };
        is_mark && is(at)
    })
}

/// True for a `"state_key":"@`: nothing but the value's first letter can be an `@` there.
fn is_users(answer: &[u8], mark: usize) -> bool {
    answer.get(mark + 1) == Some(&b's') && answer.get(mark + 13) == Some(&b'@')
}

/// What one pass over an answer finds.
#[derive(Debug)]
pub struct Scan {
    /// Positions of the keys `"state_key"` that are wanted and whose value is a string.
    pub hits: Vec<usize>,
    /// The objects that directly hold them. `None` when the structure up to their ends is broken.
    pub layout: Option<Layout>,
    /// An escape by number may hide what is looked for.
    pub may_hide: bool,
}

/// How much is looked at in one go: what was read for the keys is still in the processor's cache for
/// the structure. Engines compile a function for speed when it was called often enough, so nothing
/// goes over a whole answer in one call.
const TILE: usize = 64 * 1024;

/// One pass over an answer.
pub fn scan(answer: &[u8], wanted: Wanted) -> Scan {
    let mut walk = Walk::default();
    // A key whose value would come after the end has none.
    let _ = walk.go_over(&Window { bytes: answer, from: 0, own: 0..answer.len() }, wanted);
    walk.done()
}

/// The same of an answer that stays where it is; `None` when only a look at the whole can tell.
pub fn scan_parts(source: &mut Source<'_>, wanted: Wanted) -> Option<Scan> {
    let mut walk = Walk::default();
    let is_unclear = source.any(|window| !walk.go_over(window, wanted) || walk.is_broken);
    (!is_unclear).then(|| walk.done())
}

/// An open object or array: where, and its bracket.
type Open = (usize, u8);

struct Walk {
    layout: Layout,
    // Ascending positions of opening quotes; of them, how many have their objects.
    hits: Vec<usize>,
    taken: usize,
    // The first `depth` are open. Of these, the first so many have nodes, since what holds an object
    // has one too; and their ends are needed or not.
    stack: [Open; MAX_DEPTH],
    depth: usize,
    nodes: Vec<(usize, bool)>,
    carry: Carry,
    // Ends that are not reached yet.
    awaited: usize,
    // Brackets open beyond the deepest that is understood.
    beyond: usize,
    // Goes no further: what was found up to there counts.
    is_broken: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            hits: Vec::new(),
            taken: 0,
            stack: [(0, 0); MAX_DEPTH],
            depth: 0,
            nodes: Vec::with_capacity(MAX_DEPTH),
            carry: Carry::default(),
            awaited: 0,
            beyond: 0,
            is_broken: false,
        }
    }
}

impl Walk {
    fn done(self) -> Scan {
        let may_hide = self.is_broken || self.carry.has_numbers;
        let is_whole = self.awaited == 0 && self.taken == self.hits.len();
        Scan { hits: self.hits, layout: is_whole.then_some(self.layout), may_hide }
    }

    /// All but an answer's last window have whole blocks of their own. False when the window ends
    /// before it can be said what one of its keys stands for.
    #[inline(never)]
    fn go_over(&mut self, window: &Window<'_>, wanted: Wanted) -> bool {
        let Window { bytes, from, own } = window;
        let mut is_clear = true;
        for start in own.clone().step_by(TILE) {
            let tile = start..own.end.min(start + TILE);
            let part = Window { bytes, from: *from, own: tile.clone() };
            is_clear &= add_hits(&part, wanted, &mut self.hits);
            self.go_on(bytes.get(tile).unwrap_or_default(), from + start);
        }
        is_clear
    }

    /// `base`: where in the answer the bytes start.
    #[inline(never)]
    fn go_on(&mut self, bytes: &[u8], mut base: usize) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let signs = Signs::new();
        for block in blocks {
            if self.is_broken {
                return;
            }
            self.is_broken = self.block(base, block, &signs).is_none();
            base += BLOCK;
        }
        if !rest.is_empty() && !self.is_broken {
            let mut last = [b' '; BLOCK];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.go_on(&last, base);
        }
    }

    #[inline(always)]
    fn block(&mut self, base: usize, block: &[u8; BLOCK], signs: &Signs) -> Option<()> {
        let mut brackets = self.carry.brackets(block, signs);
        while brackets != 0 {
            let offset = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let at = base + offset;
            while self.hits.get(self.taken).is_some_and(|hit| *hit < at) {
                self.taken += 1;
                if self.beyond == 0 {
                    self.mark();
                }
            }
            let bracket = *block.get(offset)?;
            if matches!(bracket, b'{' | b'[') {
                match self.stack.get_mut(self.depth) {
                    Some(top) => {
                        *top = (at, bracket);
                        self.depth += 1;
                    }
                    None => self.beyond += 1,
                }
            } else if self.beyond > 0 {
                self.beyond -= 1;
            } else {
                self.depth = self.depth.checked_sub(1)?;
                // Both closing ones are their opening ones and two more.
                if self.stack.get(self.depth)?.1 + 2 != bracket {
                    return None;
                }
                if self.depth < self.nodes.len() {
                    self.close(at + 1);
                }
            }
        }
        Some(())
    }

    /// The deepest node ends.
    fn close(&mut self, end: usize) {
        let Some((node, is_awaited)) = self.nodes.pop() else { return };
        if let Some(node) = self.layout.nodes.get_mut(node) {
            node.end = end;
        }
        self.awaited -= usize::from(is_awaited);
    }

    /// Gives a node to everything that is open. The ends are to be waited for of the object on top
    /// and of the array around it.
    fn mark(&mut self) {
        let open = self.stack.get(..self.depth).unwrap_or_default();
        if open.last().is_none_or(|(_, bracket)| *bracket != b'{') {
            return;
        }
        for (open, bracket) in open.iter().skip(self.nodes.len()) {
            let parent = self.nodes.last().map(|(node, _)| *node);
            let is_object = *bracket == b'{';
            self.layout.nodes.push(Node { open: *open, is_object, end: 0, parent });
            self.nodes.push((self.layout.nodes.len() - 1, false));
        }
        let Some((object, _)) = self.nodes.last().copied() else { return };
        if self.layout.objects.last() != Some(&object) {
            self.layout.objects.push(object);
        }
        for (node, is_awaited) in self.nodes.iter_mut().rev().take(2) {
            let is_array = self.layout.nodes.get(*node).is_some_and(|node| !node.is_object);
            if !*is_awaited && (*node == object || is_array) {
                *is_awaited = true;
                self.awaited += 1;
            }
        }
    }
}

/// What one block tells the next.
#[derive(Default)]
struct Carry {
    escaped: bool,
    in_string: u64,
    // A `\u` was met.
    has_numbers: bool,
}

impl Carry {
    /// The brackets outside strings; the lowest bit is the first byte.
    #[inline(always)]
    fn brackets(&mut self, block: &[u8; BLOCK], signs: &Signs) -> u64 {
        let Masks { mut quotes, backslashes, brackets } = signs.masks(block);
        if backslashes != 0 || self.escaped {
            quotes &= !self.escapes(block, backslashes);
        }
        let in_string = if brackets == 0 {
            // Only what the block ends in.
            self.in_string ^ 0_u64.wrapping_sub(u64::from(quotes.count_ones() & 1))
        } else {
            prefix_xor(quotes) ^ self.in_string
        };
        // All ones when the block ends inside a string.
        self.in_string = 0_u64.wrapping_sub(in_string >> 63);
        brackets & !in_string
    }

    /// The bytes behind a backslash that counts.
    fn escapes(&mut self, block: &[u8; BLOCK], backslashes: u64) -> u64 {
        let mut escaped = u64::from(self.escaped);
        self.has_numbers |= self.escaped && block.first() == Some(&b'u');
        self.escaped = false;
        let mut backslashes = backslashes & !escaped;
        while backslashes != 0 {
            let at = backslashes.trailing_zeros();
            backslashes &= backslashes - 1;
            if at == 63 {
                self.escaped = true;
            } else {
                self.has_numbers |= block.get(at as usize + 1) == Some(&b'u');
                let next = 1_u64 << (at + 1);
                escaped |= next;
                backslashes &= !next;
            }
        }
        escaped
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

/// One bit for each byte of a block.
#[derive(Default)]
struct Masks {
    quotes: u64,
    backslashes: u64,
    brackets: u64,
}

/// Where the key of the member stands whose value, an object or array, opens at `open`: the raw text
/// between the quotes. `None` for an array's element.
pub fn key_before(answer: &[u8], open: usize) -> Option<Range<usize>> {
    let before = answer.get(..open)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let key = before.strip_suffix(b"\"")?;
    let mut end = key.len();
    loop {
        let quote = memchr::memrchr(b'"', key.get(..end)?)?;
        let slashes = key.get(..quote)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if slashes % 2 == 0 {
            return Some(quote + 1..key.len());
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
            let masks = Signs::new().masks(&block);
            prop_assert_eq!(masks.quotes, plain(&block, |byte| byte == b'"'));
            prop_assert_eq!(masks.backslashes, plain(&block, |byte| byte == b'\\'));
            prop_assert_eq!(masks.brackets, plain(&block, |byte| b"{}[]".contains(&byte)));
        }

        #[test]
        fn marks_are_those_of_a_plain_look(
            text in r#"(["!\\\\sk_@:]|"s|"sender_k|"state_key":"[@!:"]){0,90}"#,
            start in 0_usize..80,
            less in 0_usize..80,
        ) {
            let bytes = text.as_bytes();
            let start = start.min(bytes.len());
            let end = bytes.len().saturating_sub(less).max(start);
            let expected: Vec<usize> = (start..end)
                .filter(|at| match bytes.get(*at..).unwrap_or_default() {
                    [b'"', b'!' | b'\\', ..] => true,
                    [b'"', second, _, _, _, _, _, b'k', rest @ ..] => {
                        *second != b's' || rest.get(5) != Some(&b'@')
                    }
                    _ => false,
                })
                .collect();
            let mut found = Vec::new();
            let stopped = any_mark(bytes, start..end, &mut |mark| {
                found.push(mark);
                false
            });
            prop_assert!(!stopped);
            prop_assert_eq!(&found, &expected);
            for at in expected {
                prop_assert!(any_mark(bytes, start..end, &mut |mark| mark == at));
            }
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
            let signs = Signs::new();
            let mut carry = Carry::default();
            let mut found = Vec::new();
            for (index, block) in padded.as_chunks::<BLOCK>().0.iter().enumerate() {
                let mut brackets = carry.brackets(block, &signs);
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
            let range = key_before(text.as_bytes(), text.len() - 1).unwrap();
            assert_eq!(text.get(range), Some(key), "{text}");
        }
        assert_eq!(key_before(b"[[", 1), None);
        assert_eq!(key_before(br#"["x",["#, 5), None);
    }
}
