//! Integration managers ("scalar"): never contacted, never told who you are.
//!
//! Catalogue section 1. A manager is known by host, by path, by a
//! `scalar_token` parameter, or because config, `.well-known` or account data
//! names it. OpenID tokens, which do not say whom they are for, are followed
//! by value.

use super::{
    AnswerStep, BodyStep, Context, Head, HeadStep, Info, Place, Rule, Shield, declared, documented,
};
use crate::verdict::{Action, Reply};
use mantle_wire::account_data::replace_content;
use mantle_wire::json::{JsonError, elements, get, get_str, members, utf8};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, percent_decoded};

/// Hosts of Element's own integration managers.
const HOSTS: [&str; 3] = ["scalar.vector.im", "scalar-staging.vector.im", "scalar-staging.riot.im"];
/// An integration manager's API on any host, as an RE2 expression.
const PATH_REGEX: &str = r"^(https?|wss?)://[^/?#]+(/[^?#]*)?/_matrix/integrations(/|\?|#|$)";
/// A manager's token in the query, as an RE2 expression.
const TOKEN_REGEX: &str = r"^(https?|wss?)://[^?#]+\?([^#]*&)?scalar_token=";

const MANAGER: &str = "m.integration_manager";

pub(super) struct Integrations;

pub(super) static INFO: Info = Info {
    id: "integrations",
    name: "Integration managers",
    purpose: documented(
        "Keeps Element from telling an integration manager (the “add widgets and bots” service) who you are and which room you are in.",
    ),
    loses: documented(
        "You cannot add widgets, bots, bridges or sticker packs through Element's “add widgets” window.",
    ),
    why: documented(
        "The manager learns your Matrix ID and room names in clear, and few people use it.",
    ),
    allow: Some("Widget and bot services you trust"),
    rules: declared(&[
        Rule::Domains(&HOSTS),
        Rule::Addresses(PATH_REGEX),
        Rule::Addresses(TOKEN_REGEX),
    ]),
    endpoints: Endpoint::ALL,
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from contacting integration managers; allow this host in Mantle's settings if you trust it.";
const TOKEN_REFUSED: &str = "Mantle stopped a token that proves who you are on its way to a host that is not on your list; add the host in Mantle's settings if you trust it.";
const WIDGETS_REFUSED: &str = "Mantle did not save an integration manager to your account; allow its host in Mantle's settings first.";

impl Shield for Integrations {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let address = &head.address;
        if is_manager(head, context) && !context.policy.is_allowed(INFO.id, address.host) {
            return HeadStep::Reply(Action::Blocked, Reply::forbidden(REFUSED));
        }
        match head.endpoint {
            Endpoint::OpenIdToken
            | Endpoint::Sync
            | Endpoint::SlidingSync
            | Endpoint::ElementConfig
            | Endpoint::WellKnownClient => HeadStep::Watch,
            Endpoint::RtcTransports => HeadStep::Watch,
            Endpoint::WidgetsAccountData if head.method == "PUT" => HeadStep::Body,
            Endpoint::WidgetsAccountData => HeadStep::Watch,
            // Whether an identity server may know you is its own shield's to say.
            Endpoint::IdentityOther => HeadStep::Pass,
            _ => token_step(head, context),
        }
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if tokens_for(head, context)
            .any(|token| token.is_in(headers.as_bytes()) || token.is_in(body))
        {
            return Ok(BodyStep::Reply(Action::Blocked, Reply::forbidden(TOKEN_REFUSED)));
        }
        if head.endpoint != Endpoint::WidgetsAccountData {
            return Ok(BodyStep::Pass);
        }
        let text = utf8(body)?;
        for widget in members(text)?.unwrap_or_default() {
            if names_forbidden_manager(widget.value, context)? {
                return Ok(BodyStep::Reply(Action::Answered, Reply::forbidden(WIDGETS_REFUSED)));
            }
        }
        Ok(BodyStep::Pass)
    }

    fn answer(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        body: &str,
    ) -> Result<AnswerStep, JsonError> {
        let mut step = AnswerStep::default();
        match head.endpoint {
            Endpoint::OpenIdToken => step.token = get_str(body, &["access_token"])?,
            Endpoint::ElementConfig => {
                for key in [
                    "integrations_ui_url",
                    "integrations_rest_url",
                    "integrationsUiUrl",
                    "integrationsRestUrl",
                ] {
                    step.managers.extend(get_str(body, &[key])?.as_deref().and_then(place));
                }
                for key in ["integrations_widgets_urls", "integrationsWidgetsUrls"] {
                    for url in elements(get(body, &[key])?.unwrap_or("[]"))? {
                        step.managers.extend(
                            serde_json::from_str(url).ok().and_then(|url: String| place(&url)),
                        );
                    }
                }
            }
            Endpoint::WellKnownClient => {
                for manager in
                    elements(get(body, &["m.integrations", "managers"])?.unwrap_or("[]"))?
                {
                    for key in ["api_url", "ui_url"] {
                        step.managers.extend(get_str(manager, &[key])?.as_deref().and_then(place));
                    }
                }
                step.rtc_hosts = rtc_hosts(body, "org.matrix.msc4143.rtc_foci")?;
            }
            Endpoint::RtcTransports => step.rtc_hosts = rtc_hosts(body, "rtc_transports")?,
            Endpoint::WidgetsAccountData => {
                step.replaced = without_managers(body, context, &mut step.managers)?
            }
            Endpoint::Sync | Endpoint::SlidingSync => {
                step.replaced = replace_content(head.endpoint, body, "m.widgets", |content| {
                    without_managers(content, context, &mut step.managers)
                })?;
            }
            _ => {}
        }
        // A manager at the root of the site itself cannot be told from the site.
        step.managers.retain(|place| place.path_prefix != "/" || place.host != context.page_host);
        Ok(step)
    }
}

