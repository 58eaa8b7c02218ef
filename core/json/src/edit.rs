//! Edits of JSON text that leave every other byte as it was.

use super::cursor::JsonError;
use super::document::{Document, ROOT};
use super::read::{quoted, utf8, without_mark};
use std::ops::Range;

/// What to do at the end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Cut the member out.
    Remove,
    /// Put this JSON text there; missing parents are created.
    Set(String),
    /// Put this JSON text there only where the member exists.
    Replace(String),
}

/// One edit: where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Object keys from the root down.
    pub path: Vec<String>,
    /// What happens to the member.
    pub change: Change,
}

impl Edit {
    /// Cuts the member at `path` out.
    #[must_use]
    pub fn remove(path: &[&str]) -> Self {
        Self::new(path, Change::Remove)
    }

    /// Sets the member at `path` to a JSON text.
    #[must_use]
    pub fn set(path: &[&str], json: impl Into<String>) -> Self {
        Self::new(path, Change::Set(json.into()))
    }

    /// Replaces the member at `path`, where there is one, by a JSON text.
    #[must_use]
    pub fn replace(path: &[&str], json: impl Into<String>) -> Self {
        Self::new(path, Change::Replace(json.into()))
    }

    fn new(path: &[&str], change: Change) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), change }
    }
}

/// Applies `edits` one after the other; `None` when nothing changed.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON in UTF-8.
#[inline(never)]
pub fn apply(body: &[u8], edits: &[Edit]) -> Result<Option<Vec<u8>>, JsonError> {
    utf8(body)?;
    Ok(edited(body, None, &[edits])?.0)
}

/// The same to a response, which a browser reads without its byte order mark, and whatever bytes its
/// strings hold.
///
/// # Errors
/// [`JsonError::Malformed`] when the browser takes it for no JSON either.
pub fn apply_to_response(body: &[u8], edits: &[Edit]) -> Result<Option<Vec<u8>>, JsonError> {
    Ok(edited(without_mark(body), None, &[edits])?.0)
}

/// The text, where it is another one, and by number who changed it.
pub type Outcome = (Option<Vec<u8>>, Vec<bool>);

/// The text is gone over once for all edits that do not touch each other, which is once for all where
/// nobody names a member twice. Of keys that repeat each member is edited: readers differ in which counts.
///
/// A text that was read is not gone over again, where nobody edits what was not asked for; and there,
/// of a key that repeats, only the last member is set, since its reader sees no other.
#[inline(never)]
pub(crate) fn edited(
    text: &[u8],
    read: Option<&Document<'_>>,
    edits: &[&[Edit]],
) -> Result<Outcome, JsonError> {
    let each = edits.iter().enumerate();
    let each = each.flat_map(|(owner, edits)| edits.iter().map(move |edit| (owner, edit)));
    let all: Vec<(usize, &Edit)> = each.collect();
    let mut changed = vec![false; edits.len()];
    let mut current: Option<Vec<u8>> = None;
    let mut read = read;
    let mut rest = all.as_slice();
    loop {
        let mut plan = Plan::default();
        let taken = rest
            .iter()
            .take_while(|(owner, edit)| plan.add(&edit.path, &edit.change, *owner))
            .count();
        let (now, later) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
        let as_read = read.take().filter(|_| later.is_empty());
        let outcome = as_read.and_then(|read| plan.carry_out(read, false, &mut changed));
        let next = if let Some(next) = outcome {
            next
        } else {
            let mut document = Document::new(current.as_deref().unwrap_or(text));
            for (_, edit) in now {
                document.ask(&mut edit.path.iter().map(String::as_str));
            }
            document.go(None)?;
            plan.carry_out(&document, true, &mut changed).flatten()
        };
        current = next.or(current);
        rest = later;
        if rest.is_empty() {
            return Ok((current, changed));
        }
    }
}

/// A text with some of its ranges replaced, each after the one before it, written once.
#[derive(Debug)]
pub struct Splices<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    /// Up to where the text is written.
    done: usize,
    is_changed: bool,
}

impl<'a> Splices<'a> {
    /// Of nothing yet.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, out: Vec::new(), done: 0, is_changed: false }
    }

    /// Has `with` stand in place of a range, which does not begin before the last one's end.
    pub fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        if !self.is_changed {
            self.out.reserve(self.text.len().saturating_add(with.len()));
            self.is_changed = true;
        }
        // An empty copy is not for nothing in WASM, and ranges may touch.
        for part in [self.text.get(self.done..range.start).unwrap_or_default(), with] {
            if !part.is_empty() {
                self.out.extend_from_slice(part);
            }
        }
        self.done = range.end.max(self.done);
    }

    /// The new text; `None` when nothing was replaced.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.out.extend_from_slice(self.text.get(self.done..).unwrap_or_default());
        self.is_changed.then_some(self.out)
    }
}

