//! Element's own configuration: hardened on its way in, so that Element hides
//! what the other shields switch off.
//!
//! Catalogue section 15. Each row serves one shield and only counts while
//! that shield is on.

use super::{Context, Head, HeadStep, Info, Place, ResponseStep, Shield, documented, mode_in};
use mantle_settings::Mode;
use mantle_wire::json::{Change, Document, Edit, JsonError, elements, members, quoted, string};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, Found, found};
use std::borrow::Cow;

pub(super) struct Config;

pub(super) static INFO: Info = Info {
    id: "config",
    name: "Element's configuration",
    purpose: documented(
        "Changes the settings Element loads at start, so that it hides what the other shields switch off instead of failing at it.",
    ),
    loses: documented("Buttons for what is switched off are gone from Element."),
    why: documented("A hidden button is better than one that fails."),
    endpoints: &[
        Endpoint::ElementConfig,
        Endpoint::WellKnownClient,
        Endpoint::Login,
        Endpoint::Register,
    ],
    ..Info::PLAIN
};

/// What Element uses where its configuration names no manager.
const BUILT_IN_MANAGER: &str = "scalar.vector.im";

struct Row<'a> {
    shield: &'a str,
    path: &'a str,
    /// `-` takes the key away, `=…` sets it, `:…` replaces it where it is there, `name` sets what
    /// sessions are called, `listed` sets those servers of a list that are on the shield's. `own`
    /// takes away what of it lies on a foreign host, one address or some of a list; `style` does so
    /// with what goes into a style sheet; `text` takes the pictures out of Markdown; `nobody` has a
    /// domain, where it is foreign, give way to one that nobody has (RFC 2606).
    to: &'a str,
}

impl Row<'_> {
    /// Whether it looks at what is there, under any of its names.
    fn is_of_value(&self) -> bool {
        matches!(self.to, "own" | "style" | "text") || self.to.starts_with(':')
    }
}

/// `config.json`: a shield, then its keys, each with what becomes of it. Keys stand under their
/// present names; the old ones in camel case, which Element reads where the present is missing,
/// follow from them. A text, because every page carries it.
///
/// A missing `integrations_*_url` means Element's built-in scalar; `null` means none. Of inverted
/// settings the name that counts is the stored one (catalogue, section 15). Two at encrypting
/// names would both; low bandwidth means no encryption at all.
const CONFIG: &str = "
identity
 - default_server_config/m.identity_server
 - default_is_url
 =false setting_defaults/UIFeature.identityServer
integrations
 =null integrations_ui_url
 =null integrations_rest_url
 =[] integrations_widgets_urls
 - widget_build_url
 - audio_stream_url
 =false setting_defaults/MessageComposerInput.showStickersButton
config
 - net.nordeck.element_web.module.widget_lifecycle
 - io.element.element-web-modules.widget-lifecycle
device-name
 name default_device_display_name
 - oidc_metadata/contacts
typing
 =false setting_defaults/sendTypingNotifications
 =true setting_defaults/dontSendTypingNotifications
receipts
 =false setting_defaults/sendReadReceipts
previews
 =false setting_defaults/urlPreviewsEnabled
 =false setting_defaults/UIFeature.urlPreviews
maps
 - map_style_url
 =false setting_defaults/UIFeature.locationSharing
directory
 listed room_directory/servers
welcome-bot
 - welcome_user_id
telemetry
 - posthog
 - sentry
 - piwik
 - analytics_owner
 - bug_report_endpoint_url
 - uisi_autorageshake_app
 =false setting_defaults/UIFeature.feedback
 =false setting_defaults/automaticKeyBackNotEnabledReporting
 =false setting_defaults/automaticDecryptionErrorReporting
 =false setting_defaults/automaticErrorReporting
 =false setting_defaults/analyticsOptIn
 =false setting_defaults/Performance.addSendMessageTimingMetadata
calls
 =true setting_defaults/webRtcForceTURN
 :false voip/obey_asserted_identity
 own element_call/guest_spa_url
permalinks
 =false setting_defaults/UIFeature.shareSocial
encrypted-state
 :false features/feature_msc4362_encrypted_state_events
 :false setting_defaults/lowBandwidth
extras
 - gif
 :false features/feature_sliding_sync
 :false mobile_guide_toast
 own modules
 own custom_translations_url
 own embedded_pages/welcome_url
 own embedded_pages/home_url
 own branding/auth_header_logo_url
 own desktop_builds/logo
 own host_signup/url
 own setting_defaults/Developer.elementCallUrl
 own setting_defaults/notificationSound/url
 style branding/welcome_background_url
 style setting_defaults/custom_themes
 text report_event/admin_message_md
third-party
 =false setting_defaults/UIFeature.widgets
 =true disable_guests
 =false enable_client_well_known_lookups
 nobody jitsi/preferred_domain