fn is_manager(head: &Head<'_>, context: &Context<'_>) -> bool {
    let address = &head.address;
    head.endpoint == Endpoint::IntegrationsApi
        || HOSTS.contains(&address.host_name())
        || address.has_parameter("scalar_token")
        // Whoever writes a `.well-known` could name a homeserver: its API is never taken for a manager.
        || head.endpoint == Endpoint::Foreign && context.managers.iter().any(|place| place.holds(address))
}

/// Tokens that must not reach the host of `head`.
fn tokens_for<'a>(
    head: &Head<'a>,
    context: &Context<'a>,
) -> impl Iterator<Item = &'a mantle_wire::secret::Secret> {
    let host = head.address.host;
    let policy = context.policy;
    let allowed =
        ["integrations", "identity", "calls"].into_iter().any(|list| policy.is_allowed(list, host))
            || context.rtc_hosts.iter().any(|rtc| rtc == host);
    context
        .tokens
        .iter()
        .filter(move |token| !allowed && token.issuer != host)
        .map(|token| &token.value)
}

fn token_step(head: &Head<'_>, context: &Context<'_>) -> HeadStep {
    if context.tokens.is_empty() || tokens_for(head, context).next().is_none() {
        return HeadStep::Pass;
    }
    let in_url = tokens_for(head, context).any(|token| {
        token.is_in(head.url.as_bytes()) || token.is_in(percent_decoded(head.url).as_bytes())
    });
    if in_url {
        return HeadStep::Reply(Action::Blocked, Reply::forbidden(TOKEN_REFUSED));
    }
    HeadStep::Body
}

/// Hosts of the call services that the homeserver lists under this key (MSC4143).
fn rtc_hosts(body: &str, key: &str) -> Result<Vec<String>, JsonError> {
    let mut hosts = Vec::new();
    for focus in elements(get(body, &[key])?.unwrap_or("[]"))? {
        let url = get_str(focus, &["livekit_service_url"])?;
        hosts.extend(url.as_deref().and_then(Address::parse).map(|one| one.host.to_owned()));
    }
    Ok(hosts)
}

fn place(url: &str) -> Option<Place> {
    let address = Address::parse(url)?;
    let prefix = address.path.trim_end_matches('/');
    Some(Place {
        host: address.host.to_ascii_lowercase(),
        path_prefix: if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() },
    })
}

/// The places a widget entry of type `m.integration_manager` names; `None` for other widgets.
fn manager_places(widget: &str) -> Result<Option<Vec<Place>>, JsonError> {
    let is_manager = get_str(widget, &["type"])?.as_deref() == Some(MANAGER)
        || get_str(widget, &["content", "type"])?.as_deref() == Some(MANAGER);
    if !is_manager {
        return Ok(None);
    }
    let mut places = Vec::new();
    for path in [&["content", "url"][..], &["content", "data", "api_url"][..]] {
        places.extend(get_str(widget, path)?.as_deref().and_then(place));
    }
    Ok(Some(places))
}

fn names_forbidden_manager(widget: &str, context: &Context<'_>) -> Result<bool, JsonError> {
    let Some(places) = manager_places(widget)? else { return Ok(false) };
    Ok(places.is_empty()
        || places.iter().any(|place| !context.policy.is_allowed(INFO.id, &place.host)))
}

/// Account data `m.widgets` without forbidden managers; `None` when there were none.
fn without_managers(
    content: &str,
    context: &Context<'_>,
    learned: &mut Vec<Place>,
) -> Result<Option<String>, JsonError> {
    let mut kept = Vec::new();
    let mut dropped = false;
    for widget in members(content)?.unwrap_or_default() {
        if names_forbidden_manager(widget.value, context)? {
            learned.extend(manager_places(widget.value)?.unwrap_or_default());
            dropped = true;
        } else {
            kept.push(format!("{}:{}", mantle_wire::json::quoted(&widget.key), widget.value));
        }
    }
    Ok(dropped.then(|| format!("{{{}}}", kept.join(","))))
}
