//! What matters of a large answer, in few bytes: its state events but members, and the keys that say
//! where they stand. The answer itself stays with whoever has it, so that tens of megabytes are not
//! copied into a memory that never shrinks.

use std::ops::Range;

use crate::structural::{self, Layout, Node, Scan, Wanted};
use mantle_json::chunked::Source;

/// Bytes kept before what is the value of a key: the key, or there is no excerpt.
const KEY_REACH: usize = 512;
/// Bytes kept on either side of an event: those that part it from the next.
const EDGE: usize = 16;
/// So many bytes between two parts are kept rather than looked up.
const GAP: usize = 64;

/// Where the bytes of an excerpt stand in the answer.
#[derive(Debug)]
pub struct Cuts {
    // Where a part starts, here and in the answer; ascending, the first is that of both.
    parts: Vec<(usize, usize)>,
    // Of excerpt and answer.
    kept: usize,
    length: usize,
}

/// An excerpt: what a scan of the answer found, with positions in these bytes.
#[derive(Debug)]
pub struct Excerpt {
    /// What was taken of the answer, one piece after another.
    pub bytes: Vec<u8>,
    /// What stands in them.
    pub scan: Scan,
    /// Where they were taken from.
    pub cuts: Cuts,
}

impl Cuts {
    /// Bytes of the whole answer.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The part that has the byte at `at`: its number and its bytes here.
    fn part_with(&self, at: usize) -> Option<(usize, Range<usize>)> {
        let index = self.parts.partition_point(|(start, _)| *start <= at).checked_sub(1)?;
        let (start, _) = *self.parts.get(index)?;
        let end = self.parts.get(index + 1).map_or(self.kept, |(next, _)| *next);
        (at < end).then_some((index, start..end))
    }

    fn original_of(&self, at: usize) -> Option<usize> {
        let (index, here) = self.part_with(at)?;
        self.parts.get(index).map(|(_, original)| original + (at - here.start))
    }

    /// Where in the answer these bytes stand; `None` when they are not in one part. An empty range is
    /// behind the byte before it.
    pub fn original(&self, here: Range<usize>) -> Option<Range<usize>> {
        let Some(last) = here.end.checked_sub(1) else { return Some(0..0) };
        let end = self.original_of(last)? + 1;
        if here.is_empty() {
            return Some(end..end);
        }
        let (first, _) = self.part_with(here.start)?;
        (self.part_with(last)?.0 == first).then_some(end - here.len()..end)
    }

    /// Where a byte of the answer stands here.
    fn here(&self, original: usize) -> Option<usize> {
        let index = self.parts.partition_point(|(_, start)| *start <= original).checked_sub(1)?;
        let (here, start) = *self.parts.get(index)?;
        let at = here + (original - start);
        (self.part_with(at)?.0 == index).then_some(at)
    }
}

/// The excerpt of an answer; `None` when only the whole tells what is in it.
pub fn of(source: &mut Source<'_>) -> Option<Excerpt> {
    let scan = structural::scan_parts(source, Wanted::NotUsers)?;
    let layout = scan.layout?;
    let (bytes, cuts) = read(source, &wanted_ranges(&layout, source.length)?);
    let here = |node: &Node| {
        // What holds events is not here up to its end.
        let end = node.end.checked_sub(1).and_then(|last| cuts.here(last));
        Some(Node { open: cuts.here(node.open)?, end: end.map_or(0, |last| last + 1), ..*node })
    };
    let nodes = layout.nodes.iter().map(here).collect::<Option<Vec<_>>>()?;
    let layout = Layout { nodes, objects: layout.objects };
    if !has_edges(&bytes, &cuts, &layout) {
        return None;
    }
    // Those that are no event's are not there.
    let hits = scan.hits.iter().filter_map(|hit| cuts.here(*hit)).collect();
    let scan = Scan { hits, layout: Some(layout), may_hide: scan.may_hide };
    Some(Excerpt { bytes, scan, cuts })
}

/// What to keep, ascending; neighbours as one.
fn wanted_ranges(layout: &Layout, length: usize) -> Option<Vec<Range<usize>>> {
    let mut is_event = vec![false; layout.nodes.len()];
    for object in &layout.objects {
        *is_event.get_mut(*object)? = true;
    }
    let mut merged: Vec<Range<usize>> = Vec::new();
    // In the order in which they open.
    for (node, is_event) in layout.nodes.iter().zip(is_event) {
        let before = match node.parent.map(|parent| layout.nodes.get(parent)) {
            None if node.open <= KEY_REACH => KEY_REACH,
            None | Some(None) => return None,
            Some(Some(parent)) if parent.is_object => KEY_REACH,
            Some(Some(_)) => EDGE,
        };
        let end = if is_event { length.min(node.end + EDGE) } else { node.open + 1 };
        let mut range = node.open.saturating_sub(before)..end;
        while let Some(last) = merged.pop_if(|last| range.start <= last.end + GAP) {
            range = range.start.min(last.start)..range.end.max(last.end);
        }
        merged.push(range);
    }
    Some(merged)
}

fn read(source: &mut Source<'_>, ranges: &[Range<usize>]) -> (Vec<u8>, Cuts) {
    let kept = ranges.iter().map(Range::len).sum();
    let mut bytes = vec![0; kept];
    let mut parts = Vec::with_capacity(ranges.len());
    let mut at = 0;
    for range in ranges {
        if let Some(into) = bytes.get_mut(at..at + range.len()) {
            (source.read)(range.start, into);
        }
        parts.push((at, range.start));
        at += range.len();
    }
    (bytes, Cuts { parts, kept, length: source.length })
}

