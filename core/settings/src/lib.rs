//! Settings: managed policy first, then the user's own, then defaults.
//!
//! The stored form is versioned and read leniently: what cannot be read is
//! ignored, the safe default holds, and a sentence says so.

use mantle_wire::json::{Edit, JsonError, apply, elements, get, get_str, members, quoted};
use serde::Serialize;

mod general;
mod options;

pub use general::{GENERAL, GENERAL_OPTIONS, general};
pub use options::{Item, OptionInfo, OptionKind, OptionValue};

/// Version this core writes.
pub const STORED_VERSION: u64 = 1;
/// What a session is called where the user has not chosen a text.
pub const DEFAULT_DEVICE_NAME: &str = "Element";
/// Longest device name Synapse takes, in characters.
pub const LONGEST_DEVICE_NAME: usize = 100;

/// What a shield does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    Off,
    /// Let pass, record.
    Flag,
    /// Ask each time.
    Ask,
    /// Block or rewrite.
    On,
}

impl Mode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 4] = [Self::Off, Self::Flag, Self::Ask, Self::On];
    /// Those of a shield that never asks.
    pub const PLAIN: [Self; 3] = [Self::Off, Self::Flag, Self::On];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::Ask => "ask",
            Self::On => "on",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Which defaults hold where nobody chose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What a person would not miss is on.
    #[default]
    Recommended,
    /// Everything is on.
    Strict,
}

impl Profile {
    /// All.
    pub const ALL: [Self; 2] = [Self::Recommended, Self::Strict];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::Strict => "strict",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// What of a shield can be set, as the layer above knows it.
#[derive(Debug, Clone, Copy)]
pub struct Settable {
    /// Shield id.
    pub id: &'static str,
    /// Modes it offers.
    pub modes: &'static [Mode],
    /// Its options.
    pub options: &'static [OptionInfo],
    /// Whether it has a list of allowed hosts.
    pub has_list: bool,
}

/// Where a value in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Nobody chose.
    Default,
    /// The user.
    User,
    /// The organisation.
    Policy,
}

/// A value, where it comes from, and whether the user may change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub source: Source,
    /// Set by policy, not to be changed.
    pub locked: bool,
}

/// One layer of settings: what the user stored, or what policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Layer {
    shields: Vec<(String, (Mode, bool))>,
    device_name: Option<(String, bool)>,
    allow: Vec<(String, Vec<String>)>,
    profile: Option<(Profile, bool)>,
    /// By shield and key: JSON text, locked.
    options: Vec<(String, String, (String, bool))>,
}

impl Layer {
    fn option(&self, shield: &str, key: &str) -> Option<&(String, bool)> {
        let found = self.options.iter().rev().find(|(id, name, _)| id == shield && name == key);
        found.map(|(_, _, value)| value)
    }

    /// Everything it sets of a shield: `shields`, `options` or `allow`, the shield's id, and the key.
    fn named(&self) -> Vec<(&'static str, String, String)> {
        let none = String::new;
        let shields = self.shields.iter().map(|(id, _)| ("shields", id.clone(), none()));
        let options = self.options.iter().map(|(id, key, _)| ("options", id.clone(), key.clone()));
        let allow = self.allow.iter().map(|(id, _)| ("allow", id.clone(), none()));
        shields.chain(options).chain(allow).collect()
    }

    fn shield(&self, id: &str) -> Option<(Mode, bool)> {
        self.shields.iter().find(|(known, _)| known == id).map(|(_, found)| *found)
    }

    fn allowed(&self, id: &str) -> &[String] {
        self.allow.iter().find(|(known, _)| known == id).map_or(&[], |(_, hosts)| hosts)
    }
}

/// Settings in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    user: Layer,
    managed: Layer,
    options: Vec<(&'static str, &'static str, InForce<OptionValue>)>,
    problems: Vec<String>,
}

const USER: &str = "your saved settings";
const ORGANISATION: &str = "your organisation's policy";
/// What a policy may name at its top.
pub const POLICY_KEYS: [&str; 6] =
    ["shields", "options", "allow", "deviceName", "profile", "sites"];

