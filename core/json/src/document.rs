//! A body of which many things are asked, gone over once.

use super::cursor::{Cursor, JsonError, Key};
use super::edit::{Edit, Outcome, edited};
use super::events::{Event, Kinds, event};
use super::read::{decoded, quoted, string, without_mark};
use std::borrow::Cow;
use std::ops::Range;

/// A response's JSON text and what stands at the paths somebody asked for beforehand.
///
/// A path is the keys that lead to a value, with `/` between them.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
    /// The whole, and each member that a path leads to or through, followed by those inside it.
    seen: Vec<Seen>,
    events: Vec<Event>,
    /// How many members were seen beside the way to a list of events, and on it.
    passed: usize,
    /// Whether reading ended since no honest server gives as much.
    is_too_much: bool,
}

/// A list of events that is asked for.
pub(crate) struct List<'k> {
    node: usize,
    kinds: &'k Kinds<'k>,
    /// The list, or what stands in its place or its parents', has to have fewer bytes.
    most: usize,
}

/// Of the objects that lead to such a list, how many members are looked at. Answers have a dozen.
const MAX_PASSED: usize = 1024;

/// A value that was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) node: usize,
    /// Of its key's opening quote.
    key: usize,
    value: Range<usize>,
    /// How many members stand before it in its object.
    before: usize,
    /// How many it has.
    members: usize,
    /// Where what was seen inside it ends.
    next: usize,
}

/// Where elements of a list can be put that is not there yet, and what has to stand around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What gives way.
    pub place: Range<usize>,
    /// Before the elements.
    pub before: String,
    /// Behind them.
    pub after: String,
}

impl Opening {
    /// In an object that has nothing under the first key of the path; `None` where the text is none.
    #[must_use]
    pub fn in_object(text: &[u8], path: &str) -> Option<Self> {
        let start = text.len().saturating_sub(text.trim_ascii_start().len());
        let end = text.trim_ascii_end().len();
        let is_object =
            text.get(start) == Some(&b'{') && text.get(end.checked_sub(1)?) == Some(&b'}');
        if !is_object || end.saturating_sub(start) < 2 {
            return None;
        }
        Self::within(text, start..end, &path.split('/').collect::<Vec<_>>())
    }

    /// In an object, under these keys that it does not have, or in place of any other value.
    fn within(text: &[u8], around: Range<usize>, keys: &[&str]) -> Option<Self> {
        let inner = around.start.saturating_add(1)..around.end.saturating_sub(1);
        let is_object = text.get(around.start) == Some(&b'{') && !keys.is_empty();
        let has_members = is_object
            && text.get(inner.clone()).is_some_and(|inner| !inner.trim_ascii().is_empty());
        let mut before = String::from(if has_members { "," } else { "" });
        for (at, key) in keys.iter().enumerate() {
            if at > 0 || !is_object {
                before.push('{');
            }
            before.push_str(&quoted(key));
            before.push(':');
        }
        before.push('[');
        let braces = keys.len().saturating_sub(usize::from(is_object));
        let after = format!("]{}", "}".repeat(braces));
        let place = if is_object { inner.end..inner.end } else { around };
        Some(Self { place, before, after })
    }
}

#[derive(Debug, Default)]
struct Node {
    key: String,
    /// By their tags, then their keys.
    children: Vec<(u64, usize)>,
    value: Option<Range<usize>>,
}

pub(crate) const ROOT: usize = 0;

/// Tells most keys apart: their ends and their length.
fn tag(key: &[u8]) -> u64 {
    let ends = match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => key.iter().fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
    };
    ends ^ (key.len() as u64) << 56
}

