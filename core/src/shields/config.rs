//! Element's own configuration: hardened on its way in, so that Element hides
//! what the other shields switch off.
//!
//! Catalogue section 15. Each row serves one shield and only counts while
//! that shield is on.

use super::{AnswerStep, Context, Head, HeadStep, Info, Shield, mode_in};
use crate::policy::Mode;
use crate::wire::address::Address;
use crate::wire::endpoint::Endpoint;
use crate::wire::json_edit::{Edit, JsonError, elements, get, get_str, members, quoted};

pub(super) struct Config;

static INFO: Info = Info {
    id: "config",
    name: "Element's configuration",
    purpose: "Changes the settings Element loads at start, so that it hides what the other shields switch off instead of failing at it.",
    loses: "Buttons for what is switched off are gone from Element.",
    why: "A hidden button is better than one that fails.",
    ..Info::PLAIN
};

/// What Element uses where its configuration names no manager.
const BUILT_IN_MANAGER: &str = "scalar.vector.im";

enum To {
    Remove,
    Set(&'static str),
    Replace(&'static str),
    DeviceName,
    /// What of it lies on a foreign host goes: one address, or some of a list.
    Own,
    /// A domain, where it is foreign, gives way to one that nobody has (RFC 2606).
    Nobody,
}

struct Row {
    shield: &'static str,
    path: &'static [&'static str],
    to: To,
}

const fn set(shield: &'static str, path: &'static [&'static str], json: &'static str) -> Row {
    Row { shield, path, to: To::Set(json) }
}

const fn replace(shield: &'static str, path: &'static [&'static str], json: &'static str) -> Row {
    Row { shield, path, to: To::Replace(json) }
}

const fn own(shield: &'static str, path: &'static [&'static str]) -> Row {
    Row { shield, path, to: To::Own }
}

const fn remove(shield: &'static str, path: &'static [&'static str]) -> Row {
    Row { shield, path, to: To::Remove }
}

/// `config.json`. A missing `integrations_*_url` means Element's built-in scalar; `null` means none.
const CONFIG: &[Row] = &[
    Row {
        shield: "identity",
        path: &["default_server_config", "m.identity_server"],
        to: To::Remove,
    },
    Row { shield: "identity", path: &["defaultServerConfig", "m.identity_server"], to: To::Remove },
    Row { shield: "identity", path: &["default_is_url"], to: To::Remove },
    Row { shield: "identity", path: &["defaultIsUrl"], to: To::Remove },
    Row {
        shield: "identity",
        path: &["setting_defaults", "UIFeature.identityServer"],
        to: To::Set("false"),
    },
    Row { shield: "integrations", path: &["integrations_ui_url"], to: To::Set("null") },
    Row { shield: "integrations", path: &["integrations_rest_url"], to: To::Set("null") },
    Row { shield: "integrations", path: &["integrations_widgets_urls"], to: To::Set("[]") },
    Row { shield: "integrations", path: &["integrationsUiUrl"], to: To::Remove },
    Row { shield: "integrations", path: &["integrationsRestUrl"], to: To::Remove },
    Row { shield: "integrations", path: &["integrationsWidgetsUrls"], to: To::Remove },
    Row { shield: "integrations", path: &["widget_build_url"], to: To::Remove },
    Row { shield: "integrations", path: &["widgetBuildUrl"], to: To::Remove },
    Row { shield: "integrations", path: &["audio_stream_url"], to: To::Remove },
    Row { shield: "integrations", path: &["audioStreamUrl"], to: To::Remove },
    Row {
        shield: "integrations",
        path: &["setting_defaults", "MessageComposerInput.showStickersButton"],
        to: To::Set("false"),
    },
    Row { shield: "device-name", path: &["defaultDeviceDisplayName"], to: To::Remove },
    Row { shield: "device-name", path: &["default_device_display_name"], to: To::DeviceName },
    Row { shield: "device-name", path: &["oidc_metadata", "contacts"], to: To::Remove },
    // The names that count are the inverted ones where there are two (catalogue, section 15).
    set("typing", &["setting_defaults", "sendTypingNotifications"], "false"),
    set("typing", &["setting_defaults", "dontSendTypingNotifications"], "true"),
    set("receipts", &["setting_defaults", "sendReadReceipts"], "false"),
    set("previews", &["setting_defaults", "urlPreviewsEnabled"], "false"),
    set("previews", &["setting_defaults", "UIFeature.urlPreviews"], "false"),
    remove("maps", &["map_style_url"]),
    remove("maps", &["mapStyleUrl"]),
    set("maps", &["setting_defaults", "UIFeature.locationSharing"], "false"),
    set("directory", &["room_directory", "servers"], "[]"),
    remove("directory", &["roomDirectory"]),
    remove("welcome-bot", &["welcome_user_id"]),
    remove("welcome-bot", &["welcomeUserId"]),
    remove("telemetry", &["posthog"]),
    remove("telemetry", &["sentry"]),
    remove("telemetry", &["piwik"]),
    remove("telemetry", &["analytics_owner"]),
    remove("telemetry", &["bug_report_endpoint_url"]),
    remove("telemetry", &["bugReportEndpointUrl"]),
    remove("telemetry", &["uisi_autorageshake_app"]),
    remove("telemetry", &["uisiAutorageshakeApp"]),
    set("telemetry", &["setting_defaults", "UIFeature.feedback"], "false"),
    set("telemetry", &["setting_defaults", "automaticKeyBackNotEnabledReporting"], "false"),
    set("telemetry", &["setting_defaults", "automaticDecryptionErrorReporting"], "false"),
    set("telemetry", &["setting_defaults", "automaticErrorReporting"], "false"),
    set("telemetry", &["setting_defaults", "analyticsOptIn"], "false"),
    set("telemetry", &["setting_defaults", "Performance.addSendMessageTimingMetadata"], "false"),
    // Stored under this name; `webRtcAllowPeerToPeer` is not read from the configuration.
    set("calls", &["setting_defaults", "webRtcForceTURN"], "true"),
    replace("calls", &["voip", "obey_asserted_identity"], "false"),
    own("calls", &["element_call", "guest_spa_url"]),
    set("permalinks", &["setting_defaults", "UIFeature.shareSocial"], "false"),
    // Mantle encrypts the names; two at it would both. Low bandwidth means no encryption at all.
    replace("encrypted-state", &["features", "feature_msc4362_encrypted_state_events"], "false"),
    replace("encrypted-state", &["setting_defaults", "lowBandwidth"], "false"),
    remove("extras", &["gif"]),
    replace("extras", &["features", "feature_sliding_sync"], "false"),
    replace("extras", &["mobile_guide_toast"], "false"),
    replace("extras", &["mobileGuideToast"], "false"),
    own("extras", &["modules"]),
    own("extras", &["custom_translations_url"]),
    own("extras", &["customTranslationsUrl"]),
    own("extras", &["embedded_pages", "welcome_url"]),
    own("extras", &["embedded_pages", "home_url"]),
    own("extras", &["embeddedPages", "welcomeUrl"]),
    own("extras", &["embeddedPages", "homeUrl"]),
    own("extras", &["branding", "auth_header_logo_url"]),
    own("extras", &["branding", "welcome_background_url"]),
    own("extras", &["branding", "authHeaderLogoUrl"]),
    own("extras", &["branding", "welcomeBackgroundUrl"]),
    set("third-party", &["setting_defaults", "UIFeature.widgets"], "false"),
    set("third-party", &["disable_guests"], "true"),
    // Element takes its own for a missing one.
    Row { shield: "third-party", path: JITSI, to: To::Nobody },
];

const JITSI: &[&str] = &["jitsi", "preferred_domain"];
/// Element's own where the configuration names none.
const BUILT_IN_JITSI: &str = "meet.element.io";
/// Whom Element offers to ask where the homeserver has no TURN server.
const FALLBACK_STUN: &str = "turn.matrix.org";

/// `.well-known/matrix/client`, and the copy of it in login answers.
const WELL_KNOWN: &[Row] = &[
    Row { shield: "identity", path: &["m.identity_server"], to: To::Remove },
    Row {
        shield: "integrations",
        path: &["m.integrations"],
        to: To::Replace(r#"{"managers":[]}"#),
    },
    Row { shield: "integrations", path: &["io.element.call_behaviour"], to: To::Remove },
    remove("maps", &["m.tile_server"]),
    remove("maps", &["org.matrix.msc3488.tile_server"]),
    set("calls", &["io.element.voip", "disable_fallback_ice"], "true"),
    remove("extras", &["org.matrix.msc3575.proxy"]),
    own("extras", &["io.element.embedded_pages", "home_url"]),
    Row { shield: "third-party", path: &["io.element.jitsi", "preferredDomain"], to: To::Nobody },
    Row {
        shield: "third-party",
        path: &["im.vector.riot.jitsi", "preferredDomain"],
        to: To::Nobody,
    },
];

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

    fn answer(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        body: &str,
    ) -> Result<AnswerStep, JsonError> {
        let (rows, root): (_, &[&str]) = match head.endpoint {
            Endpoint::ElementConfig => (CONFIG, &[]),
            Endpoint::WellKnownClient => (WELL_KNOWN, &[]),
            _ => (WELL_KNOWN, &["well_known"]),
        };
        let mut step = AnswerStep::default();
        // Element takes an empty `config.<host>.json` for "not there", and reads `config.json`.
        if members(body)?.is_none_or(|members| members.is_empty()) {
            return Ok(step);
        }
        for row in rows {
            // A sign-in tells of servers, or of nothing.
            if matches!(row.to, To::Set(_)) && !root.is_empty() {
                continue;
            }
            if matches!(mode_in(context.policy, row.shield), Mode::Off | Mode::Flag)
                || is_allowed(row, root, context, body)?
            {
                continue;
            }
            let path: Vec<_> = root.iter().chain(row.path).copied().collect();
            step.edits.push(match row.to {
                To::Remove => Edit::remove(&path),
                To::Set(json) => Edit::set(&path, json),
                To::Replace(json) => Edit::replace(&path, json),
                To::DeviceName => Edit::set(&path, quoted(context.policy.device_name().value)),
                To::Own => match own_part(row, &path, context, body)? {
                    Some(edit) => edit,
                    None => continue,
                },
                To::Nobody => match nobody(row, &path, context, body)? {
                    Some(edit) => edit,
                    None => continue,
                },
            });
        }
        Ok(step)
    }
}

/// Leaves what is relative, the page's own or allowed.
fn own_part(
    row: &Row,
    path: &[&str],
    context: &Context<'_>,
    body: &str,
) -> Result<Option<Edit>, JsonError> {
    let is_foreign = |value: &str| {
        // `//host/path` takes the page's scheme, which is https.
        let url = serde_json::from_str::<String>(value).unwrap_or_default();
        let url = if url.starts_with("//") { format!("https:{url}") } else { url };
        match Address::parse(&url) {
            Some(address) => context.is_foreign(row.shield, &address.host.to_ascii_lowercase()),
            // Written in a way that only a browser understands.
            None => url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")),
        }
    };
    let Some(value) = get(body, path)? else { return Ok(None) };
    let all = elements(value)?;
    if all.is_empty() {
        return Ok(is_foreign(value).then(|| Edit::remove(path)));
    }
    let kept: Vec<_> = all.iter().copied().filter(|one| !is_foreign(one)).collect();
    let changed = kept.len() < all.len();
    Ok(changed.then(|| Edit::replace(path, format!("[{}]", kept.join(",")))))
}

/// Where Jitsi calls lead; in `.well-known` a missing domain stays missing.
fn nobody(
    row: &Row,
    path: &[&str],
    context: &Context<'_>,
    body: &str,
) -> Result<Option<Edit>, JsonError> {
    let Some(domain) =
        get_str(body, path)?.or_else(|| (row.path == JITSI).then(|| BUILT_IN_JITSI.to_owned()))
    else {
        return Ok(None);
    };
    let is_foreign = [row.shield, "calls"].iter().all(|shield| context.is_foreign(shield, &domain));
    Ok(is_foreign.then(|| Edit::set(path, r#""jitsi.invalid""#)))
}

/// Whether the row's present value names a host the user or organisation allows.
fn is_allowed(
    row: &Row,
    root: &[&str],
    context: &Context<'_>,
    body: &str,
) -> Result<bool, JsonError> {
    // Without these keys Element has a manager built in.
    if row.shield == "integrations"
        && root.is_empty()
        && get(body, &["integrations_rest_url"])?.is_none()
        && get(body, &["integrationsRestUrl"])?.is_none()
        && context.policy.is_allowed(row.shield, BUILT_IN_MANAGER)
    {
        return Ok(true);
    }
    let policy = context.policy;
    let is_wanted = match row.path.last() {
        Some(&"webRtcForceTURN") => policy.option_flag("calls", "direct"),
        Some(&"disable_fallback_ice") => policy.is_allowed("calls", FALLBACK_STUN),
        // A widget that is allowed needs its buttons.
        Some(&"UIFeature.widgets") => {
            ["third-party", "calls"].iter().any(|list| policy.allowed(list).next().is_some())
        }
        _ => false,
    };
    if is_wanted {
        return Ok(true);
    }
    // One allowed manager keeps the whole family of keys.
    let probes: &[&[&str]] = match row.shield {
        "integrations" => {
            &[&["integrations_rest_url"], &["integrationsRestUrl"], &["integrations_ui_url"]]
        }
        "identity" => &[
            &["default_server_config", "m.identity_server", "base_url"],
            &["m.identity_server", "base_url"],
            &["default_is_url"],
        ],
        "maps" => &[
            &["map_style_url"],
            &["mapStyleUrl"],
            &["m.tile_server", "map_style_url"],
            &["org.matrix.msc3488.tile_server", "map_style_url"],
        ],
        "telemetry" => &[
            &["posthog", "api_host"],
            &["sentry", "dsn"],
            &["bug_report_endpoint_url"],
            &["bugReportEndpointUrl"],
        ],
        _ => &[],
    };
    for probe in probes {
        let path: Vec<_> = root.iter().chain(*probe).copied().collect();
        let url = get_str(body, &path)?;
        if url
            .as_deref()
            .and_then(Address::parse)
            .is_some_and(|address| context.policy.is_allowed(row.shield, address.host))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
