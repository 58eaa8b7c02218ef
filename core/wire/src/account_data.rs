//! Global account data in the answers that carry it (Client-Server API, 'Client Config').

use crate::json::{Document, Event, JsonError, Kinds, Opening, walk_on};
use crate::route::Endpoint;

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

/// Global account data of an answer is read where it has fewer bytes. An account's whole data is a few
/// hundred thousand, and all of it comes in the first answer.
pub const MAX_LIST: usize = 4 << 20;

/// Events, and where more can be put; that is `None` where the answer cannot have any.
pub type Events = (Vec<Event>, Option<Opening>);

/// The global account data events of these kinds in a sync answer, in their order; `None` where no honest
/// server has as much in it. The text is without byte order mark.
///
/// # Errors
/// [`JsonError`] when the answer is not JSON.
pub fn of(endpoint: Endpoint, text: &[u8], kinds: &Kinds<'_>) -> Result<Option<Events>, JsonError> {
    let Some(path) = path(endpoint) else { return Ok(Some((Vec::new(), None))) };
    // Most answers have none: this is faster than to go over them.
    if memchr::memmem::find(text, KEY).is_none() && !hides_letters(text) {
        return Ok(Some((Vec::new(), Opening::in_object(text, path))));
    }
    let Some((document, events)) = Document::read_events(text, path, kinds, MAX_LIST)? else {
        return Ok(None);
    };
    let list = document.range(path).filter(|list| text.get(list.start) == Some(&b'['));
    let Some(list) = list else {
        return Ok(Some((events, document.opening(path))));
    };
    let end = list.end.saturating_sub(1);
    let inner = text.get(list.start.saturating_add(1)..end).unwrap_or_default();
    let before = String::from(if inner.trim_ascii_start().is_empty() { "" } else { "," });
    Ok(Some((events, Some(Opening { place: end..end, before, after: String::new() }))))
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
            let mut kinds = Kinds::default();
            for kind in ["a", "c", "d", "e"] {
                kinds.add(kind);
            }
            kinds.add_below("b");
            let (events, list) = of(endpoint, text.as_bytes(), &kinds).unwrap().unwrap();
            let seen: Vec<_> = events
                .into_iter()
                .map(|event| {
                    let name = json::string_bytes(&text.as_bytes()[event.event_type]).unwrap();
                    let name = String::from_utf8(name.into_owned()).unwrap();
                    (name, text.get(event.content).unwrap().to_owned())
                })
                .collect();
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
        let below = r#"{"account_data":{"events":[{"type":"b.x","content":1},{"type":"bx","content":2},{"type":"a.x","content":3}]}}"#;
        assert_eq!(found(Endpoint::Sync, below), (3, vec![event("b.x", "1")]));
        let gone = r#"{"account_data":{"events":[{"type":"a","content":1}]},"account_data":{}}"#;
        assert_eq!(found(Endpoint::Sync, gone), (0, vec![]));
        let twice = r#"{"account_data":{"events":[{"type":"a","content":1}]},"account\u005fdata":{"events":[]}}"#;
        assert_eq!(found(Endpoint::Sync, twice), (0, vec![]));
        let other = r#"{"account_data":{"events":[{"type":"a","content":1}]},"account_data":{"events":{}}}"#;
        assert_eq!(found(Endpoint::Sync, other), (0, vec![]));
    }
}
