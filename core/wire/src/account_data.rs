//! Global account data in the answers that carry it (Client-Server API, 'Client Config').

use super::json::{JsonError, elements, get, get_str, span, splice};
use crate::json::walk_on;
use crate::route::Endpoint;

/// Replaces the content of account data events of one type in a sync answer.
///
/// `replace` sees each content and gives the JSON text to put there, or `None` to leave it. `None`
/// comes back when nothing changed; answers of other endpoints never do.
///
/// # Errors
/// [`JsonError`] when the answer is not JSON.
pub fn replace_content(
    endpoint: Endpoint,
    body: &str,
    event_type: &str,
    mut replace: impl FnMut(&str) -> Result<Option<String>, JsonError>,
) -> Result<Option<String>, JsonError> {
    let path: &[&str] = match endpoint {
        Endpoint::Sync => &["account_data", "events"],
        Endpoint::SlidingSync => &["extensions", "account_data", "global"],
        _ => return Ok(None),
    };
    // Most answers are large and have none: this is faster than finding the members.
    if memchr::memmem::find(body.as_bytes(), event_type.as_bytes()).is_none() {
        return Ok(None);
    }
    let mut edited: Option<String> = None;
    // From the back, so that earlier spans stay right.
    for event in elements(get(body, path)?.unwrap_or("[]"))?.into_iter().rev() {
        if get_str(event, &["type"])?.as_deref() != Some(event_type) {
            continue;
        }
        let Some(content) = get(event, &["content"])? else { continue };
        if let Some(next) = replace(content)? {
            edited = Some(splice(edited.as_deref().unwrap_or(body), span(body, content), &next));
        }
    }
    Ok(edited)
}

/// Of one room's account data, or all global ones, how much is looked at by itself.
const MOST_BYTES: usize = 8 * 1024;

/// Where a part of a sync answer has account data, global or a room's, each as an answer that has
/// nothing else; `None` where it reaches over the part's end, is long or broken. What is empty is left out.
pub fn mentions(endpoint: Endpoint, part: &[u8]) -> impl Iterator<Item = Option<String>> {
    const KEY: &[u8] = b"\"account_data\"";
    memchr::memmem::find_iter(part, KEY).filter_map(move |at| {
        let after = part.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
        let value = match after.split_first() {
            Some((b':', value)) => value.trim_ascii_start(),
            // A string that says so.
            Some(_) => return None,
            None => return Some(None),
        };
        if value.starts_with(br#"{"events":[]}"#) {
            return None;
        }
        let end = value.len().min(MOST_BYTES);
        let object = (value.first() == Some(&b'{'))
            .then(|| walk_on(value, 1, end))
            .flatten()
            .and_then(|end| std::str::from_utf8(value.get(..end)?).ok());
        let Some(value) = object else { return Some(None) };
        Some(Some(match endpoint {
            Endpoint::SlidingSync => format!(r#"{{"extensions":{{"account_data":{value}}}}}"#),
            _ => format!(r#"{{"account_data":{value}}}"#),
        }))
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
mod tests {
    use super::*;

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
    fn replaces_only_the_named_type() {
        let body = r#"{"extensions":{"account_data":{"global":[{"type":"a","content":{"x":1}},{"content":{"x":2},"type":"b"},{"type":"a","content":{}}]}}}"#;
        let mut seen = Vec::new();
        let out = replace_content(Endpoint::SlidingSync, body, "a", |content| {
            seen.push(content.to_owned());
            Ok((content != "{}").then(|| "null".to_owned()))
        });
        assert_eq!(out.unwrap().unwrap(), body.replace(r#"{"x":1}"#, "null"));
        assert_eq!(seen, ["{}", r#"{"x":1}"#]);
        assert_eq!(
            replace_content(Endpoint::Sync, body, "a", |_| Ok(Some(String::new()))),
            Ok(None)
        );
    }
}