";

/// `.well-known/matrix/client`, and the copy of it in login answers.
const WELL_KNOWN: &str = r#"
identity
 - m.identity_server
integrations
 :{"managers":[]} m.integrations
 - io.element.call_behaviour
maps
 - m.tile_server
 - org.matrix.msc3488.tile_server
calls
 =true io.element.voip/disable_fallback_ice
extras
 - org.matrix.msc3575.proxy
 own io.element.embedded_pages/home_url
third-party
 nobody io.element.jitsi/preferredDomain
 nobody im.vector.riot.jitsi/preferredDomain
"#;

const JITSI: &str = "jitsi/preferred_domain";
/// Element's own where the configuration names none.
const BUILT_IN_JITSI: &str = "meet.element.io";
/// Whom Element offers to ask where the homeserver has no TURN server.
const FALLBACK_STUN: &str = "turn.matrix.org";

fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    let mut shield = "";
    table.lines().filter_map(move |line| {
        let Some(row) = line.strip_prefix(' ') else {
            shield = line;
            return None;
        };
        let (to, path) = row.split_once(' ')?;
        Some(Row { shield, path, to })
    })
}

/// Every name of a key: each part of its path may be in camel case, as it was in old
/// configurations. The present one comes first.
fn names(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    for key in path.split('/') {
        let old = old_name(key);
        let known = names.len();
        for at in 0..known {
            let Some(name) = names.get_mut(at) else { break };
            if !name.is_empty() {
                name.push('/');
            }
            let with_old = (old != key).then(|| format!("{name}{old}"));
            name.push_str(key);
            names.extend(with_old);
        }
    }
    names
}

/// The name a key had in camel case; the same where it had none.
fn old_name(key: &str) -> String {
    // The one that Element reads as no rule would have it.
    if key == "admin_message_md" {
        return "adminMessageMD".to_owned();
    }
    let mut old = String::with_capacity(key.len());
    // Names with dots are Matrix's, or settings'.
    let mut words = key.split(if key.contains('.') { '/' } else { '_' });
    old.push_str(words.next().unwrap_or_default());
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        old.push_str(&first.to_ascii_uppercase());
        old.push_str(rest);
    }
    old
}

impl Shield for Config {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::ElementConfig
                if context.page_host.is_empty() || context.page_host == head.address.host =>
            {
                HeadStep::InspectResponse
            }
            Endpoint::WellKnownClient | Endpoint::Login => HeadStep::InspectResponse,
            // UIA answers 401 with flows first; only the final answer may hold `well_known`.
            Endpoint::Register => HeadStep::InspectResponse,
            _ => HeadStep::Pass,
        }
    }

    fn response_paths(&self, head: &Head<'_>) -> Vec<Cow<'static, str>> {
        let (table, root) = table(head.endpoint);
        let probes = SHIELDS_PROBED.iter().flat_map(|shield| probes(shield));
        let paths = rows(table).map(|row| row.path).chain(probes.copied());
        paths.flat_map(|path| names(&format!("{root}{path}"))).map(Cow::Owned).collect()
    }

    fn response(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let (table, root) = table(head.endpoint);
        let mut step = ResponseStep::default();
        // Element takes an empty `config.<host>.json` for "not there", and reads `config.json`.
        if !body.has_members() {
            return Ok(step);
        }
        for row in rows(table) {
            // A sign-in tells of servers, or of nothing.
            if row.to.starts_with('=') && !root.is_empty() {
                continue;
            }
            if matches!(mode_in(context.policy, row.shield), Mode::Off | Mode::Flag)
                || is_allowed(&row, root, context, body)
            {
                continue;
            }
            let names = names(&format!("{root}{}", row.path));
            let Some((path, old_names)) = names.split_first() else { continue };
            let change = edit(&row, path, old_names, context, body)?;
            if table == CONFIG {
                for old in old_names {
                    // What is set counts before its old name.
                    step.edits.extend(if row.is_of_value() {
                        edit(&row, old, &[], context, body)?
                    } else {
                        change.is_some().then(|| at(old, Change::Remove))
                    });
                }
            }
            step.edits.extend(change);
        }
        Ok(step)
    }
}

/// What is hardened of a response, and where in it that stands.
const fn table(endpoint: Endpoint) -> (&'static str, &'static str) {
    match endpoint {
        Endpoint::ElementConfig => (CONFIG, ""),
        Endpoint::WellKnownClient => (WELL_KNOWN, ""),
        _ => (WELL_KNOWN, "well_known/"),
    }
}

