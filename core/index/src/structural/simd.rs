//! Looks at bytes sixteen at a time.

use std::arch::wasm32::{
    i8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128, v128_and, v128_any_true, v128_or,
};
use std::hint::black_box;

use super::{BLOCK, Masks, PAIR};

/// The letters that marks have.
pub(super) struct Letters {
    quote: v128,
    room: v128,
    escape: v128,
    key: v128,
}

/// The letters that make JSON's structure.
pub(super) struct Signs {
    quote: v128,
    backslash: v128,
    /// What `{` and `}` have and `[` and `]` have not.
    curly: v128,
    open: v128,
    close: v128,
}

impl Letters {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            quote: everywhere(b'"'),
            room: everywhere(b'!'),
            escape: everywhere(b'\\'),
            key: everywhere(b'k'),
        }
    }

    /// One bit for each byte that starts one of the marks [`any_mark`](super::any_mark) tells of;
    /// `second` and `eighth` are the same bytes from the second and the eighth on.
    #[inline(always)]
    pub(super) fn marks<const ROOMS: bool>(
        &self,
        pair: &[u8; PAIR],
        second: &[u8; PAIR],
        eighth: &[u8; PAIR],
    ) -> [u64; 2] {
        let low = self.half::<ROOMS>(pair, second, eighth, 0);
        let high = self.half::<ROOMS>(pair, second, eighth, 4);
        let (Some(low), Some(high)) = (low, high) else { return [0; 2] };
        // Most have none.
        if !v128_any_true(v128_or(all(low), all(high))) {
            return [0; 2];
        }
        [bits(low), bits(high)]
    }

    /// Those of four times sixteen bytes. No closure: the compiler called that, which took most of the
    /// time.
    #[inline(always)]
    fn half<const ROOMS: bool>(
        &self,
        pair: &[u8; PAIR],
        second: &[u8; PAIR],
        eighth: &[u8; PAIR],
        first: usize,
    ) -> Option<[v128; 4]> {
        Some([
            self.marks_of::<ROOMS>(pair, second, eighth, first)?,
            self.marks_of::<ROOMS>(pair, second, eighth, first + 1)?,
            self.marks_of::<ROOMS>(pair, second, eighth, first + 2)?,
            self.marks_of::<ROOMS>(pair, second, eighth, first + 3)?,
        ])
    }

    /// Those of sixteen bytes.
    #[inline(always)]
    fn marks_of<const ROOMS: bool>(
        &self,
        pair: &[u8; PAIR],
        second: &[u8; PAIR],
        eighth: &[u8; PAIR],
        index: usize,
    ) -> Option<v128> {
        let mut behind = u8x16_eq(lane_at(eighth, index)?, self.key);
        if ROOMS {
            let second = lane_at(second, index)?;
            let room = v128_or(u8x16_eq(second, self.room), u8x16_eq(second, self.escape));
            behind = v128_or(behind, room);
        }
        Some(v128_and(u8x16_eq(lane_at(pair, index)?, self.quote), behind))
    }
}

impl Signs {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            quote: everywhere(b'"'),
            backslash: everywhere(b'\\'),
            curly: everywhere(b'{' ^ b'['),
            open: everywhere(b'{'),
            close: everywhere(b'}'),
        }
    }

    #[inline(always)]
    pub(super) fn masks(&self, block: &[u8; BLOCK]) -> Masks {
        let lanes = block.as_chunks::<16>().0;
        let part = |index: usize| lanes.get(index).and_then(lane);
        let (Some(a), Some(b), Some(c), Some(d)) = (part(0), part(1), part(2), part(3)) else {
            return Masks::default();
        };
        let block = [a, b, c, d];
        let bracket = |bytes| {
            let folded = v128_or(bytes, self.curly);
            v128_or(u8x16_eq(folded, self.open), u8x16_eq(folded, self.close))
        };
        // Many blocks have no bracket, and most no backslash: that takes less to see.
        let some = |found| if v128_any_true(all(found)) { bits(found) } else { 0 };
        Masks {
            quotes: bits(block.map(|bytes| u8x16_eq(bytes, self.quote))),
            backslashes: some(block.map(|bytes| u8x16_eq(bytes, self.backslash))),
            brackets: some(block.map(bracket)),
        }
    }
}

/// As the compiler cannot tell which letter it is, this stays in a register: engines make a constant
/// anew each time it is used.
#[inline(always)]
fn everywhere(letter: u8) -> v128 {
    u8x16_splat(black_box(letter))
}

#[inline(always)]
fn all([a, b, c, d]: [v128; 4]) -> v128 {
    v128_or(v128_or(a, b), v128_or(c, d))
}

#[inline(always)]
fn bits([a, b, c, d]: [v128; 4]) -> u64 {
    let bits = |lane| u64::from(i8x16_bitmask(lane));
    bits(a) | bits(b) << 16 | bits(c) << 32 | bits(d) << 48
}

#[inline(always)]
fn lane(bytes: &[u8; 16]) -> Option<v128> {
    let &[low, high] = bytes.as_chunks::<8>().0 else { return None };
    Some(u64x2(u64::from_le_bytes(low), u64::from_le_bytes(high)))
}

#[inline(always)]
fn lane_at(bytes: &[u8; PAIR], index: usize) -> Option<v128> {
    lane(bytes.as_chunks::<16>().0.get(index)?)
}
