//! What JSON text says, as `JSON.parse` understands it: the last of repeated keys counts, keys and
//! strings count unescaped, and half a surrogate pair is a character like others (here U+FFFD).

use super::cursor::{Cursor, JsonError, Key};
use std::borrow::Cow;
use std::ops::Range;

/// One member of an object: unescaped key and the exact text of its value.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Unescaped.
    pub key: String,
    /// Exact text, without surrounding white space.
    pub value: &'a str,
}

/// Members of an object in their order, duplicates included; `None` when the
/// text is another kind of value.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn members(text: &str) -> Result<Option<Vec<Member<'_>>>, JsonError> {
    let mut cursor = Cursor::new(text.as_bytes());
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        cursor.end()?;
        return Ok(None);
    }
    let mut members = Vec::new();
    let mut next = cursor.first_key()?;
    while let Some(key) = next {
        let value = text.get(cursor.value()?).unwrap_or_default();
        members.push(Member { key: key.text().into_owned(), value });
        next = cursor.next_key()?;
    }
    cursor.end()?;
    Ok(Some(members))
}

/// Elements of an array in their order; empty for any other valid value.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    let mut cursor = Cursor::new(text.as_bytes());
    let elements = listed(text, &mut cursor, usize::MAX)?;
    cursor.end()?;
    Ok(elements)
}

/// The first elements of an array, at most so many; what follows is not read.
///
/// # Errors
/// [`JsonError::Malformed`] when the text up to there is not JSON.
pub fn first_elements(text: &str, most: usize) -> Result<Vec<&str>, JsonError> {
    listed(text, &mut Cursor::new(text.as_bytes()), most)
}

/// Goes over the next value, or so many of its elements.
#[inline(never)]
fn listed<'a>(
    text: &'a str,
    cursor: &mut Cursor<'a>,
    most: usize,
) -> Result<Vec<&'a str>, JsonError> {
    let mut elements = Vec::new();
    if cursor.peek() != Some(b'[') {
        cursor.value()?;
        return Ok(elements);
    }
    let mut has_next = cursor.first_element()?;
    while has_next && elements.len() < most {
        elements.push(text.get(cursor.value()?).unwrap_or_default());
        has_next = cursor.next_element()?;
    }
    Ok(elements)
}

/// Where the values stand that these paths lead to, at most 32, in one pass that allocates nothing;
/// the last one where keys repeat.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
pub fn ranges<const COUNT: usize>(
    text: &[u8],
    paths: &[&[&str]; COUNT],
) -> Result<[Option<Range<usize>>; COUNT], JsonError> {
    let mut cursor = Cursor::new(text);
    let found = ranges_in_next(&mut cursor, paths)?;
    cursor.end()?;
    Ok(found)
}

/// The same of the value that comes next, which is gone over.
///
/// # Errors
/// [`JsonError::Malformed`] when it is none.
pub fn ranges_in_next<const COUNT: usize>(
    cursor: &mut Cursor<'_>,
    paths: &[&[&str]; COUNT],
) -> Result<[Option<Range<usize>>; COUNT], JsonError> {
    let mut found = [const { None }; COUNT];
    let all = (0..COUNT.min(32)).fold(0, |all, at| all | 1 << at);
    find(cursor, paths, all, 0, &mut found)?;
    Ok(found)
}

/// Goes over the next value, which the paths in `wanted` lead through with their first `depth` keys.
fn find(
    cursor: &mut Cursor<'_>,
    paths: &[&[&str]],
    wanted: u32,
    depth: usize,
    found: &mut [Option<Range<usize>>],
) -> Result<(), JsonError> {
    let starts = cursor.peek();
    let start = cursor.at();
    let is_longer = |path: &[&str]| path.len() > depth;
    let of = |at: usize| wanted >> at & 1 == 1;
    if starts == Some(b'{') && paths.iter().enumerate().any(|(at, path)| of(at) && is_longer(path))
    {
        let mut next = cursor.first_key()?;
        while let Some(key) = next {
            let mut below = 0_u32;
            for (at, path) in paths.iter().enumerate() {
                if of(at) && path.get(depth).is_some_and(|name| key.is(name)) {
                    below |= 1 << at;
                    if let Some(place) = found.get_mut(at) {
                        *place = None;
                    }
                }
            }
            match below {
                0 => cursor.value().map(drop)?,
                _ => find(cursor, paths, below, depth + 1, found)?,
            }
            next = cursor.next_key()?;
        }
    } else {
        cursor.value()?;
    }
    for (at, path) in paths.iter().enumerate() {
        if of(at)
            && !is_longer(path)
            && let Some(place) = found.get_mut(at)
        {
            *place = Some(start..cursor.at());
        }
    }
    Ok(())
}