impl Policy {
    /// Reads both layers. Never fails: see [`Policy::problems`].
    #[must_use]
    pub fn read(stored: Option<&str>, managed: Option<&str>) -> Self {
        let mut problems = Vec::new();
        let user = read_layer(stored, USER, &mut problems);
        let managed = {
            let keys = managed.and_then(|text| members(text).ok().flatten()).unwrap_or_default();
            let unknown = keys.into_iter().filter(|key| !POLICY_KEYS.contains(&key.key.as_str()));
            problems.extend(unknown.map(|key| unknown_key(&key.key)));
            read_layer(managed, ORGANISATION, &mut problems)
        };
        Self { user, managed, options: Vec::new(), problems }
    }

    /// Checks modes and options against what the shields offer.
    #[must_use]
    pub fn checked(mut self, settables: impl Iterator<Item = Settable>) -> Self {
        let Self { user, managed, options, problems } = &mut self;
        let mut unknown = managed.named();
        for settable in settables {
            let id = settable.id;
            unknown.retain(|(kind, known, key)| {
                let has_key = || settable.options.iter().any(|option| option.key == key);
                let is_known = match *kind {
                    "options" => has_key(),
                    "allow" => settable.has_list,
                    _ => !settable.modes.is_empty(),
                };
                *known != id || !is_known
            });
            for (layer, whose) in [(&mut *user, USER), (&mut *managed, ORGANISATION)] {
                let count = layer.shields.len();
                layer
                    .shields
                    .retain(|(known, (mode, _))| known != id || settable.modes.contains(mode));
                if layer.shields.len() < count {
                    problems.push(not_understood(&format!("shields.{id}"), whose));
                }
            }
            let is_locked = managed.shield(id).is_some_and(|(_, locked)| locked);
            for option in settable.options {
                let mut read = |layer: &Layer, whose| {
                    let (json, locked) = layer.option(id, option.key)?;
                    let value = option.read(json);
                    if value.is_none() {
                        problems
                            .push(not_understood(&format!("options.{id}.{}", option.key), whose));
                    }
                    Some((value?, *locked))
                };
                let own = read(user, USER).map(|(value, _)| value);
                let in_force = match (read(managed, ORGANISATION), own) {
                    (Some((value, locked)), own) if locked || is_locked || own.is_none() => {
                        let locked = locked || is_locked;
                        InForce { value, source: Source::Policy, locked }
                    }
                    (_, Some(value)) if !is_locked => {
                        InForce { value, source: Source::User, locked: false }
                    }
                    // What is locked is not to be weakened by an option.
                    _ => InForce {
                        value: option.default_value(),
                        source: Source::Default,
                        locked: is_locked,
                    },
                };
                options.push((id, option.key, in_force));
            }
        }
        // A slip of the pen must not look like a setting. The user's own may come from a later
        // version, and nobody could mend them.
        problems.extend(unknown.into_iter().map(|(kind, id, key)| {
            let separator = if key.is_empty() { "" } else { "." };
            unknown_key(&format!("{kind}.{id}{separator}{key}"))
        }));
        self
    }

    /// Which defaults hold.
    #[must_use]
    pub fn profile(&self) -> InForce<Profile> {
        match (self.managed.profile, self.user.profile) {
            (Some((value, locked)), own) if locked || own.is_none() => {
                InForce { value, source: Source::Policy, locked }
            }
            (_, Some((value, _))) => InForce { value, source: Source::User, locked: false },
            _ => InForce { value: Profile::default(), source: Source::Default, locked: false },
        }
    }

    /// An option's value; `None` for one no shield has.
    #[must_use]
    pub fn option(&self, shield: &str, key: &str) -> Option<&InForce<OptionValue>> {
        self.options
            .iter()
            .find(|(id, name, _)| *id == shield && *name == key)
            .map(|(_, _, value)| value)
    }

