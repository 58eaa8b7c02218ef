//! Global account data in the answers that carry it (Client-Server API, 'Client Config').

use super::endpoint::Endpoint;
use super::json_edit::{JsonError, elements, get, get_str, span, splice};

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

#[cfg(test)]
mod tests {
    use super::*;

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
