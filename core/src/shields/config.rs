//! Element's own configuration: hardened on its way in, so that Element hides
//! what the other shields switch off.
//!
//! Catalogue section 15. Each row serves one shield and only counts while
//! that shield is on.

use super::{AnswerStep, Context, Head, HeadStep, Info, Shield, mode_in};
use crate::policy::Mode;
use crate::wire::address::Address;
use crate::wire::endpoint::Endpoint;
use crate::wire::json_edit::{Edit, JsonError, get, get_str, members, quoted};

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
}

struct Row {
    shield: &'static str,
    path: &'static [&'static str],
    to: To,
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
];

/// `.well-known/matrix/client`, and the copy of it in login answers.
const WELL_KNOWN: &[Row] = &[
    Row { shield: "identity", path: &["m.identity_server"], to: To::Remove },
    Row {
        shield: "integrations",
        path: &["m.integrations"],
        to: To::Replace(r#"{"managers":[]}"#),
    },
    Row { shield: "integrations", path: &["io.element.call_behaviour"], to: To::Remove },
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
            });
        }
        Ok(step)
    }
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
