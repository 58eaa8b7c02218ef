//! Responses are read as the browser reads them, whatever a server makes of encoding, JSON and size,
//! and in time that grows with their bytes.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use mantle_shields::Engine;
use std::time::Duration;

const HS: &str = "https://hs.example.org/_matrix/client/v3";
/// Must be in no response that a page is given.
const CANARY: &str = "canary.example";

fn engine() -> Engine {
    let mut engine = Engine::new("https://chat.example.org/app/");
    engine.apply_settings(None, None);
    engine.restore(r#"{"@a:hs/io.element.recent_emoji":{"id":"one","content":{"mine":1}}}"#);
    // As Element does before it syncs.
    engine.decide("GET", "https://hs.example.org/_matrix/client/v3/user/@a:hs/filter/0");
    engine
}

/// One in which every shield has this mode.
fn all_shields(mode: &str) -> Engine {
    let ids: Vec<_> = mantle_shields::shields::SHIELDS
        .iter()
        .map(|shield| format!("\"{}\":\"{mode}\"", shield.info().id))
        .collect();
    let mut engine = Engine::new("https://chat.example.org/app/");
    engine.apply_settings(Some(&format!(r#"{{"shields":{{{}}}}}"#, ids.join(","))), None);
    engine
}

/// As the boundary does: a response that nothing concerns is not copied in.
fn shown(engine: &mut Engine, method: &str, url: &str, body: &[u8]) -> Vec<u8> {
    let mut read = |at: usize, into: &mut [u8]| {
        into.copy_from_slice(&body[at..at + into.len()]);
    };
    if !engine.needs_response_body(method, url, body.len(), &mut read) {
        return body.to_vec();
    }
    engine.response(method, url, 200, body).unwrap_or_else(|| body.to_vec())
}

fn has(body: &[u8], text: &str) -> bool {
    memchr::memmem::find(body, text.as_bytes()).is_some()
}

/// A response that a shield hardens: where it comes from, its members, and what shows that it was.
struct Case {
    url: String,
    method: &'static str,
    /// Without its braces.
    members: String,
    is_hardened: fn(&[u8]) -> bool,
}

fn without_canary(body: &[u8]) -> bool {
    !has(body, CANARY)
}

fn cases() -> Vec<Case> {
    let get = |url: &str, members: &str| Case {
        url: url.to_owned(),
        method: "GET",
        members: members.to_owned(),
        is_hardened: without_canary,
    };
    let event = |event_type: &str, content: &str| {
        format!(r#"{{"type":"{event_type}","content":{content}}}"#)
    };
    let sync = |event: &str| format!(r#""account_data":{{"events":[{event}]}}"#);
    let identity = event("m.identity_server", r#"{"base_url":"https://canary.example"}"#);
    let widgets = event(
        "m.widgets",
        r#"{"w":{"type":"m.integration_manager","content":{"type":"m.integration_manager","url":"https://canary.example/"}}}"#,
    );
    let kept = event("io.element.recent_emoji", r#"{"mantle":"one"}"#);
    let own_kept: fn(&[u8]) -> bool = |body| has(body, r#"{"mine":1}"#);
    vec![
        get(
            "https://chat.example.org/app/config.json",
            r#""default_server_config":{"m.identity_server":{"base_url":"https://canary.example"}}"#,
        ),
        get(
            "https://chat.example.org/app/config.json",
            r#""integrations_ui_url":"https://canary.example/","integrations_rest_url":"https://canary.example/api""#,
        ),
        get(
            "https://hs.example.org/.well-known/matrix/client",
            r#""m.identity_server":{"base_url":"https://canary.example"}"#,
        ),
        Case {
            method: "POST",
            ..get(
                &format!("{HS}/login"),
                r#""well_known":{"m.identity_server":{"base_url":"https://canary.example"}}"#,
            )
        },
        get(
            &format!("{HS}/voip/turnServer"),
            r#""uris":["turn:turn.example.org","stun:canary.example"]"#,
        ),
        get(&format!("{HS}/sync?since=s1"), &sync(&identity)),
        get(&format!("{HS}/sync"), &sync(&identity)),
        get(&format!("{HS}/sync?since=s1"), &sync(&format!("{identity},{identity}"))),
        get(&format!("{HS}/sync?since=s1"), &sync(&widgets)),
        Case {
            method: "POST",
            ..get(
                "https://hs.example.org/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
                &format!(r#""extensions":{{"account_data":{{"global":[{identity}]}}}}"#),
            )
        },
        Case { is_hardened: own_kept, ..get(&format!("{HS}/sync?since=s1"), &sync(&kept)) },
        Case {
            is_hardened: |body| has(body, "media_preview_config"),
            ..get(&format!("{HS}/sync"), &sync(""))
        },
        Case {
            is_hardened: |body| has(body, "media_preview_config"),
            ..get(&format!("{HS}/sync"), r#""next_batch":"s1""#)
        },
        get(
            &format!("{HS}/user/@a:hs/account_data/m.identity_server"),
            r#""base_url":"https://canary.example""#,
        ),
        Case {
            is_hardened: own_kept,
            ..get(
                &format!("{HS}/user/@a:hs/account_data/io.element.recent_emoji"),
                r#""mantle":"one""#,
            )
        },
    ]
}

/// Ways to write an object that a browser reads as before, or with a member more.
fn writings(members: &str) -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!(r#""deep":{}{}"#, "[".repeat(10_000), "]".repeat(10_000));
    let with = |more: &str| format!("{{{more},{members}}}").into_bytes();
    let escaped = members
        .replace(r#""m.identity_server""#, r#""\u006d.identity_server""#)
        .replace(r#""account_data""#, r#""account\u005fdata""#)
        .replace(r#""integrations_ui_url""#, r#""integrations\u005Fui_url""#)
        .replace(r#""base_url""#, r#""\u0062ase_url""#)
        .replace(r#""uris""#, r#""\u0075ris""#);
    let mut broken = with(r#""x":"?","?":1"#);
    for byte in &mut broken {
        if *byte == b'?' {
            *byte = 0xff;
        }
    }
    vec![
        ("plain", format!("{{{members}}}").into_bytes()),
        ("with a byte order mark", [b"\xef\xbb\xbf", format!("{{{members}}}").as_bytes()].concat()),
        ("bytes that are no UTF-8", broken),
        ("halves of surrogate pairs", with(r#""\ud800":"\udc00","x":"\ud83d""#)),
        ("escapes in keys", format!("{{{escaped}}}").into_bytes()),
        ("numbers too large", with(r#""x":1e400,"y":-1E-999"#)),
        ("deep", with(&deep)),
        ("a prototype", with(r#""__proto__":{"x":1}"#)),
        ("white space", format!("\r\n\t {{ {members}\n}} \n").into_bytes()),
        ("an empty key", with(r#""":null"#)),
    ]
}

#[test]
fn whatever_the_browser_reads_is_hardened() {
    for case in cases() {
        for (way, body) in writings(&case.members) {
            let shown = shown(&mut engine(), case.method, &case.url, &body);
            assert!((case.is_hardened)(&shown), "{way}: {} {}", case.url, case.members);
        }
    }
}

#[test]
fn of_repeated_keys_none_is_left_that_the_browser_sees() {
    for case in cases() {
        for first in ["null", "1", "{}", "[]", r#""x""#] {
            let name = case.members.split(':').next().unwrap();
            let body = format!("{{{name}:{first},{}}}", case.members);
            let shown = shown(&mut engine(), case.method, &case.url, body.as_bytes());
            assert!((case.is_hardened)(&shown), "{} {body}", case.url);
        }
    }
    // Within events too.
    let event = r#"{"type":"m.room.message","content":{},"type":"m.identity_server","content":{"base_url":null,"base_url":"https://canary.example"}}"#;
    let body = format!(r#"{{"account_data":{{"events":[{event}]}}}}"#);
    let shown = shown(&mut engine(), "GET", &format!("{HS}/sync?since=s1"), body.as_bytes());
    assert!(without_canary(&shown));
}

/// Account data with these events in it, as the page is given it.
fn shown_events(events: &[String]) -> Vec<serde_json::Value> {
    let body = format!(r#"{{"account_data":{{"events":[{}]}}}}"#, events.join(","));
    let shown = shown(&mut engine(), "GET", &format!("{HS}/sync?since=s1"), body.as_bytes());
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    shown["account_data"]["events"].as_array().unwrap().clone()
}

#[test]
fn of_events_of_one_type_the_last_counts() {
    let event = |kind: &str, content: &str| format!(r#"{{"type":"{kind}","content":{content}}}"#);
    let identity = event("m.identity_server", r#"{"base_url":"https://canary.example"}"#);
    let kept = event("io.element.recent_emoji", r#"{"mantle":"one"}"#);
    let other = event("m.direct", r#"{"a":1}"#);
    let settings = event("im.vector.web.settings", r#"{"a":1}"#);
    let events = [&identity, &kept, &other, &settings, &identity, &other, &kept].map(String::clone);
    let shown = shown_events(&events);
    let contents: Vec<_> = shown.iter().map(|event| event["content"].to_string()).collect();
    assert_eq!(
        contents,
        [
            "{}",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":1}"#,
            r#"{"base_url":null}"#,
            r#"{"a":1}"#,
            r#"{"mine":1}"#
        ]
    );
}

#[test]
fn events_of_many_devices_are_read_up_to_a_bound_and_take_no_others_place() {
    let device = |number: usize| {
        let kind = format!("io.element.matrix_client_information.DEVICE{number}");
        format!(r#"{{"type":"{kind}","content":{{"name":"Element {number}"}}}}"#)
    };
    let settings = r#"{"type":"im.vector.web.settings","content":{"a":1}}"#.to_owned();
    let mut events = vec![settings];
    events.extend((0..1_030).map(device));
    let shown = shown_events(&events);
    assert_eq!(shown[0]["content"]["a"], 1);
    assert_eq!(shown[6]["content"], serde_json::json!({}));
    assert_eq!(shown[7]["content"]["name"], "Element 6");
    assert_eq!(shown[1_030]["content"]["name"], "Element 1029");
}

#[test]
fn what_the_browser_refuses_stays_as_it_is() {
    for case in cases() {
        let whole = format!("{{{}}}", case.members);
        for body in [
            format!("{whole}x"),
            whole.trim_end_matches('}').to_owned(),
            format!("\u{a0}{whole}"),
            // One mark is none of the text, a second is.
            format!("\u{feff}\u{feff}{whole}"),
        ] {
            let shown = shown(&mut engine(), case.method, &case.url, body.as_bytes());
            assert!(shown == body.as_bytes(), "{} {body}", case.url);
        }
    }
}

#[test]
fn whatever_is_edited_is_read_at_any_size_or_is_not_shown() {
    const KIB: usize = 1024;
    let bounds = [8 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB, 4 * 1024 * KIB];
    for case in cases() {
        for bound in bounds {
            for length in [bound - 1, bound, bound + 1] {
                // In front, behind, and with the member in question across the bound.
                let pad = |length: usize| format!(r#""pad":"{}""#, "x".repeat(length));
                let rest = case.members.len() + 12;
                for body in [
                    format!("{{{},{}}}", case.members, pad(length - rest)),
                    format!("{{{},{}}}", pad(length - rest), case.members),
                    format!("{{{},{},{}}}", pad(length - rest / 2), case.members, pad(300 * KIB)),
                ] {
                    let shown = shown(&mut engine(), case.method, &case.url, body.as_bytes());
                    let is_kept_away =
                        body.len() > BOUND && !case.url.contains("/sync") && shown.is_empty();
                    assert!(
                        is_kept_away || (case.is_hardened)(&shown),
                        "{} of {} bytes: {}",
                        case.url,
                        body.len(),
                        case.members
                    );
                }
            }
        }
    }
}

/// Texts that grow by their own kind, about this many bytes long.
fn hostile(length: usize) -> Vec<(&'static str, String, Vec<u8>)> {
    let fill = |piece: &str, between: &str| {
        let count = length / (piece.len() + between.len()) + 1;
        vec![piece; count].join(between)
    };
    let sync = |events: &str| format!(r#"{{"account_data":{{"events":[{events}]}}}}"#).into_bytes();
    let first = format!("{HS}/sync");
    let later = format!("{HS}/sync?since=s1");
    let known = "https://hs.example.org/.well-known/matrix/client";
    let config = "https://chat.example.org/app/config.json";
    let manager = r#"{"type":"m.widgets","content":{"w":{"type":"m.integration_manager","content":{"url":"https://m.example/"}}}}"#;
    let identity = r#"{"type":"m.identity_server","content":{"base_url":"https://x"}}"#;
    let depth = 10_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut shapes = vec![
        ("identity events", later.clone(), sync(&fill(identity, ","))),
        ("manager events", later.clone(), sync(&fill(manager, ","))),
        (
            "kept events",
            later.clone(),
            sync(&fill(r#"{"type":"io.element.recent_emoji","content":{"mantle":"one"}}"#, ",")),
        ),
        ("other events", first.clone(), sync(&fill(r#"{"type":"a","content":{}}"#, ","))),
        (
            "account data of rooms inside each other",
            later.clone(),
            format!("{}1{}", r#"{"account_data":"#.repeat(length / 17), "}".repeat(length / 17))
                .into_bytes(),
        ),
        (
            "one widget list",
            later.clone(),
            sync(&format!(
                r#"{{"type":"m.widgets","content":{{{}}}}}"#,
                fill(
                    r#""w":{"type":"m.integration_manager","content":{"url":"https://m.example/"}}"#,
                    ","
                )
            )),
        ),
    ];
    for (url, key) in [
        (known.to_owned(), "m.identity_server"),
        (config.to_owned(), "default_is_url"),
        (first, "account_data"),
    ] {
        let object = |members: String| format!("{{{members}}}").into_bytes();
        shapes.extend([
            ("one key repeated", url.clone(), object(fill(&format!("\"{key}\":1"), ","))),
            (
                "one key with members repeated",
                url.clone(),
                object(fill(&format!(r#""{key}":{{"base_url":"x"}}"#), ",")),
            ),
            ("deep", url.clone(), object(fill(&format!("\"{key}\":{nested}"), ","))),
            ("escapes", url.clone(), object(format!("\"{key}\":\"{}\"", fill("\\n\\u0061", "")))),
            (
                "empty rooms",
                url.clone(),
                object(format!(r#""rooms":{{"join":{{{}}}}}"#, fill(r#""!abcdefgh:hs":{}"#, ","))),
            ),
            ("numbers", url.clone(), object(format!("\"{key}\":[{}]", fill("1.5e3", ",")))),
            (
                "keys like a mark",
                url.clone(),
                object(fill(r#""m.identity_serve":1,"setting_default":{}"#, ",")),
            ),
            ("empty objects", url.clone(), object(format!("\"{key}\":[{}]", fill("{}", ",")))),
            (
                "invalid bytes",
                url.clone(),
                [b"{\"x\":\"".to_vec(), vec![0xff; length], b"\"}".to_vec()].concat(),
            ),
            (
                "managers",
                url,
                object(format!(
                    r#""m.integrations":{{"managers":[{}]}}"#,
                    fill(r#"{"api_url":"https://m.example/x"}"#, ",")
                )),
            ),
        ]);
    }
    shapes
}

/// Of this thread alone: the machine has others.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

#[test]
fn time_grows_with_bytes_and_no_faster() {
    const SMALL: usize = 1 << 18;
    let time = |url: &str, body: &[u8]| {
        let once = || {
            let mut engine = engine();
            let start = processor_time();
            shown(&mut engine, "GET", url, body);
            processor_time().saturating_sub(start)
        };
        once().min(once())
    };
    for ((shape, url, small), (_, _, large)) in hostile(SMALL).into_iter().zip(hostile(8 * SMALL)) {
        let (short, long) = (time(&url, &small), time(&url, &large));
        // Quadratic work would take 64 times as long.
        let limit = short * 24 + Duration::from_millis(30);
        assert!(long < limit, "{shape} {url}: {short:?}, then {long:?}");
    }
}

/// The most that is read of a response that is no sync, and of one event.
const BOUND: usize = 1 << 20;

#[test]
fn a_response_that_no_honest_server_gives_is_not_read_at_all() {
    for (url, key) in [
        ("https://chat.example.org/app/config.json", "default_is_url"),
        ("https://hs.example.org/.well-known/matrix/client", "m.identity_server"),
    ] {
        let text = format!(r#"{{"{key}":"https://{CANARY}","kept":"yes"}}"#);
        let long =
            |length: usize| format!("{text}{}", " ".repeat(length - text.len())).into_bytes();
        let mut engine = engine();
        let read = shown(&mut engine, "GET", url, &long(BOUND));
        assert!(without_canary(&read) && has(&read, "\"kept\":\"yes\""), "{url}");
        engine.effects(0);
        assert!(shown(&mut engine, "GET", url, &long(BOUND + 1)).is_empty(), "{url}");
        let told = serde_json::to_string(&engine.effects(0)).unwrap();
        assert!(told.contains("\"blocked\""), "{url}: {told}");
        // Whoever only watches, or has it off, is given what came.
        for mode in ["flag", "off"] {
            let mut open = all_shields(mode);
            assert!(shown(&mut open, "GET", url, &long(BOUND + 1)) == long(BOUND + 1), "{mode}");
        }
    }
}

#[test]
fn account_data_that_no_homeserver_takes_is_emptied() {
    let url = format!("{HS}/sync?since=s1");
    let event = |length: usize| {
        let inner = format!(r#""base_url":"https://{CANARY}""#);
        let content = format!("{{{inner}{}}}", " ".repeat(length - inner.len() - 2));
        format!(r#"{{"type":"m.identity_server","content":{content}}}"#)
    };
    for (length, is_read) in [(BOUND, true), (BOUND + 1, false)] {
        let body = format!(
            r#"{{"account_data":{{"events":[{},{{"type":"m.direct","content":{{"@b:hs":["!r"]}}}}]}}}}"#,
            event(length)
        );
        let read = shown(&mut engine(), "GET", &url, body.as_bytes());
        assert!(without_canary(&read) && has(&read, "\"@b:hs\":[\"!r\"]"), "{length}");
        let emptied = has(&read, r#""m.identity_server","content":{}"#);
        assert_eq!(emptied, !is_read, "{length}");
    }
}

/// What a sync's list of account data has to stay below.
const LIST: usize = 4 << 20;

#[test]
fn a_sync_that_no_honest_server_gives_is_not_gone_over() {
    let url = |since: &str| format!("{HS}/sync{since}");
    let sliding =
        "https://hs.example.org/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?pos=1";
    let event =
        format!(r#"{{"type":"m.identity_server","content":{{"base_url":"https://{CANARY}"}}}}"#);
    let list = |length: usize| format!("[{event}{}]", " ".repeat(length - event.len() - 2));
    let number = |length: usize| format!("-{}", "1".repeat(length - 1));
    let with = |key: &str, value: &str| {
        let events = format!(r#""{key}":{value}"#);
        match key {
            "global" => format!(r#"{{"extensions":{{"account_data":{{{events}}}}}}}"#),
            "account_data" => format!("{{{events}}}"),
            _ => format!(r#"{{"account_data":{{{events}}}}}"#),
        }
    };
    let repeated = |times: usize| {
        let members = [r#""account_data":{"events":[]}"#].repeat(times).join(",");
        format!(r#"{{{members},"account_data":{{"events":[{event}]}}}}"#)
    };
    let other = |times: usize| {
        let members = [r#""x":1"#].repeat(times).join(",");
        format!(r#"{{{members},"account_data":{{"events":[{event}]}}}}"#)
    };
    for (url, honest, hostile) in [
        (url("?since=s1"), with("events", &list(LIST - 1)), with("events", &list(LIST))),
        (url(""), with("events", &list(LIST - 1)), with("events", &list(LIST))),
        (sliding.to_owned(), with("global", &list(LIST - 1)), with("global", &list(LIST))),
        // Of half a number the rest would seem to be no JSON.
        (url("?since=s1"), with("events", &number(LIST - 1)), with("events", &number(LIST + 9))),
        (url(""), with("account_data", &number(LIST - 1)), with("account_data", &number(2 * LIST))),
        (url("?since=s1"), repeated(511), repeated(512)),
        (url(""), other(1022), other(1023)),
    ] {
        let what = &honest[..honest.len().min(80)];
        let mut engine = engine();
        let read = shown(&mut engine, "GET", &url, honest.as_bytes());
        assert!(without_canary(&read) && read.ends_with(b"}"), "{url} {what}");
        engine.effects(0);
        assert!(shown(&mut engine, "GET", &url, hostile.as_bytes()).is_empty(), "{url} {what}");
        let told = serde_json::to_string(&engine.effects(0)).unwrap();
        assert!(told.contains("\"blocked\""), "{url}: {told}");
        let mut open = all_shields("flag");
        let read = shown(&mut open, "GET", &url, hostile.as_bytes());
        assert!(read == hostile.as_bytes(), "{url} {what}: only watched");
    }
}
