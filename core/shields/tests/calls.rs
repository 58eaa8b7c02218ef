//! The shield `calls` as the hooks drive it.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_shields::Engine;
use mantle_shields::verdict::{Handler, flag};
use serde_json::{Value, json};

const HS: &str = "https://hs.example.org/_matrix/client/v3";
const TURN: &str = "turn:turn.example.org:3478?transport=udp";

fn engine_at(page: &str, stored: &str) -> Engine {
    let mut engine = Engine::new(page);
    engine.apply_settings(Some(stored), None);
    engine
}

fn engine(stored: &str) -> Engine {
    engine_at("https://chat.example.org/app/", stored)
}

/// The homeserver's answer as the page sees it.
fn turn_answer(engine: &mut Engine, uris: &[&str]) -> Value {
    let url = format!("{HS}/voip/turnServer");
    assert_eq!(engine.decide("GET", &url), flag::INSPECT_RESPONSE);
    let body = json!({"username": "u", "password": "p", "ttl": 60, "uris": uris}).to_string();
    let changed = engine.response("GET", &url, 200, body.as_bytes());
    serde_json::from_slice(changed.as_deref().unwrap_or(body.as_bytes())).unwrap()
}

fn peer(engine: &mut Engine, urls: &[&str]) -> Option<(bool, Vec<bool>, bool)> {
    let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
    engine.peer(&urls).map(|step| (step.relay_only, step.kept, step.sentence.is_some()))
}

fn put(engine: &mut Engine, path: &str, body: &Value) -> Value {
    let url = format!("{HS}{path}");
    let body = body.to_string();
    let mut flags = engine.decide("PUT", &url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body("PUT", &url, "", body.as_bytes());
    }
    let sent =
        if flags & flag::REWRITTEN == 0 { body.into_bytes() } else { engine.take_body().unwrap() };
    serde_json::from_slice(&sent).unwrap()
}

#[test]
fn only_relays_the_homeserver_named_are_contacted() {
    let mut engine = engine("{}");
    assert_eq!(peer(&mut engine, &[TURN]), Some((true, vec![false], true)));
    let answer = turn_answer(&mut engine, &["stun:turn.example.org:3478", TURN]);
    assert_eq!(answer["uris"], json!([TURN]));
    let urls =
        [TURN, "stun:turn.example.org:3478", "stun:turn.matrix.org", "turn:other.example", "x"];
    assert_eq!(
        peer(&mut engine, &urls),
        Some((true, vec![true, false, false, false, false], false))
    );
    // What was learned survives a trap.
    let memory = engine.memory().unwrap();
    let mut next = engine_at("https://chat.example.org/", "{}");
    next.remember(&memory);
    assert_eq!(peer(&mut next, &[TURN]), Some((true, vec![true], false)));
}

#[test]
fn a_homeserver_with_nothing_but_stun_offers_nothing() {
    let mut engine = engine("{}");
    assert_eq!(turn_answer(&mut engine, &["stun:stun.example.org"]), json!({}));
}

