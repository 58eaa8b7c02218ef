//! Settings: what can be set, what a person and an organisation set, and what follows from it.
//!
//! The stored form is versioned and read leniently: what cannot be read is
//! ignored, the safe default holds, and a sentence says so.

mod change;
mod coerce;
mod effective;
mod import;
mod layer;
mod schema;
pub mod validate;

pub use change::{Change, ChangeError, change};
pub use effective::{EffectiveSettings, InForce, Source};
pub use import::{ImportError, MAX_IMPORT, import};
pub use schema::{
    DEFAULT_DEVICE_NAME, GENERAL, GENERAL_OPTIONS, Item, Mode, OptionInfo, OptionKind, OptionValue,
    Profile, Settable, general,
};
pub use validate::{MAX_DEVICE_NAME, Site};

#[cfg(test)]
mod tests {
    use super::change as change_with;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn change(
        stored: Option<&str>,
        managed: Option<&str>,
        change: Change,
    ) -> Result<String, ChangeError> {
        change_with(stored, managed, change, &SETTABLE)
    }

    const TYPES: OptionKind = OptionKind::List { max: 3, item: Item::Type };
    const SETTABLE: [Settable; 1] = [Settable {
        id: "media",
        modes: &Mode::ALL,
        options: &[
            OptionInfo { key: "types", title: "Types", kind: TYPES, default: "[]", why: "test" },
            OptionInfo {
                key: "rooms",
                title: "Rooms",
                kind: OptionKind::Choice(&[("on", "On"), ("off", "Off")]),
                default: r#""on""#,
                why: "test",
            },
        ],
        has_list: false,
    }];

    fn read(stored: Option<&str>, managed: Option<&str>) -> EffectiveSettings {
        EffectiveSettings::read(stored, managed).checked(SETTABLE.into_iter())
    }

    #[test]
    fn options_are_checked_and_locked() {
        let stored = r#"{"options":{"media":{"types":["a.b"],"rooms":"off","later":1},"other":{"x":1}},"shields":{"media":"ask"}}"#;
        let policy = read(Some(stored), None);
        assert_eq!(policy.option_list("media", "types"), ["a.b"]);
        assert_eq!(policy.option_str("media", "rooms"), "off");
        assert_eq!(policy.mode("media", Mode::On).value, Mode::Ask);
        assert_eq!(policy.warnings(), [] as [String; 0]);

        let managed = r#"{"options":{"media":{"rooms":{"value":"on","locked":true},"types":["c"]}},"profile":{"value":"strict","locked":true}}"#;
        let policy = read(Some(stored), Some(managed));
        assert_eq!(policy.option_str("media", "rooms"), "on");
        assert_eq!(policy.option_list("media", "types"), ["a.b"]);
        assert_eq!(policy.profile().value, Profile::Strict);

        // A locked shield's options are not the user's either.
        let managed = r#"{"shields":{"media":{"mode":"on","locked":true}}}"#;
        assert_eq!(read(Some(stored), Some(managed)).option_str("media", "rooms"), "on");

        let bad = r#"{"options":{"media":{"types":"a","rooms":"on"}},"profile":"loud"}"#;
        let policy = read(Some(bad), None);
        assert_eq!(policy.option_list("media", "types"), [] as [String; 0]);
        assert_eq!(policy.option_str("media", "rooms"), "on");
        assert_eq!(policy.warnings().len(), 2);
    }

