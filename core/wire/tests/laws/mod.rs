//! The laws of addresses, routes, session descriptions and account data in sync responses. What
//! reads them a second time is the `url` crate, which is a WHATWG URL parser, and serde_json.

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

use mantle_wire::account_data;
use mantle_wire::ice::{IceServer, is_relay_candidate, relay_only, without_related_address};
use mantle_wire::json::{self, Event, Kinds};
use mantle_wire::route::{Endpoint, Route, route};
use mantle_wire::url::{Address, Found, encoded, found, percent_decoded, with_parameter};
use oracle::{Read, head};
use serde_json::Value;
use std::borrow::Cow;
use url::Url;

const PAGE: &str = "https://page.example/";

/// A method, a blank, and an address as somebody may write it.
pub fn routes(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (method, text) = text.split_once(' ').unwrap_or(("GET", text));
    let page = Url::parse(PAGE).unwrap();
    let parsed = page.join(text);
    as_the_browser_finds_it(text, parsed.as_ref().ok());
    // What is no browser's address either is only not to trap.
    if let Some(address) = Address::parse(text) {
        let _ = route(method, &address);
    }
    let Ok(url) = parsed else { return };
    let href = url.as_str();
    let address = Address::parse(href);
    if !matches!(url.scheme(), "https" | "http" | "wss" | "ws") {
        assert_eq!(address, None, "{href}");
        return;
    }
    let address = address.unwrap();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = url.host_str().unwrap();
    assert_eq!(address.host, format!("{host}{port}"), "{href}");
    // With the dot at its end it leads to the same server.
    assert_eq!(address.host_name(), host.strip_suffix('.').unwrap_or(host), "{href}");
    let parts = (address.scheme, address.path, address.query);
    assert_eq!(parts, (url.scheme(), url.path(), url.query().unwrap_or_default()), "{href}");
    parameters(&url, &address);

    let here = route(method, &address);
    if here.is_hidden() {
        // Behind the question mark or number sign that a base brought along; never taken for harmless.
        let rest = [address.query, url.fragment().unwrap_or_default()].map(percent_decoded);
        let is_there =
            |part: &Cow<'_, str>| part.contains("_matrix/") || part.contains("_synapse/");
        assert!(rest.iter().any(is_there), "{href}");
        return;
    }
    // Only what the path says counts, and neither the host nor who asks.
    let mut other = url.clone();
    let _ = other.set_username("");
    let _ = other.set_password(None);
    other.set_fragment(None);
    let other_address = Address::parse(other.as_str()).unwrap();
    assert_eq!(told(&here), told(&route(method, &other_address)), "{href}");
    // Escapes are spellings: undone and made again, they lead to the same place with the same values.
    let path: Vec<_> = address.path.split('/').map(spelled).collect();
    let again = format!("https://hs.example.org{}?{}", path.join("/"), address.query);
    let again_address = Address::parse(&again).unwrap();
    let again_route = route(method, &again_address);
    assert_eq!(told(&here), told(&again_route), "{href} as {again}");
    // HEAD is GET without a body.
    if method == "GET" {
        assert_eq!(route("HEAD", &address).endpoint, here.endpoint);
    }
    // Elsewhere than at Matrix, nothing is Matrix's.
    let is_matrix = Url::parse(&again).unwrap().path_segments().unwrap().any(|segment| {
        matches!(&*percent_decoded(segment), "_matrix" | "_synapse" | ".well-known")
    });
    if !is_matrix {
        let is_site = matches!(here.endpoint, Endpoint::Foreign | Endpoint::ElementConfig);
        assert!(is_site, "{href}: {:?}", here.endpoint);
    }
}

fn spelled(segment: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(segment).collect::<Vec<_>>();
    match String::from_utf8(bytes) {
        Ok(text) => encoded(&text),
        Err(_) => segment.to_owned(),
    }
}

fn told<'a>(route: &'a Route<'a>) -> (Endpoint, bool, Vec<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let parameters = (0..).map_while(|at| route.parameter(at)).collect();
    (route.endpoint, route.is_client(), parameters, route.user())
}

/// An address in a text is what the browser makes of it, or left to the browser.
fn as_the_browser_finds_it(text: &str, url: Option<&Url>) {
    match (found(text), url) {
        (Found::Unknown, _) => {}
        (Found::Absolute(href), Some(url)) => assert_eq!(href, url.as_str(), "{text}"),
        // A host with a punycode label that means nothing is no address.
        (Found::Absolute(href), None) => assert!(href.contains("xn--"), "{text}: {href}"),
        (Found::Relative, url) => {
            assert_eq!(url.and_then(Url::host_str), Some("page.example"), "{text}");
        }
        (Found::Other(scheme), Some(url)) => assert_eq!(scheme, url.scheme(), "{text}"),
        (Found::Other(_), None) => {}
    }
}

fn parameters(url: &Url, address: &Address<'_>) {
    let href = url.as_str();
    for name in ["a", "url", "set_presence", "access_token"] {
        let named = url.query_pairs().find(|(key, _)| key == name);
        assert_eq!(address.has_parameter(name), named.is_some(), "{name} of {href}");
        let value = named.map(|(_, value)| value.into_owned());
        assert_eq!(address.parameter(name), value, "{name} of {href}");
    }
    let (name, value) = ("set_presence", "offline");
    let set = with_parameter(href, name, value);
    let after = Url::parse(set.as_deref().unwrap_or(href)).unwrap();
    assert_eq!(after.as_str(), set.as_deref().unwrap_or(href), "it is serialised already");
    assert_eq!(with_parameter(after.as_str(), name, value), None, "{after}");
    let (set, others): (Vec<_>, Vec<_>) =
        after.query_pairs().into_owned().partition(|(key, _)| key == name);
    assert_eq!(set, [(name.to_owned(), value.to_owned())], "{after}");
    let before: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    assert_eq!(others, before, "{after}");
    let rest = |url: &Url| {
        let mut url = url.clone();
        url.set_query(None);
        url
    };
    assert_eq!(rest(&after), rest(url));
}