/// What happens below a key.
#[derive(Debug, Default)]
struct Plan<'e> {
    key: &'e str,
    change: Option<&'e Change>,
    /// Whose change it is.
    owner: usize,
    /// In the order of their first edits, in which new members are added.
    children: Vec<Plan<'e>>,
}

/// Where edits are carried out.
struct Sheet<'r, 't, 'c> {
    document: &'r Document<'t>,
    /// By node, which child of its parent's plan it is.
    places: Vec<Option<usize>>,
    /// Whether of keys that repeat each member is edited.
    is_each: bool,
    splices: Splices<'t>,
    changed: &'c mut [bool],
}

impl<'e> Plan<'e> {
    /// False where another edit is of the same member, or of one around or inside it.
    fn add(&mut self, path: &'e [String], change: &'e Change, owner: usize) -> bool {
        if self.change.is_some() {
            return false;
        }
        let Some((key, rest)) = path.split_first() else {
            // Of the whole text nothing is edited.
            if !self.children.is_empty() {
                return false;
            }
            (self.change, self.owner) = (Some(change), owner);
            return true;
        };
        if let Some(child) = self.children.iter_mut().find(|child| child.key == key) {
            return child.add(rest, change, owner);
        }
        let mut child = Plan { key, ..Plan::default() };
        child.add(rest, change, owner);
        self.children.push(child);
        true
    }

    /// The value to put where nothing is that could be edited: members set, in their parents; `None`
    /// where none is set.
    fn made(&self, changed: &mut [bool]) -> Option<String> {
        if let Some(change) = self.change {
            let Change::Set(json) = change else { return None };
            self.mark(changed);
            return Some(json.clone());
        }
        let members = self.children.iter().filter_map(|child| child.made_member(changed));
        let members: Vec<_> = members.collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }

    fn made_member(&self, changed: &mut [bool]) -> Option<String> {
        Some(format!("{}:{}", quoted(self.key), self.made(changed)?))
    }

    fn mark(&self, changed: &mut [bool]) {
        if let Some(is_changed) = changed.get_mut(self.owner) {
            *is_changed = true;
        }
    }

    /// The new text, `None` where it is the same; nothing where something is edited that nobody asked
    /// for when the text was read.
    #[inline(never)]
    fn carry_out(
        &self,
        document: &Document<'_>,
        is_each: bool,
        changed: &mut [bool],
    ) -> Option<Option<Vec<u8>>> {
        let mut places = vec![None; document.nodes()];
        self.find(document, ROOT, &mut places)?;
        let splices = Splices::new(document.bytes());
        let mut sheet = Sheet { document, places, is_each, splices, changed };
        if document.is_object(ROOT) {
            self.put_members(&mut sheet, ROOT);
        }
        Some(sheet.splices.finish())
    }

    fn find(
        &self,
        document: &Document<'_>,
        node: usize,
        places: &mut [Option<usize>],
    ) -> Option<()> {
        for (at, child) in self.children.iter().enumerate() {
            let below = document.place(node, child.key.as_bytes()).ok()?;
            *places.get_mut(below)? = Some(at);
            child.find(document, below, places)?;
        }
        Some(())
    }

    /// Edits the members of the object that was seen there.
    fn put_members(&self, sheet: &mut Sheet<'_, '_, '_>, at: usize) {
        let document = sheet.document;
        let mut last = vec![None; self.children.len()];
        for (index, member) in document.members(at) {
            let child = sheet.places.get(member.node).copied().flatten();
            if let Some(last) = child.and_then(|child| last.get_mut(child)) {
                *last = Some(index);
            }
        }
        let mut cut = 0_usize;
        for (index, member) in document.members(at) {
            let Some(place) = sheet.places.get(member.node).copied().flatten() else { continue };
            let Some(child) = self.children.get(place) else { continue };
            if child.change == Some(&Change::Remove) {
                // Were only the last one cut, the one before it would count.
                child.mark(sheet.changed);
                sheet.splices.replace(document.cut(member, cut), b"");
                cut = cut.saturating_add(1);
            } else if sheet.is_each || last.get(place) == Some(&Some(index)) {
                child.put(sheet, index);
            }
        }
        let (end, members) = document.object_end(at);
        let mut is_kept = members > cut;
        for (child, _) in self.children.iter().zip(&last).filter(|(_, last)| last.is_none()) {
            let Some(member) = child.made_member(sheet.changed) else { continue };
            let comma = if is_kept { "," } else { "" };
            sheet.splices.replace(end..end, format!("{comma}{member}").as_bytes());
            is_kept = true;
        }
    }

