//! Looks at bytes eight at a time, where the processor's vectors cannot be had.

use super::{BLOCK, Masks, PAIR};

/// The letters that marks have.
pub(super) struct Letters;

/// The letters that make JSON's structure.
pub(super) struct Signs;

impl Letters {
    pub(super) const fn new() -> Self {
        Self
    }

    /// One bit for each byte that starts one of the marks [`any_mark`](super::any_mark) tells of;
    /// `second` and `eighth` are the same bytes from the second and the eighth on.
    pub(super) fn marks<const ROOMS: bool>(
        &self,
        pair: &[u8; PAIR],
        second: &[u8; PAIR],
        eighth: &[u8; PAIR],
    ) -> [u64; 2] {
        let mut marks = [0; 2];
        let words = |pair: &[u8; PAIR]| -> [u64; PAIR / 8] {
            std::array::from_fn(|index| {
                pair.as_chunks::<8>().0.get(index).map_or(0, |word| u64::from_le_bytes(*word))
            })
        };
        let all = words(pair).into_iter().zip(words(second)).zip(words(eighth));
        for (index, ((first, second), eighth)) in all.enumerate() {
            let mut behind = equal(eighth, b'k');
            if ROOMS {
                behind |= equal(second, b'!') | equal(second, b'\\');
            }
            if let Some(marks) = marks.get_mut(index / 8) {
                *marks |= (equal(first, b'"') & behind) << (index % 8 * 8);
            }
        }
        marks
    }
}

impl Signs {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) fn masks(&self, block: &[u8; BLOCK]) -> Masks {
        let mut masks = Masks::default();
        for (index, word) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let shift = index * 8;
            masks.quotes |= equal(word, b'"') << shift;
            masks.backslashes |= equal(word, b'\\') << shift;
            // `[` and `]` are `{` and `}` without that bit, and nothing else is.
            let folded = word | 0x2020_2020_2020_2020;
            masks.brackets |= (equal(folded, b'{') | equal(folded, b'}')) << shift;
        }
        masks
    }
}

/// One bit for each of eight bytes that equals `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let different = word ^ (byte as u64 * 0x0101_0101_0101_0101);
    let zero = !(((different & LOW) + LOW) | different) & !LOW;
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