/// Whether a line names an address that is no relay's, by RFC 8839: a candidate's eighth word is its
/// type. What is no candidate by that is none to a browser.
fn names_an_address(line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    let is_typed = words.get(6) == Some(&"typ");
    let is_relay = words.get(7) == Some(&"relay");
    let own = ["", "0.0.0.0", "::", "127.0.0.1", "::1"];
    let behind = words.get(8..).unwrap_or_default();
    let is_told = behind.windows(2).any(|pair| pair[0] == "raddr" && !own.contains(&pair[1]));
    is_typed && (!is_relay || is_told)
}

/// A session description.
pub fn sdp(input: &[u8]) {
    let Ok(sdp) = std::str::from_utf8(input) else { return };
    let hidden = relay_only(sdp);
    let after = hidden.as_deref().unwrap_or(sdp);
    assert_ne!(hidden.as_deref(), Some(sdp), "said to be changed");
    assert_eq!(relay_only(after), None, "once is enough: {after}");
    let lines = |text: &str| -> Vec<String> {
        text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect()
    };
    for line in lines(after) {
        let is_candidate = line.starts_with("a=candidate:");
        assert!(!is_candidate || !names_an_address(&line), "{line}");
        // The same line as an event of its own.
        assert!(!is_candidate || is_relay_candidate(&line), "{line}");
        assert!(!is_candidate || without_related_address(&line).is_none(), "{line}");
        let words: Vec<_> = line.split(' ').collect();
        if matches!(words.as_slice(), ["c=IN", "IP4" | "IP6", _]) {
            let own = ["0.0.0.0", "127.0.0.1", "::", "::1"];
            assert!(own.contains(&words[2]), "{line}");
        }
    }
    // What is none of these lines is there as it was, ends of lines included.
    let others = |text: &str| -> Vec<String> {
        let is_ours = |line: &&str| {
            ["a=candidate:", "c=", "o=", "a=rtcp:"].iter().any(|start| line.starts_with(start))
        };
        text.split_inclusive('\n').filter(|line| !is_ours(line)).map(str::to_owned).collect()
    };
    assert_eq!(others(sdp), others(after));
    for line in lines(sdp) {
        if let Some(server) = IceServer::parse(&line) {
            assert!(!server.host.is_empty() && !server.host.contains('?'), "{line}");
        }
    }
}

/// `GET sync` or another endpoint's name in the first line, a response behind it.
pub fn sync_account_data(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (kind, body) = head(text);
    let endpoint = if kind == "sliding" { Endpoint::SlidingSync } else { Endpoint::Sync };
    let kinds = Kinds::default();
    let outcome = account_data::of(endpoint, body.as_bytes(), &kinds);
    // A response that has no account data is not gone over, and so not refused either.
    let is_looked_at = body.contains("\"account_data\"");
    let value = match oracle::read(body) {
        Read::Invalid => {
            let is_read = matches!(outcome, Ok(Some(_)));
            return assert!(!is_read || !is_looked_at, "{outcome:?}");
        }
        Read::Valid | Read::Unknown => return,
        Read::Value(value) => value,
    };
    let Some((_, opening)) = outcome.unwrap() else {
        // Too many members on the way to it, each of five bytes at least.
        return assert!(body.len() > 5 * 1024, "{body}");
    };
    let path = account_data::path(endpoint).unwrap();
    let list = path.split('/').try_fold(&value, |value, key| value.as_object()?.get(key));
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wanted: Vec<_> = list
        .iter()
        .filter_map(|event| {
            let kind = event.get("type")?.as_str()?.to_owned();
            Some((kind, event.get("content")?.clone()))
        })
        .collect();
    let mut kinds = Kinds::default();
    for (kind, _) in &wanted {
        kinds.add(kind);
    }
    let (events, _) = account_data::of(endpoint, body.as_bytes(), &kinds).unwrap().unwrap();
    let read = |event: Event| {
        let content = serde_json::from_str::<Value>(&body[event.content]).unwrap();
        (json::string(body[event.event_type].as_bytes()).unwrap(), content)
    };
    assert_eq!(events.into_iter().map(read).collect::<Vec<_>>(), wanted);
    // What is put where there is room comes last.
    let Some(opening) = opening else { return assert!(!value.is_object()) };
    let mut with = body.to_owned();
    with.replace_range(opening.place, &format!("{}9{}", opening.before, opening.after));
    let with: Value = serde_json::from_str(&with).unwrap();
    let there = path.split('/').try_fold(&with, |value, key| value.as_object()?.get(key)).unwrap();
    let there = there.as_array().unwrap();
    assert_eq!((&there[..there.len() - 1], &there[there.len() - 1]), (list, &Value::from(9)));
    // In any part of it, whatever was found lies alone in an answer that holds the same.
    for alone in account_data::mentions(endpoint, body.as_bytes()).flatten() {
        let _ = account_data::of(endpoint, alone.as_bytes(), &Kinds::default());
    }
}