    #[test]
    fn slips_of_an_administrator_are_named() {
        let managed = r#"{"shields":{"medai":"on"},"options":{"media":{"type":["a"]},"x":{"y":1}},"allow":{"media":["a.example"]},"devicename":"x","sites":["http://a.example"]}"#;
        let problems = read(None, Some(managed)).warnings().join("\n");
        for key in [
            "shields.medai",
            "options.media.type",
            "options.x.y",
            "allow.media",
            "devicename",
            "sites",
        ] {
            assert!(problems.contains(&format!("“{key}”")), "{key} in {problems}");
        }
        // What a user stored may come from a later version.
        assert_eq!(read(Some(managed), None).warnings().len(), 1);
        for sites in [r#"["https://a.example","https://b.example/element"]"#, "[]"] {
            let managed = format!(r#"{{"sites":{sites}}}"#);
            assert_eq!(read(None, Some(&managed)).warnings(), [] as [String; 0], "{sites}");
        }
        for site in ["a.example", "https://", "https://a b/", "https://u@a.example", "https://a/?q"]
        {
            let managed = format!(r#"{{"sites":["{site}"]}}"#);
            assert_eq!(read(None, Some(&managed)).warnings().len(), 1, "{site}");
        }
    }

    #[test]
    fn options_change_only_to_what_they_take() {
        let set = |key: &str, value: Option<&str>| Change::Option {
            shield: "media".into(),
            key: key.into(),
            value: value.map(str::to_owned),
        };
        let stored = change(None, None, set("types", Some(r#"[ "a.b" ]"#))).unwrap();
        assert_eq!(stored, r#"{"version":1,"options":{"media":{"types":["a.b"]}}}"#);
        let back = change(Some(&stored), None, set("types", None)).unwrap();
        assert_eq!(read(Some(&back), None).option_list("media", "types"), [] as [String; 0]);
        assert!(matches!(change(None, None, set("types", Some("7"))), Err(ChangeError::Value(_))));
        assert!(matches!(change(None, None, set("no", Some("7"))), Err(ChangeError::Value(_))));
        let managed = Some(r#"{"options":{"media":{"rooms":{"value":"on","locked":true}}}}"#);
        let off = set("rooms", Some(r#""off""#));
        assert_eq!(change(None, managed, off), Err(ChangeError::Locked));
        let ask = Change::Mode { shield: "identity".into(), mode: Some(Mode::Ask) };
        assert!(matches!(change(None, None, ask), Err(ChangeError::Value(_))));
        let strict = Change::Profile { profile: Some(Profile::Strict) };
        let stored = change(None, None, strict).unwrap();
        assert_eq!(read(Some(&stored), None).profile().value, Profile::Strict);
    }

    #[test]
    fn policy_beats_user_only_when_locked() {
        let user = r#"{"version":1,"shields":{"identity":"off","integrations":"off"}}"#;
        let managed = r#"{"shields":{"identity":{"mode":"on","locked":true},"integrations":"flag","device-name":"flag"}}"#;
        let policy = EffectiveSettings::read(Some(user), Some(managed));
        assert_eq!(
            policy.mode("identity", Mode::On),
            InForce { value: Mode::On, source: Source::Policy, locked: true }
        );
        assert_eq!(
            policy.mode("integrations", Mode::On),
            InForce { value: Mode::Off, source: Source::User, locked: false }
        );
        assert_eq!(
            policy.mode("device-name", Mode::On),
            InForce { value: Mode::Flag, source: Source::Policy, locked: false }
        );
        assert_eq!(policy.mode("config", Mode::On).source, Source::Default);
        assert_eq!(policy.warnings(), [] as [String; 0]);
    }

    #[test]
    fn broken_settings_are_defaults_and_one_sentence() {
        for text in ["", "{", "[]", "{\"version\":1,\"shields\":{\"ident", "\u{0}", "null"] {
            let policy = EffectiveSettings::read(Some(text), None);
            assert_eq!(policy.mode("identity", Mode::On).value, Mode::On, "{text}");
            assert_eq!(policy.warnings().len(), 1, "{text}");
        }
    }

    #[test]
    fn one_bad_key_spoils_only_itself() {
        let policy = EffectiveSettings::read(
            Some(
                r#"{"version":1,"shields":{"identity":"loud","config":"off"},"deviceName":7,"allow":{"identity":["ok.example","no slash/"]}}"#,
            ),
            None,
        );
        assert_eq!(policy.mode("identity", Mode::On).source, Source::Default);
        assert_eq!(policy.mode("config", Mode::On).value, Mode::Off);
        assert_eq!(policy.device_name().value, DEFAULT_DEVICE_NAME);
        assert!(policy.is_allowed("identity", "ok.example"));
        assert_eq!(policy.warnings().len(), 3);
    }

    #[test]
    fn changes_keep_what_they_do_not_name() {
        let stored = r#"{"version":9,"future":{"x":1},"shields":{"identity":"off"}}"#;
        let next = change(
            Some(stored),
            None,
            Change::Mode { shield: "config".into(), mode: Some(Mode::Flag) },
        )
        .unwrap();
        let next: Value = serde_json::from_str(&next).unwrap();
        assert_eq!(
            next,
            serde_json::json!({"version":9,"future":{"x":1},"shields":{"identity":"off","config":"flag"}})
        );
        let first =
            change(None, None, Change::DeviceName { value: Some(" Desk ".into()) }).unwrap();
        assert_eq!(first, r#"{"version":1,"deviceName":"Desk"}"#);
        assert_eq!(
            change(Some(&first), None, Change::DeviceName { value: None }).unwrap(),
            r#"{"version":1}"#
        );
    }

    #[test]
    fn changes_are_refused_with_a_sentence() {
        let managed = Some(
            r#"{"shields":{"identity":{"mode":"on","locked":true}},"deviceName":{"value":"Clinic","locked":true}}"#,
        );
        let off = Change::Mode { shield: "identity".into(), mode: Some(Mode::Off) };
        assert_eq!(change(None, managed, off), Err(ChangeError::Locked));
        let hosts = vec!["is.example".to_owned()];
        let allow = Change::Allow { shield: "identity".into(), hosts };
        assert_eq!(change(None, managed, allow), Err(ChangeError::Locked));
        // Nor does an older list of the user's open what is locked now.
        let stored = r#"{"version":1,"allow":{"identity":["is.example"]}}"#;
        assert!(
            !EffectiveSettings::read(Some(stored), managed).is_allowed("identity", "is.example")
        );
        assert_eq!(
            change(None, managed, Change::DeviceName { value: Some("x".into()) }),
            Err(ChangeError::Locked)
        );
        assert_eq!(
            change(None, None, Change::DeviceName { value: Some(" ".into()) }),
            Err(ChangeError::DeviceName)
        );
        let hosts = vec!["https://x/".to_owned()];
        assert!(matches!(
            change(None, None, Change::Allow { shield: "identity".into(), hosts }),
            Err(ChangeError::Host(_))
        ));
    }

    #[test]
    fn allowed_hosts_match_with_and_without_port() {
        let stored = change(
            None,
            None,
            Change::Allow {
                shield: "identity".into(),
                hosts: vec!["IS.example.org".into(), "b.example:8090".into(), "[::1]:5".into()],
            },
        )
        .unwrap();
        let policy = EffectiveSettings::read(Some(&stored), None);
        for (host, allowed) in [
            ("is.example.org", true),
            ("is.example.org:8090", true),
            ("b.example:8090", true),
            ("b.example", false),
            ("[::1]:5", true),
            ("x", false),
        ] {
            assert_eq!(policy.is_allowed("identity", host), allowed, "{host}");
        }
        assert!(!policy.is_allowed("integrations", "is.example.org"));
    }

    proptest! {
        #[test]
        fn truncated_settings_never_panic(cut in 0usize..120) {
            let whole = r#"{"version":1,"shields":{"identity":"off"},"deviceName":"Büro","allow":{"identity":["is.example"]},"sites":["https://a"]}"#;
            let cut = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
            let policy = EffectiveSettings::read(whole.get(..cut), None);
            prop_assert!(cut == whole.len() || policy.warnings().len() == 1);
        }
    }
}
