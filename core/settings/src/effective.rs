//! What is in force: a locked policy, else the person's choice, else the policy, else the default.

use crate::layer::{Author, Entry, Layer, POLICY_KEYS, unknown_key};
use crate::schema::{DEFAULT_DEVICE_NAME, Mode, OptionValue, Profile, Reading, Settable};
use mantle_wire::json::members;
use serde::Serialize;

/// Where a value in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct InForce<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub source: Source,
    /// Set by policy, not to be changed.
    pub locked: bool,
}

/// Settings in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectiveSettings {
    person: Layer,
    policy: Layer,
    options: Vec<(&'static str, &'static str, InForce<OptionValue>)>,
    warnings: Vec<String>,
}

impl EffectiveSettings {
    /// Reads both layers: the stored form and the policy, JSON texts. Never fails: see
    /// [`EffectiveSettings::warnings`].
    #[must_use]
    pub fn read(stored: Option<&str>, policy: Option<&str>) -> Self {
        let mut warnings = Vec::new();
        let person = Layer::read(stored, Author::Person, &mut warnings);
        let keys = policy.and_then(|text| members(text).ok().flatten()).unwrap_or_default();
        let unknown = keys.into_iter().filter(|key| !POLICY_KEYS.contains(&key.key.as_str()));
        warnings.extend(unknown.map(|key| unknown_key(&key.key)));
        let policy = Layer::read(policy, Author::Organisation, &mut warnings);
        Self { person, policy, options: Vec::new(), warnings }
    }

    /// Checks modes and options against what the shields offer.
    #[must_use]
    pub fn checked(mut self, settables: impl Iterator<Item = Settable>) -> Self {
        let mut unknown = self.policy.named();
        for settable in settables {
            unknown.retain(|(kind, id, key)| {
                let is_known = match *kind {
                    "options" => settable.options.iter().any(|option| option.key == key),
                    "allow" => settable.has_list,
                    _ => !settable.modes.is_empty(),
                };
                *id != settable.id || !is_known
            });
            self.check(settable);
        }
        // A slip of the pen must not look like a setting. The user's own may come from a later
        // version, and nobody could mend them.
        self.warnings.extend(unknown.into_iter().map(|(kind, id, key)| {
            let separator = if key.is_empty() { "" } else { "." };
            unknown_key(&format!("{kind}.{id}{separator}{key}"))
        }));
        self
    }

    fn check(&mut self, settable: Settable) {
        let Self { person, policy, options, warnings } = self;
        let id = settable.id;
        for (layer, author) in
            [(&mut *person, Author::Person), (&mut *policy, Author::Organisation)]
        {
            for (_, entry) in layer.shields.iter_mut().filter(|(known, _)| known == id) {
                if entry.value.is_some_and(|mode| !settable.modes.contains(&mode)) {
                    entry.value = None;
                    warnings.push(author.not_understood(&format!("shields.{id}")));
                }
            }
        }
        let is_locked = policy.shield(id).is_some_and(|entry| entry.locked);
        for option in settable.options {
            let mut read = |layer: &Layer, author| {
                let entry = layer.option(id, option.key)?;
                let locked = entry.locked || is_locked;
                let Some(json) = &entry.value else { return Some(Entry { value: None, locked }) };
                let Reading { value, readable, is_clear } = option.read_of(author, json);
                if !readable.is_empty() {
                    warnings.push(author.stays_readable(&readable.join(", ")));
                }
                if !is_clear {
                    let key = format!("options.{id}.{}", option.key);
                    warnings.push(author.not_understood(&key));
                }
                Some(Entry { value, locked })
            };
            let own = read(person, Author::Person).and_then(|entry| entry.value);
            let set = read(policy, Author::Organisation)
                // What is locked is not to be weakened by an option.
                .or_else(|| is_locked.then_some(Entry { value: None, locked: true }));
            let value = in_force(set, own, option.default_value(), |_, default| default);
            options.push((id, option.key, value));
        }
    }

    /// Which defaults hold.
    #[must_use]
    pub fn profile(&self) -> InForce<Profile> {
        let own = self.person.profile.and_then(|entry| entry.value);
        in_force(self.policy.profile, own, Profile::default(), Profile::max)
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
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The mode of a shield.
    #[must_use]
    pub fn mode(&self, shield: &str, default: Mode) -> InForce<Mode> {
        let own = self.person.shield(shield).and_then(|entry| entry.value);
        in_force(self.policy.shield(shield).copied(), own, default, Mode::max)
    }

    /// What sessions are called.
    #[must_use]
    pub fn device_name(&self) -> InForce<&str> {
        let set = self.policy.device_name.as_ref();
        let set = set.map(|entry| Entry { value: entry.value.as_deref(), locked: entry.locked });
        let own = self.person.device_name.as_ref().and_then(|entry| entry.value.as_deref());
        in_force(set, own, DEFAULT_DEVICE_NAME, |_, default| default)
    }

    /// Hosts a shield lets pass: the organisation's, and the user's where the shield is not locked.
    pub fn allowed(&self, shield: &str) -> impl Iterator<Item = &str> {
        self.policy.allowed(shield).iter().chain(self.allowed_by_user(shield)).map(String::as_str)
    }

    /// The user's part of the allow-list.
    #[must_use]
    pub fn allowed_by_user(&self, shield: &str) -> &[String] {
        if self.is_locked(shield) {
            return &[];
        }
        self.person.allowed(shield)
    }

    pub(crate) fn is_locked(&self, shield: &str) -> bool {
        self.policy.shield(shield).is_some_and(|entry| entry.locked)
    }

    /// Sites that the organisation names, as [`crate::validate::site`] writes them.
    #[must_use]
    pub fn sites_of_policy(&self) -> &[String] {
        &self.policy.sites
    }

    /// Sites that the user added, as [`crate::validate::site`] writes them.
    #[must_use]
    pub fn sites_of_user(&self) -> &[String] {
        &self.person.sites
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

/// `safer` chooses between the person's value and the default where a lock holds over what cannot be
/// read.
fn in_force<T>(
    policy: Option<Entry<T>>,
    own: Option<T>,
    default: T,
    safer: impl FnOnce(T, T) -> T,
) -> InForce<T> {
    match (policy, own) {
        (Some(Entry { value: Some(value), locked: true }), _) => {
            InForce { value, source: Source::Policy, locked: true }
        }
        (Some(Entry { value: None, locked: true }), Some(own)) => {
            InForce { value: safer(own, default), source: Source::Policy, locked: true }
        }
        (Some(Entry { value: None, locked: true }), None) => {
            InForce { value: default, source: Source::Policy, locked: true }
        }
        (_, Some(value)) => InForce { value, source: Source::User, locked: false },
        (Some(Entry { value: Some(value), .. }), None) => {
            InForce { value, source: Source::Policy, locked: false }
        }
        _ => InForce { value: default, source: Source::Default, locked: false },
    }
}
