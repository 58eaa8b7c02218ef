//! What the shield's settings say reaches encrypted state in the words of the shield.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use mantle_room_state::{EncryptedTypes, NewRooms, StateSettings, Trust};
use mantle_shields::Engine;
use proptest::prelude::*;

fn read(stored: &str, managed: Option<&str>) -> StateSettings {
    let mut core = Engine::new("https://app.element.io/");
    core.apply_settings(Some(stored), managed);
    StateSettings::read(&core.shield_settings("encrypted-state").unwrap())
}

fn chosen(new_rooms: &str, trust: &str, types: &str) -> StateSettings {
    let options = format!(r#"{{"newRooms":"{new_rooms}","trust":"{trust}","types":{types}}}"#);
    read(&format!(r#"{{"version":1,"options":{{"encrypted-state":{options}}}}}"#), None)
}

#[test]
fn every_choice_of_the_shield_is_understood() {
    for (word, meant) in [("on", NewRooms::On), ("ask", NewRooms::Ask), ("off", NewRooms::Off)] {
        assert_eq!(chosen(word, "all", "[]").new_rooms, meant);
    }
    for (word, meant) in [("all", Trust::All), ("cross-signed", Trust::CrossSigned)] {
        assert_eq!(chosen("on", word, "[]").trust, meant);
    }
    let chosen = chosen("on", "all", r#"["m.room.avatar","org.example.\u0061"]"#);
    let (types, refused) = EncryptedTypes::with_additions(["m.room.avatar", "org.example.a"]);
    assert_eq!((chosen.types, refused.len()), (types, 0));
}

#[test]
fn policy_goes_before_the_person() {
    let stored = r#"{"version":1,"options":{"encrypted-state":{"trust":"all"}}}"#;
    let managed = r#"{"version":1,"options":{"encrypted-state":
        {"trust":{"value":"cross-signed","locked":true}}}}"#;
    assert_eq!(read(stored, None).trust, Trust::All);
    assert_eq!(read(stored, Some(managed)).trust, Trust::CrossSigned);
}

#[test]
fn until_settings_come_only_signed_devices_get_keys() {
    let mut core = Engine::new("https://app.element.io/");
    let told =
        |core: &Engine| StateSettings::read(&core.shield_settings("encrypted-state").unwrap());
    assert_eq!(told(&core).trust, Trust::CrossSigned);
    core.assume_strictest();
    assert_eq!(told(&core).trust, Trust::CrossSigned);
    assert_eq!(told(&core).new_rooms, NewRooms::On);
    core.apply_settings(None, None);
    assert_eq!(told(&core).trust, Trust::All);
}

#[test]
fn what_is_not_said_is_as_the_shield_has_it() {
    let default = read("{}", None);
    for text in ["", "{}", "[]", r#"{"options":[]}"#, r#"{"options":{"types":[1],"trust":2}}"#] {
        let settings = StateSettings::read(text);
        assert_eq!(settings.types, default.types, "{text}");
        assert_eq!(settings.new_rooms, default.new_rooms, "{text}");
        assert_eq!(settings.trust, default.trust, "{text}");
    }
}

#[test]
fn a_type_that_must_stay_readable_is_left_out_alone() {
    let text = r#"{"options":{"types":["m.room.member","org.example.plan","a:b"]}}"#;
    let (types, _) = EncryptedTypes::with_additions(["org.example.plan"]);
    assert_eq!(StateSettings::read(text).types, types);
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in ".{0,200}") {
        let _ = StateSettings::read(&text);
    }
}