    /// The value of a choice or a text; empty for one no shield has.
    #[must_use]
    pub fn option_str(&self, shield: &str, key: &str) -> &str {
        match self.option(shield, key) {
            Some(InForce { value: OptionValue::Text(text), .. }) => text,
            _ => "",
        }
    }

    /// The value of a list; empty for one no shield has.
    #[must_use]
    pub fn option_list(&self, shield: &str, key: &str) -> &[String] {
        match self.option(shield, key) {
            Some(InForce { value: OptionValue::List(texts), .. }) => texts,
            _ => &[],
        }
    }

    /// The value of a flag.
    #[must_use]
    pub fn option_flag(&self, shield: &str, key: &str) -> bool {
        matches!(self.option(shield, key), Some(InForce { value: OptionValue::Flag(true), .. }))
    }

    /// The value of a number.
    #[must_use]
    pub fn option_number(&self, shield: &str, key: &str) -> Option<i64> {
        match self.option(shield, key) {
            Some(InForce { value: OptionValue::Number(number), .. }) => Some(*number),
            _ => None,
        }
    }

    /// One sentence for everything that could not be read.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The mode of a shield.
    #[must_use]
    pub fn mode(&self, shield: &str, default: Mode) -> InForce<Mode> {
        let own = self.user.shield(shield);
        match (self.managed.shield(shield), own) {
            (Some((value, locked)), own) if locked || own.is_none() => {
                InForce { value, source: Source::Policy, locked }
            }
            (_, Some((value, _))) => InForce { value, source: Source::User, locked: false },
            _ => InForce { value: default, source: Source::Default, locked: false },
        }
    }

    /// What sessions are called.
    #[must_use]
    pub fn device_name(&self) -> InForce<&str> {
        if let Some((name, locked)) = &self.managed.device_name
            && (*locked || self.user.device_name.is_none())
        {
            return InForce { value: name, source: Source::Policy, locked: *locked };
        }
        match &self.user.device_name {
            Some((name, _)) => InForce { value: name, source: Source::User, locked: false },
            None => InForce { value: DEFAULT_DEVICE_NAME, source: Source::Default, locked: false },
        }
    }

    /// Hosts a shield lets pass: the organisation's, and the user's where the shield is not locked.
    pub fn allowed(&self, shield: &str) -> impl Iterator<Item = &str> {
        self.allowed_by_policy(shield)
            .iter()
            .chain(self.allowed_by_user(shield))
            .map(String::as_str)
    }

    /// The organisation's part of the allow-list.
    #[must_use]
    pub fn allowed_by_policy(&self, shield: &str) -> &[String] {
        self.managed.allowed(shield)
    }

    /// The user's part of the allow-list.
    #[must_use]
    pub fn allowed_by_user(&self, shield: &str) -> &[String] {
        if self.is_locked(shield) {
            return &[];
        }
        self.user.allowed(shield)
    }

    fn is_locked(&self, shield: &str) -> bool {
        self.managed.shield(shield).is_some_and(|(_, locked)| locked)
    }

    /// Whether a shield lets this host pass; `host` may carry a port.
    #[must_use]
    #[inline(never)]
    pub fn is_allowed(&self, shield: &str, host: &str) -> bool {
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.contains(']'))
            .map_or(host, |(name, _)| name);
        self.allowed(shield).any(|allowed| allowed == host || allowed == name)
    }
}

/// One change a person makes.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        /// Origins.
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
        value: Option<String>,
    },
}

