//! However a homeserver writes its addresses, every shield does the same.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use mantle_shields::Engine;
use mantle_shields::verdict::flag;
use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::Address;
use proptest::prelude::*;

/// One request a thing that some shield does, below the homeserver's base.
const REQUESTS: [(&str, &str, &str); 39] = [
    ("POST", "client/v3/login", r#"{"initial_device_display_name":"Element on Firefox"}"#),
    ("POST", "client/v3/register", r#"{"initial_device_display_name":"x","bind_email":true}"#),
    ("PUT", "client/v3/devices/ABC", r#"{"display_name":"Element on Firefox"}"#),
    ("POST", "client/v3/createRoom", r#"{"name":"Plans","visibility":"public"}"#),
    ("POST", "client/v3/createRoom", r#"{"invite":["@riot-bot:matrix.org"]}"#),
    ("PUT", "client/v3/rooms/!r:x/state/m.room.name/", r#"{"name":"Plans"}"#),
    ("PUT", "client/v3/rooms/!r:x/state/m.room.topic", r#"{"topic":"Plans"}"#),
    ("PUT", "client/v3/rooms/!r:x/state/m.room.avatar/", r#"{"url":"mxc://x/y"}"#),
    (
        "PUT",
        "client/v3/rooms/!r:x/state/m.room.member/@a:x",
        r#"{"membership":"join","displayname":"A"}"#,
    ),
    (
        "PUT",
        "client/v3/rooms/!r:x/state/im.vector.modular.widgets/w",
        r#"{"type":"jitsi","data":{"roomName":"Plans"}}"#,
    ),
    (
        "PUT",
        "client/v3/rooms/!r:x/send/m.call.candidates/t",
        r#"{"candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host"}]}"#,
    ),
    ("PUT", "client/v3/rooms/!r:x/send/io.element.performance_metric/t", "{}"),
    (
        "PUT",
        "client/v3/rooms/!r:x/send/m.room.message/t",
        r#"{"body":"https://hs/_matrix/media/v3/download/x/y"}"#,
    ),
    ("PUT", "client/v3/rooms/!r:x/typing/@a:x", r#"{"typing":true}"#),
    ("POST", "client/v3/rooms/!r:x/receipt/m.read/$e", "{}"),
    ("POST", "client/v3/rooms/!r:x/read_markers", r#"{"m.read":"$e"}"#),
    ("POST", "client/v3/rooms/!r:x/upgrade", r#"{"new_version":"11"}"#),
    ("POST", "client/v3/rooms/!r:x/invite", r#"{"medium":"email","address":"a@example.org"}"#),
    ("PUT", "client/v3/profile/@a:x/displayname", r#"{"displayname":"A"}"#),
    ("PUT", "client/v3/profile/@a:x/avatar_url", r#"{"avatar_url":"mxc://x/y"}"#),
    ("PUT", "client/v3/directory/room/%23a%3Ax", r#"{"room_id":"!r:x"}"#),
    ("PUT", "client/v3/directory/list/room/!r:x", r#"{"visibility":"public"}"#),
    ("POST", "client/v3/publicRooms?server=other.example", r#"{"limit":20}"#),
    ("GET", "client/v3/thirdparty/protocols", ""),
    ("GET", "client/v3/thirdparty/user/m.protocol.pstn?m.id.phone=1", ""),
    ("GET", "client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=@b:x", ""),
    ("PUT", "client/v3/presence/@a:x/status", r#"{"presence":"online"}"#),
    ("GET", "client/v3/sync?timeout=0", ""),
    ("GET", "client/v3/notifications", ""),
    ("GET", "client/v1/media/preview_url?url=https%3A%2F%2Fexample.org", ""),
    ("POST", "client/v3/user_directory/search", r#"{"search_term":"a"}"#),
    ("PUT", "client/v3/pushrules/global/content/word", r#"{"pattern":"word"}"#),
    ("POST", "client/v3/pushers/set", r#"{"kind":"http","data":{}}"#),
    ("PUT", "client/v3/sendToDevice/im.vector.auto_rs_request/t", "{}"),
    ("PUT", "client/v3/user/@a:x/account_data/im.vector.analytics", r#"{"id":"x"}"#),
    (
        "PUT",
        "client/v3/user/@a:x/account_data/io.element.recent_emoji",
        r#"{"recent_emoji":[["x",1]]}"#,
    ),
    (
        "PUT",
        "client/v3/user/@a:x/account_data/m.widgets",
        r#"{"w":{"type":"m.integration_manager"}}"#,
    ),
    ("POST", "media/v3/upload", ""),
    ("GET", "identity/v2/hash_details", ""),
];

const BASES: [&str; 12] = [
    "/base",
    "/a;b=c/d;e",
    "/a%2F..%5C..%2Fb",
    "//double//",
    "/_matrix",
    "/_matrix/x",
    "/_matrix/client/v3",
    "/_matrix/client/v3/directory",
    "/_matrix/client/v3/room_keys",
    "/_synapse/admin/v1/users/x/admin",
    "/%5Fmatrix/%63lient/v3",
    "/.well-known/matrix/client",
];

fn engine() -> Engine {
    let mut engine = Engine::new("https://chat.example.org/app/#/home");
    engine.apply_settings(None, None);
    engine
}

/// All that becomes of a request: flags, reply, body, the end of the address, who takes it over.
fn outcome(method: &str, url: &str, body: &str) -> String {
    outcome_in(&mut engine(), method, url, body)
}

fn outcome_in(engine: &mut Engine, method: &str, url: &str, body: &str) -> String {
    let mut flags = engine.decide(method, url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body(method, url, "", body.as_bytes());
    }
    let end = engine.take_url().map(|url| url.rsplit(['/', '?']).next().unwrap().to_owned());
    let private = end.as_ref().map(|end| end.len());
    let body = engine.take_body().map(|body| String::from_utf8(body).unwrap());
    format!(
        "{flags} {:?} {body:?} {private:?} {:?} {:?}",
        engine.take_reply(),
        engine.take_delegates(),
        engine.take_response_delegate()
    )
}

#[test]
fn every_request_of_the_list_concerns_a_shield() {
    for (method, path, body) in REQUESTS {
        let outcome = outcome(method, &format!("https://hs.example.org/_matrix/{path}"), body);
        assert!(!outcome.starts_with("0 None None None [] None"), "{method} {path}");
    }
}

proptest! {
    #[test]
    fn no_base_and_no_spelling_changes_what_is_done(
        (method, path, body) in proptest::sample::select(&REQUESTS[..]),
        base in proptest::sample::select(&BASES[..]),
        mask in any::<u64>(),
        is_doubled in any::<bool>(),
    ) {
        let (path, query) = path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("?{query}")));
        let mut written = String::new();
        for (at, letter) in format!("/_matrix/{path}").chars().enumerate() {
            let is_chosen = mask >> (at % 64) & 1 == 1;
            match letter {
                '/' if is_doubled => written.push_str("//"),
                'a'..='z' | '_' | '!' | '@' | '$' if is_chosen => written.push_str(&format!("%{:02X}", u32::from(letter))),
                _ => written.push(letter),
            }
        }
        let url = format!("https://hs.example.org{base}{written}{query}");
        let plain = format!("https://hs.example.org/_matrix/{path}{query}");
        let end = |url: &str| url.rsplit('/').next().unwrap().len();
        prop_assume!(!path.ends_with("$e") || end(&url) == end(&plain));
        prop_assert_eq!(outcome(method, &url, body), outcome(method, &plain, body), "{}", url);
    }
}

/// IDs that a homeserver makes up: each is one segment of a path, whatever it looks like.
const IDS: [&str; 8] = [
    "!r%2Fx:x",
    "!r%2F..%2F..%2F:x",
    "%2E%2E%2Fx",
    "!r%5C..%5C:x",
    "!r;a=b:x",
    "!r%3Fx%23y:x",
    "%00",
    "!_matrix%2Fclient%2Fv3%2Fsync:x",
];

#[test]
fn no_id_changes_what_is_done() {
    for (method, path, body) in REQUESTS {
        let plain = format!("https://hs.example.org/_matrix/{path}");
        for id in IDS {
            let url = plain.replace("!r:x", id);
            assert_eq!(
                outcome(method, &url, body),
                outcome(method, &plain, body),
                "{method} {url}"
            );
        }
    }
}

#[test]
fn time_over_an_address_grows_with_its_bytes_and_no_faster() {
    let asked = |count: usize| {
        let mut engine = engine();
        let own = "https://hs.example.org/_matrix/client/v3/user/@a:hs.example.org";
        let url = format!("{own}/openid/request_token");
        engine.decide("POST", &url);
        let answer = br#"{"access_token":"SECRETsecret1","matrix_server_name":"hs.example.org"}"#;
        engine.response("POST", &url, 200, answer);
        let base = "https://evil.example/_matrix/client/v3/room_keys";
        let url = format!("{base}{}/sfu/get", "/a".repeat(count));
        let start = std::time::Instant::now();
        engine.decide("POST", &url);
        start.elapsed()
    };
    let (one, eight) = (asked(4_000), asked(32_000));
    assert!(eight < one * 24 + std::time::Duration::from_millis(50), "{one:?}, {eight:?}");
}

/// A path of each endpoint, where its template is not one of several areas'.
fn honest_paths() -> Vec<(&'static str, String, Endpoint)> {
    let areas = [
        "_matrix/client/v3",
        "_matrix/client/unstable",
        "_matrix/media/v3",
        "_matrix/identity/v2",
        "_matrix/integrations",
        "_matrix/federation/v1",
        "_synapse",
    ];
    let mut paths = Vec::new();
    for endpoint in Endpoint::ALL {
        let path = endpoint.template().replace("{*}", "x").replace("{}", "@x:y");
        for area in areas {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let path = format!("/{area}/{path}");
                let url = format!("https://hs.example.org{path}");
                if route(method, &Address::parse(&url).unwrap()).endpoint == *endpoint {
                    paths.push((method, path, *endpoint));
                }
            }
        }
    }
    paths
}

/// What a body may hold that some shield looks for.
const TELLING: &str = r#"{"initial_device_display_name":"x on y","display_name":"x on y","id_server":"is.example","id_access_token":"t","name":"Plans","topic":"Plans","preset":"public_chat","m.read":"$e","medium":"email","address":"a@example.org","body":"https://chat.example.org/app/#/room/!r:x"}"#;

#[test]
fn every_endpoint_is_judged_the_same_below_a_hostile_base() {
    let paths = honest_paths();
    let seen: Vec<_> = paths.iter().map(|(.., endpoint)| endpoint).collect();
    // All but files of a site and of its well-known folder, which have no base.
    assert!(Endpoint::ALL.iter().filter(|one| !seen.contains(one)).count() <= 6, "{seen:?}");
    for (method, path, endpoint) in &paths {
        // What stands behind it is told from a base's by being of its administration.
        if *endpoint == Endpoint::SynapseApi {
            continue;
        }
        let plain = outcome(method, &format!("https://hs.example.org{path}"), TELLING);
        for base in BASES {
            let spelled = path.replace("_matrix", "%5Fmatrix").replace("client", "cli%65nt");
            for path in [path.clone(), spelled, path.replace('/', "//")] {
                let url = format!("https://hs.example.org{base}{path}");
                assert_eq!(outcome(method, &url, TELLING), plain, "{endpoint:?}: {method} {url}");
            }
        }
    }
}

/// What a hostile server or site answers before anything else is asked.
const HOSTILE: [(&str, &str, &str); 12] = [
    (
        "GET",
        "https://chat.example.org/app/config.json",
        r#"{"integrations_rest_url":"https://hs.example.org/_matrix/client/v3","integrations_ui_url":"https://chat.example.org/","bug_report_endpoint_url":"https://hs.example.org/_matrix/client/v3/login","permalink_prefix":"https://hs.example.org/_matrix"}"#,
    ),
    (
        "GET",
        "https://hs.example.org/.well-known/matrix/client",
        r#"{"m.homeserver":{"base_url":"https://hs.example.org/_matrix/x"},"m.integrations":{"managers":[{"api_url":"https://hs.example.org/_matrix"},{"api_url":"https://chat.example.org/app"},{"api_url":" https:\\\\chat.example.org"}]},"m.authentication":{"issuer":"https://evil.example\\@hs.example.org/"}}"#,
    ),
    (
        "GET",
        "https://evil.example/.well-known/matrix/client",
        r#"{"m.integrations":{"managers":[{"api_url":"https://hs.example.org/"},{"api_url":"https://chat.example.org/bundles"}]},"org.matrix.msc4143.rtc_foci":[{"type":"livekit","livekit_service_url":"https://evil.example/"}]}"#,
    ),
    (
        "GET",
        "https://hs.example.org/.well-known/matrix/client",
        "\u{feff}{\"m.integrations\":null}",
    ),
    ("GET", "https://hs.example.org/.well-known/matrix/client", "[[[[[["),
    (
        "GET",
        "https://hs.example.org/_matrix/client/v3/sync?timeout=0",
        r#"{"account_data":{"events":[{"type":"m.widgets","content":{"a":{"type":"m.integration_manager","content":{"type":"m.integration_manager","url":"https://hs.example.org/_matrix/client/v3","data":{"api_url":"https://chat.example.org/app"}}}}},{"type":"m.identity_server","content":{"base_url":"https://is.example"}},{"type":"io.element.recent_emoji","content":{}},{"type":"m.media_preview_config","content":"x"},{"type":7,"content":7},7]}}"#,
    ),
    (
        "GET",
        "https://hs.example.org/_matrix/client/v3/sync?timeout=0",
        r#"{"account_data":{"events":[]},"account_data":{"events":{"a":1}},"account_data":7}"#,
    ),
    (
        "POST",
        "https://hs.example.org/_matrix/client/v3/login",
        r#"{"user_id":"@x:y","well_known":{"m.homeserver":{"base_url":"https://evil.example/_matrix/client/v3"},"m.identity_server":{"base_url":"https://is.example"},"m.integrations":{"managers":[{"api_url":"https://hs.example.org/"}]}}}"#,
    ),
    (
        "GET",
        "https://hs.example.org/_matrix/client/v3/auth_metadata",
        r#"{"issuer":"https://evil.example\\@hs.example.org","token_endpoint":"https://chat.example.org/app"}"#,
    ),
    (
        "GET",
        "https://hs.example.org/_matrix/client/v3/voip/turnServer",
        r#"{"uris":["turn:evil.example","stun:evil.example",7,"https://hs.example.org"],"username":"u"}"#,
    ),
    (
        "POST",
        "https://hs.example.org/_matrix/client/v3/user/@x:y/openid/request_token",
        r#"{"access_token":"chat.example.org","matrix_server_name":"hs.example.org"}"#,
    ),
    (
        "POST",
        "https://hs.example.org/_matrix/client/v3/user/@x:y/openid/request_token",
        r#"{"access_token":"https://","matrix_server_name":"hs.example.org"}"#,
    ),
];

#[test]
fn no_answer_switches_a_shield_off_or_breaks_element() {
    let site = [
        ("GET", "https://chat.example.org/app/bundles/app.js"),
        ("GET", "https://chat.example.org/app/i18n/en.json"),
        ("GET", "https://chat.example.org/app/config.json"),
        ("GET", "https://chat.example.org/app/version"),
    ];
    let homeserver: Vec<_> = REQUESTS
        .iter()
        .map(|(method, path, body)| {
            (*method, format!("https://hs.example.org/_matrix/{path}"), *body)
        })
        .chain(site.iter().map(|(method, url)| (*method, (*url).to_owned(), "")))
        .collect();
    for known in 0..=HOSTILE.len() {
        for (method, url, body) in &homeserver {
            // Each alone, and at last all of them.
            let told = match HOSTILE.get(known) {
                Some(one) => std::slice::from_ref(one),
                None => &HOSTILE[..],
            };
            let mut honest = engine();
            let mut lied_to = engine();
            for (asked, from, answer) in told {
                honest.decide(asked, from);
                lied_to.decide(asked, from);
                lied_to.response(asked, from, 200, answer.as_bytes());
            }
            assert_eq!(
                outcome_in(&mut lied_to, method, url, body),
                outcome_in(&mut honest, method, url, body),
                "{method} {url} after {told:?}"
            );
        }
    }
}

#[test]
fn no_token_of_one_homeserver_keeps_element_from_another() {
    let mut refused = Vec::new();
    // A server that issues tokens chooses them: parts of what Element asks of everybody.
    for token in [
        "/_matrix/client/",
        "hs.example.org",
        "https://",
        "versions",
        "m.login.password",
        "initial_device_display_name",
        "application/json",
        "image/png",
        "picture of something",
    ] {
        let mut engine = engine();
        let evil = "https://evil.example/_matrix/client/v3/user/@a:evil.example";
        let url = format!("{evil}/openid/request_token");
        engine.decide("POST", &url);
        let answer = format!(r#"{{"access_token":"{token}","matrix_server_name":"evil.example"}}"#);
        engine.response("POST", &url, 200, answer.as_bytes());
        // The session ended without a word to that server, and the person signs in elsewhere.
        for (method, path, kind, body) in [
            ("GET", "client/versions", "", ""),
            ("GET", "client/v3/login", "", ""),
            (
                "POST",
                "client/v3/login",
                "application/json",
                r#"{"type":"m.login.password","initial_device_display_name":"x"}"#,
            ),
            ("GET", "client/v3/sync?timeout=0", "", ""),
            ("PUT", "client/v3/rooms/!r:x/send/m.room.message/t", "application/json", "{}"),
            ("POST", "media/v3/upload", "image/png", "picture of something"),
        ] {
            let url = format!("https://hs.example.org/_matrix/{path}");
            let mut flags = engine.decide(method, &url);
            if flags & flag::NEEDS_BODY != 0 {
                let headers = format!("content-type: {kind}");
                flags = engine.decide_body(method, &url, &headers, body.as_bytes());
            }
            if flags & flag::REPLY != 0 {
                refused.push(format!("{token}: {method} {path}"));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_token_is_known_at_a_stranger_that_answers_like_a_homeserver() {
    let mut engine = engine();
    let own = "https://hs.example.org/_matrix/client/v3/user/@a:hs.example.org";
    let url = format!("{own}/openid/request_token");
    engine.decide("POST", &url);
    let answer = br#"{"access_token":"SECRETsecret1","matrix_server_name":"hs.example.org"}"#;
    engine.response("POST", &url, 200, answer);
    let base = "https://evil.example/_matrix/client/v3";
    // Which was read something from before.
    engine.decide("GET", &format!("{base}/capabilities"));
    for (method, path, body) in [
        ("POST", "register?v=1.1", std::str::from_utf8(answer).unwrap()),
        (
            "POST",
            "room_keys/sfu/get",
            r#"{"openid_token":{"access_token":"SECRETsecret1","matrix_server_name":"x"}}"#,
        ),
        ("GET", "room_keys/SECRETsecret1", ""),
        ("GET", "account/whoami?token=SECRETsecret1", ""),
        ("PUT", "rooms/!r:x/send/m.x/SECRETsecret1", "{}"),
    ] {
        let url = format!("{base}/{path}");
        let mut flags = engine.decide(method, &url);
        if flags & flag::NEEDS_BODY != 0 {
            flags = engine.decide_body(method, &url, "", body.as_bytes());
        }
        assert_eq!(flags & flag::REPLY, flag::REPLY, "{method} {path}");
    }
}