/// `None` where it stays as it is.
fn edit(
    row: &Row<'_>,
    path: &str,
    old_names: &[String],
    context: &Context<'_>,
    body: &Document<'_>,
) -> Result<Option<Edit>, JsonError> {
    let (first, json) = row.to.split_at_checked(1).unwrap_or_default();
    let change = match (row.to, first) {
        ("own" | "style" | "text", _) => {
            let Some(value) = body.get(path) else { return Ok(None) };
            let cleaning = Cleaning { row, context };
            match cleaning.value(&value, path, 0)? {
                None => Change::Remove,
                Some(Cow::Owned(cleaned)) => Change::Replace(cleaned),
                Some(Cow::Borrowed(_)) => return Ok(None),
            }
        }
        ("nobody", _) => {
            let mut domain = body.get_str(path);
            // In `.well-known` a missing one stays missing.
            if domain.is_none() && path == JITSI {
                let old = old_names.iter().find_map(|old| body.get_str(old));
                domain = old.or_else(|| Some(BUILT_IN_JITSI.into()));
            }
            let is_foreign = domain.is_some_and(|domain| {
                [row.shield, "calls"].iter().all(|list| context.is_foreign(list, &domain))
            });
            if !is_foreign {
                return Ok(None);
            }
            Change::Set(r#""jitsi.invalid""#.into())
        }
        ("listed", _) => {
            let old = || old_names.iter().find_map(|old| body.get(old));
            let list = body.get(path).or_else(old).unwrap_or("[]".into());
            let kept = elements(&list)?.into_iter().filter(|server| {
                let server = string(server.as_bytes()).unwrap_or_default();
                context.policy.is_allowed(row.shield, &server)
            });
            Change::Set(format!("[{}]", kept.collect::<Vec<_>>().join(",")))
        }
        ("name", _) => Change::Set(quoted(context.policy.device_name().value)),
        (_, "=") => Change::Set(json.into()),
        (_, ":") => Change::Replace(json.into()),
        _ => Change::Remove,
    };
    Ok(Some(at(path, change)))
}

fn at(path: &str, change: Change) -> Edit {
    Edit { path: path.split('/').map(str::to_owned).collect(), change }
}

/// Lists and objects in each other that anything of Element reads.
const MAX_DEPTH: usize = 8;

/// Takes out of a value what would have Element load something from a foreign host.
struct Cleaning<'a> {
    row: &'a Row<'a>,
    context: &'a Context<'a>,
}

impl Cleaning<'_> {
    /// What is left of a value that stands under this key: the same, less, or nothing.
    fn value<'v>(
        &self,
        value: &'v str,
        key: &str,
        depth: usize,
    ) -> Result<Option<Cow<'v, str>>, JsonError> {
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let depth = depth.saturating_add(1);
        let mut kept = String::new();
        let mut is_changed = false;
        match value.bytes().next() {
            Some(b'"') => {
                let text = string(value.as_bytes()).unwrap_or_default();
                if self.row.to != "text" {
                    return Ok((!self.is_foreign(&text, key)).then_some(value.into()));
                }
                let plain = without_pictures(&text);
                return Ok(Some(if plain == text { value.into() } else { quoted(&plain).into() }));
            }
            Some(b'[') => {
                for one in elements(value)? {
                    // A list in a list of addresses would be read as the addresses in it.
                    let is_list = one.starts_with('[');
                    let left = if is_list { None } else { self.value(one, key, depth)? };
                    is_changed |= !matches!(left, Some(Cow::Borrowed(_)));
                    let Some(left) = left else { continue };
                    kept.push_str(if kept.is_empty() { "[" } else { "," });
                    kept.push_str(&left);
                }
                if kept.is_empty() {
                    kept.push('[');
                }
                kept.push(']');
            }
            Some(b'{') if self.row.to == "style" => {
                for member in members(value)?.unwrap_or_default() {
                    let left = self.value(member.value, &member.key, depth)?;
                    is_changed |= !matches!(left, Some(Cow::Borrowed(_)));
                    let Some(left) = left else {
                        // A source of a font without its address spoils the sources beside it.
                        if member.key == "url" {
                            return Ok(None);
                        }
                        continue;
                    };
                    kept.push_str(if kept.is_empty() { "{" } else { "," });
                    kept.push_str(&format!("{}:{left}", quoted(&member.key)));
                }
                if kept.is_empty() {
                    kept.push('{');
                }
                kept.push('}');
            }
            _ => {}
        }
        Ok(Some(if is_changed { kept.into() } else { value.into() }))
    }

    fn is_foreign(&self, text: &str, key: &str) -> bool {
        // The name of a theme is only shown.
        if key == "name" {
            return false;
        }
        let is_style = self.row.to == "style";
        // In a style sheet an escape may be any letter, and these end what an address stands in.
        if is_style && text.contains(['\\', '{', '}']) {
            return true;
        }
        // All but addresses names none, under any function that a browser may know.
        let is_address = ["url", "Url"].iter().any(|end| key.ends_with(end));
        if is_style && !is_address {
            return text.contains([':', ';'])
                || text.replace(['\t', '\n', '\r'], "").contains("//");
        }
        if is_style && text.contains(['"', '\'', '(', ')']) {
            return true;
        }
        match found(text) {
            Found::Absolute(url) => Address::parse(&url)
                .is_none_or(|address| self.context.is_foreign(self.row.shield, address.host)),
            Found::Unknown => true,
            Found::Relative | Found::Other(_) => false,
        }
    }
}

