//! Integration managers ("scalar"): never contacted, never told who you are.
//!
//! Catalogue section 1. A manager is known by host, by path, by a
//! `scalar_token` parameter, or because config, `.well-known` or account data
//! names it. OpenID tokens, which do not say whom they are for, are followed
//! by value.

use super::{
    BodyStep, Context, EventTypes, FrameStep, Head, HeadStep, Info, Place, ResponseStep, Rule,
    Shield, calls, declared, documented,
};
use crate::verdict::{Action, Reply};
use mantle_wire::json::{
    Cursor, Document, Edit, JsonError, first_elements, get_str, is_string, ranges_in_next, string,
    string_in, utf8,
};
use mantle_wire::route::Endpoint;
use mantle_wire::secret::Secret;
use mantle_wire::url::{Found, found};
use std::borrow::Cow;

/// Hosts of Element's own integration managers.
const HOSTS: [&str; 3] = ["scalar.vector.im", "scalar-staging.vector.im", "scalar-staging.riot.im"];
/// An integration manager's API on any host, as an RE2 expression.
const PATH_REGEX: &str = r"^(https?|wss?)://[^/?#]+(/[^?#]*)?/_matrix/+integrations(/|\?|#|$)";
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
            | Endpoint::WellKnownClient => HeadStep::InspectResponse,
            Endpoint::RtcTransports => HeadStep::InspectResponse,
            Endpoint::WidgetsAccountData if head.method == "PUT" => HeadStep::Body,
            Endpoint::WidgetsAccountData => HeadStep::InspectResponse,
            // Whether an identity server may know you is its own shield's to say.
            Endpoint::IdentityOther if signs_up(head) => HeadStep::Pass,
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
        let tells = |text: &[u8]| tokens_for(head, context).any(|token| token.is_hidden_in(text));
        // What Element sends to every homeserver another one could issue as a token.
        let is_of_homeserver = head.is_of_homeserver();
        if !is_of_homeserver && tells(headers.as_bytes()) {
            return Ok(BodyStep::Reply(Action::Blocked, Reply::forbidden(TOKEN_REFUSED)));
        }
        if tells(body) && (!is_of_homeserver || has_token_members(body))
            || has_token_shape(head, context, body)
        {
            // Where the person is asked, that shield holds it.
            if calls::asks_about(head, context, body) {
                return Ok(BodyStep::Pass);
            }
            return Ok(BodyStep::Reply(Action::Blocked, Reply::forbidden(TOKEN_REFUSED)));
        }
        if head.endpoint != Endpoint::WidgetsAccountData {
            return Ok(BodyStep::Pass);
        }
        let text = utf8(body)?;
        if names_forbidden(text, context)? {
            return Ok(BodyStep::Reply(Action::Answered, Reply::forbidden(WIDGETS_REFUSED)));
        }
        Ok(BodyStep::Pass)
    }

    fn frame(&self, url: &str, context: &Context<'_>) -> Option<FrameStep> {
        let head = Head::new("GET", url)?;
        let is_told = tokens_for(&head, context).any(|token| token.is_hidden_in(url.as_bytes()));
        is_told.then(|| FrameStep {
            url: "about:blank".to_owned(),
            action: Action::Blocked,
            sentence: Some(TOKEN_REFUSED),
        })
    }

    fn response_paths(&self, head: &Head<'_>) -> Vec<Cow<'static, str>> {
        let paths: &[&str] = match head.endpoint {
            Endpoint::OpenIdToken => &["access_token"],
            Endpoint::ElementConfig => &CONFIG,
            Endpoint::WellKnownClient => &["m.integrations/managers", FOCI],
            Endpoint::RtcTransports => &[TRANSPORTS],
            _ => &[],
        };
        paths.iter().copied().map(Cow::Borrowed).collect()
    }

    fn response(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        let list = |path| body.get(path).unwrap_or("[]".into());
        match head.endpoint {
            Endpoint::OpenIdToken => step.token = body.get_str("access_token"),
            Endpoint::ElementConfig => {
                for path in CONFIG {
                    let listed = list(path);
                    let listed = first_elements(&listed, MAX_LISTED)?.into_iter();
                    let listed = listed.filter_map(|url| string(url.as_bytes()));
                    let none = if path.ends_with('s') { "[]" } else { "null" };
                    for url in body.get_str(path).into_iter().chain(listed) {
                        name_manager(&url, (&[path], none), &mut step);
                    }
                }
            }
            Endpoint::WellKnownClient => {
                let managers = list("m.integrations/managers");
                for manager in first_elements(&managers, MAX_LISTED)? {
                    for key in ["api_url", "ui_url"] {
                        let url = get_str(manager, &[key])?.unwrap_or_default();
                        name_manager(&url, (&["m.integrations"], NO_MANAGERS), &mut step);
                    }
                }
                step.rtc_hosts = rtc_hosts(&list(FOCI))?;
            }
            Endpoint::RtcTransports => step.rtc_hosts = rtc_hosts(&list(TRANSPORTS))?,
            Endpoint::WidgetsAccountData => {
                step.replaced = without_managers(&body.text(), context, &mut step.managers)?
            }
            _ => {}
        }
        forget_site(&mut step.managers, context);
        Ok(step)
    }

    fn account_data_types<'a>(&self, _context: &Context<'a>) -> Vec<EventTypes<'a>> {
        vec![EventTypes::One("m.widgets")]
    }

    fn account_data(
        &self,
        _event_type: &str,
        content: &str,
        context: &Context<'_>,
        step: &mut ResponseStep,
    ) -> Result<Option<String>, JsonError> {
        without_managers(content, context, &mut step.managers)
    }
}