impl<'a> Document<'a> {
    /// Reads a body; a byte order mark does not count.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when the body is not JSON to the browser either.
    pub fn read(
        body: &'a [u8],
        paths: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, JsonError> {
        let mut document = Self::new(without_mark(body));
        for path in paths {
            document.ask(&mut path.as_ref().split('/'));
        }
        document.go(None)?;
        Ok(document)
    }

    /// Reads a text without byte order mark, and of the list at a path the events of these kinds; `None`
    /// where the list has not fewer than `most` bytes, or members on the way to it have no end.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when the text is not JSON to the browser either.
    pub fn read_events(
        text: &'a [u8],
        path: &str,
        kinds: &Kinds<'_>,
        most: usize,
    ) -> Result<Option<(Self, Vec<Event>)>, JsonError> {
        let mut document = Self::new(text);
        let node = document.ask(&mut path.split('/'));
        let read = document.go(Some(&List { node, kinds, most }));
        if document.is_too_much {
            return Ok(None);
        }
        read?;
        let mut events = std::mem::take(&mut document.events);
        // Of keys that repeat, the last ones led to none.
        let start = document.range(path).map(|list| list.start);
        if start.and_then(|start| document.text.get(start)) != Some(&b'[') {
            events.clear();
        }
        Ok(Some((document, events)))
    }

    pub(crate) fn new(text: &'a [u8]) -> Self {
        let (nodes, seen, events) = (vec![Node::default()], Vec::new(), Vec::new());
        Self { text, nodes, seen, events, passed: 0, is_too_much: false }
    }

    /// Looks for what these keys lead to.
    #[inline(never)]
    pub(crate) fn ask(&mut self, path: &mut dyn Iterator<Item = &str>) -> usize {
        let mut node = ROOT;
        for key in path {
            node = match self.place(node, key.as_bytes()) {
                Ok(child) => child,
                Err(place) => self.add(node, place, key),
            };
        }
        node
    }

    /// Reads the text.
    pub(crate) fn go(&mut self, list: Option<&List<'_>>) -> Result<(), JsonError> {
        let mut cursor = Cursor::new(self.text);
        self.visit(&mut cursor, ROOT, list, (0, 0))?;
        cursor.end()
    }

    /// The text of the value at a path, the last one where keys repeat; `None` where there is none,
    /// or where it was not asked for.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Cow<'a, str>> {
        self.bytes_at(path).map(String::from_utf8_lossy)
    }

    /// The string at a path, unescaped; `None` where there is none.
    #[must_use]
    pub fn get_str(&self, path: &str) -> Option<String> {
        self.bytes_at(path).and_then(string)
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        decoded(self.text)
    }

    /// Whether it is an object that has members.
    #[must_use]
    pub fn has_members(&self) -> bool {
        let mut cursor = Cursor::new(self.text);
        cursor.peek() == Some(b'{') && cursor.first_key().is_ok_and(|key| key.is_some())
    }

    /// Where in the text, which is without byte order mark, the value at a path stands.
    #[must_use]
    pub fn range(&self, path: &str) -> Option<Range<usize>> {
        let mut node = ROOT;
        for key in path.split('/') {
            node = self.place(node, key.as_bytes()).ok()?;
        }
        self.nodes.get(node)?.value.clone()
    }

    /// Where a list is to be put that shall stand at a path; `None` where the text is no object, or the
    /// path was not asked for. What stands there already gives way.
    #[must_use]
    pub fn opening(&self, path: &str) -> Option<Opening> {
        let mut node = ROOT;
        let mut around = self.nodes.get(ROOT)?.value.clone()?;
        let mut keys = path.split('/').peekable();
        while self.text.get(around.start) == Some(&b'{')
            && let Some(key) = keys.peek()
        {
            let child = self.place(node, key.as_bytes()).ok()?;
            let Some(range) = self.nodes.get(child)?.value.clone() else { break };
            (node, around) = (child, range);
            keys.next();
        }
        if node == ROOT && self.text.get(around.start) != Some(&b'{') {
            return None;
        }
        Opening::within(self.text, around, &keys.collect::<Vec<_>>())
    }

