//! However a homeserver writes its addresses, every shield does the same.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_shields::Engine;
use mantle_shields::verdict::flag;
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

const BASES: [&str; 10] = [
    "/base",
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

/// All that becomes of a request: flags, reply, body, the end of the address, who takes it over.
fn outcome(method: &str, url: &str, body: &str) -> String {
    let mut engine = Engine::new("https://chat.example.org/app/#/home");
    engine.apply_settings(None, None);
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
        engine.take_handovers(),
        engine.take_handback()
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
