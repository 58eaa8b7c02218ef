//! Settings from a file that a person chose: understood whole, or refused with a sentence.

use crate::change::{Change, ChangeError, change};
use crate::schema::{GENERAL, Mode, Profile, STORED_VERSION, Settable};
use mantle_wire::json::{elements, get, members, string};
use serde::Serialize;

/// Longest file that is read, in bytes.
pub const MAX_IMPORT: usize = 256 * 1024;
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
}

/// The stored form that a file stands for; it takes the place of `stored`.
///
/// Made by the same changes a person makes, one after the other, so that nothing gets in that the
/// pages would refuse. What a policy locks stays locked: the stored form never overrules it.
///
/// # Errors
/// [`ImportError`] when anything in the file is not understood.
pub fn import(
    stored: Option<&str>,
    file: &str,
    settables: &[Settable],
) -> Result<String, ImportError> {
    let file = file.trim_start_matches('\u{feff}');
    let is_long = file.len() > MAX_IMPORT;
    let fields = members(file).ok().flatten().filter(|_| !is_long);
    let fields = fields.ok_or(ImportError::NoSettings)?;
    if !fields.iter().any(|field| field.key == "version" && field.value.parse::<u64>().is_ok()) {
        return Err(ImportError::NoSettings);
    }
    let mut made = format!(r#"{{"version":{STORED_VERSION}}}"#);
    let mut put = |name: String, one: Change| {
        made = change(Some(&made), None, one, settables).map_err(|error| match error {
            ChangeError::Host(host) => ImportError::Value(host),
            ChangeError::Site(site) => ImportError::Value(site),
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
                for (shield, json) in entries(field.value).ok_or_else(value)? {
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
                for (shield, json) in entries(field.value).ok_or_else(value)? {
                    for (key, json) in entries(json).ok_or_else(value)? {
                        let name = format!("options.{shield}.{key}");
                        let known = settables.iter().any(|one| {
                            one.id == shield && one.options.iter().any(|option| option.key == key)
                        });
                        if !known {
                            return Err(ImportError::Unknown(name));
                        }
                        if shield == GENERAL && key == CONSENT {
                            continue;
                        }
                        let value = Some(json.to_owned());
                        put(name, Change::Option { shield: shield.clone(), key, value })?;
                    }
                }
            }
            "allow" => {
                for (shield, json) in entries(field.value).ok_or_else(value)? {
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

fn entries(json: &str) -> Option<Vec<(String, &str)>> {
    let members = members(json).ok()??;
    Some(members.into_iter().map(|member| (member.key, member.value)).collect())
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
        for file in ["", "1", "[]", "{", "{}", r#"{"version":"x"}"#, "\u{0}", "PK\u{3}", &long] {
            assert_eq!(taken(file), Err(ImportError::NoSettings));
        }
    }
}
