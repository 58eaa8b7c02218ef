//! Which names in one room the page is asked to encrypt.

use mantle_shields::Engine;
use mantle_shields::verdict::{Handler, flag};

const MEMBER: &str =
    "https://hs.example.org/base/_matrix/client/v3/rooms/!r:x/state/m.room.member/@a:x";
const BODY: &[u8] = br#"{"membership":"join","displayname":"Rosa"}"#;

/// Who takes a request over, by handler and shield, in order.
fn takers(settings: &str, url: &str) -> Vec<(Handler, &'static str)> {
    let mut engine = Engine::new("https://chat.example.org/app/");
    engine.apply_settings(Some(settings), None);
    let mut flags = engine.decide("PUT", url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body("PUT", url, "", BODY);
    }
    match flags & flag::DELEGATE {
        0 => Vec::new(),
        _ => engine.take_delegates().iter().map(|one| (one.handler, one.shield)).collect(),
    }
}

fn with_mode(mode: &str) -> String {
    format!(r#"{{"version":1,"shields":{{"room-nicknames":"{mode}"}}}}"#)
}

#[test]
fn it_is_encrypted_before_anybody_is_asked_about_what_stays_readable() {
    let both = [(Handler::State, "room-nicknames"), (Handler::Ask, "profile")];
    for url in [MEMBER, &MEMBER.replace("m.room.member", "m%2Eroom.member")] {
        assert_eq!(takers(&with_mode("on"), url), both);
    }
}

#[test]
fn off_the_question_alone_is_left_and_other_state_is_none_of_it() {
    assert_eq!(takers(&with_mode("off"), MEMBER), [(Handler::Ask, "profile")]);
    let name = MEMBER.replace("m.room.member/@a:x", "m.room.power_levels");
    assert_eq!(takers(&with_mode("on"), &name), []);
}

#[test]
fn it_is_off_as_recommended_and_on_in_the_strict_profile() {
    for (profile, is_on) in [("recommended", false), ("strict", true)] {
        let settings = format!(r#"{{"version":1,"profile":"{profile}"}}"#);
        let has = takers(&settings, MEMBER).iter().any(|(_, shield)| *shield == "room-nicknames");
        assert_eq!(has, is_on, "{profile}");
    }
}