/// Of one list of managers or call services, how many are looked at; no honest one has as many, and
/// fewer are remembered.
const MAX_LISTED: usize = 64;

/// Where `config.json` names managers.
const CONFIG: [&str; 6] = [
    "integrations_ui_url",
    "integrations_rest_url",
    "integrationsUiUrl",
    "integrationsRestUrl",
    "integrations_widgets_urls",
    "integrationsWidgetsUrls",
];
/// Where call services are listed (MSC4143).
const FOCI: &str = "org.matrix.msc4143.rtc_foci";
const TRANSPORTS: &str = "rtc_transports";

const NO_MANAGERS: &str = r#"{"managers":[]}"#;

/// Remembers where a manager is. What only a URL parser can tell nobody would know it by, so Element is
/// given the other text in its place.
fn name_manager(url: &str, (path, instead): (&[&str], &str), step: &mut ResponseStep) {
    match Place::of(url) {
        Some(place) => step.managers.push(place),
        None if found(url) == Found::Unknown => step.edits.push(Edit::replace(path, instead)),
        None => {}
    }
}

/// A manager at the root of the site itself cannot be told from the site.
fn forget_site(managers: &mut Vec<Place>, context: &Context<'_>) {
    managers.retain(|place| !is_site(place, context));
}

fn is_site(place: &Place, context: &Context<'_>) -> bool {
    place.path_prefix == "/" && place.host == context.page_host
}

fn is_manager(head: &Head<'_>, context: &Context<'_>) -> bool {
    let address = &head.address;
    head.endpoint == Endpoint::IntegrationsApi
        || HOSTS.contains(&address.host_name())
        || address.has_parameter("scalar_token")
        // Whoever writes a `.well-known` could name a homeserver: its API is never taken for a manager.
        || head.endpoint == Endpoint::Foreign && context.learned.is_manager(address)
}

/// Tokens that must not reach the host of `head`.
fn tokens_for<'a>(head: &Head<'a>, context: &Context<'a>) -> impl Iterator<Item = &'a Secret> {
    let host = head.address.host;
    // A server that issues tokens could issue one that stands in the addresses of the site's own files;
    // the site has Element itself, so there is nothing to keep from it.
    let is_trusted = may_know(host, context) || host == context.page_host;
    context
        .learned
        .tokens()
        .iter()
        .filter(move |token| !is_trusted && token.issuer != host)
        .map(|token| &token.value)
}

/// Whether this host may be told who one is: it is on a list, or a call service of one's own.
pub(super) fn may_know(host: &str, context: &Context<'_>) -> bool {
    ["integrations", "identity", "calls"]
        .into_iter()
        .any(|list| context.policy.is_allowed(list, host))
        || context.learned.is_call_server(host)
}

fn token_step(head: &Head<'_>, context: &Context<'_>) -> HeadStep {
    // What a stranger is given may hold a token that only another document has seen.
    let may_be_given = is_strangers(head)
        && !matches!(head.method, "GET" | "HEAD")
        && !may_know(head.address.host, context);
    let parts = parts_of_its_own(head);
    let is_told = |token: &Secret| parts.iter().any(|part| token.is_hidden_in(part.as_bytes()));
    if tokens_for(head, context).any(is_told) {
        return HeadStep::Reply(Action::Blocked, Reply::forbidden(TOKEN_REFUSED));
    }
    if may_be_given || tokens_for(head, context).next().is_some() {
        return HeadStep::Body;
    }
    HeadStep::Pass
}

