//! Requests that name what state they want: encrypted state must be among it.
//!
//! Client-server API, "Filtering"; MSC4186's `required_state`.

use crate::model::stored::strings;
use crate::msc4362::eligible::{DEFAULT_TYPES, ENCRYPTED_TYPE, check_eligible};
use crate::paths::Request;
use mantle_wire::json::{self, Edit, elements, exact_string, get, quoted, span};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, encoded};

/// The URL with encrypted state in its inline filter; `None` where it needs no change.
pub(crate) fn include_in_url(url: &str) -> Option<String> {
    let address = Address::parse(url)?;
    let pair = address.query.split('&').find(|pair| pair.starts_with("filter="))?;
    let filter = address.parameter("filter")?;
    if !filter.trim_start().starts_with('{') {
        return None;
    }
    let widened = String::from_utf8(include_in_filter(filter.as_bytes())?).ok()?;
    let place = span(url, pair);
    Some(json::splice(url, place, &format!("filter={}", encoded(&widened))))
}

/// Request bodies that name what state they want; `None` where they need no change.
pub(crate) fn include_in_body(request: Request<'_>, body: &[u8]) -> Option<Vec<u8>> {
    match request.read()?.1 {
        Endpoint::Filter if request.method == "POST" => include_in_filter(body),
        Endpoint::SlidingSync => include_in_sliding(body),
        _ => None,
    }
}

/// The filter with encrypted state wherever it names types of state; `None` where it needs no
/// change. Room event filters (for `/messages` and `/context`) are read too.
fn include_in_filter(filter: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(filter).ok()?;
    let mut edits = Vec::new();
    let whole = get(text, &["room"]).ok()?.is_some();
    let places: &[&[&str]] =
        if whole { &[&["room", "state"], &["room", "timeline"]] } else { &[&[]] };
    for place in places {
        let part = get(text, place).ok().flatten().unwrap_or("{}");
        let at = |key| -> Vec<&str> { place.iter().copied().chain([key]).collect() };
        if let Some(types) = get(part, &["types"]).ok()?
            && let Some(types) = with_encrypted(types, *place == ["room", "state"])
        {
            edits.push(Edit::set(&at("types"), types));
        }
        if let Some(types) = get(part, &["not_types"]).ok()?
            && *place != ["room", "timeline"]
            && let Some(types) = without_encrypted(types)
        {
            edits.push(Edit::set(&at("not_types"), types));
        }
    }
    json::apply(filter, &edits).ok().flatten()
}

/// A sliding sync request that asks for encrypted state too; `None` where it needs no change.
fn include_in_sliding(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut out: Option<String> = None;
    // From the back, so that earlier places stay right.
    let mut lists = Vec::new();
    for group in ["lists", "room_subscriptions"] {
        let Some(group) = get(text, &[group]).ok()? else { continue };
        for list in json::members(group).ok()?.unwrap_or_default() {
            lists.extend(get(list.value, &["required_state"]).ok()?);
        }
    }
    lists.sort_by_key(|list| std::cmp::Reverse(span(text, list).start));
    for list in lists {
        let mut named = false;
        let mut has = false;
        for pair in elements(list).ok()? {
            let pair = elements(pair).ok()?;
            let event_type = pair.iter().find_map(|item| exact_string(item)).unwrap_or_default();
            has |= event_type == "*" || event_type == ENCRYPTED_TYPE;
            named |= event_type != "*" && check_eligible(&event_type).is_ok();
        }
        if named && !has {
            let open = span(text, list).start + 1;
            let current = out.as_deref().unwrap_or(text);
            let pair = format!("[{},\"*\"],", quoted(ENCRYPTED_TYPE));
            out = Some(json::splice(current, open..open, &pair));
        }
    }
    out.map(String::into_bytes)
}

/// A list of types that names one which may be encrypted, with the outer type added. `*` and
/// prefixes that cover it need none. Where events are not `only_state`, the outer type brings
/// messages too: there only the types that are usually encrypted count.
fn with_encrypted(types: &str, only_state: bool) -> Option<String> {
    let list = strings(types)?;
    let covered = list.iter().any(|item| covers(item));
    let names = list.iter().any(|item| {
        if only_state {
            item.ends_with('*') || check_eligible(item).is_ok()
        } else {
            DEFAULT_TYPES.contains(&item.as_str())
        }
    });
    (names && !covered).then(|| written(list.iter().map(String::as_str).chain([ENCRYPTED_TYPE])))
}

