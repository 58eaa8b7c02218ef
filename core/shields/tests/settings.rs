//! Stored settings of every earlier version, kept in `vectors/settings`, mean today what they
//! meant then, and a change keeps all it does not name.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use mantle_settings::{Change, Mode};
use mantle_shields::overview::{change, describe};
use serde_json::{Map, Value};
use std::path::Path;

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/settings");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            cases.push((format!("{file}: {}", case["name"]), case.clone()));
        }
    }
    cases
}

fn member(case: &Value, key: &str) -> Map<String, Value> {
    case.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

#[test]
fn every_stored_form_still_means_the_same() {
    let cases = cases();
    assert!(cases.len() >= 3, "the vectors are gone");
    for (name, case) in cases {
        let stored = case["stored"].as_str().unwrap();
        let view = serde_json::to_value(describe(Some(stored), None)).unwrap();
        assert_eq!(view["problems"], Value::Array(Vec::new()), "{name}");
        for (shield, mode) in member(&case, "modes") {
            let shown = view["shields"].as_array().unwrap().iter().find(|row| row["id"] == *shield);
            assert_eq!(shown.unwrap()["mode"], mode, "{name}: {shield}");
        }
        assert_eq!(view["deviceName"]["value"], case["deviceName"], "{name}");
        if let Some(profile) = case.get("profile") {
            assert_eq!(view["profile"]["value"], *profile, "{name}");
        }
        for (shield, hosts) in member(&case, "allow") {
            assert_eq!(view["ownAllow"][&shield], hosts, "{name}: {shield}");
        }
        for (key, value) in member(&case, "general") {
            let shown = view["general"].as_array().unwrap().iter().find(|row| row["key"] == *key);
            assert_eq!(shown.unwrap()["value"], value, "{name}: {key}");
        }
    }
}

#[test]
fn a_change_keeps_all_it_does_not_name() {
    for (name, case) in cases() {
        let stored = case["stored"].as_str().unwrap();
        let switch = Change::Mode { shield: "identity".into(), mode: Some(Mode::Flag) };
        let changed = change(Some(stored), None, switch).unwrap();
        let mut expected: Value = serde_json::from_str(stored).unwrap();
        expected["shields"]["identity"] = "flag".into();
        assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), expected, "{name}");
    }
}

/// A release that stores something new must leave a vector behind for those that follow.
#[test]
fn this_version_has_vectors() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(cases().iter().any(|(name, _)| name.starts_with(version)), "no vectors for {version}");
}