impl Change {
    /// Reads `{"type": "mode", "shield": …, "mode": …}` and its siblings; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let string = |key: &str| get_str(text, &[key]).ok().flatten();
        let strings = |key: &str| -> Option<Vec<String>> {
            let list = elements(get(text, &[key]).ok()??).ok()?;
            list.into_iter().map(|item| serde_json::from_str(item).ok()).collect()
        };
        match string("type")?.as_str() {
            "mode" => {
                let mode = match string("mode") {
                    Some(name) => Some(Mode::from_name(&name)?),
                    None => None,
                };
                Some(Self::Mode { shield: string("shield")?, mode })
            }
            "deviceName" => Some(Self::DeviceName { value: string("value") }),
            "allow" => Some(Self::Allow { shield: string("shield")?, hosts: strings("hosts")? }),
            "sites" => Some(Self::Sites { sites: strings("sites")? }),
            "profile" => {
                let profile = match string("profile") {
                    Some(name) => Some(Profile::from_name(&name)?),
                    None => None,
                };
                Some(Self::Profile { profile })
            }
            "option" => {
                let value = get(text, &["value"]).ok().flatten().filter(|value| *value != "null");
                let value = value.map(str::to_owned);
                Some(Self::Option { shield: string("shield")?, key: string("key")?, value })
            }
            _ => None,
        }
    }
}

/// Why a change was not made; each is a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Policy locks it.
    #[error("Your organisation has set this; ask your administrator to change it.")]
    Locked,
    /// An empty or too long name.
    #[error("Choose a name of 1 to {LONGEST_DEVICE_NAME} characters.")]
    DeviceName,
    /// Not a host name.
    #[error("“{0}” is not a host name; write it like scalar.example.org.")]
    Host(String),
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
    let policy = Policy::read(stored, managed).checked(settables.iter().copied());
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
            if policy.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            let modes = settable(&shield).map_or(&Mode::PLAIN[..], |settable| settable.modes);
            if mode.is_some_and(|mode| !modes.contains(&mode)) {
                return Err(ChangeError::Value(shield));
            }
            put(&["shields", &shield], mode.map(|mode| quoted(mode.name())))
        }
        Change::DeviceName { value } => {
            if policy.device_name().locked {
                return Err(ChangeError::Locked);
            }
            let value = match value {
                None => None,
                Some(text) => Some(valid_device_name(&text).ok_or(ChangeError::DeviceName)?),
            };
            put(&["deviceName"], value.as_deref().map(quoted))
        }
        Change::Allow { shield, hosts } => {
            if policy.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            let mut valid = Vec::new();
            for host in hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty()) {
                valid.push(valid_host(host).ok_or_else(|| ChangeError::Host(host.to_owned()))?);
            }
            put(&["allow", &shield], (!valid.is_empty()).then(|| list(&valid)))
        }
        Change::Profile { profile } => {
            if policy.profile().locked {
                return Err(ChangeError::Locked);
            }
            put(&["profile"], profile.map(|profile| quoted(profile.name())))
        }
        Change::Option { shield, key, value } => {
            let known = settable(&shield)
                .and_then(|settable| settable.options.iter().find(|option| option.key == key));
            let Some(option) = known else { return Err(ChangeError::Value(key)) };
            if policy.option(&shield, &key).is_some_and(|value| value.locked) {
                return Err(ChangeError::Locked);
            }
            let value = match value {
                None => None,
                Some(json) => {
                    let read = option.read(&json);
                    Some(read.ok_or_else(|| ChangeError::Value(option.title.to_owned()))?.json())
                }
            };
            put(&["options", &shield, &key], value)
        }
        Change::Sites { sites } => put(&["sites"], Some(list(&sites))),
    });
    let changed = apply(stored.as_bytes(), &edits).ok().flatten();
    Ok(changed.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| stored.to_owned()))
}

fn put(path: &[&str], value: Option<String>) -> Edit {
    value.map_or_else(|| Edit::remove(path), |json| Edit::set(path, json))
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(","))
}

fn valid_device_name(text: &str) -> Option<String> {
    let text = text.trim();
    let long = text.chars().count() > LONGEST_DEVICE_NAME || text.chars().any(char::is_control);
    (!text.is_empty() && !long).then(|| text.to_owned())
}

/// Lower-case host name or address, with an optional port.
fn valid_host(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text.as_str(), None),
    };
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name_ok = match bracketed {
        Some(address) => {
            address.contains(':') && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':')
        }
        None => name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
        }),
    };
    (port_ok && name_ok).then(|| text.clone())
}

