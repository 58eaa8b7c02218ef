//! Global account data in the answers that carry it (Client-Server API, 'Client Config').

use crate::json::{Cursor, Document, JsonError, Opening, string_bytes, walk_on};
use crate::route::Endpoint;
use std::borrow::Cow;
use std::ops::Range;

/// Where a sync answer holds global account data: keys with `/` between them; `None` for other
/// endpoints.
#[must_use]
pub const fn path(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Sync => Some("account_data/events"),
        Endpoint::SlidingSync => Some("extensions/account_data/global"),
        _ => None,
    }
}

/// A global account data event that has content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its type, unescaped.
    pub event_type: Cow<'a, [u8]>,
    /// Where its content stands in the answer.
    pub content: Range<usize>,
}

/// Shows the global account data events of a sync answer, in their order. Returns where more can
/// be put; `None` where the answer cannot have any. The text is without byte order mark.
///
/// # Errors
/// [`JsonError`] when the answer is not JSON.
pub fn each<'a>(
    endpoint: Endpoint,
    text: &'a [u8],
    mut show: impl FnMut(Event<'a>),
) -> Result<Option<Opening>, JsonError> {
    let Some(path) = path(endpoint) else { return Ok(None) };
    // Most answers have none: this is faster than to go over them.
    if memchr::memmem::find(text, KEY).is_none() && !hides_letters(text) {
        return Ok(Opening::in_object(text, path));
    }
    let document = Document::read(text, [path])?;
    let mut cursor = Cursor::from(text, document.range(path).map_or(text.len(), |list| list.start));
    if cursor.peek() != Some(b'[') {
        return Ok(document.opening(path));
    }
    let has_any = cursor.first_element()?;
    let mut has_next = has_any;
    while has_next {
        if let Some(event) = event(text, &mut cursor)? {
            show(event);
        }
        has_next = cursor.next_element()?;
    }
    let end = cursor.at().saturating_sub(1);
    let before = String::from(if has_any { "," } else { "" });
    Ok(Some(Opening { place: end..end, before, after: String::new() }))
}

/// The event that comes next; `None` where it is none.
fn event<'a>(text: &'a [u8], cursor: &mut Cursor<'a>) -> Result<Option<Event<'a>>, JsonError> {
    if cursor.peek() != Some(b'{') {
        cursor.value()?;
        return Ok(None);
    }
    let (mut event_type, mut content) = (None, None);
    let mut next = cursor.first_key()?;
    while let Some(key) = next {
        let value = cursor.value()?;
        if key.is("type") {
            event_type = text.get(value).and_then(string_bytes);
        } else if key.is("content") {
            content = Some(value);
        }
        next = cursor.next_key()?;
    }
    Ok(event_type.zip(content).map(|(event_type, content)| Event { event_type, content }))
}

const KEY: &[u8] = b"\"account_data\"";

/// Of one room's account data, or all global ones, how much is looked at by itself.
const MAX_BYTES: usize = 8 * 1024;

