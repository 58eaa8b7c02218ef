//! What a person sees of the settings: shields, modes, texts and locks.

use crate::policy::{InForce, Mode, Policy, Source};
use crate::shields::SHIELDS;
use serde::Serialize;

/// One shield as shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShieldView {
    /// Kebab-case id.
    pub id: &'static str,
    /// Short title.
    pub name: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// What the user loses.
    pub loses: &'static str,
    /// In force.
    pub mode: Mode,
    /// Where nobody chose.
    pub default: Mode,
    /// All it knows.
    pub modes: [Mode; 3],
    /// Where the mode comes from.
    pub source: Source,
    /// Whether the user may change it.
    pub locked: bool,
}

/// A text setting as shown.
#[derive(Debug, Clone, Serialize)]
pub struct TextView {
    /// In force.
    pub value: String,
    /// Where nobody chose.
    pub default: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// Whether the user may change it.
    pub locked: bool,
}

/// Allow-lists as shown, one field per shield that has one.
#[derive(Debug, Clone, Serialize)]
pub struct AllowView {
    /// Integration managers and widget hosts.
    pub integrations: Vec<String>,
    /// Identity servers.
    pub identity: Vec<String>,
}

/// All settings as shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsView {
    /// In their order.
    pub shields: Vec<ShieldView>,
    /// What sessions are called.
    pub device_name: TextView,
    /// Allowed hosts by shield id: the organisation's and the user's.
    pub allow: AllowView,
    /// The user's part of them.
    pub own_allow: AllowView,
    /// What could not be read, as sentences.
    pub problems: Vec<String>,
}

/// The settings in force, for showing.
#[must_use]
pub fn describe(stored: Option<&str>, managed: Option<&str>) -> SettingsView {
    let policy = Policy::read(stored, managed);
    let shields = SHIELDS
        .iter()
        .map(|shield| {
            let info = shield.info();
            let InForce { value: mode, source, locked } = policy.mode(info.id, info.default);
            ShieldView {
                id: info.id,
                name: info.name,
                purpose: info.purpose,
                loses: info.loses,
                mode,
                default: info.default,
                modes: Mode::PLAIN,
                source,
                locked,
            }
        })
        .collect();
    let name = policy.device_name();
    let device_name = TextView {
        value: name.value.to_owned(),
        default: crate::policy::DEFAULT_DEVICE_NAME,
        source: name.source,
        locked: name.locked,
    };
    let view = |hosts: &dyn Fn(&str) -> Vec<String>| AllowView {
        integrations: hosts("integrations"),
        identity: hosts("identity"),
    };
    let allow = view(&|id| policy.allowed(id).map(str::to_owned).collect());
    let own_allow = view(&|id| policy.allowed_by_user(id).to_vec());
    SettingsView { shields, device_name, allow, own_allow, problems: policy.problems().to_vec() }
}
