//! Events of some kinds in a list, found while the text around them is read.

use super::cursor::{Cursor, JsonError, Lengths};
use super::read::string_bytes;
use std::ops::Range;

/// Types of events that somebody asks for.
#[derive(Debug, Default)]
pub struct Kinds<'a> {
    whole: Vec<&'a [u8]>,
    lengths: Lengths,
    /// These, and with a dot and more behind them.
    below: Vec<&'a [u8]>,
}

impl<'a> Kinds<'a> {
    /// One type more.
    pub fn add(&mut self, event_type: &'a str) {
        if !self.whole.contains(&event_type.as_bytes()) {
            self.lengths.add(event_type);
            self.whole.push(event_type.as_bytes());
        }
    }

    /// One type more, and those with a dot and more behind it.
    pub fn add_below(&mut self, event_type: &'a str) {
        self.add(event_type);
        if !self.below.contains(&event_type.as_bytes()) {
            self.below.push(event_type.as_bytes());
        }
    }

    /// By its number, which type that was asked for stands alone; each event of that number has it.
    #[must_use]
    pub fn whole(&self, kind: usize) -> Option<&'a [u8]> {
        self.whole.get(kind).copied()
    }

    /// And of which it is one with more behind it.
    #[must_use]
    pub fn below(&self, kind: usize) -> Option<&'a [u8]> {
        self.below.get(kind.checked_sub(self.whole.len())?).copied()
    }

    /// How many numbers there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.whole.len() + self.below.len()
    }

    /// The number of a type.
    fn of(&self, event_type: &[u8]) -> Option<usize> {
        if self.lengths.may_be(event_type.len())
            && let Some(kind) = self.whole.iter().position(|whole| *whole == event_type)
        {
            return Some(kind);
        }
        let is_below = |below: &&[u8]| {
            event_type.get(below.len()) == Some(&b'.') && event_type.starts_with(below)
        };
        self.below.iter().position(is_below).map(|kind| self.whole.len() + kind)
    }
}

/// An event of a kind that was asked for, which has content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The number of its kind.
    pub kind: usize,
    /// Where its type stands, as a JSON string.
    pub event_type: Range<usize>,
    /// Where its content stands.
    pub content: Range<usize>,
}

/// The event that comes next; `None` where it is none of them.
pub(crate) fn event(
    text: &[u8],
    cursor: &mut Cursor<'_>,
    kinds: &Kinds<'_>,
) -> Result<Option<Event>, JsonError> {
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        return Ok(None);
    }
    let (mut event_type, mut content) = (None, None);
    let mut next = cursor.first_key()?;
    while let Some(key) = next {
        if key.is("type") {
            event_type = match cursor.peek() {
                Some(b'"') => {
                    let start = cursor.at();
                    let is_escaped = cursor.string()?;
                    Some((start..cursor.at(), is_escaped))
                }
                _ => cursor.value().map(|_| None)?,
            };
        } else {
            let value = cursor.value()?;
            if key.is("content") {
                content = Some(value);
            }
        }
        next = cursor.next_key()?;
    }
    let Some(((event_type, is_escaped), content)) = event_type.zip(content) else {
        return Ok(None);
    };
    let Some(name) = text.get(event_type.clone()) else { return Ok(None) };
    let kind = match is_escaped {
        true => string_bytes(name).and_then(|name| kinds.of(&name)),
        false => name.get(1..name.len() - 1).and_then(|name| kinds.of(name)),
    };
    Ok(kind.map(|kind| Event { kind, event_type, content }))
}