/// Where a part of a sync answer has account data, global or a room's, each as an answer that has
/// nothing else; `None` where it reaches over the part's end, is long or broken. What is empty is left out.
///
/// Global account data is in no other, so what stands inside one is not looked at again.
pub fn mentions(endpoint: Endpoint, part: &[u8]) -> impl Iterator<Item = Option<String>> {
    let mut seen = 0;
    std::iter::from_fn(move || {
        loop {
            let at = seen + memchr::memmem::find(part.get(seen..)?, KEY)?;
            seen = at + KEY.len();
            let after = part.get(seen..).unwrap_or_default().trim_ascii_start();
            let value = match after.split_first() {
                Some((b':', value)) => value.trim_ascii_start(),
                // A string that says so.
                Some(_) => continue,
                None => return Some(None),
            };
            if value.starts_with(br#"{"events":[]}"#) {
                continue;
            }
            let end = value.len().min(MAX_BYTES);
            let length = (value.first() == Some(&b'{')).then(|| walk_on(value, 1, end)).flatten();
            let object = length.and_then(|end| std::str::from_utf8(value.get(..end)?).ok());
            let Some(object) = object else { return Some(None) };
            seen = part.len() - value.len() + object.len();
            return Some(Some(match endpoint {
                Endpoint::SlidingSync => {
                    format!(r#"{{"extensions":{{"account_data":{object}}}}}"#)
                }
                _ => format!(r#"{{"account_data":{object}}}"#),
            }));
        }
    })
}

/// True when a text has ASCII letters as escapes, behind which a key could hide; no honest server
/// writes them so.
pub fn hides_letters(part: &[u8]) -> bool {
    const ESCAPE: &[u8] = br"\u00";
    memchr::memmem::find_iter(part, ESCAPE)
        .any(|at| matches!(part.get(at + ESCAPE.len()), Some(b'4'..=b'7')))
}

#[cfg(test)]
#[allow(clippy::string_slice, reason = "a slice that splits a letter is a failed test")]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn account_data_is_found_in_a_part() {
        let found = |part: &str| mentions(Endpoint::Sync, part.as_bytes()).collect::<Vec<_>>();
        let room = r#"{"events":[{"type":"m.tag","content":{}}]}"#;
        let alone = format!(r#"{{"account_data":{room}}}"#);
        assert_eq!(found(r#"x","account_data" : {"events":[]},"account_data"]"#), []);
        assert_eq!(found(&format!(r#"x","account_data":{room},"y"#)), [Some(alone)]);
        assert_eq!(found(r#""account_data":{"events":[{"#), [None]);
        assert_eq!(found(r#""account_data""#), [None]);
        assert_eq!(
            mentions(Endpoint::SlidingSync, br#"{"account_data": {"global":[1]}}"#)
                .collect::<Vec<_>>(),
            [Some(r#"{"extensions":{"account_data":{"global":[1]}}}"#.to_owned())]
        );
    }

    #[test]
    fn escaped_letters_are_seen() {
        assert!(hides_letters(br#"{"acc\u006funt_data":1}"#));
        assert!(hides_letters(br#"{"account\u005Fdata":1}"#));
        assert!(!hides_letters(br#"{"body":"\u00e4 \u000a \u2026 account_data"}"#));
    }

    #[test]
    fn what_is_inside_account_data_is_gone_over_once() {
        let nested =
            r#"{"account_data":{"account_data":{"account_data":{}}},"account_data":{"a":1}}"#;
        assert_eq!(mentions(Endpoint::Sync, nested.as_bytes()).flatten().count(), 2);
    }

    #[test]
    fn events_are_those_that_the_browser_sees() {
        let found = |endpoint, text: &str| {
            let mut seen = Vec::new();
            let list = each(endpoint, text.as_bytes(), |event| {
                seen.push((
                    String::from_utf8_lossy(&event.event_type).into_owned(),
                    text.get(event.content.clone()).unwrap().to_owned(),
                ));
            })
            .unwrap();
            let Opening { place, before, after } = list.unwrap();
            let added = json::splice(text, place, &format!("{before}9{after}"));
            let path: Vec<_> = path(endpoint).unwrap().split('/').collect();
            let list = json::get(&added, &path).unwrap().unwrap();
            let list = json::elements(list).unwrap();
            assert_eq!(list.last(), Some(&"9"));
            (list.len() - 1, seen)
        };
        let event = |kind: &str, content: &str| (kind.to_owned(), content.to_owned());
        let text = r#"{"extensions":{"account_data":{"global":[{"type":"a","content":{"x":1}},{"content":2,"t\u0079pe":"\u0062"},3,{"type":"c"},{"type":"d","type":"e","content":4,"content":[5]} ]}}}"#;
        assert_eq!(
            found(Endpoint::SlidingSync, text),
            (5, vec![event("a", r#"{"x":1}"#), event("b", "2"), event("e", "[5]")])
        );
        assert_eq!(found(Endpoint::Sync, text), (0, vec![]));
        assert_eq!(found(Endpoint::Sync, r#"{"x":1}"#), (0, vec![]));
        let twice = r#"{"account_data":{"events":[{"type":"a","content":1}]},"account\u005fdata":{"events":[]}}"#;
        assert_eq!(found(Endpoint::Sync, twice), (0, vec![]));
        let other = r#"{"account_data":{"events":[{"type":"a","content":1}]},"account_data":{"events":{}}}"#;
        assert_eq!(found(Endpoint::Sync, other), (0, vec![]));
    }
}