/// The value a path of keys leads to: the last one where keys repeat, as
/// `JSON.parse` and Python's `json` read it.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn get<'a>(text: &'a str, path: &[&str]) -> Result<Option<&'a str>, JsonError> {
    let mut cursor = Cursor::new(text.as_bytes());
    let found = value_at(&mut cursor, path)?;
    cursor.end()?;
    Ok(found.and_then(|range| text.get(range)))
}

/// Goes over the next value, for what stands at the end of a path in it.
fn value_at(cursor: &mut Cursor<'_>, path: &[&str]) -> Result<Option<Range<usize>>, JsonError> {
    let Some((first, rest)) = path.split_first() else { return cursor.value().map(Some) };
    let mut found = None;
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        return Ok(found);
    }
    let mut next = cursor.first_key()?;
    while let Some(key) = next {
        if key.is(first) {
            found = value_at(cursor, rest)?;
        } else {
            cursor.value()?;
        }
        next = cursor.next_key()?;
    }
    Ok(found)
}

/// The string a path of keys leads to, unescaped; `None` when absent or of
/// another kind.
///
/// # Errors
/// [`JsonError::Malformed`] when the text is not JSON.
#[inline(never)]
pub fn get_str(text: &str, path: &[&str]) -> Result<Option<String>, JsonError> {
    Ok(get(text, path)?.and_then(|value| string(value.as_bytes())))
}

/// The string that this JSON text is; `None` for other values.
#[must_use]
pub fn string(value: &[u8]) -> Option<String> {
    string_in(value).map(Cow::into_owned)
}

/// The same, not copied where it stands there as it is.
#[must_use]
pub fn string_in(value: &[u8]) -> Option<Cow<'_, str>> {
    let raw = value.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(match memchr::memchr(b'\\', raw) {
        Some(_) => Cow::Owned(unescaped(raw)),
        None => String::from_utf8_lossy(raw),
    })
}

/// The string that this JSON text is, and `None` also where half a surrogate pair stands in it, which
/// no text in Rust can hold.
#[must_use]
pub fn exact_string(value: &str) -> Option<String> {
    let raw = value.trim_ascii().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Some(raw.to_owned());
    }
    let (text, is_exact) = read_escapes(raw.as_bytes());
    is_exact.then_some(text)
}

/// The same as bytes, of which what is no UTF-8 is not replaced.
#[must_use]
pub fn string_bytes(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let raw = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(match raw.contains(&b'\\') {
        true => Cow::Owned(unescaped(raw).into_bytes()),
        false => Cow::Borrowed(raw),
    })
}

/// Whether this JSON text is the string `wanted`.
#[must_use]
pub fn is_string(value: &[u8], wanted: &str) -> bool {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    if inner == Some(wanted.as_bytes()) {
        return true;
    }
    // No byte is written with more than six; longer ones are not unescaped.
    value.len() <= wanted.len().saturating_mul(6).saturating_add(2)
        && value.contains(&b'\\')
        && string_in(value).is_some_and(|text| text == wanted)
}

/// Whether this JSON text is an object that has no members.
#[must_use]
pub fn is_empty_object(value: &[u8]) -> bool {
    let inner = value.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// `text` as a JSON string literal.
#[must_use]
#[inline(never)]
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A body as text, since JSON travels in UTF-8 (RFC 8259, section 8.1).
///
/// # Errors
/// [`JsonError::Malformed`] at the first byte that is not UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(body).map_err(|error| JsonError::Malformed { at: error.valid_up_to() })
}

/// What a browser's `text()` and `json()` make of a body: without byte order mark, and with U+FFFD for
/// what is no UTF-8 (Encoding Standard, 'UTF-8 decode').
#[must_use]
pub fn decoded(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(without_mark(body))
}

