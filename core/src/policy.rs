//! Settings: managed policy first, then the user's own, then defaults.
//!
//! The stored form is versioned and read leniently: what cannot be read is
//! ignored, the safe default holds, and a sentence says so.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version this core writes.
pub const STORED_VERSION: u64 = 1;
/// What a session is called where the user has not chosen a text.
pub const DEFAULT_DEVICE_NAME: &str = "Element";
/// Longest device name Synapse takes, in characters.
pub const LONGEST_DEVICE_NAME: usize = 100;

/// What a shield does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    Off,
    /// Let pass, record.
    Flag,
    /// Block or rewrite.
    On,
}

impl Mode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 3] = [Self::Off, Self::Flag, Self::On];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::On => "on",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
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
    shields: BTreeMap<String, (Mode, bool)>,
    device_name: Option<(String, bool)>,
    allow: BTreeMap<String, Vec<String>>,
}

/// Settings in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    user: Layer,
    managed: Layer,
    problems: Vec<String>,
}

impl Policy {
    /// Reads both layers. Never fails: see [`Policy::problems`].
    #[must_use]
    pub fn read(stored: Option<&str>, managed: Option<&str>) -> Self {
        let mut problems = Vec::new();
        let user = read_layer(stored, "your saved settings", &mut problems);
        let managed = read_layer(managed, "your organisation's policy", &mut problems);
        Self { user, managed, problems }
    }

    /// One sentence for everything that could not be read.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The mode of a shield.
    #[must_use]
    pub fn mode(&self, shield: &str, default: Mode) -> InForce<Mode> {
        if let Some((mode, locked)) = self.managed.shields.get(shield)
            && (*locked || !self.user.shields.contains_key(shield))
        {
            return InForce { value: *mode, source: Source::Policy, locked: *locked };
        }
        match self.user.shields.get(shield) {
            Some((mode, _)) => InForce { value: *mode, source: Source::User, locked: false },
            None => InForce { value: default, source: Source::Default, locked: false },
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
        self.managed.allow.get(shield).map_or(&[], Vec::as_slice)
    }

    /// The user's part of the allow-list.
    #[must_use]
    pub fn allowed_by_user(&self, shield: &str) -> &[String] {
        if self.is_locked(shield) {
            return &[];
        }
        self.user.allow.get(shield).map_or(&[], Vec::as_slice)
    }

    fn is_locked(&self, shield: &str) -> bool {
        self.managed.shields.get(shield).is_some_and(|(_, locked)| *locked)
    }

    /// Whether a shield lets this host pass; `host` may carry a port.
    #[must_use]
    pub fn is_allowed(&self, shield: &str, host: &str) -> bool {
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.contains(']'))
            .map_or(host, |(name, _)| name);
        self.allowed(shield).any(|allowed| allowed == host || allowed == name)
    }
}

/// One change a person makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
        /// Origins.
        sites: Vec<String>,
    },
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
}

/// The stored form after one change.
///
/// # Errors
/// [`ChangeError`] when policy locks the setting or the value is no good.
pub fn change(
    stored: Option<&str>,
    managed: Option<&str>,
    change: Change,
) -> Result<String, ChangeError> {
    let policy = Policy::read(stored, managed);
    // Keys of later versions survive a change made by this one.
    let mut root = match stored.and_then(|text| serde_json::from_str(text).ok()) {
        Some(Value::Object(root)) => root,
        _ => serde_json::Map::new(),
    };
    if !root.get("version").is_some_and(Value::is_u64) {
        root.insert("version".into(), STORED_VERSION.into());
    }
    match change {
        Change::Mode { shield, mode } => {
            if policy.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            put(&mut root, "shields", &shield, mode.map(|mode| mode.name().into()));
        }
        Change::DeviceName { value } => {
            if policy.device_name().locked {
                return Err(ChangeError::Locked);
            }
            match value {
                None => {
                    root.remove("deviceName");
                }
                Some(text) => {
                    let text = valid_device_name(&text).ok_or(ChangeError::DeviceName)?;
                    root.insert("deviceName".into(), text.into());
                }
            }
        }
        Change::Allow { shield, hosts } => {
            if policy.is_locked(&shield) {
                return Err(ChangeError::Locked);
            }
            let mut valid = Vec::new();
            for host in hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty()) {
                valid.push(Value::from(
                    valid_host(host).ok_or_else(|| ChangeError::Host(host.to_owned()))?,
                ));
            }
            put(&mut root, "allow", &shield, (!valid.is_empty()).then(|| valid.into()));
        }
        Change::Sites { sites } => {
            root.insert("sites".into(), sites.into());
        }
    }
    Ok(Value::Object(root).to_string())
}

fn put(root: &mut serde_json::Map<String, Value>, group: &str, key: &str, value: Option<Value>) {
    let group = root.entry(group).or_insert_with(|| Value::Object(serde_json::Map::new()));
    if !group.is_object() {
        *group = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(group) = group {
        match value {
            Some(value) => group.insert(key.to_owned(), value),
            None => group.remove(key),
        };
    }
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
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
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
    let root = match serde_json::from_str(text) {
        Ok(Value::Object(root)) => root,
        _ => {
            problems.push(format!(
                "Mantle could not read {whose}, so the safe defaults are in force; set them again."
            ));
            return layer;
        }
    };
    let mut bad = |key: &str| {
        problems.push(format!(
            "Mantle does not understand “{key}” in {whose}, so its safe default is in force."
        ));
    };
    // Keys of version 1 keep their meaning in later versions, so the number is no gate.
    if let Some(shields) = root.get("shields") {
        match shields {
            Value::Object(shields) => {
                for (id, value) in shields {
                    match lockable(value, "mode", |value| Mode::from_name(value.as_str()?)) {
                        Some((mode, locked)) => {
                            layer.shields.insert(id.clone(), (mode, locked));
                        }
                        None => bad(&format!("shields.{id}")),
                    }
                }
            }
            _ => bad("shields"),
        }
    }
    if let Some(value) = root.get("deviceName") {
        match lockable(value, "value", Value::as_str)
            .and_then(|(text, locked)| Some((valid_device_name(text)?, locked)))
        {
            Some(found) => layer.device_name = Some(found),
            None => bad("deviceName"),
        }
    }
    if let Some(allow) = root.get("allow") {
        match allow {
            Value::Object(allow) => {
                for (id, hosts) in allow {
                    let hosts = hosts.as_array().map(Vec::as_slice).unwrap_or_else(|| {
                        bad(&format!("allow.{id}"));
                        &[]
                    });
                    let mut valid = Vec::new();
                    for host in hosts {
                        match host.as_str().and_then(valid_host) {
                            Some(host) => valid.push(host),
                            None => bad(&format!("allow.{id}")),
                        }
                    }
                    layer.allow.insert(id.clone(), valid);
                }
            }
            _ => bad("allow"),
        }
    }
    layer
}

/// `value`, or `{<key>: value, locked: bool}` as policy writes it.
fn lockable<'a, T>(
    value: &'a Value,
    key: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Option<(T, bool)> {
    match value {
        Value::Object(object) => {
            let locked = object.get("locked").and_then(Value::as_bool).unwrap_or(false);
            Some((read(object.get(key)?)?, locked))
        }
        other => Some((read(other)?, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!(first, r#"{"deviceName":"Desk","version":1}"#);
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