fn read_layer(text: Option<&str>, whose: &str, problems: &mut Vec<String>) -> Layer {
    let mut layer = Layer::default();
    let Some(text) = text else { return layer };
    let mut bad = Vec::new();
    if !matches!(members(text), Ok(Some(_))) || fill(&mut layer, text, &mut bad).is_err() {
        problems.push(format!(
            "Mantle could not read {whose}, so the safe defaults are in force; set them again."
        ));
        return Layer::default();
    }
    problems.extend(bad.into_iter().map(|key: String| not_understood(&key, whose)));
    layer
}

fn unknown_key(key: &str) -> String {
    format!("Your organisation's policy has “{key}”, which this version of Mantle does not know.")
}

fn not_understood(key: &str, whose: &str) -> String {
    format!("Mantle does not understand “{key}” in {whose}, so its safe default is in force.")
}

/// Keys of version 1 keep their meaning in later versions, so the number is no gate.
fn fill(layer: &mut Layer, text: &str, bad: &mut Vec<String>) -> Result<(), JsonError> {
    if let Some(shields) = get(text, &["shields"])? {
        match members(shields)? {
            Some(shields) => {
                for shield in shields {
                    let read = lockable(shield.value, "mode")?;
                    match read.and_then(|(name, locked)| Some((Mode::from_name(&name)?, locked))) {
                        Some(found) => layer.shields.push((shield.key, found)),
                        None => bad.push(format!("shields.{}", shield.key)),
                    }
                }
            }
            None => bad.push("shields".to_owned()),
        }
    }
    if let Some(value) = get(text, &["deviceName"])? {
        let read = lockable(value, "value")?;
        match read.and_then(|(name, locked)| Some((valid_device_name(&name)?, locked))) {
            Some(found) => layer.device_name = Some(found),
            None => bad.push("deviceName".to_owned()),
        }
    }
    if let Some(value) = get(text, &["profile"])? {
        let read = lockable(value, "value")?;
        match read.and_then(|(name, locked)| Some((Profile::from_name(&name)?, locked))) {
            Some(found) => layer.profile = Some(found),
            None => bad.push("profile".to_owned()),
        }
    }
    if let Some(sites) = get(text, &["sites"])?
        && !are_sites(sites)
    {
        bad.push("sites".to_owned());
    }
    if let Some(options) = get(text, &["options"])? {
        match members(options)? {
            Some(shields) => {
                for shield in shields {
                    let Some(values) = members(shield.value)? else {
                        bad.push(format!("options.{}", shield.key));
                        continue;
                    };
                    for option in values {
                        let locked = get(option.value, &["locked"])? == Some("true");
                        let value = get(option.value, &["value"])?.unwrap_or(option.value);
                        let value = (value.to_owned(), locked);
                        layer.options.push((shield.key.clone(), option.key, value));
                    }
                }
            }
            None => bad.push("options".to_owned()),
        }
    }
    if let Some(allow) = get(text, &["allow"])? {
        match members(allow)? {
            Some(lists) => {
                for hosts in lists {
                    let mut valid = Vec::new();
                    let mut all_good = hosts.value.starts_with('[');
                    for host in elements(hosts.value)? {
                        let host = serde_json::from_str(host).ok();
                        match host.and_then(|host: String| valid_host(&host)) {
                            Some(host) => valid.push(host),
                            None => all_good = false,
                        }
                    }
                    if !all_good {
                        bad.push(format!("allow.{}", hosts.key));
                    }
                    layer.allow.push((hosts.key, valid));
                }
            }
            None => bad.push("allow".to_owned()),
        }
    }
    Ok(())
}

/// A list of https origins, with a path at most; the extension's own code reads them.
fn are_sites(json: &str) -> bool {
    let is_site = |entry: &str| {
        let text: Option<String> = serde_json::from_str(entry).ok();
        let rest = text.as_deref().and_then(|text| text.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split('/').next());
        host.is_some_and(|host| valid_host(host).is_some())
            && rest.is_some_and(|rest| !rest.contains(['?', '#', '@', '\\', ' ']))
    };
    json.starts_with('[') && elements(json).is_ok_and(|entries| entries.into_iter().all(is_site))
}