#[test]
fn lists_and_options_open_it() {
    let stored = r#"{"allow":{"calls":["stun.example.net","own.example.net:3478"]}}"#;
    let mut listed = engine(stored);
    let urls =
        ["stun:stun.example.net:19302", "turn:own.example.net:3478", "turn:own.example.net:1"];
    assert_eq!(peer(&mut listed, &urls), Some((true, vec![true, true, false], false)));
    let mut direct = engine(r#"{"options":{"calls":{"direct":true}}}"#);
    assert_eq!(peer(&mut direct, &["stun:turn.matrix.org"]), Some((false, vec![false], false)));
    for mode in ["off", "flag"] {
        let mut open = engine(&format!(r#"{{"shields":{{"calls":"{mode}"}}}}"#));
        assert_eq!(peer(&mut open, &["stun:turn.matrix.org"]), None, "{mode}");
    }
    let mut unset = Engine::new("https://chat.example.org/");
    assert_eq!(peer(&mut unset, &["stun:turn.matrix.org"]), Some((true, vec![false], true)));
}

#[test]
fn bundled_element_call_reaches_its_server_but_no_foreign_stun() {
    let page =
        "https://chat.example.org/widgets/element-call/index.html#?userId=%40a%3Aown.example";
    let mut engine = engine_at(page, "{}");
    let servers = ["turns:livekit.example.org:443", "stun:stun.l.google.com:19302"];
    let foci =
        br#"{"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":"https://sfu.own.example"}]}"#;
    // Another server's list is no reason, and the page's path alone neither.
    engine.response("GET", "https://evil.example/.well-known/matrix/client", 200, foci);
    assert_eq!(engine.decide("POST", "https://sfu.own.example/sfu/get"), flag::NEEDS_BODY);
    assert_eq!(peer(&mut engine, &servers), Some((true, vec![false, false], true)));
    assert_eq!(peer(&mut engine, &[]), Some((true, vec![], true)));
    engine.response("GET", "https://own.example/.well-known/matrix/client", 200, foci);
    assert_eq!(peer(&mut engine, &servers), Some((true, vec![false, false], true)));
    engine.decide("POST", "https://sfu.own.example/sfu/get");
    assert_eq!(peer(&mut engine, &servers), Some((false, vec![true, false], false)));
    assert_eq!(peer(&mut engine, &[]), Some((false, vec![], false)));
}

#[test]
fn a_call_that_an_elements_own_page_runs_is_judged_like_that_of_a_frame() {
    let mut engine = engine("{}");
    let hs = "https://hs.example.org/_matrix/client/v3";
    engine.decide("GET", &format!("{hs}/sync"));
    engine.response(
        "GET",
        &format!("{hs}/voip/turnServer"),
        200,
        br#"{"uris":["turn:turn.example.org"]}"#,
    );
    let transports =
        "https://hs.example.org/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    let list = br#"{"rtc_transports":[{"livekit_service_url":"https://sfu.own.example"}]}"#;
    engine.response("GET", transports, 200, list);
    engine.decide("POST", "https://sfu.own.example/sfu/get");
    assert_eq!(peer(&mut engine, &["turns:livekit.example.org"]), Some((false, vec![true], false)));
    // A call between two goes through the homeserver's relay as ever.
    assert_eq!(peer(&mut engine, &["turn:turn.example.org"]), Some((true, vec![true], false)));
    assert_eq!(peer(&mut engine, &[]), Some((true, vec![], true)));
}

#[test]
fn call_events_of_clear_rooms_name_relays_only() {
    let mut engine = engine("{}");
    let host = "candidate:1 1 udp 2122 192.0.2.7 5000 typ host";
    let relay = "candidate:2 1 udp 41 198.51.100.9 6000 typ relay raddr 192.0.2.7 rport 5000";
    let sdp = format!("v=0\r\na={host}\r\na={relay}\r\n");
    for (kind, holder) in [("invite", "offer"), ("answer", "answer"), ("negotiate", "description")]
    {
        let sent = put(
            &mut engine,
            &format!("/rooms/!r:hs.example.org/send/m.call.{kind}/txn1"),
            &json!({"call_id": "1", holder: {"type": "offer", "sdp": sdp}}),
        );
        let text = sent[holder]["sdp"].as_str().unwrap();
        assert!(!text.contains("192.0.2.7") && text.contains("198.51.100.9"), "{text}");
        assert_eq!(sent["call_id"], "1");
    }
    let candidates = json!([
        {"candidate": host, "sdpMid": "0"}, {"candidate": relay, "sdpMid": "0"}, {"candidate": ""}
    ]);
    let sent = put(
        &mut engine,
        "/rooms/!r:hs.example.org/send/m.call.candidates/txn2",
        &json!({"candidates": candidates}),
    );
    let hidden = relay.replace("192.0.2.7 rport 5000", "0.0.0.0 rport 0");
    assert_eq!(
        sent["candidates"],
        json!([{"candidate": hidden, "sdpMid": "0"}, {"candidate": ""}])
    );
    let message = json!({"body": "candidate:1 1 udp 1 192.0.2.7 5 typ host", "msgtype": "m.text"});
    assert_eq!(put(&mut engine, "/rooms/!r:x/send/m.room.message/txn3", &message), message);
}

#[test]
fn jitsi_widgets_name_neither_room_nor_site() {
    let mut engine = engine("{}");
    let path = "/rooms/!r:hs.example.org/state/im.vector.modular.widgets/jitsi_1";
    let url = "https://chat.example.org/app/jitsi.html?confId=C#conferenceDomain=$domain&roomName=$roomName";
    let widget = json!({"type": "jitsi", "url": url, "data": {"roomName": "Secret", "domain": "meet.element.io"}});
    let sent = put(&mut engine, path, &widget);
    assert_eq!(sent["data"], json!({"roomName": "", "domain": "meet.element.io"}));
    assert_eq!(
        sent["url"],
        "https://app.element.io/jitsi.html?confId=C#conferenceDomain=$domain&roomName=$roomName"
    );
    let other = json!({"type": "m.custom", "url": url, "data": {"roomName": "Kept"}});
    assert_eq!(put(&mut engine, path, &other), other);
}

#[test]
fn frames_are_told_neither_room_nor_user() {
    let mut engine = engine(r#"{"allow":{"calls":["call.example.net"]}}"#);
    let mut frame = |url: &str| engine.frame(url).map(|step| (step.url, step.sentence.is_some()));
    assert_eq!(
        frame("https://chat.example.org/app/jitsi.html?w=1#conferenceId=C&userId=%40a%3Ahs&roomName=Secret&displayName=A"),
        Some((
            "https://chat.example.org/app/jitsi.html?w=1#conferenceId=C&userId=&roomName=&displayName=A".into(),
            false
        ))
    );
    assert_eq!(frame("https://chat.example.org/app/jitsi.html#conferenceId=C&userId="), None);
    assert_eq!(
        frame(
            "https://meet.element.io/C#config.x=1&config.subject=%22S%22&userInfo.email=%22%40a%22"
        ),
        Some(("https://meet.element.io/C#config.x=1".into(), false))
    );
    let who = "userId=%40a&deviceId=D&roomId=%21r";
    assert_eq!(
        frame(&format!("https://call.element.io/room#?{who}")),
        Some(("about:blank".into(), true))
    );
    assert_eq!(frame(&format!("https://call.example.net/room#?{who}")), None);
    assert_eq!(
        frame(&format!(
            "https://chat.example.org/widgets/element-call/index.html#?{who}&posthogUserId=7&lang=de"
        )),
        Some((
            format!("https://chat.example.org/widgets/element-call/index.html#?{who}&lang=de"),
            false
        ))
    );
    for url in [
        "https://widget.example.org/?x#y",
        "https://chat.example.org/#/room/!r?via=x",
        "about:blank",
    ] {
        assert_eq!(frame(url), None, "{url}");
    }
}

#[test]
fn call_widget_builders_learn_no_room() {
    let mut engine = engine(r#"{"allow":{"calls":["own.example.net"]}}"#);
    for room in ["!r:hs.example.org", "%21r%3Ahs.example.org"] {
        let at = |host: &str| format!("https://{host}/build?a=1&roomId={room}");
        assert_eq!(engine.decide("GET", &at("build.example.net")), flag::REPLY, "{room}");
        assert_eq!(engine.take_reply().unwrap().1.status, 403);
        assert_eq!(engine.decide("GET", &at("own.example.net")), 0);
        assert_eq!(engine.decide("GET", &at("chat.example.org")), 0);
    }
    assert_eq!(engine.decide("GET", "https://shop.example.net/?roomId=12"), 0);
    assert_eq!(engine.decide("GET", &format!("{HS}/sync?roomId=!r:x")) & flag::REPLY, 0);
}

#[test]
fn numbers_are_not_looked_up_and_public_jitsi_is_not_asked() {
    let mut engine = engine("{}");
    for path in ["m.protocol.pstn?m.id.phone=%2B44", "im.vector.protocol.sip_native?x=1"] {
        let url = format!("{HS}/thirdparty/user/{path}");
        assert_eq!(engine.decide("GET", &url), flag::REPLY, "{path}");
        assert_eq!(engine.take_reply().unwrap().1.body, "[]");
    }
    assert_eq!(engine.decide("GET", &format!("{HS}/thirdparty/user/irc?nick=x")), 0);
    let jitsi = "https://meet.element.io/.well-known/element/jitsi";
    assert_eq!(engine.decide("GET", jitsi), flag::REPLY);
    assert_eq!(engine.take_reply().unwrap().1.status, 404);
    assert_eq!(engine.decide("GET", "https://jitsi.example.org/.well-known/element/jitsi"), 0);
}

const CALL_FRAME: &str =
    "https://chat.example.org/widgets/element-call/index.html#?userId=%40a%3Ahs.example.org";
/// What Element Call sends to a call service, now (MSC4195) and before.
const TOKEN_REQUESTS: [(&str, &str); 2] = [
    (
        "https://sfu.example.net/get_token",
        r#"{"room_id":"!r:x","slot_id":"m.call#ROOM","openid_token":{"access_token":"SECRETsecret1","matrix_server_name":"hs.example.org"},"member":{"claimed_device_id":"D"}}"#,
    ),
    (
        "https://sfu.example.net/livekit/jwt/sfu/get",
        r#"{"room":"!r:x","device_id":"D","openid_token":{"access_token":"SECRETsecret1","matrix_server_name":"hs.example.org"}}"#,
    ),
];

/// What comes of a POST: the question's shield and id, "refused" or "sent".
fn posted(engine: &mut Engine, url: &str, headers: &str, body: &str) -> String {
    let mut flags = engine.decide("POST", url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body("POST", url, headers, body.as_bytes());
    }
    if flags & flag::REPLY != 0 {
        assert_eq!(engine.take_reply().unwrap().1.status, 403);
        return "refused".into();
    }
    if flags & flag::DELEGATE == 0 {
        return "sent".into();
    }
    let [delegate] = engine.take_delegates()[..] else { return "several".into() };
    assert_eq!(delegate.handler, Handler::Ask);
    format!("{}/{}", delegate.shield, delegate.question.unwrap().id)
}

#[test]
fn a_strangers_call_server_is_told_nothing_before_a_yes() {
    for page in [CALL_FRAME, "https://chat.example.org/app/"] {
        for (url, body) in TOKEN_REQUESTS {
            let mut engine = engine_at(page, "{}");
            assert_eq!(posted(&mut engine, url, "", body), "calls/call-server");
            // Asked again where nobody agreed, and of each host.
            assert_eq!(posted(&mut engine, url, "", body), "calls/call-server");
            engine.agree(url);
            assert_eq!(posted(&mut engine, url, "", body), "sent");
            let other = url.replace("example.net", "example.com");
            assert_eq!(posted(&mut engine, &other, "", body), "calls/call-server");
            // Another account's is another person's yes.
            engine.decide("GET", &format!("{HS}/user/@b:hs.example.org/filter/1"));
            assert_eq!(posted(&mut engine, url, "", body), "calls/call-server");
        }
    }
}

/// Paths of Matrix's behind which a row of the router takes whatever follows. Who names a call service,
/// a manager or where an invitation is signed chooses how its path begins.
const MATRIX_PATHS: [&str; 12] = [
    "/_synapse",
    "/_synapse/admin",
    "/_matrix/client/v3/room_keys",
    "/_matrix/client/v3/directory",
    "/_matrix/client/v3/dehydrated_device",
    "/_matrix/client/v3/profile",
    "/_matrix/client/v3/rooms/!r:x/receipt",
    "/_matrix/client/v3/rooms/!r:x/report",
    "/_matrix/client/v1/login",
    "/_matrix/client/unstable/io.element.msc4195/rtc/livekit",
    "/_matrix/media/v3",
    "/_matrix/x",
];

#[test]
fn a_stranger_below_a_path_of_matrix_is_a_stranger_all_the_same() {
    let mut told = Vec::new();
    for page in [CALL_FRAME, "https://chat.example.org/app/"] {
        for path in MATRIX_PATHS {
            for (end, (_, body)) in ["/get_token", "/sfu/get"].iter().zip(TOKEN_REQUESTS) {
                let mut engine = engine_at(page, "{}");
                if page != CALL_FRAME {
                    engine.decide("GET", &format!("{HS}/sync?timeout=0"));
                }
                let url = format!("https://sfu.example.net{path}{end}");
                for _ in 0..2 {
                    if posted(&mut engine, &url, "", body) == "sent" {
                        told.push(format!("{page}: a token to {url}"));
                    }
                }
            }
        }
    }
    for path in [
        "/_matrix/client/v3/keys/upload",
        "/_matrix/media/v3/create",
        "/_matrix/media/v3/upload",
        "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
        "/_synapse/x",
    ] {
        let mut engine = engine("{}");
        engine.decide("GET", &format!("{HS}/sync?timeout=0"));
        let url = format!("https://is.example.net{path}?mxid=%40a%3Ahs.example.org&token=x");
        if posted(&mut engine, &url, "", "") != "refused" {
            told.push(format!("a Matrix ID to {url}"));
        }
    }
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_server_becomes_ones_own_by_no_sync_that_it_had_sent() {
    let mut engine = engine("{}");
    engine.decide("GET", &format!("{HS}/sync?timeout=0"));
    let foci =
        br#"{"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":"https://evil.example"}]}"#;
    engine.response("GET", "https://evil.example/.well-known/matrix/client", 200, foci);
    let sync = "https://evil.example/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    engine.decide("POST", sync);
    let url = "https://evil.example/get_token";
    assert_eq!(posted(&mut engine, url, "", TOKEN_REQUESTS[0].1), "calls/call-server");
}

#[test]
fn a_homeserver_that_is_a_call_server_too_is_in_a_call_by_a_token_alone() {
    let mut engine = engine("{}");
    let foci = br#"{"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":"https://hs.example.org/livekit"}]}"#;
    let well_known = "https://hs.example.org/.well-known/matrix/client";
    engine.decide("GET", &format!("{HS}/sync?timeout=0"));
    engine.response("GET", well_known, 200, foci);
    let stun = ["stun:turn.matrix.org"];
    for url in [well_known, "https://hs.example.org/livekit/healthz"] {
        engine.decide("GET", url);
        assert_eq!(peer(&mut engine, &stun), Some((true, vec![false], true)), "{url}");
    }
    engine.decide("POST", "https://hs.example.org/livekit/sfu/get");
    assert_eq!(peer(&mut engine, &stun), Some((false, vec![false], false)));
    // Nor is another account's call one's own.
    engine.decide("GET", &format!("{HS}/user/@b:hs.example.org/filter/1"));
    assert_eq!(peer(&mut engine, &stun), Some((true, vec![false], true)));
}

#[test]
fn only_what_a_call_service_is_sent_can_be_agreed_to() {
    let (url, body) = TOKEN_REQUESTS[1];
    let mut engine = engine_at(CALL_FRAME, "{}");
    engine.decide("POST", &format!("{HS}/user/@a:hs.example.org/openid/request_token"));
    let answer = br#"{"access_token":"SECRETsecret1"}"#;
    let path = format!("{HS}/user/@a:hs.example.org/openid/request_token");
    engine.response("POST", &path, 200, answer);
    assert_eq!(posted(&mut engine, url, "", body), "calls/call-server");
    for (url, headers, body) in [
        // The token alone, or somewhere else besides.
        (url, "", r#"{"openid_token":{"access_token":"SECRETsecret1","matrix_server_name":"x"}}"#),
        (url, "", "SECRETsecret1"),
        // A live stream's, without a device (Element's `createStream`).
        (
            url,
            "",
            r#"{"room_id":"!r:x","openid_token":{"access_token":"SECRETsecret1","matrix_server_name":"x"}}"#,
        ),
        (url, "authorization: Bearer SECRETsecret1", body),
        ("https://sfu.example.net/sfu/get?t=SECRETsecret1", "", body),
        // A manager is none by being asked like one.
        ("https://scalar.vector.im/sfu/get", "", body),
        ("https://sfu.example.net/_matrix/integrations/v1/account", "", body),
    ] {
        assert_eq!(posted(&mut engine, url, headers, body), "refused", "{url} {body}");
    }
}

#[test]
fn an_identity_servers_path_is_given_a_token_only_to_sign_up_there() {
    let (_, body) = TOKEN_REQUESTS[1];
    for page in [CALL_FRAME, "https://chat.example.org/app/"] {
        let mut engine = engine_at(page, r#"{"shields":{"identity":"off"}}"#);
        for path in ["v2", "v2/account/register", "api/v1", "v2/lookup"] {
            let url = format!("https://sfu.example.net/_matrix/identity/{path}/sfu/get");
            assert_eq!(posted(&mut engine, &url, "", body), "refused", "{url}");
        }
        let url = "https://is.example.net/_matrix/identity/v2/account/register";
        let token = r#"{"access_token":"SECRETsecret1","matrix_server_name":"hs.example.org"}"#;
        assert_eq!(posted(&mut engine, url, "", token), "sent");
    }
}

#[test]
fn who_does_not_want_to_be_asked_about_call_servers_is_not() {
    let (url, body) = TOKEN_REQUESTS[0];
    for (stored, outcome) in [
        ("{}", "calls/call-server"),
        (r#"{"profile":"strict"}"#, "refused"),
        (r#"{"shields":{"calls":"on"}}"#, "refused"),
        // Nothing to do with calls: a token is stopped wherever it goes.
        (r#"{"shields":{"calls":"flag"}}"#, "refused"),
        (r#"{"shields":{"calls":"off"}}"#, "refused"),
        (r#"{"shields":{"integrations":"off"}}"#, "sent"),
        (r#"{"shields":{"integrations":"flag"}}"#, "sent"),
        (r#"{"shields":{"third-party":"on"}}"#, "refused"),
        (r#"{"allow":{"calls":["sfu.example.net"]}}"#, "sent"),
    ] {
        let mut engine = engine_at(CALL_FRAME, stored);
        assert_eq!(posted(&mut engine, url, "", body), outcome, "{stored}");
    }
    let mut managed = Engine::new(CALL_FRAME);
    let policy = r#"{"shields":{"calls":{"mode":"on","locked":true}}}"#;
    managed.apply_settings(Some(r#"{"shields":{"calls":"ask"}}"#), Some(policy));
    assert_eq!(posted(&mut managed, url, "", body), "refused");
    // Before anybody knows.
    let mut early = Engine::new(CALL_FRAME);
    assert_eq!(posted(&mut early, url, "", body), "refused");
    early.assume_strictest();
    assert_eq!(posted(&mut early, url, "", body), "refused");
}

#[test]
fn ones_own_call_server_is_not_asked_about() {
    let (url, body) = TOKEN_REQUESTS[0];
    let mut engine = engine_at(CALL_FRAME, "{}");
    let foci =
        br#"{"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":"https://sfu.example.net"}]}"#;
    let well_known = "https://hs.example.org/.well-known/matrix/client";
    engine.response("GET", well_known, 200, foci);
    assert_eq!(posted(&mut engine, url, "", body), "sent");
}

#[test]
fn the_window_asks_about_the_call_server_of_its_frame() {
    let prompt = |stored: &str| {
        let mut engine = engine(stored);
        let asked = engine.prompt("call-server:sfu.example.net:8443");
        // The frame's core counts it, with its host.
        assert_eq!(engine.effects(0), []);
        asked.map(|delegate| (delegate.shield, delegate.question.is_some()))
    };
    assert_eq!(prompt("{}"), Some(("calls", true)));
    assert_eq!(prompt(r#"{"shields":{"calls":"on"}}"#), Some(("calls", false)));
    assert_eq!(prompt(r#"{"shields":{"calls":"off"}}"#), None);
    let engine = &mut engine("{}");
    assert!(engine.prompt("https://call-server:8443/").is_none());
}

#[test]
fn a_call_that_was_agreed_to_connects() {
    let (url, body) = TOKEN_REQUESTS[0];
    let mut engine = engine_at(CALL_FRAME, "{}");
    assert_eq!(peer(&mut engine, &[]), Some((true, vec![], true)));
    engine.agree(url);
    assert_eq!(peer(&mut engine, &[]), Some((false, vec![], false)));
    let relay = "turns:sfu.example.net:443";
    assert_eq!(peer(&mut engine, &[relay]), Some((false, vec![true], false)));
    // The core that follows a trapped one knows it too.
    let mut next = engine_at(CALL_FRAME, "{}");
    next.remember(&engine.memory().unwrap());
    assert_eq!(peer(&mut next, &[]), Some((false, vec![], false)));
    assert_eq!(posted(&mut next, url, "", body), "sent");
}

#[test]
fn a_call_through_an_allowed_call_server_connects_as_after_a_yes() {
    let stored = r#"{"allow":{"calls":["sfu.example.net"]}}"#;
    let relay = "turns:sfu.example.net:443";
    for (url, body) in TOKEN_REQUESTS {
        let mut engine = engine_at(CALL_FRAME, stored);
        // Being on the list is no call.
        engine.decide("GET", "https://sfu.example.net/.well-known/element/jitsi");
        engine.decide("POST", "https://sfu.example.net/other");
        engine.decide("POST", &url.replace("example.net", "example.com"));
        assert_eq!(peer(&mut engine, &[]), Some((true, vec![], true)), "{url}");
        assert_eq!(posted(&mut engine, url, "", body), "sent");
        assert_eq!(peer(&mut engine, &[]), Some((false, vec![], false)), "{url}");
        assert_eq!(peer(&mut engine, &[relay]), Some((false, vec![true], false)), "{url}");
        // What a call between two uses stays what it was.
        let mut window = engine_at("https://chat.example.org/app/", stored);
        assert_eq!(posted(&mut window, url, "", body), "sent");
        assert_eq!(peer(&mut window, &[]), Some((true, vec![], true)), "{url}");
    }
    let mut early = Engine::new(CALL_FRAME);
    early.decide("POST", TOKEN_REQUESTS[0].0);
    assert_eq!(peer(&mut early, &[]), Some((true, vec![], true)));
}
