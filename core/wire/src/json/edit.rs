//! Edits of JSON text that leave every other byte as it was.
//!
//! `serde_json`'s [`RawValue`] finds where values start and end; only the
//! named members are replaced, inserted or cut out.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Why a text could not be edited. Carries no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not one JSON value in UTF-8 (RFC 8259).
    #[error("not valid JSON, broken near byte {at}")]
    Malformed {
        /// Column as `serde_json` counts it, on the first broken line.
        at: usize,
    },
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { at: error.column() }
    }
}

/// One member of an object: unescaped key and the exact text of its value.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Unescaped.
    pub key: String,
    /// Exact text, without surrounding white space.
    pub value: &'a str,
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(Member { key, value: value.get() });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

struct Elements<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Elements<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(value) = seq.next_element::<&'de RawValue>()? {
                    elements.push(value.get());
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(InOrder)
    }
}

/// Members of an object in their order, duplicates included; `None` when the
/// text is another kind of value.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn members(text: &str) -> Result<Option<Vec<Member<'_>>>, JsonError> {
    if !text.trim_start().starts_with('{') {
        let _: &RawValue = serde_json::from_str(text)?;
        return Ok(None);
    }
    let Members(members) = serde_json::from_str(text)?;
    Ok(Some(members))
}

/// Elements of an array in their order; empty for any other valid value.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    if !text.trim_start().starts_with('[') {
        let _: &RawValue = serde_json::from_str(text)?;
        return Ok(Vec::new());
    }
    let Elements(elements) = serde_json::from_str(text)?;
    Ok(elements)
}

/// The value a path of keys leads to: the last one where keys repeat, as
/// `JSON.parse` and Python's `json` read it.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn get<'a>(text: &'a str, path: &[&str]) -> Result<Option<&'a str>, JsonError> {
    let Some((first, rest)) = path.split_first() else { return Ok(Some(text)) };
    let found =
        members(text)?.unwrap_or_default().into_iter().rev().find(|member| member.key == *first);
    match found {
        Some(member) => get(member.value, rest),
        None => Ok(None),
    }
}

/// The string a path of keys leads to, unescaped; `None` when absent or of
/// another kind.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn get_str(text: &str, path: &[&str]) -> Result<Option<String>, JsonError> {
    Ok(get(text, path)?.and_then(|value| serde_json::from_str(value).ok()))
}

/// `text` as a JSON string literal.
#[must_use]
#[inline(never)]
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

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

/// A body as text, since JSON travels in UTF-8 (RFC 8259, section 8.1).
///
/// # Errors
/// [`JsonError::Malformed`] at the first byte that is not UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(body).map_err(|error| JsonError::Malformed { at: error.valid_up_to() })
}

/// Applies `edits` one after the other; `None` when nothing changed.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON in UTF-8.
#[inline(never)]
pub fn apply(body: &[u8], edits: &[Edit]) -> Result<Option<Vec<u8>>, JsonError> {
    let text = utf8(body)?;
    let mut edited: Option<String> = None;
    for edit in edits {
        let current = edited.as_deref().unwrap_or(text);
        if let Some(next) = edit_object(current, &edit.path, &edit.change)? {
            edited = Some(next);
        }
    }
    Ok(edited.map(String::into_bytes))
}

/// Where `part`, a slice of `whole`, starts and ends in it.
#[must_use]
pub fn span(whole: &str, part: &str) -> std::ops::Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start.saturating_add(part.len())
}

/// `text` with the bytes of `range` replaced.
#[must_use]
pub fn splice(text: &str, range: std::ops::Range<usize>, with: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(with.len()));
    out.push_str(text.get(..range.start).unwrap_or_default());
    out.push_str(with);
    out.push_str(text.get(range.end..).unwrap_or_default());
    out
}

fn edit_object(text: &str, path: &[String], change: &Change) -> Result<Option<String>, JsonError> {
    let Some((key, rest)) = path.split_first() else { return Ok(None) };
    let Some(all) = members(text)? else {
        // `Set` below something that is no object would have to destroy it.
        return Ok(None);
    };
    let mut out: Option<String> = None;
    // From the back, so that earlier spans stay right. Repeated keys are all
    // edited: readers differ in which one counts.
    for (index, member) in all.iter().enumerate().rev().filter(|(_, member)| member.key == *key) {
        let place = span(text, member.value);
        let current = out.as_deref().unwrap_or(text);
        let next = if !rest.is_empty() {
            let is_object = member.value.starts_with('{');
            match (edit_object(member.value, rest, change)?, change) {
                (Some(value), _) => Some(splice(current, place, &value)),
                (None, Change::Set(_)) if !is_object => {
                    Some(splice(current, place, &nested(rest, change)))
                }
                (None, _) => None,
            }
        } else {
            match change {
                Change::Remove => Some(cut(current, text, &all, index)),
                Change::Set(json) | Change::Replace(json) => {
                    (member.value != json).then(|| splice(current, place, json))
                }
            }
        };
        out = next.or(out);
    }
    if all.iter().any(|member| member.key == *key) || !matches!(change, Change::Set(_)) {
        return Ok(out);
    }
    let addition = format!("{}:{}", quoted(key), nested(rest, change));
    Ok(Some(match all.last() {
        Some(last) => {
            let end = span(text, last.value).end;
            splice(text, end..end, &format!(",{addition}"))
        }
        None => {
            let open = text.find('{').map_or(0, |brace| brace.saturating_add(1));
            splice(text, open..open, &addition)
        }
    }))
}

/// The value for a member that does not exist yet, wrapped in its parents.
fn nested(path: &[String], change: &Change) -> String {
    let Change::Set(json) = change else { return "null".to_owned() };
    path.iter().rev().fold(json.clone(), |inner, key| format!("{{{}:{inner}}}", quoted(key)))
}

/// Cuts member `index` of the object `original` out of `current`, which
/// equals `original` up to the end of that member.
fn cut(current: &str, original: &str, all: &[Member<'_>], index: usize) -> String {
    let Some(member) = all.get(index) else { return current.to_owned() };
    let end = span(original, member.value).end;
    if let Some(before) = index.checked_sub(1).and_then(|previous| all.get(previous)) {
        return splice(current, span(original, before.value).end..end, "");
    }
    let open = original.find('{').map_or(0, |brace| brace.saturating_add(1));
    let after = current.get(end..).unwrap_or_default();
    let comma = after.trim_start().starts_with(',').then(|| after.find(',')).flatten();
    splice(
        current,
        open..comma.map_or(end, |comma| end.saturating_add(comma).saturating_add(1)),
        "",
    )
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

    proptest! {
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
        fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = apply(&bytes, &[Edit::set(&["a", "b"], "1"), Edit::remove(&["c"])]);
        }
    }
}