/// True when each event's neighbours are there, each key that leads to one, and nothing stands before
/// the answer's first bracket.
fn has_edges(bytes: &[u8], cuts: &Cuts, layout: &Layout) -> bool {
    let mut roots = layout.nodes.iter().filter(|node| node.parent.is_none());
    if !roots.all(|root| bytes.get(..root.open).unwrap_or_default().trim_ascii().is_empty()) {
        return false;
    }
    let around = |node: &Node| {
        let part = cuts.part_with(node.open)?.1;
        Some((bytes.get(part.start..node.open)?, bytes.get(node.end..part.end)?))
    };
    let objects = layout.objects.iter().filter_map(|object| layout.nodes.get(*object));
    let have_neighbours = objects.clone().all(|node| {
        around(node).is_some_and(|(before, after)| {
            !before.trim_ascii().is_empty() && !after.trim_ascii().is_empty()
                || node.parent.is_none()
        })
    });
    let have_keys = layout.nodes.iter().all(|node| {
        let is_member = node
            .parent
            .and_then(|parent| layout.nodes.get(parent))
            .is_some_and(|parent| parent.is_object);
        !is_member
            || cuts
                .part_with(node.open)
                .and_then(|(_, part)| bytes.get(part.start..=node.open))
                .is_some_and(has_key)
    });
    have_neighbours && have_keys
}

/// True when the key before the last byte is there from its quote on, and that quote is one: nothing
/// but backslashes before it could be cut off in their midst.
fn has_key(part: &[u8]) -> bool {
    structural::key_before(part, part.len().saturating_sub(1))
        .and_then(|key| part.get(..key.start - 1))
        .is_some_and(|before| before.iter().any(|byte| *byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt(answer: &[u8]) -> Option<Excerpt> {
        let mut read = |at: usize, into: &mut [u8]| {
            into.copy_from_slice(&answer[at..at + into.len()]);
        };
        of(&mut Source { length: answer.len(), read: &mut read })
    }

    fn sync(room: &str, events: &str) -> String {
        format!(r#"{{"rooms":{{"join":{{"{room}":{{"state":{{"events":[{events}]}}}}}}}}}}"#)
    }

    const EVENT: &str = r#"{"type":"m.room.name","state_key":"","content":{"a":[{}]}}"#;
    const MEMBER: &str = r#"{"type":"m.room.member","state_key":"@a:b","content":{"\"[":"\\"}}"#;

    proptest! {
        #[test]
        fn its_events_are_those_of_the_answer(
            rooms in prop::collection::vec(prop::collection::vec(0..12_usize, 0..60), 1..6),
            space in " {0,3}",
        ) {
            let rooms: Vec<String> = rooms
                .iter()
                .enumerate()
                .map(|(room, events)| {
                    let events: Vec<&str> =
                        events.iter().map(|kind| if *kind == 0 { EVENT } else { MEMBER }).collect();
                    let events = events.join(&format!("{space},{space}"));
                    format!(r#""!{room}:b"{space}:{{"timeline":{{"events"{space}:[{events}]}}}}"#)
                })
                .collect();
            let answer = format!(r#"{space}{{"rooms":{{"join":{{{}}}}}}}"#, rooms.join(","));
            let bytes = answer.as_bytes();
            let whole = structural::scan(bytes, Wanted::NotUsers);
            let excerpt = excerpt(bytes).unwrap();
            let (whole, layout) = (whole.layout.unwrap(), excerpt.scan.layout.unwrap());
            prop_assert_eq!(&whole.objects, &layout.objects);
            prop_assert_eq!(whole.objects.len(), answer.matches(EVENT).count());
            for (there, here) in whole.nodes.iter().zip(&layout.nodes) {
                let key = |bytes: &[u8], open| {
                    structural::key_before(bytes, open).map(|key| bytes[key].to_vec())
                };
                prop_assert_eq!(key(bytes, there.open), key(&excerpt.bytes, here.open));
                prop_assert_eq!(excerpt.cuts.here(there.open), Some(here.open));
            }
            for object in &layout.objects {
                let (there, here) = (whole.nodes[*object], layout.nodes[*object]);
                prop_assert_eq!(&excerpt.bytes[here.open..here.end], EVENT.as_bytes());
                let range = excerpt.cuts.original(here.open..here.end);
                prop_assert_eq!(range, Some(there.open..there.end));
            }
        }
    }

    #[test]
    fn what_only_the_whole_tells_has_none() {
        let event = |before: &str| sync("!a:b", &format!("{MEMBER},{before}{EVENT}"));
        assert!(excerpt(event("").as_bytes()).is_some());
        let long = "x".repeat(600);
        for (why, answer) in [
            ("a mark of the byte order", format!("\u{feff}{}", event(""))),
            ("a long key", sync(&format!("!{long}:b"), EVENT)),
            ("a key behind backslashes", sync(&format!(r#"{}\"!a:b"#, r"\\".repeat(300)), EVENT)),
            ("space between events", event(&" ".repeat(40))),
            ("no end", event("").replace("]}}}}}", "")),
            ("a bracket that closes nothing", format!("]{}", event(""))),
        ] {
            assert!(excerpt(answer.as_bytes()).is_none(), "{why}");
        }
    }
}
