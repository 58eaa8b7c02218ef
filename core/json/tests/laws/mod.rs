//! The law of JSON edits: what comes out is what `JSON.parse`, an edit and `JSON.stringify` would
//! make of it, all else stays to the byte, and what is no JSON is refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

#[path = "../../../fuzz/src/oracle.rs"]
mod oracle;

use mantle_json::{Change, Cursor, Document, Edit, apply, apply_to_response, decoded};
use mantle_json::{elements, first_elements, get, get_str, ranges, string, without_mark};
use oracle::Read;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const VALUES: [&str; 5] = ["1", "\"x\"", "{}", "{\"a\":[2]}", "null"];

/// Edits in a line: `-a/b` cuts out, `=a/b` sets, `?a/b` replaces.
fn edits(line: &str) -> Vec<Edit> {
    let words = line.split(' ').filter(|word| word.len() > 1).take(8).enumerate();
    words
        .filter_map(|(at, word)| {
            let mut letters = word.chars();
            let kind = letters.next()?;
            let path: Vec<&str> = letters.as_str().split('/').take(5).collect();
            let json = VALUES[at % VALUES.len()];
            match kind {
                '-' => Some(Edit::remove(&path)),
                '=' => Some(Edit::set(&path, json)),
                '?' => Some(Edit::replace(&path, json)),
                _ => None,
            }
        })
        .collect()
}

/// The edit of a value.
fn edit(value: &mut Value, path: &[String], change: &Change) {
    let (Some(members), Some((key, rest))) = (value.as_object_mut(), path.split_first()) else {
        return;
    };
    if !rest.is_empty() {
        if let Change::Set(_) = change {
            // What has no members gives way to what has.
            let child = members.entry(key).or_insert(Value::Null);
            if !child.is_object() {
                *child = json!({});
            }
        }
        if let Some(child) = members.get_mut(key) {
            edit(child, rest, change);
        }
        return;
    }
    match change {
        Change::Remove => drop(members.remove(key)),
        Change::Replace(_) if !members.contains_key(key) => {}
        Change::Set(text) | Change::Replace(text) => {
            members.insert(key.clone(), serde_json::from_str(text).unwrap());
        }
    }
}

/// Members as they are written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Members that no edit names stand there as they stood, in their order.
fn stays(before: &str, after: &str, paths: &[&[String]]) {
    let read = |text: &str| serde_json::from_str::<Members>(text).ok();
    let (Some(before), Some(after)) = (read(before), read(after)) else { return };
    let first: Vec<_> = paths.iter().filter_map(|path| path.first()).collect();
    let others = |members: &Members| -> Vec<(String, String)> {
        let others = members.0.iter().filter(|(key, _)| !first.contains(&key));
        others.map(|(key, value)| (key.clone(), value.get().to_owned())).collect()
    };
    assert_eq!(others(&before), others(&after));
    for key in first {
        let of = |members: &Members| -> Vec<String> {
            let of = members.0.iter().filter(|(name, _)| name == key);
            of.map(|(_, value)| value.get().to_owned()).collect()
        };
        let below: Vec<_> =
            paths.iter().filter(|path| path.first() == Some(key)).map(|path| &path[1..]).collect();
        if let ([before], [after]) = (of(&before).as_slice(), of(&after).as_slice())
            && below.iter().all(|path| !path.is_empty())
        {
            stays(before, after, &below);
        }
    }
}

/// Whether a key stands twice in an object, or in one inside it.
fn repeats(text: &str) -> bool {
    let Ok(Members(members)) = serde_json::from_str::<Members>(text) else { return false };
    let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
        || members.iter().any(|(_, value)| repeats(value.get()))
}

fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.as_object()?.get(key))
}