/// A body without the byte order mark that UTF-8 decoders leave out.
#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

impl<'a> Key<'a> {
    /// Unescaped.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        if self.is_escaped {
            Cow::Owned(unescaped(self.raw))
        } else {
            String::from_utf8_lossy(self.raw)
        }
    }

    /// Whether it is this key.
    #[must_use]
    #[inline]
    pub fn is(&self, key: &str) -> bool {
        if self.is_escaped { self.is_written_as(key) } else { self.raw == key.as_bytes() }
    }

    /// No byte of a key is written with more than six; longer ones are not unescaped.
    #[inline(never)]
    fn is_written_as(&self, key: &str) -> bool {
        self.raw.len() <= key.len().saturating_mul(6) && self.text() == key
    }
}

/// What the inside of a string literal means.
fn unescaped(raw: &[u8]) -> String {
    read_escapes(raw).0
}

/// The same, and whether each half of a surrogate pair has its other.
#[inline(never)]
fn read_escapes(raw: &[u8]) -> (String, bool) {
    const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];
    let mut out = Vec::with_capacity(raw.len());
    let mut is_exact = true;
    let mut rest = raw;
    // The first half of a pair, until the second comes.
    let mut half: Option<u32> = None;
    while let Some((&first, after)) = rest.split_first() {
        let (character, end) = match (first, after.first()) {
            (b'\\', Some(b'u')) => (Some(unit(after.get(1..5).unwrap_or_default())), 5),
            (b'\\', Some(letter)) => {
                let byte = match letter {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                };
                (Some(u32::from(byte)), 1)
            }
            _ => (None, 0),
        };
        rest = after.get(end..).unwrap_or_default();
        let low = character.filter(|unit| (0xdc00..0xe000).contains(unit));
        let whole = match (half.take(), low) {
            (Some(high), Some(low)) => Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
            (Some(_), None) => {
                is_exact = false;
                out.extend(REPLACEMENT);
                character
            }
            (None, _) => character,
        };
        match whole {
            None => out.push(first),
            Some(high) if (0xd800..0xdc00).contains(&high) => half = Some(high),
            Some(unit) => {
                let character = char::from_u32(unit);
                is_exact &= character.is_some();
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
        }
    }
    if half.is_some() {
        is_exact = false;
        out.extend(REPLACEMENT);
    }
    let text = String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    (text, is_exact)
}

