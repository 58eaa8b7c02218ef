//! How to put a file together again from ranges of itself.

use super::Refusal;

/// One piece of the file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes `from..to` of the original.
    Keep {
        /// First byte.
        from: u64,
        /// Behind the last one.
        to: u64,
    },
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many zero bytes.
    Zeros(u64),
}

/// Pieces in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    pieces: Vec<Piece>,
}

impl Plan {
    pub(super) fn new(size: u64) -> Self {
        Self { size, pieces: Vec::new() }
    }

    /// The file as it is.
    #[must_use]
    pub fn unchanged(size: u64) -> Self {
        Self { size, pieces: vec![Piece::Keep { from: 0, to: size }] }
    }

    /// In order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether the file stays as it is.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.size == 0 || self.pieces == [Piece::Keep { from: 0, to: self.size }]
    }

    /// Size of the file the plan makes.
    #[must_use]
    pub fn new_size(&self) -> u64 {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Keep { from, to } => to - from,
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::Zeros(length) => *length,
            })
            .sum()
    }

    pub(super) fn keep(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        if let Some(Piece::Keep { to: last, .. }) = self.pieces.last_mut()
            && *last == from
        {
            *last = to;
            return;
        }
        self.pieces.push(Piece::Keep { from, to });
    }

    pub(super) fn append(&mut self, other: Self) {
        for piece in other.pieces {
            match piece {
                Piece::Keep { from, to } => self.keep(from, to),
                Piece::Bytes(bytes) if bytes.is_empty() => {}
                piece => self.pieces.push(piece),
            }
        }
    }

    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        self.pieces.push(Piece::Bytes(bytes));
    }

    /// Keeps a range as a piece of its own, which may be replaced later by its number.
    pub(super) fn keep_apart(&mut self, from: u64, to: u64) -> usize {
        self.pieces.push(Piece::Keep { from, to });
        // So that what is kept next does not join it.
        self.pieces.push(Piece::Bytes(Vec::new()));
        self.pieces.len() - 2
    }

    /// Other bytes instead of a piece that was kept apart.
    pub(super) fn replace(&mut self, piece: usize, bytes: Vec<u8>) {
        if let Some(piece) = self.pieces.get_mut(piece) {
            *piece = Piece::Bytes(bytes);
        }
    }

    /// The same with neighbours joined.
    pub(super) fn joined(self) -> Self {
        let mut joined = Self::new(self.size);
        joined.append(self);
        joined
    }
}

/// Changes in place, for formats whose parts are found by their offsets: nothing may move.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// First byte, end, and what to put there; `None` for zeros.
    patches: Vec<(u64, u64, Option<Vec<u8>>)>,
}

impl Overlay {
    pub(super) fn zero(&mut self, from: u64, to: u64) {
        if from < to {
            self.patches.push((from, to, None));
        }
    }

    pub(super) fn put(&mut self, at: u64, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.patches.push((at, at + bytes.len() as u64, Some(bytes)));
        }
    }

    /// The plan for a file that ends at `end`, all of which is kept where nothing was changed;
    /// none where two changes touch each other.
    pub(super) fn into_plan(mut self, size: u64, end: u64) -> Result<Plan, Refusal> {
        self.patches.sort_unstable_by_key(|(from, ..)| *from);
        if self.patches.array_windows().any(|[one, next]| one.1 > next.0) {
            return Err(Refusal::Malformed);
        }
        let mut plan = Plan::new(size);
        let mut at = 0;
        for (from, to, bytes) in self.patches {
            if from >= end {
                break;
            }
            plan.keep(at, from);
            match bytes {
                Some(bytes) => plan.put(bytes),
                None => plan.pieces.push(Piece::Zeros(to.min(end) - from)),
            }
            at = to;
        }
        plan.keep(at, end);
        Ok(plan)
    }
}

/// Ranges that stay, in any order.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(u64, u64)>);

impl Kept {
    pub(super) fn add(&mut self, from: u64, to: u64) {
        if from < to {
            self.0.push((from, to));
        }
    }

    /// In order, without overlaps.
    pub(super) fn joined(&mut self) -> Vec<(u64, u64)> {
        self.0.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for &(from, to) in &self.0 {
            match joined.last_mut() {
                Some(last) if last.1 >= from => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        joined
    }

    /// Whether anything kept lies in one of `others`, which are in order and do not overlap.
    pub(super) fn overlaps(&mut self, others: &[(u64, u64)]) -> bool {
        let mut others = others.iter().copied().peekable();
        for (from, to) in self.joined() {
            while others.next_if(|other| other.1 <= from).is_some() {}
            if others.peek().is_some_and(|other| other.0 < to) {
                return true;
            }
        }
        false
    }

    /// What lies within `from..to` and is not kept.
    pub(super) fn gaps(&mut self, from: u64, to: u64) -> Vec<(u64, u64)> {
        gaps(&self.joined(), from, to)
    }
}

/// What lies within `from..to` and in none of `kept`, which are in order and do not overlap.
pub(super) fn gaps(kept: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let first = kept.partition_point(|(_, end)| *end <= from);
    let mut gaps = Vec::new();
    let mut at = from;
    for &(start, end) in kept.get(first..).unwrap_or_default() {
        if start >= to {
            break;
        }
        if start > at {
            gaps.push((at, start));
        }
        at = end;
    }
    if at < to {
        gaps.push((at, to));
    }
    gaps
}