/// The first line names edits; what follows is the text.
pub fn json_edits(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(line) = std::str::from_utf8(&input[..cut]) else { return };
    let body = input.get(cut + 1..).unwrap_or_default();
    let edits = edits(line);

    let shown = decoded(body);
    let read = oracle::read(&shown);
    let outcome = apply_to_response(body, &edits);
    match &read {
        Read::Invalid => assert!(outcome.is_err(), "no JSON, and edited"),
        Read::Valid | Read::Value(_) => assert!(outcome.is_ok(), "JSON, and refused"),
        Read::Unknown => {}
    }
    // Bytes that are no UTF-8 stay, and the page reads what it would have read.
    let of_shown = apply(shown.as_bytes(), &edits);
    assert_eq!(of_shown.is_ok(), outcome.is_ok());
    if let (Ok(of_bytes), Ok(of_shown)) = (&outcome, &of_shown) {
        let of_bytes = of_bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let of_shown = of_shown.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(of_bytes, of_shown);
    }
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(apply(body, &edits).is_err(), "no UTF-8, and edited");
        return;
    };
    let mut cursor = Cursor::new(without_mark(body));
    let is_json = cursor.value().and_then(|_| cursor.end()).is_ok();
    assert_eq!(is_json, outcome.is_ok());

    let Read::Value(value) = read else { return };
    if text.starts_with('\u{feff}') {
        return;
    }
    let mut wanted = value.clone();
    for one in &edits {
        edit(&mut wanted, &one.path, &one.change);
    }
    let edited = outcome.unwrap();
    let after = edited.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), wanted, "{after}");
    let paths: Vec<_> = edits.iter().map(|edit| edit.path.as_slice()).collect();
    stays(text, &after, &paths);

    let joined: Vec<_> = edits.iter().map(|edit| edit.path.join("/")).collect();
    let document = Document::read(body, &joined).unwrap();
    let (whole, _) = document.edited(&[&edits]).unwrap();
    let whole = whole.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), wanted, "{whole}");
    stays(text, &whole, &paths);
    // Of a key that repeats, only the last member is set in a text that is read.
    assert!(whole == after || repeats(text), "{whole}");
    for (one, joined) in edits.iter().zip(&joined) {
        let keys: Vec<_> = one.path.iter().map(String::as_str).collect();
        let wanted = at(&value, &one.path);
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(get(text, &keys).unwrap().map(parsed).as_ref(), wanted);
        assert_eq!(document.get(joined).map(|text| parsed(&text)).as_ref(), wanted);
        let wanted = wanted.and_then(Value::as_str);
        assert_eq!(get_str(text, &keys).unwrap().as_deref(), wanted);
        assert_eq!(document.get_str(joined).as_deref(), wanted);
        let [range] = ranges(body, &[&keys]).unwrap();
        assert_eq!(range.map(|range| &text[range]), get(text, &keys).unwrap());
        opened(text, &value, &document, one, joined);
    }
    let listed = serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default();
    let listed: Vec<_> = listed.iter().map(|raw| raw.get()).collect();
    assert_eq!(elements(text).unwrap(), listed);
    assert_eq!(first_elements(text, 2).unwrap(), listed[..listed.len().min(2)]);
    assert_eq!(string(body).as_deref(), value.as_str());
}

/// A list that is put where there is room for one stands there.
fn opened(text: &str, value: &Value, document: &Document<'_>, one: &Edit, joined: &str) {
    let Some(opening) = document.opening(joined) else {
        assert!(!value.is_object());
        return;
    };
    let mut with = String::new();
    with.push_str(&text[..opening.place.start]);
    with.push_str(&format!("{}9{}", opening.before, opening.after));
    with.push_str(&text[opening.place.end..]);
    let mut wanted = value.clone();
    let mut place = &mut wanted;
    for key in &one.path {
        if !place.is_object() {
            *place = json!({});
        }
        place = place.as_object_mut().unwrap().entry(key).or_insert(Value::Null);
    }
    *place = json!([9]);
    assert_eq!(serde_json::from_str::<Value>(&with).unwrap(), wanted, "{with}");
}