/// Markdown with a link in place of each picture, which begins with `![`.
fn without_pictures(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (at, part) in text.split('[').enumerate() {
        if at > 0 {
            plain.truncate(plain.trim_end_matches('!').len());
            plain.push('[');
        }
        plain.push_str(part);
    }
    plain
}

/// Whether the row's present value names a host the user or organisation allows.
fn is_allowed(row: &Row<'_>, root: &str, context: &Context<'_>, body: &Document<'_>) -> bool {
    // Without these keys Element has a manager built in.
    if row.shield == "integrations"
        && root.is_empty()
        && body.get("integrations_rest_url").is_none()
        && body.get("integrationsRestUrl").is_none()
        && context.policy.is_allowed(row.shield, BUILT_IN_MANAGER)
    {
        return true;
    }
    let policy = context.policy;
    let is_wanted = match row.path {
        "setting_defaults/webRtcForceTURN" => policy.option_flag("calls", "direct"),
        "io.element.voip/disable_fallback_ice" => policy.is_allowed("calls", FALLBACK_STUN),
        // Each report is asked about.
        "bug_report_endpoint_url" | "setting_defaults/UIFeature.feedback" => {
            mode_in(policy, row.shield) == Mode::Ask
        }
        // A widget that is allowed needs its buttons.
        // So does a call, whose servers may stand in what is looked up.
        "setting_defaults/UIFeature.widgets" | "enable_client_well_known_lookups" => {
            ["third-party", "calls"].iter().any(|list| policy.allowed(list).next().is_some())
        }
        _ => false,
    };
    if is_wanted {
        return true;
    }
    // One allowed manager keeps the whole family of keys.
    policy.allowed(row.shield).next().is_some()
        && probes(row.shield).iter().any(|probe| {
            let url = body.get_str(&format!("{root}{probe}"));
            let place = url.as_deref().and_then(Place::of);
            place.is_some_and(|place| policy.is_allowed(row.shield, &place.host))
        })
}

/// Shields of which one allowed host keeps all keys.
const SHIELDS_PROBED: [&str; 4] = ["integrations", "identity", "maps", "telemetry"];

/// Where such a host stands.
fn probes(shield: &str) -> &'static [&'static str] {
    match shield {
        "integrations" => &["integrations_rest_url", "integrationsRestUrl", "integrations_ui_url"],
        "identity" => &[
            "default_server_config/m.identity_server/base_url",
            "m.identity_server/base_url",
            "default_is_url",
        ],
        "maps" => &[
            "map_style_url",
            "mapStyleUrl",
            "m.tile_server/map_style_url",
            "org.matrix.msc3488.tile_server/map_style_url",
        ],
        "telemetry" => {
            &["posthog/api_host", "sentry/dsn", "bug_report_endpoint_url", "bugReportEndpointUrl"]
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_is_a_row_of_a_shield() {
        for table in [CONFIG, WELL_KNOWN] {
            let lines = table.lines().filter(|line| line.starts_with(' ')).count();
            assert_eq!(rows(table).count(), lines);
            for row in rows(table) {
                let is_word =
                    ["-", "name", "listed", "own", "style", "text", "nobody"].contains(&row.to);
                assert!(is_word || row.to.starts_with(['=', ':']), "{}", row.to);
                let is_known = super::super::SHIELDS.iter().any(|s| s.info().id == row.shield);
                assert!(is_known, "{} of {}", row.path, row.shield);
            }
        }
    }

    #[test]
    fn old_names_are_in_camel_case_in_any_part() {
        for (path, old) in [
            (
                "embedded_pages/home_url",
                &["embeddedPages/home_url", "embedded_pages/homeUrl", "embeddedPages/homeUrl"][..],
            ),
            ("default_server_config/m.identity_server", &["defaultServerConfig/m.identity_server"]),
            ("setting_defaults/UIFeature.widgets", &["settingDefaults/UIFeature.widgets"]),
            ("gif", &[]),
        ] {
            let names = names(path);
            assert_eq!(names[0], path);
            let mut others = names[1..].to_vec();
            others.sort_by_key(|name| old.iter().position(|old| old == name));
            assert_eq!(others, old);
        }
    }
}
