//! The laws of requests, responses and settings. Spellings of JSON do not count: what serde_json reads
//! and writes anew is decided, changed and learned from in the same way. From what is no JSON nothing
//! is learned.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

#[path = "../../../fuzz/src/oracle.rs"]
mod oracle;

use mantle_settings::{Change, Mode, Profile, validate};
use mantle_shields::overview::{SettingsView, change, describe, import, sites};
use mantle_shields::verdict::flag;
use mantle_shields::{Engine, can_stay_unloaded};
use oracle::{Read, head, value};
use serde_json::{Value, json};

const STRICT: &str = r#"{"version":1,"profile":"strict"}"#;
const KEPT: &str = r#"{"@a:hs/io.element.recent_emoji":{"content":{"mine":1}}}"#;

fn engine(settings: Option<&str>) -> Engine {
    let mut engine = Engine::new("https://chat.example.org/app/");
    engine.apply_settings(settings, None);
    engine.restore(KEPT);
    // As Element does before it syncs.
    engine.decide("GET", "https://hs.example.org/_matrix/client/v3/user/@a:hs/filter/0");
    engine
}

/// `METHOD URL` of an input's first line; a path is one of the homeserver.
fn request(line: &str) -> (String, String) {
    let (method, place) = line.split_once(' ').unwrap_or(("GET", line));
    let url = if place.contains("://") {
        place.to_owned()
    } else {
        format!("https://hs.example.org/{}", place.trim_start_matches('/'))
    };
    (method.to_owned(), url)
}

/// What there is to see of a body, as a value.
fn seen(body: Option<Vec<u8>>, otherwise: &str) -> Value {
    let body = body.map_or_else(|| otherwise.to_owned(), |body| String::from_utf8(body).unwrap());
    value(&body).unwrap_or(Value::String(body))
}

fn parsed(text: Option<String>) -> Option<Value> {
    text.map(|text| value(&text).unwrap_or(Value::String(text)))
}

/// Of a response: the body the page gets, what was learned, and what is reported.
fn of_response(settings: Option<&str>, line: &str, body: &[u8], plain: &str) -> Value {
    let (method, url) = request(line);
    let mut engine = engine(settings);
    let flags = engine.decide(&method, &url);
    engine.effects(0);
    engine.memory();
    let shown = engine.response(&method, &url, 200, body);
    // A response that is not taken in would have taught nothing.
    let padded = [body, &b" ".repeat((256 << 10) - body.len().min(256 << 10))].concat();
    let mut read = |at: usize, into: &mut [u8]| into.copy_from_slice(&padded[at..at + into.len()]);
    let is_needed = engine.needs_response_body(&method, &url, padded.len(), &mut read);
    let memory = parsed(engine.memory());
    let effects = serde_json::to_value(engine.effects(0)).unwrap();
    if value(plain).is_some() && !is_needed {
        assert!(shown.is_none(), "changed, and not to be taken in");
        assert_eq!(memory, None, "learned from, and not to be taken in");
    }
    let shown = shown.map(|body| String::from_utf8_lossy(&body).into_owned().into_bytes());
    json!([flags, seen(shown, plain), memory, effects])
}

/// The first line is the request, what follows its response.
pub fn responses(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(line) = std::str::from_utf8(&input[..cut]) else { return };
    let body = input.get(cut + 1..).unwrap_or_default();
    let shown = String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let read = oracle::read(&shown);
    for settings in [None, Some(STRICT)] {
        let outcome = of_response(settings, line, body, &shown);
        match &read {
            Read::Valid | Read::Unknown => {}
            Read::Invalid => {
                assert_eq!(outcome[2], Value::Null, "learned from no JSON");
                // A sync response without account data gets some, and is not gone over for that; what
                // no browser reads stays so.
                let text = outcome[1].as_str().expect("made JSON of what is none");
                assert!(text == shown || line.contains("sync"), "changed: {text}");
            }
            Read::Value(value) => {
                let plain = value.to_string();
                assert_eq!(outcome, of_response(settings, line, plain.as_bytes(), &plain));
            }
        }
    }
}

/// Of a request: flags, and what would be sent and kept.
fn of_request(settings: Option<&str>, line: &str, body: &str) -> (u32, Value, Value) {
    let (method, url) = request(line);
    let mut engine = engine(settings);
    engine.effects(0);
    let headers = "content-type: application/json\n";
    let first = engine.decide(&method, &url);
    let flags = match first & flag::NEEDS_BODY {
        0 => first,
        _ => engine.decide_body(&method, &url, headers, body.as_bytes()),
    };
    let reply = engine.take_reply().map(|(shield, reply)| json!([shield, reply.status]));
    let sent = seen(engine.take_body(), body);
    let delegates = serde_json::to_value(engine.take_delegates()).unwrap();
    let of_response = serde_json::to_value(engine.take_response_delegate()).unwrap();
    let kept = parsed(engine.take_unsaved());
    let effects = serde_json::to_value(engine.effects(0)).unwrap();
    let to = engine.take_url();
    let _ = can_stay_unloaded(&method, &url);
    (flags, sent.clone(), json!([reply, sent, delegates, of_response, kept, effects, to]))
}