fn without_encrypted(types: &str) -> Option<String> {
    let list = strings(types)?;
    list.iter()
        .any(|item| item == ENCRYPTED_TYPE)
        .then(|| written(list.iter().map(String::as_str).filter(|item| *item != ENCRYPTED_TYPE)))
}

fn covers(item: &str) -> bool {
    item == ENCRYPTED_TYPE
        || item.strip_suffix('*').is_some_and(|prefix| ENCRYPTED_TYPE.starts_with(prefix))
}

/// Strings as a JSON array.
fn written<'a>(list: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", list.map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widened(filter: &str) -> Option<String> {
        include_in_filter(filter.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn filters_that_name_types_get_encrypted_state() {
        for (filter, expected) in [
            (
                r#"{"room":{"state":{"types":["m.room.name"],"lazy_load_members":true}}}"#,
                Some(
                    r#"{"room":{"state":{"types":["m.room.name","m.room.encrypted"],"lazy_load_members":true}}}"#,
                ),
            ),
            (
                r#"{"room":{"timeline":{"types":["m.room.topic"]},"state":{"not_types":["m.room.encrypted","a"]}}}"#,
                Some(
                    r#"{"room":{"timeline":{"types":["m.room.topic","m.room.encrypted"]},"state":{"not_types":["a"]}}}"#,
                ),
            ),
            (
                r#"{"types":["m.room.name"]}"#,
                Some(r#"{"types":["m.room.name","m.room.encrypted"]}"#),
            ),
            (r#"{"room":{"state":{"lazy_load_members":true}}}"#, None),
            (r#"{"room":{"state":{"types":["m.room.*"]}}}"#, None),
            (r#"{"room":{"state":{"types":["m.room.member"]}}}"#, None),
            (r#"{"room":{"state":{"types":["m.room.name","m.room.encrypted"]}}}"#, None),
            (r#"{"room":{"timeline":{"not_types":["m.room.encrypted"]}}}"#, None),
            (r#"{"types":["m.room.message"]}"#, None),
            ("{}", None),
            ("nonsense", None),
        ] {
            assert_eq!(widened(filter).as_deref(), expected, "{filter}");
        }
    }

    #[test]
    fn inline_filters_are_widened_in_place() {
        let url = "https://hs/_matrix/client/v3/sync?timeout=1&filter=%7B%22room%22%3A%7B%22state%22%3A%7B%22types%22%3A%5B%22m.room.name%22%5D%7D%7D%7D&since=s";
        let widened = include_in_url(url).unwrap();
        let address = Address::parse(&widened).unwrap();
        assert_eq!(
            address.parameter("filter").unwrap(),
            r#"{"room":{"state":{"types":["m.room.name","m.room.encrypted"]}}}"#
        );
        assert!(widened.starts_with("https://hs/_matrix/client/v3/sync?timeout=1&filter=%7B"));
        assert!(widened.ends_with("&since=s"));
        for url in
            ["https://hs/_matrix/client/v3/sync?filter=0", "https://hs/_matrix/client/v3/sync"]
        {
            assert_eq!(include_in_url(url), None);
        }
    }

    #[test]
    fn sliding_sync_asks_for_encrypted_state() {
        let body = r#"{"lists":{"a":{"required_state":[["m.room.name",""]]},"b":{"required_state":[["*","*"]]}},"room_subscriptions":{"!r":{"required_state":[["m.room.member","$ME"]]},"!s":{"required_state":[["m.room.topic",""]]}}}"#;
        let widened = String::from_utf8(include_in_sliding(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            widened,
            r#"{"lists":{"a":{"required_state":[["m.room.encrypted","*"],["m.room.name",""]]},"b":{"required_state":[["*","*"]]}},"room_subscriptions":{"!r":{"required_state":[["m.room.member","$ME"]]},"!s":{"required_state":[["m.room.encrypted","*"],["m.room.topic",""]]}}}"#
        );
        assert_eq!(include_in_sliding(widened.as_bytes()), None);
    }
}