fn unit(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_of_repeated_keys_counts() {
        let text = r#"{"a":{"b":1},"\u0061":{"b":2,"b":[3]},"c":0}"#;
        assert_eq!(get(text, &["a", "b"]), Ok(Some("[3]")));
        assert_eq!(get(r#"{"a":{"b":1},"a":null}"#, &["a", "b"]), Ok(None));
        assert_eq!(get(r#"{"a":{"b":1},"a":{}}"#, &["a", "b"]), Ok(None));
    }

    #[test]
    fn a_list_is_read_up_to_a_number() {
        assert_eq!(first_elements("[1, {\"a\":[2]},3]", 2), Ok(vec!["1", "{\"a\":[2]}"]));
        assert_eq!(first_elements("[1]", 2), Ok(vec!["1"]));
        assert_eq!((first_elements("[]", 2), first_elements("{}", 2)), (Ok(vec![]), Ok(vec![])));
        assert!(first_elements("[1 2]", 2).is_err());
    }

    #[test]
    fn half_a_surrogate_pair_hides_nothing() {
        let text = r#"{"\ud800":1,"base_url":"https://a.example/\udc00\ud83d\ude00\ud83d"}"#;
        let url = get_str(text, &["base_url"]).unwrap().unwrap();
        assert_eq!(url, "https://a.example/\u{fffd}\u{1f600}\u{fffd}");
        assert_eq!(string(br#""\ud83d\ud83d\ude00x""#).unwrap(), "\u{fffd}\u{1f600}x");
        assert_eq!(string(b"\"\xff\\n\xe2\x82\"").unwrap(), "\u{fffd}\n\u{fffd}");
    }

    #[test]
    fn numbers_may_be_of_any_size_and_values_of_any_depth() {
        assert_eq!(get(r#"{"x":1e400,"a":-0.5E+9}"#, &["a"]), Ok(Some("-0.5E+9")));
        let deep = format!("{{\"x\":{}{},\"a\":1}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(get(&deep, &["a"]), Ok(Some("1")));
    }

    #[test]
    fn what_the_browser_refuses_is_malformed() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{a:1}",
            "{'a':1}",
            "nul",
            "nullx",
            "NaN",
            "Infinity",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "-",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"a\nb\"",
            "\"\u{1f}\"",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "\u{feff}{}",
            "\u{a0}1",
            "\u{b}1",
            "[}",
            "{]",
            "{\"a\":1]",
            "[1}",
            "//\n1",
            "\"abcdefg\u{1}hij\"",
            "1 2",
        ] {
            assert!(members(text).is_err() && elements(text).is_err(), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text:?}");
        }
    }

    /// Pieces that make JSON more often than letters do.
    pub(crate) fn scraps() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\"\\u0061\":", "\"\\ud83d\\ude00\"", "1",
                "-0", "0.5e9", "1e7", "true", "false", "null", " ", "\n", "\\", "{\"a\":", "}", "]", "\u{e9}",
                "\"\u{fffd}\\\"\"", "\u{1}", "\"abcdefgh\"",
            ]).prop_map(str::to_owned),
            1 => ".{0,3}",
        ];
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    /// What `JSON.parse` would make of the members of the outermost object.
    fn expected(text: &str) -> Option<serde_json::Value> {
        serde_json::from_str(text).ok()
    }

    /// The inside of a string, with halves of pairs.
    fn inside() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => prop::sample::select(vec![
                "\\ud83d", "\\ude00", "\\uD83D\\uDE00", "\\ufffd", "\u{fffd}", "\\n", "\\\\", "\\\"",
                "\\/", "\\u0000", "\\u00e9", "ud83d", "\u{1f600}",
            ]).prop_map(str::to_owned),
            1 => "[a-z\u{e9}]{0,3}",
        ];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_string_is_exact_where_rust_can_hold_it(inside in inside()) {
            let text = format!(" \"{inside}\"\n");
            prop_assert_eq!(exact_string(&text), serde_json::from_str::<String>(&text).ok());
        }
    }

    #[test]
    fn what_is_no_string_is_none() {
        for text in ["1", "null", "[\"a\"]", "{\"a\":\"b\"}", "true"] {
            assert_eq!(exact_string(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn texts_are_read_as_serde_json_reads_them(text in scraps()) {
            // Browsers read a number of any size; serde_json does where it need not keep it.
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(get(&text, &[]).is_ok(), is_json, "{:?}", text);
            if let Some(whole) = expected(&text) {
                for key in ["a", "b"] {
                    let value = get(&text, &[key]).unwrap();
                    let parsed = value.map(|value| serde_json::from_str::<serde_json::Value>(value).unwrap());
                    prop_assert_eq!(parsed.as_ref(), whole.get(key), "{:?}", text);
                    let string = get_str(&text, &[key]).unwrap();
                    prop_assert_eq!(string.as_deref(), whole.get(key).and_then(|value| value.as_str()));
                }
            }
        }

        #[test]
        fn many_paths_are_read_as_each_alone(text in scraps()) {
            let paths: [&[&str]; 5] = [&["a"], &["b"], &["a", "a"], &["a", "b"], &[]];
            let found = ranges(text.as_bytes(), &paths);
            for (at, path) in paths.iter().enumerate() {
                let alone = get(&text, path);
                let here = found.clone().map(|found| found[at].clone().and_then(|range| text.get(range)));
                prop_assert_eq!(here, alone, "{:?} in {}", path, &text);
            }
        }

        #[test]
        fn bytes_are_json_just_when_their_decoded_text_is(
            text in scraps(),
            at in any::<prop::sample::Index>(),
            bytes in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut all = text.into_bytes();
            let at = at.index(all.len() + 1);
            all.splice(at..at, bytes);
            let mut cursor = Cursor::new(without_mark(&all));
            let is_json = cursor.value().and_then(|_| cursor.end()).is_ok();
            let decoded = decoded(&all);
            prop_assert_eq!(is_json, get(&decoded, &[]).is_ok());
        }
    }
}