    /// Edits the value that was seen there.
    fn put(&self, sheet: &mut Sheet<'_, '_, '_>, at: usize) {
        let place = sheet.document.value(at);
        match self.change {
            None if sheet.document.is_object(at) => self.put_members(sheet, at),
            // An object is put in place of what has no members.
            None => {
                if let Some(made) = self.made(sheet.changed) {
                    sheet.splices.replace(place, made.as_bytes());
                }
            }
            Some(Change::Set(json) | Change::Replace(json)) => {
                if sheet.splices.text.get(place.clone()) != Some(json.as_bytes()) {
                    sheet.splices.replace(place, json.as_bytes());
                    self.mark(sheet.changed);
                }
            }
            Some(Change::Remove) => {}
        }
    }
}

/// Where `part`, a slice of `whole`, starts and ends in it.
#[must_use]
pub fn span(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start.saturating_add(part.len())
}

/// `text` with the bytes of `range` replaced.
#[must_use]
pub fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(with.len()));
    out.push_str(text.get(..range.start).unwrap_or_default());
    out.push_str(with);
    out.push_str(text.get(range.end..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edit(text: &str, edits: &[Edit]) -> String {
        apply(text.as_bytes(), edits)
            .unwrap()
            .map_or_else(|| text.to_owned(), |out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn sets_replaces_and_removes() {
        let text = r#"{ "a" : 1, "b":{"c":[1, 2]} ,"d":null }"#;
        assert_eq!(
            edit(text, &[Edit::set(&["a"], "2")]),
            r#"{ "a" : 2, "b":{"c":[1, 2]} ,"d":null }"#
        );
        assert_eq!(edit(text, &[Edit::remove(&["a"])]), r#"{ "b":{"c":[1, 2]} ,"d":null }"#);
        assert_eq!(edit(text, &[Edit::remove(&["b"])]), r#"{ "a" : 1 ,"d":null }"#);
        assert_eq!(edit(text, &[Edit::remove(&["d"])]), r#"{ "a" : 1, "b":{"c":[1, 2]} }"#);
        assert_eq!(edit(text, &[Edit::remove(&["b", "c"])]), r#"{ "a" : 1, "b":{} ,"d":null }"#);
        assert_eq!(edit(text, &[Edit::replace(&["x"], "1")]), text);
        assert_eq!(edit("{}", &[Edit::set(&["x", "y"], "1")]), r#"{"x":{"y":1}}"#);
        assert_eq!(edit(" { } ", &[Edit::set(&["x"], "1")]), r#" {"x":1 } "#);
        assert_eq!(
            edit(text, &[Edit::set(&["d", "e"], "1")]),
            r#"{ "a" : 1, "b":{"c":[1, 2]} ,"d":{"e":1} }"#
        );
    }

    #[test]
    fn escaped_and_repeated_keys_are_found() {
        let text = r#"{"id\u005fserver":"x","k":1,"id_server":"y"}"#;
        assert_eq!(edit(text, &[Edit::remove(&["id_server"])]), r#"{"k":1}"#);
        let text = r#"{"a":1,"a":2,"a":3}"#;
        assert_eq!(edit(text, &[Edit::remove(&["a"])]), "{}");
        assert_eq!(edit(text, &[Edit::set(&["a"], "0")]), r#"{"a":0,"a":0,"a":0}"#);
    }

    #[test]
    fn other_values_stay() {
        for text in ["[]", "1", "\"x\"", "null", " true "] {
            assert_eq!(apply(text.as_bytes(), &[Edit::set(&["a"], "1")]), Ok(None));
        }
    }

    #[test]
    fn malformed_text_is_an_error() {
        for text in ["", "{", "{\"a\":}", "{\"a\":1}x", "nul", "{\"a\":NaN}", "\u{feff}{}"] {
            assert!(apply(text.as_bytes(), &[Edit::remove(&["a"])]).is_err(), "{text}");
        }
        assert!(apply(b"{\"a\":\"\xff\"}", &[Edit::remove(&["a"])]).is_err());
    }

    #[test]
    fn deep_nesting_is_no_stack_overflow() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(edit(&deep, &[Edit::set(&["x"], "1")]), "{\"x\":1}");
    }

    fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(depth, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map("[abc\"\\\\é]{0,2}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::btree_map("[abc\"\\\\é]{0,2}", json(3), 0..6)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }

    const KEYS: [&str; 4] = ["a", "b", "\\u0061", "c"];

    /// All that [`edits`] may touch.
    const EDITED: [&str; 27] = [
        "a/a/a", "a/a/b", "a/a/c", "a/b/a", "a/b/b", "a/b/c", "a/c/a", "a/c/b", "a/c/c", "b/a/a",
        "b/a/b", "b/a/c", "b/b/a", "b/b/b", "b/b/c", "b/c/a", "b/c/b", "b/c/c", "c/a/a", "c/a/b",
        "c/a/c", "c/b/a", "c/b/b", "c/b/c", "c/c/a", "c/c/b", "c/c/c",
    ];

    /// Objects in which keys repeat, also escaped.
    fn repeating() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec!["1", "[{}]", "{}", "null", "\"a\"", "long"]).prop_map(
            |leaf| match leaf {
                "long" => format!("[\"{}\"]", "x".repeat(300)),
                leaf => leaf.to_owned(),
            },
        );
        let object = |inner: BoxedStrategy<String>| {
            prop::collection::vec((prop::sample::select(&KEYS[..]), inner), 0..5).prop_map(
                |members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(key, value)| format!(" \"{key}\" : {value}"))
                        .collect();
                    format!("{{{} }}", members.join(" ,"))
                },
            )
        };
        object(leaf.prop_recursive(3, 16, 4, move |inner| object(inner.boxed())).boxed())
    }

    fn edits() -> impl Strategy<Value = Edit> {
        let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
        (path, 0..3_u8).prop_map(|(path, kind)| match kind {
            0 => Edit::remove(&path),
            1 => Edit::set(&path, r#"{"b":2}"#),
            _ => Edit::replace(&path, "3"),
        })
    }

    proptest! {
        #[test]
        fn edits_of_many_are_those_of_each_in_turn(
            text in repeating(),
            all in prop::collection::vec(prop::collection::vec(edits(), 0..3), 0..4),
            is_asked: bool,
        ) {
            let edits: Vec<_> = all.iter().map(Vec::as_slice).collect();
            let text_bytes = text.as_bytes();
            // Of some nobody asked for all that is edited.
            let paths: &[&str] = if is_asked { &EDITED } else { &["a/b", "c"] };
            let document = Document::read(text_bytes, paths).unwrap();
            let (together, changed) = document.edited(&edits).unwrap();
            let mut alone: Option<Vec<u8>> = None;
            // Which of two new members comes first is no difference to a reader, nor what stands in a
            // member that another one with its key follows.
            let read = |text: Option<&[u8]>| -> serde_json::Value {
                serde_json::from_slice(text.unwrap_or(text_bytes)).unwrap()
            };
            for (edits, changed) in all.iter().zip(changed) {
                let base = alone.as_deref().unwrap_or(text_bytes);
                let next = apply_to_response(base, edits).unwrap();
                prop_assert!(next.is_some() || !changed, "{} {:?}", text, edits);
                let is_other = next.is_some() && read(next.as_deref()) != read(Some(base));
                prop_assert!(changed || !is_other, "{} {:?}", text, edits);
                alone = next.or(alone);
            }
            prop_assert_eq!(read(together.as_deref()), read(alone.as_deref()), "{} {:?}", text, all);
        }

        #[test]
        fn only_the_named_member_changes(value in object(), key in "[abc]{1,2}", pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let mut set = value.clone();
            set[&key] = serde_json::json!({"new": 1});
            let after = edit(&text, &[Edit::set(&[&key], "{\"new\": 1}")]);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&after).unwrap(), set);
            let mut removed = value.clone();
            removed.as_object_mut().unwrap().remove(&key);
            let after = edit(&text, &[Edit::remove(&[&key])]);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&after).unwrap(), removed);
            // Byte for byte: what is left is a prefix and a suffix of what was there.
            let prefix = after.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            let suffix = after.bytes().rev().zip(text.bytes().rev()).take_while(|(a, b)| a == b).count();
            prop_assert!(prefix + suffix >= after.len());
        }

        #[test]
        fn all_at_once_is_one_after_the_other(text in repeating(), edits in prop::collection::vec(edits(), 0..6)) {
            let at_once = edit(&text, &edits);
            let mut current = text.clone();
            for one in &edits {
                current = edit(&current, std::slice::from_ref(one));
            }
            let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(parsed(&at_once), parsed(&current), "{} {:?}", text, edits);
        }

        #[test]
        fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = apply(&bytes, &[Edit::set(&["a", "b"], "1"), Edit::remove(&["c"])]);
        }
    }
}
