//! A response with events replaced, taken out or added. All other bytes stay as they were.

use std::ops::Range;

use crate::index::events::FoundState;
use mantle_index::sparse::Cuts;

/// What to do with a found event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splice {
    /// Put this JSON in its place.
    Replace(Vec<u8>),
    /// Take it out of its list. An event that is no list's element stays.
    Remove,
    /// Put this JSON after it into its list. An event that is no list's element stays alone.
    Append(Vec<u8>),
}

/// The response with the edits made; `None` when there is none to make.
///
/// `edits` must be of events found in this very response, in its order; those out of order are passed
/// over.
pub fn splice(response: &[u8], edits: &[(&FoundState, Splice)]) -> Option<Vec<u8>> {
    let edits: Vec<_> = edits
        .iter()
        .map(|(event, splice)| Edit {
            range: event.range(),
            in_array: event.is_element(),
            splice: splice.clone(),
        })
        .collect();
    let pieces = pieces(response, edits)?;
    Some(pieces.iter().map(|piece| piece.bytes(response)).collect::<Vec<_>>().concat())
}

/// One edit of a response's bytes.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    /// The range is an element of an array.
    pub(crate) in_array: bool,
    pub(crate) splice: Splice,
}

impl Edit {
    pub(crate) fn of(event: &FoundState, splice: Splice) -> Self {
        Self { range: event.range(), in_array: event.is_element(), splice }
    }
}

/// An edited response, in parts, so that a large one need not be put together before it is copied out.
#[derive(Debug)]
pub struct Edited {
    response: Vec<u8>,
    pieces: Vec<Piece>,
    // The response is as it came.
    is_original: bool,
    // Only so much of it is here.
    cuts: Option<Cuts>,
}

/// A part of an edited response.
#[derive(Debug)]
enum Piece {
    /// Bytes of the response as they were.
    Kept(Range<usize>),
    /// Others.
    New(Vec<u8>),
}

impl Piece {
    fn bytes<'b>(&'b self, response: &'b [u8]) -> &'b [u8] {
        match self {
            Self::Kept(range) => response.get(range.clone()).unwrap_or_default(),
            Self::New(bytes) => bytes,
        }
    }
}

/// A part of an edited response, for whoever puts it together.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// These bytes of the response as it came, which are not here.
    Kept(Range<usize>),
}

/// Bytes of the response as it came, and what stands there instead.
type Replacement<'a> = (Range<usize>, Vec<&'a [u8]>);

impl Part<'_> {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Kept(range) => range.len(),
        }
    }
}

impl Edited {
    /// [`splice`] for any ranges, in ascending order; false when that changes nothing. `is_original`:
    /// the response is as it came.
    pub(crate) fn new(response: Vec<u8>, edits: Vec<Edit>, is_original: bool) -> (Self, bool) {
        let pieces = pieces(&response, edits);
        let changes = pieces.is_some();
        let pieces = pieces.unwrap_or_else(|| vec![Piece::Kept(0..response.len())]);
        (Self { response, pieces, is_original, cuts: None }, changes)
    }

    /// For a response of which only so much is here.
    pub(crate) fn with_cuts(mut self, cuts: Option<Cuts>) -> Self {
        self.cuts = cuts;
        self
    }

    /// What stands in place of which bytes of the response as it came; `None` when that cannot be said.
    fn replacements(&self) -> Option<Vec<Replacement<'_>>> {
        let mut out = Vec::new();
        let (mut at, mut fresh) = (0, Vec::new());
        // The last one is kept.
        for piece in &self.pieces {
            match piece {
                Piece::New(bytes) => fresh.push(bytes.as_slice()),
                Piece::Kept(range) => {
                    if at < range.start || !fresh.is_empty() {
                        let replaced = at..range.start;
                        let replaced = match &self.cuts {
                            Some(cuts) => cuts.original(replaced)?,
                            None => replaced,
                        };
                        out.push((replaced, std::mem::take(&mut fresh)));
                    }
                    at = range.end;
                }
            }
        }
        Some(out)
    }

    /// What to write over the response as it came, of `length` bytes, and where, so that it reads as
    /// the edited one: what is shorter than before is followed by spaces, so that nothing else moves.
    /// `None` where something is longer.
    pub fn in_place(&self, length: usize) -> Option<Vec<(usize, Vec<u8>)>> {
        let came = self.cuts.as_ref().map_or(self.response.len(), Cuts::length);
        if !self.is_original || length != came {
            return None;
        }
        let mut patches = Vec::new();
        for (replaced, fresh) in self.replacements()? {
            let mut patch = fresh.concat();
            if patch.len() > replaced.len() {
                return None;
            }
            patch.resize(replaced.len(), b' ');
            patches.push((replaced.start, patch));
        }
        Some(patches)
    }

    /// Part by part; `None` when it cannot be put together.
    pub fn parts(&self) -> Option<Vec<Part<'_>>> {
        let Some(cuts) = &self.cuts else {
            let bytes = |piece| Part::Bytes(Piece::bytes(piece, &self.response));
            return Some(self.pieces.iter().map(bytes).collect());
        };
        let mut parts = Vec::new();
        let mut at = 0;
        for (replaced, fresh) in self.replacements()? {
            parts.push(Part::Kept(at..replaced.start));
            parts.extend(fresh.into_iter().map(Part::Bytes));
            at = replaced.end;
        }
        parts.push(Part::Kept(at..cuts.length()));
        Some(parts)
    }

    /// Its bytes, where all of the response is here.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces.iter().map(|piece| piece.bytes(&self.response)).collect::<Vec<_>>().concat()
    }
}

