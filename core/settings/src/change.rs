//! One change a person makes, and the stored form after it.

use crate::effective::EffectiveSettings;
use crate::schema::{Item, Mode, OptionInfo, OptionKind, Profile, STORED_VERSION, Settable, list};
use crate::validate::{self, MAX_DEVICE_NAME};
use mantle_wire::json::{Edit, apply, get, members, quoted};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// One change a person makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "SettingChange"))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Change {
    /// Switch a shield.
    Mode {
        /// Its id.
        shield: String,
        /// The new mode; `None` goes back to the default.
        mode: Option<Mode>,
    },
    /// Name sessions.
    DeviceName {
        /// The new text; `None` goes back to the default.
        value: Option<String>,
    },
    /// Replace a shield's allow-list.
    Allow {
        /// Its id.
        shield: String,
        /// Host names, with `:port` where needed.
        hosts: Vec<String>,
    },
    /// Replace the list of sites the user added.
    Sites {
        /// Origins, with a path at most.
        sites: Vec<String>,
    },
    /// Choose which defaults hold.
    Profile {
        /// The new one; `None` goes back to the default.
        profile: Option<Profile>,
    },
    /// Set an option of a shield.
    Option {
        /// The shield's id.
        shield: String,
        /// The option's key.
        key: String,
        /// JSON text; `None` goes back to the default.
        #[serde(deserialize_with = "json_text")]
        #[cfg_attr(not(target_arch = "wasm32"), ts(as = "Option<crate::OptionValue>"))]
        value: Option<String>,
    },
}

/// Any JSON value as its text.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok((!value.is_null()).then(|| value.to_string()))
}

/// Why a change was not made; each is a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Policy locks it.
    #[error("Your organisation has set this; ask your administrator to change it.")]
    Locked,
    /// An empty or too long name.
    #[error("Choose a name of 1 to {MAX_DEVICE_NAME} characters.")]
    DeviceName,
    /// Not a host name.
    #[error("“{0}” is not a host name; write it like scalar.example.org.")]
    Host(String),
    /// Not a site.
    #[error("“{0}” is not a site; write it like https://chat.example.org.")]
    Site(String),
    /// Not an event type.
    #[error("“{0}” is not an event type that Mantle can use; write it like m.room.avatar.")]
    Type(String),
    /// Types of state that somebody needs readable.
    #[error(
        "“{0}” cannot be encrypted, because homeservers, calls or other apps need to read it; take it off the list."
    )]
    Readable(String),
    /// A mode the shield does not offer, an option it does not have, or a value that is none.
    #[error("Mantle cannot set “{0}” to this; choose another value.")]
    Value(String),
}

/// The stored form after one change.
///
/// # Errors
/// [`ChangeError`] when policy locks the setting or the value is no good.
pub fn change(
    stored: Option<&str>,
    managed: Option<&str>,
    change: Change,
    settables: &[Settable],
) -> Result<String, ChangeError> {
    let settings = EffectiveSettings::read(stored, managed).checked(settables.iter().copied());
    let settable = |id: &str| settables.iter().find(|settable| settable.id == id);
    // Keys of later versions survive a change made by this one.
    let stored = stored.filter(|text| matches!(members(text), Ok(Some(_)))).unwrap_or("{}");
    let mut edits = Vec::new();
    let version = get(stored, &["version"]).ok().flatten();
    if version.is_none_or(|version| version.parse::<u64>().is_err()) {
        edits.push(Edit::set(&["version"], STORED_VERSION.to_string()));
    }
    edits.push(match change {
        Change::Mode { shield, mode } => {
            if settings.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            let modes = settable(&shield).map_or(&Mode::PLAIN[..], |settable| settable.modes);
            if mode.is_some_and(|mode| !modes.contains(&mode)) {
                return Err(ChangeError::Value(shield));
            }
            put(&["shields", &shield], mode.map(|mode| quoted(mode.name())))
        }
        Change::DeviceName { value } => {
            if settings.device_name().locked {
                return Err(ChangeError::Locked);
            }
            let value = match value {
                None => None,
                Some(text) => Some(validate::device_name(&text).ok_or(ChangeError::DeviceName)?),
            };
            put(&["deviceName"], value.as_deref().map(quoted))
        }
        Change::Allow { shield, hosts } => {
            if settings.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            let mut valid = Vec::new();
            for host in hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty()) {
                valid.push(validate::host(host).ok_or_else(|| ChangeError::Host(host.to_owned()))?);
            }
            put(&["allow", &shield], (!valid.is_empty()).then(|| list(&valid)))
        }
        Change::Profile { profile } => {
            if settings.profile().locked {
                return Err(ChangeError::Locked);
            }
            put(&["profile"], profile.map(|profile| quoted(profile.name())))
        }
        Change::Option { shield, key, value } => {
            let known = settable(&shield)
                .and_then(|settable| settable.options.iter().find(|option| option.key == key));
            let Some(option) = known else { return Err(ChangeError::Value(key)) };
            if settings.option(&shield, &key).is_some_and(|value| value.locked) {
                return Err(ChangeError::Locked);
            }
            let value = match value {
                None => None,
                Some(json) => {
                    Some(option.read(&json).ok_or_else(|| refusal(option, &json))?.json())
                }
            };
            put(&["options", &shield, &key], value)
        }
        Change::Sites { sites } => {
            let (mut valid, mut seen) = (Vec::new(), BTreeSet::new());
            for site in sites {
                let url = validate::site(&site).ok_or(ChangeError::Site(site))?.url;
                if seen.insert(url.clone()) {
                    valid.push(url);
                }
            }
            put(&["sites"], Some(list(&valid)))
        }
    });
    let changed = apply(stored.as_bytes(), &edits).ok().flatten();
    Ok(changed.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| stored.to_owned()))
}

/// Why a value is none of an option's.
fn refusal(option: &OptionInfo, json: &str) -> ChangeError {
    let list = option.read_list(json).unwrap_or_default();
    if !list.readable.is_empty() {
        return ChangeError::Readable(list.readable.join(", "));
    }
    match (option.kind, list.bad) {
        (OptionKind::List { item: Item::Host, .. }, Some(bad)) => ChangeError::Host(bad),
        (OptionKind::List { .. }, Some(bad)) => ChangeError::Type(bad),
        _ => ChangeError::Value(option.title.to_owned()),
    }
}

fn put(path: &[&str], value: Option<String>) -> Edit {
    value.map_or_else(|| Edit::remove(path), |json| Edit::set(path, json))
}
