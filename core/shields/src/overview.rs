//! What a person sees of the settings: shields, modes, texts and locks.

use crate::shields::{INFOS, settables};
use mantle_settings::{
    Change, ChangeError, EffectiveSettings, GENERAL, GENERAL_OPTIONS, ImportError, InForce, Mode,
    OptionInfo, OptionValue, Profile, Site, Source, validate,
};
use serde::{Serialize, Serializer};

/// An option of a shield as shown.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct OptionView {
    /// Key, title, kind of values.
    #[serde(flatten)]
    pub info: OptionInfo,
    /// In force.
    pub value: OptionValue,
    /// Where it comes from.
    pub source: Source,
    /// Whether policy keeps the user from changing it.
    pub locked: bool,
}

/// One shield as shown.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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
    /// Where nobody chose, under the profile in force.
    pub default: Mode,
    /// All it offers.
    pub modes: &'static [Mode],
    /// Where the mode comes from.
    pub source: Source,
    /// Whether policy keeps the user from changing it.
    pub locked: bool,
    /// Choices beside the mode.
    pub options: Vec<OptionView>,
    /// Title of its list of allowed hosts; `None`: it has none.
    pub allow: Option<&'static str>,
    /// Does nothing without the browser's permission for all sites.
    pub everywhere: bool,
}

/// A text setting as shown.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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

/// Allow-lists as shown: an object with one list per shield that has one.
#[derive(Debug, Clone)]
pub struct AllowView(pub Vec<(&'static str, Vec<String>)>);

impl Serialize for AllowView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, hosts)| (id, hosts)))
    }
}

/// All settings as shown.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct SettingsView {
    /// Which defaults hold.
    pub profile: InForce<Profile>,
    /// In their order.
    pub shields: Vec<ShieldView>,
    /// Choices that belong to no shield.
    pub general: Vec<OptionView>,
    /// What sessions are called.
    pub device_name: TextView,
    /// Allowed hosts by shield id: the organisation's and the user's.
    #[cfg_attr(not(target_arch = "wasm32"), ts(type = "Record<string, string[]>"))]
    pub allow: AllowView,
    /// The user's part of them.
    #[cfg_attr(not(target_arch = "wasm32"), ts(type = "Record<string, string[]>"))]
    pub own_allow: AllowView,
    /// What could not be read, as sentences.
    pub problems: Vec<String>,
}

/// The settings in force, for showing.
#[must_use]
pub fn describe(stored: Option<&str>, managed: Option<&str>) -> SettingsView {
    let settings = EffectiveSettings::read(stored, managed).checked(settables());
    let profile = settings.profile();
    let shields = INFOS
        .iter()
        .map(|info| {
            let default = info.default_in(profile.value);
            let InForce { value: mode, source, locked } = settings.mode(info.id, default);
            let options = option_views(&settings, info.id, info.options);
            ShieldView {
                id: info.id,
                name: info.name,
                purpose: info.purpose,
                loses: info.loses,
                mode,
                default,
                modes: info.modes,
                source,
                locked,
                options,
                allow: info.allow,
                everywhere: info.everywhere,
            }
        })
        .collect();
    let name = settings.device_name();
    let device_name = TextView {
        value: name.value.to_owned(),
        default: mantle_settings::DEFAULT_DEVICE_NAME,
        source: name.source,
        locked: name.locked,
    };
    let view = |hosts: &dyn Fn(&str) -> Vec<String>| {
        let with_list = INFOS.iter().filter(|info| info.allow.is_some());
        AllowView(with_list.map(|info| (info.id, hosts(info.id))).collect())
    };
    let allow = view(&|id| settings.allowed(id).map(str::to_owned).collect());
    let own_allow = view(&|id| settings.allowed_by_user(id).to_vec());
    let problems = settings.warnings().to_vec();
    let general = option_views(&settings, GENERAL, &GENERAL_OPTIONS);
    SettingsView { profile, shields, general, device_name, allow, own_allow, problems }
}

fn option_views(settings: &EffectiveSettings, id: &str, options: &[OptionInfo]) -> Vec<OptionView> {
    let view = |option: &OptionInfo| {
        let InForce { value, source, locked } = settings.option(id, option.key)?.clone();
        Some(OptionView { info: *option, value, source, locked })
    };
    options.iter().filter_map(view).collect()
}

/// Sites beside those a build was made for.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct SiteLists {
    /// That the user added.
    pub own: Vec<Site>,
    /// That the organisation names.
    pub named: Vec<Site>,
}

/// The sites that the stored form and the policy name.
#[must_use]
pub fn sites(stored: Option<&str>, managed: Option<&str>) -> SiteLists {
    let settings = EffectiveSettings::read(stored, managed);
    let parsed = |urls: &[String]| urls.iter().filter_map(|url| validate::site(url)).collect();
    SiteLists { own: parsed(settings.sites_of_user()), named: parsed(settings.sites_of_policy()) }
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
    let settables: Vec<_> = settables().collect();
    mantle_settings::change(stored, managed, change, &settables)
}

/// The stored form that a file stands for, in place of the one that is there.
///
/// # Errors
/// [`ImportError`] when anything in the file is not understood.
pub fn import(stored: Option<&str>, file: &str) -> Result<String, ImportError> {
    let settables: Vec<_> = settables().collect();
    mantle_settings::import(stored, file, &settables)
}