/// The first line is the request, what follows its body.
pub fn requests(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (line, body) = head(text);
    for settings in [None, Some(STRICT)] {
        let (flags, sent, outcome) = of_request(settings, line, body);
        let Some(value) = value(body) else { continue };
        let plain = value.to_string();
        let (plain_flags, _, plain_outcome) = of_request(settings, line, &plain);
        assert_eq!((flags, outcome), (plain_flags, plain_outcome));
        if flags & (flag::REPLY | flag::FAIL) != 0 {
            continue;
        }
        // Once is enough.
        let (again, twice, _) = of_request(settings, line, &sent.to_string());
        assert_eq!(again & flag::REPLY, 0, "its own body is refused: {sent}");
        assert_eq!(twice, sent, "its own body is changed");
    }
}

/// All that is in force could be set.
fn is_valid(view: &SettingsView) {
    for shield in &view.shields {
        assert!(shield.modes.contains(&shield.mode) || shield.mode == shield.default, "{shield:?}");
        for option in &shield.options {
            let again = option.info.read(&option.value.json());
            assert_eq!(again.as_ref(), Some(&option.value), "{option:?}");
        }
    }
    for option in &view.general {
        assert_eq!(option.info.read(&option.value.json()).as_ref(), Some(&option.value));
    }
    let name = &view.device_name.value;
    assert_eq!(validate::device_name(name).as_ref(), Some(name));
    for (_, hosts) in view.allow.0.iter().chain(&view.own_allow.0) {
        for host in hosts {
            assert_eq!(validate::host(host).as_ref(), Some(host));
        }
    }
}

/// What is in force, without what could not be read.
fn in_force(stored: Option<&str>, managed: Option<&str>) -> Value {
    let mut view = serde_json::to_value(describe(stored, managed)).unwrap();
    view["problems"] = Value::Null;
    view
}

/// The first line is what is stored, what follows is policy.
pub fn settings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (stored, managed) = head(text);
    let of_policy = describe(None, Some(managed));
    let both = describe(Some(stored), Some(managed));
    is_valid(&both);
    let is_object = |text: &str| value(text).is_some_and(|value| value.is_object());
    if let Read::Invalid = oracle::read(stored) {
        assert_eq!(in_force(Some(stored), Some(managed)), in_force(None, Some(managed)));
        assert!(!both.problems.is_empty(), "nothing is said of it");
    }
    // A spelling changes nothing.
    if let Some(value) = value(stored) {
        let plain = value.to_string();
        assert_eq!(in_force(Some(stored), None), in_force(Some(&plain), None));
    }
    if let Some(value) = value(managed) {
        let plain = value.to_string();
        assert_eq!(in_force(None, Some(managed)), in_force(None, Some(&plain)));
    }
    // What policy locks no person moves.
    assert_eq!(of_policy.profile.locked, both.profile.locked);
    for (alone, both) in of_policy.shields.iter().zip(&both.shields) {
        assert_eq!(alone.locked, both.locked);
        let is_default = !of_policy.profile.locked && alone.mode == alone.default;
        assert!(!alone.locked || is_default || alone.mode == both.mode, "{alone:?} {both:?}");
        for (alone, both) in alone.options.iter().zip(&both.options) {
            assert!(!alone.locked || alone.value == both.value, "{alone:?} {both:?}");
        }
    }
    for site in sites(Some(stored), Some(managed)).own {
        assert_eq!(validate::site(&site.url).map(|again| again.url), Some(site.url));
    }
    // A change is there afterwards, and keeps the rest.
    let one = || Change::Mode { shield: "referrer".to_owned(), mode: Some(Mode::Off) };
    if let Ok(next) = change(Some(stored), Some(managed), one()) {
        let next_view = describe(Some(&next), Some(managed));
        for (before, after) in both.shields.iter().zip(&next_view.shields) {
            let wanted = if before.id == "referrer" { Mode::Off } else { before.mode };
            assert_eq!(after.mode, wanted, "{}", before.id);
        }
        if let (true, Some(mut before)) = (is_object(stored), value(stored)) {
            let mut after = value(&next).unwrap();
            for text in [&mut before, &mut after] {
                text.as_object_mut().unwrap().remove("shields");
                text.as_object_mut().unwrap().remove("version");
            }
            assert_eq!(before, after);
        }
        assert_eq!(change(Some(&next), Some(managed), one()).unwrap(), next);
    }
    let strict = Change::Profile { profile: Some(Profile::Strict) };
    if let Ok(next) = change(Some(stored), Some(managed), strict) {
        assert_eq!(describe(Some(&next), Some(managed)).profile.value, Profile::Strict);
    }
    // A file that is taken says what it said, and taken once more it is the same.
    if let Ok(taken) = import(None, stored) {
        let without_consent = |mut view: Value| {
            let general = view["general"].as_array_mut().unwrap();
            general.retain(|option| option["key"] != "consent");
            view
        };
        let (file, made) = (in_force(Some(stored), None), in_force(Some(&taken), None));
        assert_eq!(without_consent(file), without_consent(made), "{taken}");
        assert_eq!(import(None, &taken).as_ref(), Ok(&taken));
        assert_eq!(describe(Some(&taken), None).problems, [] as [String; 0]);
    }
}
