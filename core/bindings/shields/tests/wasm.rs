//! The core inside a real browser: what native tests cannot see (randomness, traps, memory growth).
//!
//! `wasm-pack test --headless --chrome` and `--firefox` in this crate's folder, and scripts/test, run these.
#![cfg(target_arch = "wasm32")]
// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use mantle_room_state::{
    DeviceId, DeviceKeys, OutboundSession, OwnDevice, PickleKey, Request, StateEngine, TypeAndKey,
    encrypt_state,
};
use mantle_shields::verdict::flag;
use mantle_shields::{Effect, Engine};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const LOGIN: &str = "https://hs.example.org/_matrix/client/v3/login";

fn engine() -> Engine {
    let mut engine = Engine::new("https://app.element.io/");
    engine.apply_settings(None, None);
    engine
}

#[wasm_bindgen_test]
fn unrelated_requests_pass() {
    let url = "https://hs.example.org/_matrix/client/v3/rooms/!room:hs.example.org/members";
    assert_eq!(engine().decide("GET", url), 0);
}

#[wasm_bindgen_test]
fn the_integration_manager_gets_a_reply_instead_of_a_request() {
    let mut engine = engine();
    let url = "https://scalar.vector.im/api/register?v=1.1";
    let mut flags = engine.decide("POST", url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body("POST", url, "", b"{}");
    }
    assert_eq!(flags, flag::REPLY);
    let (shield, reply) = engine.take_reply().unwrap();
    assert_eq!(shield, "integrations");
    assert!(reply.status >= 400 && reply.status != 401);
}

#[wasm_bindgen_test]
fn a_login_loses_its_device_name_and_nothing_else() {
    let mut engine = engine();
    let body = br#"{"type":"m.login.password","initial_device_display_name":"chat.example.org: Chrome on Linux"}"#;
    assert_eq!(engine.decide("POST", LOGIN) & flag::NEEDS_BODY, flag::NEEDS_BODY);
    let flags = engine.decide_body("POST", LOGIN, "content-type: application/json", body);
    assert_eq!(flags & flag::REWRITTEN, flag::REWRITTEN);
    let sent = String::from_utf8(engine.take_body().unwrap()).unwrap();
    assert_eq!(sent, r#"{"type":"m.login.password","initial_device_display_name":"Element"}"#);
}

#[wasm_bindgen_test]
fn a_giant_body_grows_the_memory_and_comes_back_whole() {
    let mut engine = engine();
    let padding = "x".repeat(16 << 20);
    let body = format!(r#"{{"pad":"{padding}","initial_device_display_name":"Chrome"}}"#);
    let flags = engine.decide_body("POST", LOGIN, "", body.as_bytes());
    assert_eq!(flags & flag::REWRITTEN, flag::REWRITTEN);
    let sent = String::from_utf8(engine.take_body().unwrap()).unwrap();
    assert_eq!(sent, body.replace("Chrome", "Element"));
}

#[wasm_bindgen_test]
fn what_was_done_is_in_the_ledger_once() {
    let mut engine = engine();
    engine.decide_body("POST", LOGIN, "", br#"{"initial_device_display_name":"Chrome"}"#);
    assert!(engine.is_pending());
    let effects = engine.effects(1_700_000_000_000);
    assert!(matches!(effects.as_slice(), [Effect::Record(_)]));
    assert!(!engine.is_pending());
}

#[wasm_bindgen_test]
fn malformed_input_never_traps() {
    let mut engine = engine();
    for url in [
        "",
        "nonsense",
        "https://",
        "https://[::1",
        "data:,x",
        "https://hs.example.org/_matrix/%ff%fe",
    ] {
        engine.decide("", url);
        engine.decide_body("PUT", url, "\n:\n", &[0xff, 0xfe, 0x00]);
        engine.response("GET", url, 200, &[0xff]);
    }
    let problems = engine.apply_settings(Some(r#"{"version":1,"shields":{"#), Some("[]"));
    assert!(!problems.is_empty());
}

#[wasm_bindgen_test]
fn the_browser_gives_randomness_and_megolm_works() {
    let device = OwnDevice::new(
        DeviceId { user_id: "@alice:hs.example.org", id: "DEVICE" },
        DeviceKeys {
            curve25519: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
            ed25519: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        },
    )
    .unwrap();
    let mut one = OutboundSession::make("!room:hs.example.org", 0);
    let two = OutboundSession::make("!room:hs.example.org", 0);
    assert_ne!(one.session_id(), two.session_id());

    let name = r#"{"name":"secret room"}"#;
    let encrypted =
        encrypt_state(&mut one, &device, TypeAndKey::single("m.room.name"), name).unwrap();
    assert!(!encrypted.content.contains("secret room"));
    assert_eq!(one.message_index(), 1);

    let key: PickleKey = [7; 32];
    let restored = OutboundSession::restore(&one.stored(&key), &key).unwrap();
    assert_eq!(restored.session_id(), one.session_id());
    assert!(OutboundSession::restore(&one.stored(&key), &[8; 32]).is_err());
}

const SYNC: Request<'_> =
    Request { method: "GET", url: "https://hs.example.org/_matrix/client/v3/sync" };
const ENCRYPTED: &str = r#"{"type":"m.room.encrypted","sender":"@a:example.org","event_id":"$e",
    "origin_server_ts":1,"state_key":"m.room.name:","content":{"algorithm":"m.megolm.v1.aes-sha2",
    "session_id":"s","ciphertext":"c","device_id":"D","sender_key":"k"}}"#;
const MEMBER: &str = r#"{"type":"m.room.member","sender":"@a:example.org","event_id":"$m",
    "state_key":"@a:example.org","content":{"membership":"join","displayname":"\\\"}],{[\\"}}"#;

/// So many bytes before the room's only event.
fn sync(before: usize, event: &str) -> String {
    let filler = r#""{}[]","\"","s","sender_k","\\\\","#;
    let filler = filler.repeat(before / filler.len()) + &" ".repeat(before % filler.len());
    format!(
        r#"{{"other":[{filler}0],"rooms":{{"join":{{"!r:example.org":{{"state":{{"events":[{event}]}}}}}}}}}}"#
    )
}

// Native tests have the vector code's stand-in instead.
#[wasm_bindgen_test]
fn encrypted_state_is_seen_wherever_it_stands() {
    let mut engine = StateEngine::new(&[7; 32], "{}").unwrap();
    for before in 0..300 {
        let answer = sync(before, &format!("{MEMBER},{ENCRYPTED},{MEMBER}"));
        let needs = engine.inspect(SYNC, answer.into_bytes()).unwrap();
        assert_eq!(needs.sessions.len(), 1, "{before}");
        engine.drop_answer(needs.answer);
        assert!(engine.inspect(SYNC, sync(before, MEMBER).into_bytes()).is_none());
    }
}

#[wasm_bindgen_test]
fn large_answers_are_taken_in_only_for_encrypted_state() {
    let mut engine = StateEngine::new(&[7; 32], "{}").unwrap();
    for before in 524_100..524_330 {
        for (event, is_taken) in [(ENCRYPTED, true), (MEMBER, false)] {
            let answer = sync(before, event).into_bytes();
            let mut read =
                |at: usize, into: &mut [u8]| into.copy_from_slice(&answer[at..at + into.len()]);
            let mut taken = false;
            let whole = || {
                taken = true;
                Vec::new()
            };
            engine.inspect_there(SYNC, answer.len(), &mut read, whole);
            assert_eq!(taken, is_taken, "{before}");
        }
    }
}
