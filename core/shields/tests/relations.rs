//! Which reactions and replies the page is asked to encrypt.

use mantle_shields::Engine;
use mantle_shields::verdict::{Handler, flag};

const HS: &str = "https://hs.example.org/base/_matrix/client/v3";

/// Who takes a request over, by handler and shield.
fn takers(mode: &str, event_type: &str, body: &str) -> Vec<(Handler, &'static str)> {
    let mut engine = Engine::new("https://chat.example.org/app/");
    let settings = format!(r#"{{"version":1,"shields":{{"relations":"{mode}"}}}}"#);
    engine.apply_settings(Some(&settings), None);
    let url = format!("{HS}/rooms/!r:x/send/{event_type}/m1");
    let mut flags = engine.decide("PUT", &url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body("PUT", &url, "", body.as_bytes());
    }
    match flags & flag::DELEGATE {
        0 => Vec::new(),
        _ => engine.take_delegates().iter().map(|one| (one.handler, one.shield)).collect(),
    }
}

const REACTION: &str = r#"{"m.relates_to":{"rel_type":"m.annotation","event_id":"$1","key":"x"}}"#;
const ENCRYPTED: &str = r#"{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"c"}"#;
const REPLY: &str = r#"{"ciphertext":"c","m.relates\u005fto":{"m.in_reply_to":{"event_id":"$1"}}}"#;

#[test]
fn reactions_and_what_encrypted_events_relate_to_go_to_the_page() {
    let ours = vec![(Handler::Relations, "relations")];
    for mode in ["ask", "on"] {
        assert_eq!(takers(mode, "m.reaction", REACTION), ours);
        assert_eq!(takers(mode, "m%2Ereaction", REACTION), ours);
        assert_eq!(takers(mode, "m.room.encrypted", REPLY), ours);
    }
}

#[test]
fn nothing_else_does_and_nothing_where_it_is_off() {
    assert!(takers("on", "m.room.encrypted", ENCRYPTED).is_empty());
    assert!(takers("on", "m.room.message", REACTION).is_empty());
    assert!(takers("on", "m.room.encrypted", "no JSON").is_empty());
    for body in [REACTION, ENCRYPTED, REPLY] {
        assert!(takers("off", "m.reaction", body).is_empty());
        assert!(takers("off", "m.room.encrypted", body).is_empty());
    }
}

#[test]
fn it_is_off_as_recommended_and_on_in_the_strict_profile() {
    let url = format!("{HS}/rooms/!r:x/send/m.reaction/m1");
    for (profile, delegated) in [("recommended", false), ("strict", true)] {
        let mut engine = Engine::new("https://chat.example.org/app/");
        let settings = format!(r#"{{"version":1,"profile":"{profile}"}}"#);
        engine.apply_settings(Some(&settings), None);
        let mut flags = engine.decide("PUT", &url);
        if flags & flag::NEEDS_BODY != 0 {
            flags = engine.decide_body("PUT", &url, "", REACTION.as_bytes());
        }
        assert_eq!(flags & flag::DELEGATE != 0, delegated, "{profile}");
    }
}
