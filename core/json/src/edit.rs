//! Edits of JSON text that leave every other byte as it was.

use super::cursor::{Cursor, JsonError, Key, Lengths};
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
    Ok(edited(body, &[], &[edits])?.0)
}

/// The same to a response, which a browser reads without its byte order mark, and whatever bytes its
/// strings hold.
///
/// # Errors
/// [`JsonError::Malformed`] when the browser takes it for no JSON either.
pub fn apply_to_response(body: &[u8], edits: &[Edit]) -> Result<Option<Vec<u8>>, JsonError> {
    Ok(edited(without_mark(body), &[], &[edits])?.0)
}

/// The text, where it is another one, and by number who changed it.
pub type Outcome = (Option<Vec<u8>>, Vec<bool>);

/// The text is gone over once for all edits that do not touch each other, which is once for all where
/// nobody names a member twice.
pub(crate) fn edited(
    text: &[u8],
    known: &[Range<usize>],
    edits: &[&[Edit]],
) -> Result<Outcome, JsonError> {
    let mut current: Option<Vec<u8>> = None;
    let mut changed = vec![false; edits.len()];
    let each = edits.iter().enumerate();
    let each = each.flat_map(|(owner, edits)| edits.iter().map(move |edit| (owner, edit)));
    let mut edits = each.peekable();
    loop {
        let mut plan = Plan::default();
        while edits.next_if(|(owner, edit)| plan.add(&edit.path, &edit.change, *owner)).is_some() {}
        let base = current.as_deref().unwrap_or(text);
        let known = if current.is_some() { &[] } else { known };
        let mut cursor = Cursor::knowing(base, known);
        let mut splices = Splices::new(base);
        plan.visit(&mut cursor, &mut splices, &mut changed)?;
        cursor.end()?;
        current = splices.finish().or(current);
        if edits.peek().is_none() {
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
    /// The same by their keys.
    sorted: Vec<usize>,
    lengths: Lengths,
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
        if let Ok(child) = self.place(key.as_bytes()) {
            return self
                .children
                .get_mut(child)
                .is_some_and(|child| child.add(rest, change, owner));
        }
        let mut child = Plan { key, ..Plan::default() };
        child.add(rest, change, owner);
        let place = self.place(key.as_bytes()).unwrap_or_else(|place| place);
        self.sorted.insert(place, self.children.len());
        self.lengths.add(key);
        self.children.push(child);
        true
    }

    fn place(&self, key: &[u8]) -> Result<usize, usize> {
        self.sorted
            .binary_search_by(|child| {
                self.children.get(*child).map_or(&[][..], |child| child.key.as_bytes()).cmp(key)
            })
            .map(|place| self.sorted.get(place).copied().unwrap_or_default())
    }

    fn child(&self, key: &Key<'_>) -> Option<usize> {
        if !self.lengths.may_have(key) {
            return None;
        }
        match key.is_escaped {
            true => self.place(key.text().as_bytes()).ok(),
            false => self.place(key.raw).ok(),
        }
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

    /// Goes over an object, or over any other value, which stays as it is.
    fn visit(
        &self,
        cursor: &mut Cursor<'_>,
        splices: &mut Splices<'_>,
        changed: &mut [bool],
    ) -> Result<(), JsonError> {
        if self.children.is_empty() || cursor.peek() != Some(b'{') {
            return cursor.value().map(drop);
        }
        let mut seen = vec![false; self.children.len()];
        let mut is_kept = false;
        // Behind the brace, then behind each value, or the comma of what was cut from the front.
        let mut before = cursor.at().saturating_add(1);
        let mut end = before;
        let mut next = cursor.first_key()?;
        while let Some(key) = next {
            // Repeated keys are all edited: readers differ in which one counts.
            let child = self.child(&key);
            if let Some(seen) = child.and_then(|child| seen.get_mut(child)) {
                *seen = true;
            }
            let child = child.and_then(|child| self.children.get(child));
            let is_cut = child.is_some_and(|child| child.change == Some(&Change::Remove));
            if let Some(child) = child.filter(|_| is_cut) {
                child.mark(changed);
            }
            match child {
                Some(child) => end = child.edit(cursor, splices, changed)?,
                None => end = cursor.value()?.end,
            }
            if !is_cut {
                is_kept = true;
                before = end;
            } else if is_kept {
                splices.replace(before..end, b"");
                before = end;
            } else {
                let has_comma = cursor.peek() == Some(b',');
                let cut_to = if has_comma { cursor.at().saturating_add(1) } else { end };
                splices.replace(before..cut_to, b"");
                before = cut_to;
            }
            next = cursor.next_key()?;
        }
        let absent = self.children.iter().zip(&seen).filter(|(_, seen)| !**seen);
        for (child, _) in absent {
            let Some(member) = child.made_member(changed) else { continue };
            let comma = if is_kept { "," } else { "" };
            splices.replace(end..end, format!("{comma}{member}").as_bytes());
            is_kept = true;
        }
        Ok(())
    }

    /// Edits the value of this member that comes next; where it ended.
    fn edit(
        &self,
        cursor: &mut Cursor<'_>,
        splices: &mut Splices<'_>,
        changed: &mut [bool],
    ) -> Result<usize, JsonError> {
        let is_object = cursor.peek() == Some(b'{');
        let start = cursor.at();
        match self.change {
            None if is_object => self.visit(cursor, splices, changed)?,
            None => {
                let place = cursor.value()?;
                // An object is put in place of what has no members.
                if let Some(made) = self.made(changed) {
                    splices.replace(place, made.as_bytes());
                }
            }
            Some(change) => {
                cursor.value()?;
                if let Change::Set(json) | Change::Replace(json) = change {
                    let place = start..cursor.at();
                    if splices.text.get(place.clone()) != Some(json.as_bytes()) {
                        splices.replace(place, json.as_bytes());
                        self.mark(changed);
                    }
                }
            }
        }
        Ok(cursor.at())
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
    use super::super::document::Document;
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
        ) {
            let edits: Vec<_> = all.iter().map(Vec::as_slice).collect();
            let document = Document::read(text.as_bytes(), ["a/b", "c"]).unwrap();
            let (together, changed) = document.edited(&edits).unwrap();
            let mut alone: Option<Vec<u8>> = None;
            for (edits, changed) in all.iter().zip(changed) {
                let base = alone.as_deref().unwrap_or(text.as_bytes());
                let next = apply_to_response(base, edits).unwrap();
                prop_assert_eq!(next.is_some(), changed, "{} {:?}", text, edits);
                alone = next.or(alone);
            }
            // Which of two new members comes first is no difference to a reader.
            let read = |text: Option<Vec<u8>>| -> Option<serde_json::Value> {
                text.map(|text| serde_json::from_slice(&text).unwrap())
            };
            prop_assert_eq!(read(together), read(alone));
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
