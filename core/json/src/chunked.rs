//! An answer that stays where it is: read in parts small enough for the processor's cache, so that
//! going over a large one takes no memory of its size.

use std::ops::Range;

/// Bytes looked at in one go.
pub const PART: usize = 512 * 1024;
/// Those on either side that are there as well.
pub const MARGIN: usize = 4 * 1024;

/// A large answer and how its bytes are had.
pub struct Source<'a> {
    /// Bytes of the whole text.
    pub length: usize,
    /// Fills the buffer with the bytes from a position on.
    pub read: &'a mut dyn FnMut(usize, &mut [u8]),
}

/// What stands in memory of an answer.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// The part, with a margin on both sides.
    pub bytes: &'a [u8],
    /// Where in the answer they start.
    pub from: usize,
    /// Which of them are to be looked at now; the others were or will be.
    pub own: Range<usize>,
}

impl Source<'_> {
    /// Bytes of the answer; those beyond its end are left out.
    pub fn get(&mut self, range: Range<usize>) -> Vec<u8> {
        let end = range.end.min(self.length);
        let mut bytes = vec![0; end.saturating_sub(range.start)];
        (self.read)(range.start, &mut bytes);
        bytes
    }

    /// Goes over the whole answer, each byte read once, until `look` is true; whether it was.
    pub fn any(&mut self, look: impl FnMut(&Window<'_>) -> bool) -> bool {
        self.any_in_parts(PART, MARGIN, look)
    }

    /// `margin` is at most half of `part`.
    pub fn any_in_parts(
        &mut self,
        part: usize,
        margin: usize,
        mut look: impl FnMut(&Window<'_>) -> bool,
    ) -> bool {
        let mut buffer = vec![0; self.length.min(margin + part + margin)];
        let (mut base, mut from, mut to) = (0, 0, 0);
        while base < self.length {
            let keep = base.saturating_sub(margin);
            if keep > from {
                buffer.copy_within(keep - from..to - from, 0);
                from = keep;
            }
            let end = self.length.min(base + part + margin);
            if let Some(fresh) = buffer.get_mut(to - from..end - from) {
                (self.read)(to, fresh);
            }
            to = end;
            let own = base - from..(base + part).min(self.length) - from;
            let bytes = buffer.get(..to - from).unwrap_or_default();
            if look(&Window { bytes, from, own }) {
                return true;
            }
            base += part;
        }
        false
    }
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_is_read_once_and_seen_in_its_place(
            answer in prop::collection::vec(any::<u8>(), 0..200),
            part in 1_usize..40,
            margin in 0_usize..20,
        ) {
            let margin = margin.min(part / 2);
            let mut next = 0;
            let mut read = |at: usize, into: &mut [u8]| {
                assert_eq!(at, next);
                next += into.len();
                into.copy_from_slice(&answer[at..at + into.len()]);
            };
            let mut seen = Vec::new();
            let mut source = Source { length: answer.len(), read: &mut read };
            let found = source.any_in_parts(part, margin, |window| {
                let Window { bytes, from, own } = window.clone();
                assert_eq!(bytes, &answer[from..from + bytes.len()]);
                assert_eq!(from + own.start, seen.len());
                assert!(own.start == margin || from == 0);
                assert!(bytes.len() - own.end == margin || from + bytes.len() == answer.len());
                seen.extend_from_slice(&bytes[own]);
                false
            });
            prop_assert!(!found);
            prop_assert_eq!(seen, answer);
        }
    }
}