    fn bytes_at(&self, path: &str) -> Option<&'a [u8]> {
        self.text.get(self.range(path)?)
    }

    /// The child with this key, or its place among the others.
    pub(crate) fn place(&self, node: usize, key: &[u8]) -> Result<usize, usize> {
        let children =
            self.nodes.get(node).map(|node| node.children.as_slice()).unwrap_or_default();
        let wanted = tag(key);
        children
            .binary_search_by(|(tag, child)| {
                tag.cmp(&wanted).then_with(|| {
                    self.nodes.get(*child).map_or(&[][..], |child| child.key.as_bytes()).cmp(key)
                })
            })
            .map(|place| children.get(place).map_or(ROOT, |(_, child)| *child))
    }

    fn add(&mut self, node: usize, place: usize, key: &str) -> usize {
        let child = self.nodes.len();
        self.nodes.push(Node { key: key.to_owned(), ..Node::default() });
        if let Some(node) = self.nodes.get_mut(node) {
            node.children.insert(place, (tag(key.as_bytes()), child));
        }
        child
    }

    fn child(&self, node: usize, key: &Key<'_>) -> Option<usize> {
        match key.is_escaped {
            true => self.place(node, key.text().as_bytes()).ok(),
            false => self.place(node, key.raw).ok(),
        }
    }

    /// Goes over the value of a node, behind a key and so many members of its object.
    fn visit(
        &mut self,
        cursor: &mut Cursor<'a>,
        node: usize,
        list: Option<&List<'_>>,
        (key, before): (usize, usize),
    ) -> Result<(), JsonError> {
        let starts = cursor.peek();
        let start = cursor.at();
        // Of a list nobody edits by path, so a key that repeats takes no memory there.
        let index = list.is_none().then_some(self.seen.len());
        let mut members = 0_usize;
        if index.is_some() {
            self.seen.push(Seen { node, key, value: start..start, before, members, next: 0 });
        }
        let is_leaf = self.nodes.get(node).is_none_or(|node| node.children.is_empty());
        let is_list = list.is_some_and(|list| list.node == node) && starts == Some(b'[');
        if is_list || is_leaf || starts != Some(b'{') {
            let most = list.filter(|_| node != ROOT).map_or(usize::MAX, |list| list.most);
            let whole = cursor.stop_after(most);
            let read = match list.filter(|_| is_list) {
                Some(list) => self.list(cursor, list.kinds),
                None => cursor.value().map(drop),
            };
            self.is_too_much |= cursor.go_on(whole, read.is_ok());
            read?;
            if self.is_too_much {
                return Err(JsonError::Malformed { at: start });
            }
        } else {
            let mut next = cursor.first_key()?;
            while let Some(key) = next {
                self.passed = self.passed.saturating_add(1);
                if list.is_some() && self.passed > MAX_PASSED {
                    self.is_too_much = true;
                    return Err(JsonError::Malformed { at: key.at });
                }
                match self.child(node, &key) {
                    Some(child) => {
                        self.forget(child);
                        self.visit(cursor, child, list, (key.at, members))?;
                    }
                    None => cursor.value().map(drop)?,
                }
                members = members.saturating_add(1);
                next = cursor.next_key()?;
            }
        }
        let value = start..cursor.at();
        let next = self.seen.len();
        if let Some(seen) = index.and_then(|index| self.seen.get_mut(index)) {
            *seen = Seen { value: value.clone(), members, next, ..*seen };
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.value = Some(value);
        }
        Ok(())
    }

    /// Goes over the list that starts here, for its events.
    #[inline(never)]
    fn list(&mut self, cursor: &mut Cursor<'a>, kinds: &Kinds<'_>) -> Result<(), JsonError> {
        // Of a key that repeats, the last list counts.
        self.events.clear();
        let mut has_next = cursor.first_element()?;
        while has_next {
            self.events.extend(event(self.text, cursor, kinds)?);
            has_next = cursor.next_element()?;
        }
        Ok(())
    }

    /// The same text with edits, one after the other, and by number whose edits changed something.
    ///
    /// # Errors
    /// [`JsonError`] never, since the text could be read.
    pub fn edited(&self, edits: &[&[Edit]]) -> Result<Outcome, JsonError> {
        edited(self.text, Some(self), edits)
    }

    /// Of a key that repeats, nothing counts but what its last value holds.
    fn forget(&mut self, node: usize) {
        let Some(known) = self.nodes.get_mut(node) else { return };
        if known.value.take().is_none() {
            return;
        }
        for index in 0..known.children.len() {
            let child = self.nodes.get(node).and_then(|node| node.children.get(index));
            if let Some((_, child)) = child.copied() {
                self.forget(child);
            }
        }
    }
}

