//! Settings from a file that a person chose: understood whole, or refused with a sentence.

use crate::change::{Change, ChangeError, change};
use crate::schema::{GENERAL, Mode, Profile, STORED_VERSION, Settable};
use mantle_wire::json::{elements, get, members, string};
use serde::Serialize;
use std::collections::BTreeSet;

/// Longest file that is read, in bytes.
pub const MAX_IMPORT: usize = 256 * 1024;
/// Most characters of a name in an error.
const MAX_NAME: usize = 100;
/// What a person agrees to is agreed to in their own browser.
const CONSENT: &str = "consent";

/// Why a file was not taken; the options page has the sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(tag = "why", content = "name", rename_all = "camelCase")]
pub enum ImportError {
    /// Something else altogether.
    NoSettings,
    /// A key, a shield or an option of nobody's.
    Unknown(String),
    /// A value that is none.
    Value(String),
    /// Types of state to encrypt that somebody needs readable.
    Readable(String),
}

/// The stored form that a file stands for; it takes the place of `stored`.
///
/// Made by the same changes a person makes, one after the other, so that nothing gets in that the
/// pages would refuse. What a policy locks stays locked: the stored form never overrules it. A key
/// that is there twice says two things, so it is refused, which also bounds the number of changes.
///
/// # Errors
/// [`ImportError`] when anything in the file is not understood.
pub fn import(
    stored: Option<&str>,
    file: &str,
    settables: &[Settable],
) -> Result<String, ImportError> {
    read(stored, file, settables).map_err(|error| match error {
        ImportError::NoSettings => ImportError::NoSettings,
        ImportError::Unknown(name) => ImportError::Unknown(in_a_sentence(&name)),
        ImportError::Value(name) => ImportError::Value(in_a_sentence(&name)),
        ImportError::Readable(name) => ImportError::Readable(in_a_sentence(&name)),
    })
}

/// What a file says, cut to what fits a sentence, and without what would turn or break its line.
fn in_a_sentence(name: &str) -> String {
    let turns = |letter: char| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().filter(|letter| !letter.is_control() && !turns(*letter)).take(MAX_NAME).collect()
}

fn read(stored: Option<&str>, file: &str, settables: &[Settable]) -> Result<String, ImportError> {
    let file = file.trim_start_matches('\u{feff}');
    let is_long = file.len() > MAX_IMPORT;
    let fields = members(file).ok().flatten().filter(|_| !is_long);
    let fields = fields.ok_or(ImportError::NoSettings)?;
    let version = fields.iter().find(|field| field.key == "version");
    let version = version.ok_or(ImportError::NoSettings)?.value;
    refuse_repeated(fields.iter().map(|field| field.key.as_str()), "")?;
    match version.parse::<u64>() {
        Ok(STORED_VERSION) => {}
        Ok(newer) if newer > STORED_VERSION => {
            return Err(ImportError::Unknown(format!("version {newer}")));
        }
        _ => return Err(ImportError::Value("version".to_owned())),
    }
    let mut made = format!(r#"{{"version":{STORED_VERSION}}}"#);
    let mut put = |name: String, one: Change| {
        made = change(Some(&made), None, one, settables).map_err(|error| match error {
            ChangeError::Host(host) => ImportError::Value(host),
            ChangeError::Site(site) => ImportError::Value(site),
            ChangeError::Type(kind) => ImportError::Value(kind),
            ChangeError::Readable(kinds) => ImportError::Readable(kinds),
            _ => ImportError::Value(name),
        })?;
        Ok::<(), ImportError>(())
    };
    for field in fields {
        let key = field.key;
        let value = || ImportError::Value(key.clone());
        match key.as_str() {
            "version" => {}
            "profile" => {
                let profile = typed::<Profile>(field.value).ok_or_else(value)?;
                put(key.clone(), Change::Profile { profile: Some(profile) })?;
            }
            "deviceName" => {
                let name = text(field.value).ok_or_else(value)?;
                put(key.clone(), Change::DeviceName { value: Some(name) })?;
            }
            "sites" => {
                let sites = texts(field.value).ok_or_else(value)?;
                put(key.clone(), Change::Sites { sites })?;
            }
            "shields" => {
                for (shield, json) in entries(field.value, &key)? {
                    let name = format!("shields.{shield}");
                    let known =
                        settables.iter().any(|one| one.id == shield && !one.modes.is_empty());
                    if !known {
                        return Err(ImportError::Unknown(name));
                    }
                    let mode =
                        typed::<Mode>(json).ok_or_else(|| ImportError::Value(name.clone()))?;
                    put(name, Change::Mode { shield, mode: Some(mode) })?;
                }
            }
            "options" => {
                for (shield, json) in entries(field.value, &key)? {
                    for (key, json) in entries(json, &format!("options.{shield}"))? {
                        let name = format!("options.{shield}.{key}");
                        let known = settables.iter().any(|one| {
                            one.id == shield && one.options.iter().any(|option| option.key == key)
                        });
                        if !known {
                            return Err(ImportError::Unknown(name));
                        }
                        if shield == GENERAL && key == CONSENT {
                            typed::<bool>(json).ok_or(ImportError::Value(name))?;
                            continue;
                        }
                        let value = Some(json.to_owned());
                        put(name, Change::Option { shield: shield.clone(), key, value })?;
                    }
                }
            }
            "allow" => {
                for (shield, json) in entries(field.value, &key)? {
                    let name = format!("allow.{shield}");
                    if !settables.iter().any(|one| one.id == shield && one.has_list) {
                        return Err(ImportError::Unknown(name));
                    }
                    let hosts = texts(json).ok_or_else(|| ImportError::Value(name.clone()))?;
                    put(name, Change::Allow { shield, hosts })?;
                }
            }
            _ => return Err(ImportError::Unknown(key)),
        }
    }
    let agreed = stored.and_then(|stored| get(stored, &["options", GENERAL, CONSENT]).ok()?);
    if let Some(json) = agreed
        && settables.iter().any(|one| one.id == GENERAL)
    {
        let (shield, key) = (GENERAL.to_owned(), CONSENT.to_owned());
        // One that cannot be read was none before either.
        let _ = put(key.clone(), Change::Option { shield, key, value: Some(json.to_owned()) });
    }
    Ok(made)
}

fn typed<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

fn text(json: &str) -> Option<String> {
    string(json.as_bytes())
}

fn texts(json: &str) -> Option<Vec<String>> {
    let is_list = json.starts_with('[');
    elements(json).ok().filter(|_| is_list)?.into_iter().map(text).collect()
}

/// The entries of the object that stands at `path`.
fn entries<'a>(json: &'a str, path: &str) -> Result<Vec<(String, &'a str)>, ImportError> {
    let found = members(json).ok().flatten();
    let found = found.ok_or_else(|| ImportError::Value(path.to_owned()))?;
    refuse_repeated(found.iter().map(|member| member.key.as_str()), &format!("{path}."))?;
    Ok(found.into_iter().map(|member| (member.key, member.value)).collect())
}