/// Of an address, what not every request to that endpoint has in it.
fn parts_of_its_own<'a>(head: &Head<'a>) -> Vec<&'a str> {
    if !head.is_of_homeserver() {
        return vec![head.url];
    }
    head.route.raw_parameters().chain([head.address.query, head.address.fragment]).collect()
}

/// Whether a body for a stranger has the members of an OpenID token's JSON, encoded or not: it may come
/// from another document than this one.
fn has_token_shape(head: &Head<'_>, context: &Context<'_>, body: &[u8]) -> bool {
    is_strangers(head) && !may_know(head.address.host, context) && has_token_members(body)
}

/// Whether it is for somebody who may not know who one is. Whoever names a call service may let it lie
/// below an identity server's path.
fn is_strangers(head: &Head<'_>) -> bool {
    head.endpoint == Endpoint::Foreign || head.route.is_identity()
}

/// Whether an account at an identity server begins (Identity Service API, 'POST account/register').
fn signs_up(head: &Head<'_>) -> bool {
    head.route.raw_parameters().count() == 2
        && head.route.is_parameter(0, "account")
        && head.route.is_parameter(1, "register")
}

/// Whether those stand there, encoded or not (Client-Server API, 'OpenID').
fn has_token_members(body: &[u8]) -> bool {
    ["matrix_server_name", "access_token"]
        .iter()
        .all(|member| Secret::new((*member).to_owned()).is_hidden_in(body))
}

/// Hosts of the call services in a list of the homeserver's (MSC4143).
fn rtc_hosts(list: &str) -> Result<Vec<String>, JsonError> {
    let mut hosts = Vec::new();
    for focus in first_elements(list, MAX_LISTED)? {
        let url = get_str(focus, &["livekit_service_url"])?;
        hosts.extend(url.as_deref().and_then(Place::of).map(|place| place.host));
    }
    Ok(hosts)
}

/// The places a widget entry of type `m.integration_manager` names; `None` for other widgets. The entry
/// comes next, and is gone over.
fn manager_places(
    text: &[u8],
    cursor: &mut Cursor<'_>,
    may_read: bool,
) -> Result<Option<Vec<Place>>, JsonError> {
    let paths: [&[&str]; 4] =
        [&["type"], &["content", "type"], &["content", "url"], &["content", "data", "api_url"]];
    let found = ranges_in_next(cursor, &paths)?;
    let [own, inner, url, api] =
        found.map(|range| range.and_then(|range| text.get(range)).unwrap_or_default());
    if !is_string(own, MANAGER) && !is_string(inner, MANAGER) {
        return Ok(None);
    }
    let urls = [url, api].into_iter().filter(|_| may_read).filter_map(string_in);
    Ok(Some(urls.filter_map(|url| Place::of(&url)).collect()))
}

/// Whether a manager is one that is not on the list; one without an address is.
fn is_forbidden(places: &[Place], context: &Context<'_>) -> bool {
    places.is_empty() || places.iter().any(|place| !context.policy.is_allowed(INFO.id, &place.host))
}

/// Whether account data `m.widgets` names a manager that is not on the list.
fn names_forbidden(content: &str, context: &Context<'_>) -> Result<bool, JsonError> {
    let mut learned = Vec::new();
    Ok(without_managers(content, context, &mut learned)?.is_some())
}

/// Account data `m.widgets` without forbidden managers; `None` when there were none.
fn without_managers(
    content: &str,
    context: &Context<'_>,
    learned: &mut Vec<Place>,
) -> Result<Option<String>, JsonError> {
    let text = content.as_bytes();
    let mut cursor = Cursor::new(text);
    if cursor.peek() != Some(b'{') {
        return Ok(None);
    }
    let mut kept = String::from("{");
    let mut dropped = false;
    let mut managers = 0;
    let mut next = cursor.first_key()?;
    while let Some(key) = next {
        // Of more than anybody has, none is looked at, and each goes.
        let may_read = managers < MAX_LISTED && learned.len() < MAX_LISTED;
        let places = manager_places(text, &mut cursor, may_read)?;
        managers += usize::from(places.is_some());
        match places.filter(|places| is_forbidden(places, context)) {
            Some(places) => {
                dropped = true;
                let places = places.into_iter().filter(|place| !is_site(place, context));
                learned.extend(places.take(MAX_LISTED.saturating_sub(learned.len())));
            }
            None => {
                if kept.len() > 1 {
                    kept.push(',');
                }
                kept.push_str(content.get(key.at..cursor.at()).unwrap_or_default());
            }
        }
        next = cursor.next_key()?;
    }
    kept.push('}');
    Ok(dropped.then_some(kept))
}