/// `"text"`, or `{<key>: "text", "locked": true}` as policy writes it.
fn lockable(value: &str, key: &str) -> Result<Option<(String, bool)>, JsonError> {
    if !value.starts_with('{') {
        return Ok(serde_json::from_str(value).ok().map(|text| (text, false)));
    }
    let locked = get(value, &["locked"])? == Some("true");
    Ok(get_str(value, &[key])?.map(|text| (text, locked)))
}

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

    fn read(stored: Option<&str>, managed: Option<&str>) -> Policy {
        Policy::read(stored, managed).checked(SETTABLE.into_iter())
    }

    #[test]
    fn options_are_checked_and_locked() {
        let stored = r#"{"options":{"media":{"types":["a.b"],"rooms":"off","later":1},"other":{"x":1}},"shields":{"media":"ask"}}"#;
        let policy = read(Some(stored), None);
        assert_eq!(policy.option_list("media", "types"), ["a.b"]);
        assert_eq!(policy.option_str("media", "rooms"), "off");
        assert_eq!(policy.mode("media", Mode::On).value, Mode::Ask);
        assert_eq!(policy.problems(), [] as [String; 0]);

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
        assert_eq!(policy.problems().len(), 2);
    }

    #[test]
    fn slips_of_an_administrator_are_named() {
        let managed = r#"{"shields":{"medai":"on"},"options":{"media":{"type":["a"]},"x":{"y":1}},"allow":{"media":["a.example"]},"devicename":"x","sites":["http://a.example"]}"#;
        let problems = read(None, Some(managed)).problems().join("\n");
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
        assert_eq!(read(Some(managed), None).problems().len(), 1);
        for sites in [r#"["https://a.example","https://b.example/element"]"#, "[]"] {
            let managed = format!(r#"{{"sites":{sites}}}"#);
            assert_eq!(read(None, Some(&managed)).problems(), [] as [String; 0], "{sites}");
        }
        for site in ["a.example", "https://", "https://a b/", "https://u@a.example", "https://a/?q"]
        {
            let managed = format!(r#"{{"sites":["{site}"]}}"#);
            assert_eq!(read(None, Some(&managed)).problems().len(), 1, "{site}");
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
        let policy = Policy::read(Some(user), Some(managed));
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
        assert_eq!(policy.problems(), [] as [String; 0]);
    }

    #[test]
    fn broken_settings_are_defaults_and_one_sentence() {
        for text in ["", "{", "[]", "{\"version\":1,\"shields\":{\"ident", "\u{0}", "null"] {
            let policy = Policy::read(Some(text), None);
            assert_eq!(policy.mode("identity", Mode::On).value, Mode::On, "{text}");
            assert_eq!(policy.problems().len(), 1, "{text}");
        }
    }

    #[test]
    fn one_bad_key_spoils_only_itself() {
        let policy = Policy::read(
            Some(
                r#"{"version":1,"shields":{"identity":"loud","config":"off"},"deviceName":7,"allow":{"identity":["ok.example","no slash/"]}}"#,
            ),
            None,
        );
        assert_eq!(policy.mode("identity", Mode::On).source, Source::Default);
        assert_eq!(policy.mode("config", Mode::On).value, Mode::Off);
        assert_eq!(policy.device_name().value, DEFAULT_DEVICE_NAME);
        assert!(policy.is_allowed("identity", "ok.example"));
        assert_eq!(policy.problems().len(), 3);
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
        assert!(!Policy::read(Some(stored), managed).is_allowed("identity", "is.example"));
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
        let policy = Policy::read(Some(&stored), None);
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
            let policy = Policy::read(whole.get(..cut), None);
            prop_assert!(cut == whole.len() || policy.problems().len() == 1);
        }
    }
}