fn refuse_repeated<'a>(
    mut keys: impl Iterator<Item = &'a str>,
    before: &str,
) -> Result<(), ImportError> {
    let mut seen = BTreeSet::new();
    keys.find(|key| !seen.insert(*key))
        .map_or(Ok(()), |key| Err(ImportError::Value(format!("{before}{key}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{GENERAL_OPTIONS, Item, OptionInfo, OptionKind};

    const SETTABLES: [Settable; 2] = [
        Settable {
            id: "media",
            modes: &Mode::ALL,
            options: &[OptionInfo {
                key: "types",
                title: "Types",
                kind: OptionKind::List { max: 3, item: Item::Type },
                default: "[]",
                why: "test",
            }],
            has_list: true,
        },
        Settable { id: GENERAL, modes: &[], options: &GENERAL_OPTIONS, has_list: false },
    ];

    fn taken(file: &str) -> Result<String, ImportError> {
        import(None, file, &SETTABLES)
    }

    #[test]
    fn what_was_exported_comes_back() {
        let file = r#"{"version":1,"profile":"strict","shields":{"media":"ask"},"options":{"media":{"types":["a.b"]},"general":{"ledgerDays":7}},"deviceName":"Element","allow":{"media":["a.example:8448"]},"sites":["https://chat.example.org"]}"#;
        let made = taken(file).unwrap();
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(&made), same(file));
        assert_eq!(same(&taken(&format!("\u{feff}{file}\n")).unwrap()), same(file));
        assert_eq!(same(&taken(&made).unwrap()), same(file));
        assert_eq!(taken(r#"{"version":1}"#).map(|text| same(&text)), Ok(same(r#"{"version":1}"#)));
    }

    #[test]
    fn consent_is_the_persons_own() {
        let given = r#"{"version":1,"options":{"general":{"consent":true}}}"#;
        assert!(!taken(given).unwrap().contains("consent"));
        let kept = import(Some(given), r#"{"version":1}"#, &SETTABLES).unwrap();
        assert!(kept.contains(r#""consent":true"#));
    }

    #[test]
    fn one_thing_wrong_refuses_all_with_its_name() {
        let unknown = |name: &str| Err(ImportError::Unknown(name.to_owned()));
        let value = |name: &str| Err(ImportError::Value(name.to_owned()));
        for (file, error) in [
            (r#"{"version":1,"colour":"red"}"#, unknown("colour")),
            (r#"{"version":1,"shields":{"tea":"on"}}"#, unknown("shields.tea")),
            (r#"{"version":1,"shields":{"general":"on"}}"#, unknown("shields.general")),
            (r#"{"version":1,"options":{"media":{"tea":1}}}"#, unknown("options.media.tea")),
            (r#"{"version":1,"allow":{"general":[]}}"#, unknown("allow.general")),
            (r#"{"version":1,"shields":{"media":"perhaps"}}"#, value("shields.media")),
            (r#"{"version":1,"shields":[]}"#, value("shields")),
            (r#"{"version":1,"options":{"media":{"types":[1]}}}"#, value("options.media.types")),
            (r#"{"version":1,"allow":{"media":["a b"]}}"#, value("a b")),
            (r#"{"version":1,"allow":{"media":"a.example"}}"#, value("allow.media")),
            (r#"{"version":1,"sites":["http://a.example"]}"#, value("http://a.example")),
            (r#"{"version":1,"deviceName":""}"#, value("deviceName")),
            (r#"{"version":1,"profile":"lax"}"#, value("profile")),
        ] {
            assert_eq!(taken(file), error, "{file}");
        }
    }

    #[test]
    fn what_is_no_settings_is_refused() {
        let long = format!(r#"{{"version":1,"deviceName":"{}"}}"#, "x".repeat(MAX_IMPORT));
        for file in ["", "1", "[]", "{", "{}", "\u{0}", "PK\u{3}", &long] {
            assert_eq!(taken(file), Err(ImportError::NoSettings));
        }
    }

    #[test]
    fn the_version_is_the_one_that_is_written() {
        for version in ["\"x\"", "\"1\"", "0", "1.0", "-1", "null", "[1]", "{}"] {
            let file = format!(r#"{{"version":{version}}}"#);
            assert_eq!(taken(&file), Err(ImportError::Value("version".to_owned())), "{file}");
        }
        let newer = r#"{"version":2,"shields":{"media":"ask"}}"#;
        assert_eq!(taken(newer), Err(ImportError::Unknown("version 2".to_owned())));
    }

    #[test]
    fn a_key_that_is_there_twice_refuses_all() {
        for (file, name) in [
            (r#"{"version":1,"version":1}"#, "version"),
            (r#"{"version":1,"version":2}"#, "version"),
            (r#"{"version":1,"deviceName":"a","deviceName":"b"}"#, "deviceName"),
            (r#"{"version":1,"shields":{},"sh\u0069elds":{}}"#, "shields"),
            (r#"{"version":1,"shields":{"media":"on","media":"off"}}"#, "shields.media"),
            (r#"{"version":1,"options":{"media":{},"media":{}}}"#, "options.media"),
            (
                r#"{"version":1,"options":{"media":{"types":[],"types":["a.b"]}}}"#,
                "options.media.types",
            ),
            (r#"{"version":1,"allow":{"media":[],"media":["a.example"]}}"#, "allow.media"),
            (
                r#"{"version":1,"options":{"general":{"consent":{"a":1,"a":2}}}}"#,
                "options.general.consent",
            ),
        ] {
            assert_eq!(taken(file), Err(ImportError::Value(name.to_owned())), "{file}");
        }
    }

    #[test]
    fn a_file_of_the_largest_size_is_soon_read() {
        let full = |part: &str| part.repeat((MAX_IMPORT - 100) / part.len());
        let repeated = [
            r#""deviceName":"a""#,
            r#""sites":["https://a.example"]"#,
            r#""shields":{"media":"on"}"#,
        ]
        .map(|part| full(&format!(",{part}")))
        .map(|parts| format!(r#"{{"version":1{parts}}}"#));
        let sites: Vec<_> = (0..11_000).map(|one| format!(r#""https://{one:05}.be""#)).collect();
        let many = format!(r#"{{"version":1,"sites":[{}]}}"#, sites.join(","));
        assert!(many.len() < MAX_IMPORT);
        let begun = std::time::Instant::now();
        for file in &repeated {
            assert!(file.len() > MAX_IMPORT - 200 && file.len() <= MAX_IMPORT);
            assert!(matches!(taken(file), Err(ImportError::Value(_))));
        }
        assert!(taken(&many).unwrap().ends_with(r#""https://10999.be"]}"#));
        // Unoptimised, on a busy machine; all of the file over again for each key took minutes.
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_wrong_is_named_in_100_characters_that_stay_in_their_line() {
        let name = |key: &str| match taken(&format!(r#"{{"version":1,"{key}":0}}"#)) {
            Err(ImportError::Unknown(name)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(name(&"é".repeat(101)), "é".repeat(100));
        assert_eq!(name(r"a\u0000\u0007\n\r\t\u001b\u007f\u0085b"), "ab");
        assert_eq!(
            name(
                "a\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2069}b"
            ),
            "ab"
        );
        assert_eq!(name(r"a\u2028\u2029\u202eb"), "ab");
        let long = "x".repeat(1000);
        for file in [
            format!(r#"{{"version":1,"shields":{{"{long}\u202e":"on"}}}}"#),
            format!(r#"{{"version":1,"options":{{"media":{{"{long}":"on"}}}}}}"#),
            format!(r#"{{"version":1,"allow":{{"media":["\u202e{long} {long}"]}}}}"#),
            format!(r#"{{"version":1,"sites":["http://\u0000{long}"]}}"#),
        ] {
            let Err(ImportError::Unknown(name) | ImportError::Value(name)) = taken(&file) else {
                panic!("{file}");
            };
            assert_eq!(name.chars().count(), 100, "{file}");
            assert!(name.chars().all(|letter| letter.is_ascii_graphic()), "{file}");
        }
    }
}
