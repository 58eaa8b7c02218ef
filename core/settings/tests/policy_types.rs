//! Policies as they come: Firefox on Windows hands over numbers for truth, texts for numbers and
//! lists, lists for one value; people write the same by hand.
// A test that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_settings::{
    Change, ChangeError, EffectiveSettings, ImportError, Item, Mode, OptionInfo, OptionKind,
    OptionValue, Profile, Settable, Source, change, import,
};
use mantle_wire::state_types::{CALL_TYPES, ENCRYPTED_TYPE, PROTOCOL_TYPES, SERVER_TYPES};

const fn option(key: &'static str, kind: OptionKind, default: &'static str) -> OptionInfo {
    OptionInfo { key, title: "Title", kind, default, why: "test" }
}

const SETTABLE: [Settable; 3] = [
    Settable {
        id: "calls",
        modes: &Mode::PLAIN,
        options: &[
            option("direct", OptionKind::Flag, "false"),
            option("days", OptionKind::Number { min: 0, max: 90 }, "7"),
            option("rooms", OptionKind::Choice(&[("on", "On"), ("off", "Off")]), r#""on""#),
            option("types", OptionKind::List { max: 3, item: Item::Type }, "[]"),
            option("hosts", OptionKind::List { max: 3, item: Item::Host }, "[]"),
            option("state", OptionKind::List { max: 3, item: Item::State }, "[]"),
            option("note", OptionKind::Text { max: 5 }, r#""""#),
        ],
        has_list: true,
    },
    Settable { id: "media", modes: &Mode::ALL, options: &[], has_list: true },
    Settable {
        id: "captcha",
        modes: &[Mode::Off, Mode::Flag, Mode::Ask],
        options: &[],
        has_list: false,
    },
];

const OFF: &str = r#"{"version":1,"shields":{"calls":"off","media":"off","captcha":"off"},"profile":"recommended","deviceName":"Mine","options":{"calls":{"direct":true,"days":1}}}"#;

fn read(policy: &str) -> EffectiveSettings {
    EffectiveSettings::read(Some(OFF), Some(policy)).checked(SETTABLE.into_iter())
}

fn warnings(settings: &EffectiveSettings) -> Vec<String> {
    settings.warnings().to_vec()
}

#[test]
fn a_lock_holds_in_every_way_it_can_be_written() {
    for locked in ["true", "1", r#""1""#, r#""true""#, r#""True""#, r#"" yes ""#, "[1]", "[[true]]"]
    {
        let settings =
            read(&format!(r#"{{"shields":{{"calls":{{"mode":"on","locked":{locked}}}}}}}"#));
        let mode = settings.mode("calls", Mode::On);
        assert_eq!(
            (mode.value, mode.source, mode.locked),
            (Mode::On, Source::Policy, true),
            "{locked}"
        );
        assert_eq!(warnings(&settings), [] as [&str; 0], "{locked}");
    }
    for unlocked in ["false", "0", r#""0""#, r#""false""#, r#""No""#, "[0]"] {
        let settings =
            read(&format!(r#"{{"shields":{{"calls":{{"mode":"on","locked":{unlocked}}}}}}}"#));
        let mode = settings.mode("calls", Mode::On);
        assert_eq!(
            (mode.value, mode.source, mode.locked),
            (Mode::Off, Source::User, false),
            "{unlocked}"
        );
        assert_eq!(warnings(&settings), [] as [&str; 0], "{unlocked}");
    }
}

#[test]
fn a_lock_that_says_neither_holds_and_is_named() {
    for locked in ["2", "-1", r#""""#, r#""perhaps""#, "{}", "[]", "[1,0]", "null", "1.5", "1e400"]
    {
        let settings =
            read(&format!(r#"{{"shields":{{"calls":{{"mode":"on","locked":{locked}}}}}}}"#));
        let mode = settings.mode("calls", Mode::On);
        assert_eq!((mode.value, mode.locked), (Mode::On, true), "{locked}");
        let [problem] = settings.warnings() else { panic!("{locked}: {:?}", settings.warnings()) };
        assert!(problem.contains("“shields.calls”"), "{problem}");
    }
}

#[test]
fn a_lock_under_another_name_holds_and_is_named() {
    for key in ["Locked", "LOCKED", "lock", "isLocked", "locked "] {
        let settings = read(&format!(r#"{{"shields":{{"calls":{{"mode":"on","{key}":1}}}}}}"#));
        assert!(settings.mode("calls", Mode::On).locked, "{key}");
        assert_eq!(settings.warnings().len(), 1, "{key}");
    }
    // Any other key is named, and changes nothing.
    let settings = read(r#"{"shields":{"calls":{"mode":"flag","comment":"x","locked":1}}}"#);
    assert_eq!(settings.mode("calls", Mode::On).value, Mode::Flag);
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn what_is_locked_but_cannot_be_read_is_not_the_persons_to_weaken() {
    for mode in [r#""onn""#, "7", "null", "{}", r#""ask""#, r#"["on","off"]"#] {
        let settings =
            read(&format!(r#"{{"shields":{{"calls":{{"mode":{mode},"locked":true}}}}}}"#));
        let found = settings.mode("calls", Mode::On);
        assert_eq!((found.value, found.locked), (Mode::On, true), "{mode}");
        assert_eq!(settings.warnings().len(), 1, "{mode}");
        // What the person chose is stronger than the default.
        let own = EffectiveSettings::read(
            Some(r#"{"shields":{"calls":"on"}}"#),
            Some(&format!(r#"{{"shields":{{"calls":{{"mode":{mode},"locked":true}}}}}}"#)),
        );
        let own = own.checked(SETTABLE.into_iter()).mode("calls", Mode::Off);
        assert_eq!((own.value, own.locked), (Mode::On, true), "{mode}");
    }
    let settings = read(r#"{"shields":{"calls":{"locked":1}}}"#);
    assert!(settings.mode("calls", Mode::On).locked);
    assert_eq!(settings.mode("calls", Mode::On).value, Mode::On);
    // A mode the shield does not offer.
    let settings = read(r#"{"shields":{"captcha":{"mode":"on","locked":1}}}"#);
    let captcha = settings.mode("captcha", Mode::Ask);
    assert_eq!((captcha.value, captcha.locked), (Mode::Ask, true));
    assert_eq!(settings.warnings().len(), 1);

    let settings = read(
        r#"{"profile":{"value":"strickt","locked":1},"deviceName":{"value":"","locked":"1"}}"#,
    );
    assert_eq!((settings.profile().value, settings.profile().locked), (Profile::Recommended, true));
    assert_eq!((settings.device_name().value, settings.device_name().locked), ("Element", true));
    assert_eq!(settings.warnings().len(), 2);

    let settings = read(
        r#"{"options":{"calls":{"direct":{"value":"maybe","locked":1},"days":{"value":900,"locked":1}}}}"#,
    );
    let direct = settings.option("calls", "direct").unwrap();
    assert_eq!((&direct.value, direct.locked), (&OptionValue::Flag(false), true));
    let days = settings.option("calls", "days").unwrap();
    assert_eq!((&days.value, days.locked), (&OptionValue::Number(7), true));
    assert_eq!(settings.warnings().len(), 2);
}

#[test]
fn modes_are_read_in_every_way_that_means_one_thing() {
    for (written, mode) in [
        (r#""On""#, Mode::On),
        (r#"" on ""#, Mode::On),
        // What YAML makes of `mode: on` and `mode: off`.
        ("true", Mode::On),
        ("false", Mode::Off),
        ("1", Mode::On),
        (r#"["flag"]"#, Mode::Flag),
        (r#""FLAG""#, Mode::Flag),
    ] {
        for policy in [
            format!(r#"{{"shields":{{"calls":{{"mode":{written},"locked":1}}}}}}"#),
            format!(r#"{{"shields":{{"calls":[{{"mode":{written},"locked":1}}]}}}}"#),
        ] {
            let settings = read(&policy);
            assert_eq!(settings.mode("calls", Mode::On).value, mode, "{policy}");
            assert_eq!(warnings(&settings), [] as [&str; 0], "{policy}");
        }
        let stored = r#"{"version":1}"#;
        let plain = format!(r#"{{"shields":{{"calls":{written}}}}}"#);
        let settings =
            EffectiveSettings::read(Some(stored), Some(&plain)).checked(SETTABLE.into_iter());
        assert_eq!(settings.mode("calls", Mode::Ask).value, mode, "{plain}");
    }
}

#[test]
fn options_are_read_in_every_way_that_means_one_thing() {
    let flag = OptionValue::Flag;
    let texts = |texts: &[&str]| OptionValue::List(texts.iter().map(|&text| text.into()).collect());
    for (key, written, value) in [
        ("direct", "1", flag(true)),
        ("direct", r#""true""#, flag(true)),
        ("direct", "[0]", flag(false)),
        ("days", r#""30""#, OptionValue::Number(30)),
        ("days", "[30]", OptionValue::Number(30)),
        ("days", r#"" 30 ""#, OptionValue::Number(30)),
        ("rooms", r#""OFF""#, OptionValue::Text("off".into())),
        ("rooms", "false", OptionValue::Text("off".into())),
        ("rooms", "1", OptionValue::Text("on".into())),
        ("note", "7", OptionValue::Text("7".into())),
        ("types", r#""m.room.name""#, texts(&["m.room.name"])),
        ("types", r#"{"1":"a.b","2":"c"}"#, texts(&["a.b", "c"])),
        ("hosts", r#""A.example, b.example:8448""#, texts(&["a.example", "b.example:8448"])),
        ("hosts", "\"a.example\\nb.example\"", texts(&["a.example", "b.example"])),
        ("hosts", r#"["a.example\u0000"]"#, texts(&["a.example"])),
    ] {
        let settings = read(&format!(
            r#"{{"options":{{"calls":{{"{key}":{{"value":{written},"locked":1}}}}}}}}"#
        ));
        let found = settings.option("calls", key).unwrap();
        assert_eq!((&found.value, found.locked), (&value, true), "{key} {written}");
        assert_eq!(warnings(&settings), [] as [&str; 0], "{key} {written}");
    }
}

#[test]
fn a_bad_entry_of_a_list_costs_itself_only_and_is_named() {
    for (stored, policy) in [
        (None, Some(r#"{"options":{"calls":{"hosts":["a.example","a%b",7,"b.example"]}}}"#)),
        (Some(r#"{"options":{"calls":{"hosts":["a.example","a%b",7,"b.example"]}}}"#), None),
    ] {
        let settings = EffectiveSettings::read(stored, policy).checked(SETTABLE.into_iter());
        assert_eq!(settings.option_list("calls", "hosts"), ["a.example", "b.example"]);
        assert_eq!(settings.warnings().len(), 1);
    }
    // Nor does one too many cost the first.
    let many = r#"{"options":{"calls":{"hosts":["a","b","c","d"]}}}"#;
    let settings = EffectiveSettings::read(None, Some(many)).checked(SETTABLE.into_iter());
    assert_eq!(settings.option_list("calls", "hosts"), ["a", "b", "c"]);
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn lists_of_hosts_are_read_in_every_way_that_means_one_thing() {
    for list in [
        r#"["turn.example","b.example:5"]"#,
        r#""turn.example b.example:5""#,
        r#""turn.example,b.example:5""#,
        r#"{"1":"turn.example","2":"b.example:5"}"#,
        r#""[\"turn.example\",\"b.example:5\"]""#,
    ] {
        let settings = read(&format!(r#"{{"allow":{{"calls":{list}}}}}"#));
        assert!(settings.is_allowed("calls", "turn.example:443"), "{list}");
        assert!(settings.is_allowed("calls", "b.example:5"), "{list}");
        assert!(!settings.is_allowed("calls", "b.example"), "{list}");
        assert_eq!(warnings(&settings), [] as [&str; 0], "{list}");
    }
    let settings = read(r#"{"allow":{"calls":7,"media":["ok.example","*.example"]}}"#);
    assert!(settings.is_allowed("media", "ok.example"));
    assert_eq!(settings.warnings().len(), 2);
}

#[test]
fn json_text_for_an_object_is_read() {
    for policy in [
        r#"{"shields":"{\"calls\":{\"mode\":\"on\",\"locked\":true}}"}"#,
        r#"{"shields":{"calls":"{\"mode\":\"on\",\"locked\":1}"}}"#,
        r#"{"shields":[{"calls":{"mode":"on","locked":1}}]}"#,
    ] {
        let settings = read(policy);
        assert!(settings.mode("calls", Mode::On).locked, "{policy}");
        assert_eq!(warnings(&settings), [] as [&str; 0], "{policy}");
    }
    let settings = read(r#"{"shields":"{\"calls\":","profile":{"value":"strict","locked":1}}"#);
    assert_eq!(settings.profile().value, Profile::Strict);
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn sites_are_read_in_every_way_that_means_one_thing() {
    for sites in [
        r#"["https://a.example","https://b.example/element"]"#,
        r#""https://a.example https://b.example/element""#,
        r#"{"1":"https://a.example","2":"https://b.example/element"}"#,
    ] {
        let settings = read(&format!(r#"{{"sites":{sites}}}"#));
        assert_eq!(warnings(&settings), [] as [&str; 0], "{sites}");
    }
    // Any loopback origin is a secure context.
    for site in [
        "http://localhost:8080",
        "http://localhost",
        "http://element.localhost/app",
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://[::1]:8080",
    ] {
        let settings = read(&format!(r#"{{"sites":["{site}"]}}"#));
        assert_eq!(warnings(&settings), [] as [&str; 0], "{site}");
    }
    for site in [
        "http://localhost.example",
        "http://128.0.0.1",
        "http://[::2]",
        "http://10.0.0.1",
        "https://*.example.org",
        "https://a%25b",
        "ftp://localhost",
        "https://a.example:0",
        "https://a.example:99999",
    ] {
        let settings = read(&format!(r#"{{"sites":["{site}"]}}"#));
        assert_eq!(settings.warnings().len(), 1, "{site}");
    }
}

#[test]
fn the_persons_own_settings_are_read_as_mantle_writes_them() {
    let stored = r#"{"shields":{"calls":true,"media":{"mode":"flag","later":1}},"options":{"calls":{"direct":1}}}"#;
    let settings = EffectiveSettings::read(Some(stored), None).checked(SETTABLE.into_iter());
    assert_eq!(settings.mode("calls", Mode::On).source, Source::Default);
    assert_eq!(settings.mode("media", Mode::On).value, Mode::Flag);
    assert!(!settings.option_flag("calls", "direct"));
    assert_eq!(settings.warnings().len(), 2);
}

fn never_encrypted() -> Vec<&'static str> {
    [&PROTOCOL_TYPES[..], &SERVER_TYPES, &CALL_TYPES, &[ENCRYPTED_TYPE]].concat()
}

#[test]
fn state_that_somebody_needs_readable_is_named_and_costs_the_list_nothing_else() {
    for kind in never_encrypted() {
        let list = format!(r#"["m.room.avatar"," {kind} ","org.example.plan","{kind}"]"#);
        let layer = format!(r#"{{"options":{{"calls":{{"state":{list}}}}}}}"#);
        for (stored, policy, whose) in [
            (Some(&*layer), None, "your saved settings"),
            (None, Some(&*layer), "your organisation's policy"),
        ] {
            let settings = EffectiveSettings::read(stored, policy).checked(SETTABLE.into_iter());
            let kept = settings.option_list("calls", "state");
            assert_eq!(kept, ["m.room.avatar", "org.example.plan"], "{kind} in {whose}");
            let [problem] = settings.warnings() else { panic!("{:?}", settings.warnings()) };
            let about = format!("“{kind}” in {whose} cannot be encrypted, because ");
            assert!(problem.starts_with(&about), "{problem}");
        }
    }
    // What is wrong besides is named besides.
    let several = r#"{"options":{"calls":{"state":["m.call.member","a:b","m.room.member","c"]}}}"#;
    let settings = EffectiveSettings::read(None, Some(several)).checked(SETTABLE.into_iter());
    assert_eq!(settings.option_list("calls", "state"), ["c"]);
    let [readable, other] = settings.warnings() else { panic!("{:?}", settings.warnings()) };
    assert!(readable.contains("“m.call.member, m.room.member”"), "{readable}");
    assert!(other.contains("“options.calls.state”"), "{other}");
}

#[test]
fn a_policy_that_lists_such_state_in_one_text_or_under_a_lock_is_read_alike() {
    for list in [
        r#""m.room.avatar m.call.member""#,
        r#""[\"m.call.member\",\"m.room.avatar\"]""#,
        r#"{"value":["m.room.avatar","m.call.member"],"locked":true}"#,
    ] {
        let settings = read(&format!(r#"{{"options":{{"calls":{{"state":{list}}}}}}}"#));
        assert_eq!(settings.option_list("calls", "state"), ["m.room.avatar"], "{list}");
        assert_eq!(settings.warnings().len(), 1, "{list}");
        assert_eq!(settings.option("calls", "state").unwrap().locked, list.contains("locked"));
    }
}

#[test]
fn a_person_is_told_why_a_type_is_not_taken_and_nothing_is_changed() {
    let set = |list: &str| {
        let value = Some(list.to_owned());
        let one = Change::Option { shield: "calls".into(), key: "state".into(), value };
        change(Some(OFF), None, one, &SETTABLE)
    };
    assert!(set(r#"["m.room.avatar","m.room.name"]"#).is_ok());
    for kind in never_encrypted() {
        let list = format!(r#"["m.room.avatar","{kind}"]"#);
        assert_eq!(set(&list), Err(ChangeError::Readable(kind.to_owned())));
    }
    // All of them at once, so that nobody takes them off one by one.
    let all = set(r#"["m.call","a b","m.room.member","m.call"]"#);
    assert_eq!(all, Err(ChangeError::Readable("m.call, m.room.member".to_owned())));
    assert_eq!(set(r#"["m.room.avatar","a:b"]"#), Err(ChangeError::Type("a:b".to_owned())));
    assert_eq!(set(r#"["a","b","c","d"]"#), Err(ChangeError::Value("Title".to_owned())));

    let file = |list: &str| {
        let file = format!(r#"{{"version":1,"options":{{"calls":{{"state":{list}}}}}}}"#);
        import(Some(OFF), &file, &SETTABLE)
    };
    assert!(file(r#"["m.room.avatar"]"#).is_ok());
    let refused = file(r#"["m.room.avatar","m.call.member"]"#);
    assert_eq!(refused, Err(ImportError::Readable("m.call.member".to_owned())));
    assert_eq!(file(r#"["a:b"]"#), Err(ImportError::Value("a:b".to_owned())));
}