/// The edited response's parts; `None` when there is nothing to edit.
fn pieces(response: &[u8], edits: Vec<Edit>) -> Option<Vec<Piece>> {
    let mut out = Vec::with_capacity(2 * edits.len() + 1);
    let mut copied = 0;
    let mut changed = false;
    for Edit { range, in_array, splice } in edits {
        if range.start < copied || response.len() < range.end {
            continue;
        }
        match splice {
            Splice::Replace(json) => {
                out.push(Piece::Kept(copied..range.start));
                out.push(Piece::New(json));
                copied = range.end;
            }
            Splice::Remove if in_array => {
                out.push(Piece::Kept(copied..range.start));
                copied = range.end;
                let after = skip_space(response, range.end);
                if response.get(after) == Some(&b',') {
                    copied = after + 1;
                } else {
                    drop_comma(response, &mut out);
                }
            }
            Splice::Append(json) if in_array => {
                out.push(Piece::Kept(copied..range.end));
                out.push(Piece::New(b",".to_vec()));
                out.push(Piece::New(json));
                copied = range.end;
            }
            Splice::Remove | Splice::Append(_) => continue,
        }
        changed = true;
    }
    out.push(Piece::Kept(copied..response.len()));
    changed.then_some(out)
}

/// Takes a comma at the end of what is there away, with the space after it.
fn drop_comma(response: &[u8], out: &mut Vec<Piece>) {
    let mut last = out.len();
    while let Some(piece) = last.checked_sub(1).and_then(|at| out.get(at)) {
        let kept = piece.bytes(response).trim_ascii_end();
        let Some((end, before)) = kept.split_last() else {
            last -= 1;
            continue;
        };
        if *end != b',' {
            return;
        }
        let piece = match piece {
            Piece::Kept(range) => Piece::Kept(range.start..range.start + before.len()),
            Piece::New(_) => Piece::New(before.to_vec()),
        };
        out.truncate(last - 1);
        out.push(piece);
        return;
    }
}

fn skip_space(response: &[u8], from: usize) -> usize {
    let rest = response.get(from..).unwrap_or_default();
    from + (rest.len() - rest.trim_ascii_start().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn edits_in_place_read_as_edits(
            elements in prop::collection::vec((0..5, 1..30_usize, " ?"), 0..8),
        ) {
            let mut response = String::from(r#"{"events":["#);
            let mut edits = Vec::new();
            let mut grows = false;
            for (index, (kind, size, space)) in elements.iter().enumerate() {
                if index > 0 {
                    response.push(',');
                }
                response.push_str(space);
                let start = response.len();
                response.push_str(&format!("\"{}\"", "a".repeat(20)));
                let range = start..response.len();
                response.push_str(space);
                let json = format!("\"{}\"", "b".repeat(*size)).into_bytes();
                grows |= *kind == 1 && *size > 20 || *kind == 3;
                let splice = match kind {
                    1 => Splice::Replace(json),
                    2 => Splice::Remove,
                    3 => Splice::Append(json),
                    _ => continue,
                };
                edits.push(Edit { range, in_array: true, splice });
            }
            response.push_str("],\"next\":1}");
            let mut bytes = response.into_bytes();
            let (edited, _) = Edited::new(bytes.clone(), edits, true);
            prop_assert!(edited.in_place(bytes.len() + 1).is_none());
            let patches = edited.in_place(bytes.len());
            prop_assert_eq!(patches.is_none(), grows);
            for (at, patch) in patches.into_iter().flatten() {
                bytes[at..at + patch.len()].copy_from_slice(&patch);
            }
            if !grows {
                let as_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
                prop_assert_eq!(as_json(&bytes), as_json(&edited.to_bytes()));
            }
        }
    }

    #[test]
    fn other_answers_are_not_edited_in_place() {
        let (edited, _) = Edited::new(b"[]".to_vec(), Vec::new(), false);
        assert!(edited.in_place(2).is_none());
    }
}