/// What was read, for those who edit it.
impl<'a> Document<'a> {
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.text
    }

    pub(crate) const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The members seen in a value, in their order, and where.
    pub(crate) fn members(&self, at: usize) -> impl Iterator<Item = (usize, &Seen)> {
        let seen = &self.seen;
        let end = seen.get(at).map_or(0, |object| object.next);
        let mut index = at.saturating_add(1);
        std::iter::from_fn(move || {
            let member = seen.get(index).filter(|_| index < end)?;
            let own = index;
            index = member.next;
            Some((own, member))
        })
    }

    pub(crate) fn value(&self, at: usize) -> Range<usize> {
        self.seen.get(at).map(|seen| seen.value.clone()).unwrap_or_default()
    }

    pub(crate) fn is_object(&self, at: usize) -> bool {
        self.text.get(self.value(at).start) == Some(&b'{')
    }

    /// Where an object's last member ends, and how many members it has.
    pub(crate) fn object_end(&self, at: usize) -> (usize, usize) {
        let end = self.before_space(self.value(at).end.saturating_sub(1));
        (end, self.seen.get(at).map_or(0, |object| object.members))
    }

    /// What is cut to take a member out of its object, where so many before it are cut as well.
    pub(crate) fn cut(&self, member: &Seen, cut: usize) -> Range<usize> {
        let from = self.before_space(member.key);
        let end = member.value.end;
        if member.before > cut {
            // With the comma before it.
            return self.before_space(from.saturating_sub(1))..end;
        }
        let mut cursor = Cursor::from(self.text, end);
        let has_comma = cursor.peek() == Some(b',');
        from..if has_comma { cursor.at().saturating_add(1) } else { end }
    }

    /// The end of what stands before a position.
    fn before_space(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        before.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::edit::{apply, splice};
    use super::super::read::{get, tests::scraps};
    use super::*;
    use proptest::prelude::*;

    const PATHS: [&str; 5] = ["a", "a/b", "a/a", "b/a/b", "c"];

    fn read(body: &[u8]) -> Result<Document<'_>, JsonError> {
        Document::read(body, PATHS)
    }

    #[test]
    fn a_mark_and_broken_bytes_change_nothing() {
        let document =
            read(b"\xef\xbb\xbf {\"a\":{\"b\":\"\xff\\u00e9\"},\"\\u0063\":1e400}").unwrap();
        assert_eq!(document.get_str("a/b").unwrap(), "\u{fffd}\u{e9}");
        assert_eq!(document.get("c").unwrap(), "1e400");
        assert_eq!(document.get("b/a/b"), None);
        assert!(document.has_members());
        assert!(!read(b"{ }").unwrap().has_members() && !read(b"[1]").unwrap().has_members());
        assert!(read(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
    }

    fn objects() -> impl Strategy<Value = String> {
        let leaf =
            prop::sample::select(vec!["1", "[]", "{}", "null", "\"a\""]).prop_map(str::to_owned);
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop::sample::select(vec!["a", "b", "c", "\\u0061", "d"]);
            prop::collection::vec((key, inner), 0..5).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", members.join(", "))
            })
        })
    }

    fn with(text: &str, opening: &Opening, elements: &str) -> String {
        let Opening { place, before, after } = opening;
        splice(text, place.clone(), &format!("{before}{elements}{after}"))
    }

    #[test]
    fn a_list_is_put_where_none_is() {
        for (text, expected) in [
            ("{}", r#"{"a":{"b":[1]}}"#),
            (r#" { "x" : 2 } "#, r#" { "x" : 2 ,"a":{"b":[1]}} "#),
            (r#"{"a":{ }}"#, r#"{"a":{ "b":[1]}}"#),
            (r#"{"a":{"a":3}}"#, r#"{"a":{"a":3,"b":[1]}}"#),
            (r#"{"a":null,"x":2}"#, r#"{"a":{"b":[1]},"x":2}"#),
            (r#"{"a":{"b":{}},"x":2}"#, r#"{"a":{"b":[1]},"x":2}"#),
            (r#"{"a":{"b":4},"a":5}"#, r#"{"a":{"b":4},"a":{"b":[1]}}"#),
        ] {
            let opening = read(text.as_bytes()).unwrap().opening("a/b").unwrap();
            assert_eq!(with(text, &opening, "1"), expected);
        }
        for text in ["[]", "1", "null", "\"x\""] {
            assert_eq!(read(text.as_bytes()).unwrap().opening("a/b"), None);
            assert_eq!(Opening::in_object(text.as_bytes(), "a/b"), None);
        }
    }

    proptest! {
        #[test]
        fn a_list_is_put_as_an_edit_would(text in objects()) {
            let opening = read(text.as_bytes()).unwrap().opening("a/b");
            prop_assert_eq!(opening.is_some(), text.starts_with('{'));
            let Some(opening) = opening else { return Ok(()) };
            let opened = with(&text, &opening, "7");
            prop_assert_eq!(get(&opened, &["a", "b"]), Ok(Some("[7]")), "{}", &opened);
            let edit = Edit::set(&["a", "b"], "[7]");
            let edited = apply(text.as_bytes(), &[edit]).unwrap().unwrap();
            let parsed = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(parsed(opened.as_bytes()), parsed(&edited));
        }

        #[test]
        fn no_text_becomes_an_object_by_what_is_put_into_it(text in scraps()) {
            if let Some(opening) = Opening::in_object(text.as_bytes(), "z/z") {
                let is_json = get(&text, &[]).is_ok();
                prop_assert_eq!(get(&with(&text, &opening, "7"), &[]).is_ok(), is_json, "{:?}", text);
            }
        }

        #[test]
        fn each_path_is_read_as_alone(text in objects()) {
            let document = read(text.as_bytes()).unwrap();
            for path in PATHS {
                let keys: Vec<_> = path.split('/').collect();
                let alone = get(&text, &keys).unwrap();
                let found = document.get(path);
                prop_assert_eq!(found.as_deref(), alone, "{} in {}", path, &text);
            }
        }
    }
}
