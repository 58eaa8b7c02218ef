//! Element's own configuration: hardened on its way in, so that Element hides
//! what the other shields switch off.
//!
//! Catalogue section 15. Each row serves one shield and only counts while
//! that shield is on.

use super::{Context, Head, HeadStep, Info, ResponseStep, Shield, documented, mode_in};
use mantle_settings::Mode;
use mantle_wire::json::{Change, Document, Edit, JsonError, elements, quoted, string};
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
    /// sessions are called, `listed` sets those servers of a list that are on the shield's. `own` takes away what of it lies on a foreign host, one address or some
    /// of a list; `nobody` has a domain, where it is foreign, give way to one that nobody has
    /// (RFC 2606).
    to: &'a str,
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
 own branding/welcome_background_url
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

/// The name a key had in camel case; the same where it had none.
fn old_name(path: &str) -> String {
    let mut old = String::with_capacity(path.len());
    for key in path.split('/') {
        if !old.is_empty() {
            old.push('/');
        }
        // Names with dots are Matrix's, or settings'.
        let mut words = key.split(if key.contains('.') { '/' } else { '_' });
        old.push_str(words.next().unwrap_or_default());
        for word in words {
            let (first, rest) = word.split_at_checked(1).unwrap_or_default();
            old.push_str(&first.to_ascii_uppercase());
            old.push_str(rest);
        }
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
                HeadStep::Watch
            }
            Endpoint::WellKnownClient | Endpoint::Login => HeadStep::Watch,
            // UIA answers 401 with flows first; only the final answer may hold `well_known`.
            Endpoint::Register => HeadStep::Watch,
            _ => HeadStep::Pass,
        }
    }

    fn response_paths(&self, head: &Head<'_>) -> Vec<Cow<'static, str>> {
        let (table, root) = table(head.endpoint);
        let probes = SHIELDS_PROBED.iter().flat_map(|shield| probes(shield));
        let paths = rows(table).map(|row| row.path).chain(probes.copied());
        paths
            .flat_map(|path| {
                let path = format!("{root}{path}");
                [old_name(&path), path]
            })
            .map(Cow::Owned)
            .collect()
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
            let path = format!("{root}{}", row.path);
            let old = old_name(&path);
            let change = edit(&row, &path, &old, context, body)?;
            if old != path && table == CONFIG {
                // What is set counts before its old name.
                step.edits.extend(if row.to == "own" || row.to.starts_with(':') {
                    edit(&row, &old, &old, context, body)?
                } else {
                    change.is_some().then(|| at(&old, Change::Remove))
                });
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
    old: &str,
    context: &Context<'_>,
    body: &Document<'_>,
) -> Result<Option<Edit>, JsonError> {
    let (first, json) = row.to.split_at_checked(1).unwrap_or_default();
    let change = match (row.to, first) {
        ("own", _) => return own_part(row.shield, path, context, body),
        ("nobody", _) => {
            let mut domain = body.get_str(path);
            // In `.well-known` a missing one stays missing.
            if domain.is_none() && path == JITSI {
                domain = body.get_str(old).or_else(|| Some(BUILT_IN_JITSI.into()));
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
            let list = body.get(path).or_else(|| body.get(old)).unwrap_or("[]".into());
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

/// Leaves what is relative, the page's own or allowed.
fn own_part(
    shield: &str,
    path: &str,
    context: &Context<'_>,
    body: &Document<'_>,
) -> Result<Option<Edit>, JsonError> {
    let Some(value) = body.get(path) else { return Ok(None) };
    let list = elements(&value)?;
    if list.is_empty() {
        return Ok(is_foreign(shield, context, &value).then(|| at(path, Change::Remove)));
    }
    let mut kept = String::from("[");
    let mut is_changed = false;
    for one in list {
        if is_foreign(shield, context, one) {
            is_changed = true;
            continue;
        }
        if kept.len() > 1 {
            kept.push(',');
        }
        kept.push_str(one);
    }
    kept.push(']');
    Ok(is_changed.then(|| at(path, Change::Replace(kept))))
}

/// Whether a JSON text is an address on a foreign host.
fn is_foreign(shield: &str, context: &Context<'_>, value: &str) -> bool {
    match found(&string(value.as_bytes()).unwrap_or_default()) {
        Found::Absolute(url) => {
            Address::parse(&url).is_none_or(|address| context.is_foreign(shield, address.host))
        }
        Found::Unknown => true,
        Found::Relative | Found::Other(_) => false,
    }
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
    probes(row.shield).iter().any(|probe| {
        let url = body.get_str(&format!("{root}{probe}"));
        url.as_deref()
            .and_then(Address::parse)
            .is_some_and(|address| policy.is_allowed(row.shield, address.host))
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
                let is_word = ["-", "name", "listed", "own", "nobody"].contains(&row.to);
                assert!(is_word || row.to.starts_with(['=', ':']), "{}", row.to);
                let is_known = super::super::SHIELDS.iter().any(|s| s.info().id == row.shield);
                assert!(is_known, "{} of {}", row.path, row.shield);
            }
        }
    }

    #[test]
    fn old_names_are_in_camel_case() {
        for (path, old) in [
            ("embedded_pages/home_url", "embeddedPages/homeUrl"),
            ("default_server_config/m.identity_server", "defaultServerConfig/m.identity_server"),
            ("setting_defaults/UIFeature.widgets", "settingDefaults/UIFeature.widgets"),
            ("gif", "gif"),
        ] {
            assert_eq!(old_name(path), old);
        }
    }
}
