//! Calls: no address but a relay's, nobody contacted while it rings, and no
//! room name, Matrix ID or site in what call services are given.
//!
//! Catalogue section 2. WebRTC (`RTCPeerConnection`), the homeserver's TURN
//! answer (Client-Server API, 'Voice over IP'), call events of clear rooms
//! (`m.call.*`), the Jitsi widget's state and the addresses of call frames.

use super::{
    BodyStep, Context, FrameStep, Head, HeadStep, Info, PeerStep, Question, ResponseStep, Shield,
    documented, integrations, mode_in,
};
use crate::learned::Learned;
use crate::verdict::{Action, Reply};
use mantle_settings::{EffectiveSettings, Mode, OptionInfo, OptionKind};
use mantle_wire::ice::{IceServer, is_relay_candidate, relay_only, without_related_address};
use mantle_wire::json::{Document, Edit, JsonError, elements, get, get_str, quoted, string, utf8};
use mantle_wire::route::Endpoint;
use mantle_wire::url::Address;
use std::borrow::Cow;

pub(super) struct Calls;

pub(super) static INFO: Info = Info {
    id: "calls",
    name: "Calls",
    purpose: documented(
        "Sends calls only through your homeserver's relay (TURN), so that nobody you call, or who rings you, learns your network address. Keeps room names and your Matrix ID from call services, and asks before a call server that only somebody else names learns who and where you are.",
    ),
    loses: documented(
        "Calls need a relay (TURN server) at your homeserver and may be slower. Element cannot dial phone numbers, and Jitsi shows no room name. A call page on another site stays empty until you allow its host, and you do not see or hear whoever uses a call server you do not agree to.",
    ),
    default: Mode::Ask,
    why: documented(
        "A ringing call alone tells servers and, once answered, the caller where you are; homeservers commonly offer a relay.",
    ),
    modes: &Mode::ALL,
    options: &[DIRECT],
    allow: Some("Call pages, Jitsi and LiveKit hosts, and STUN or TURN servers you trust"),
    endpoints: &[
        Endpoint::TurnServer,
        Endpoint::StateSend,
        Endpoint::Send,
        Endpoint::JitsiWellKnown,
        Endpoint::BridgeUser,
        Endpoint::Foreign,
    ],
    ..Info::PLAIN
};

const DIRECT: OptionInfo = OptionInfo {
    key: "direct",
    title: "Let calls connect directly: both sides see each other's network address",
    kind: OptionKind::Flag,
    default: "false",
    why: documented("Whoever is in a call with you need not know where you are."),
};

/// Asked of the window that the call's frame stands in, with the server's host behind it.
const CALL_SERVER: &str = "call-server:";

/// `$1` is the server's host.
static STRANGER: Question = Question {
    id: "call-server",
    title: "Connect to another call server?",
    text: "Somebody in this call uses the call server $1, which your homeserver does not name. It would learn your Matrix ID, your device, your network address and which room you are in. Without it you do not see or hear whoever uses it.",
    send: "Connect",
    remember: Some("Do not ask again for this call server"),
};

/// Element's own Jitsi hosts: they want no authentication, so asking them about it only tells them.
const PUBLIC_JITSI: [&str; 2] = ["meet.element.io", "jitsi.riot.im"];
/// Where the Jitsi wrapper of Element's own hosting lies: says nothing about the user's site.
const NEUTRAL_WRAPPER: &str = "https://app.element.io/jitsi.html";
const WRAPPER: &str = "/jitsi.html";
/// Element Call as Element Web bundles it since 2025; it speaks to a LiveKit server, not to peers.
const BUNDLED_ELEMENT_CALL: &str = "/widgets/element-call/";

/// Parameters of Element's Jitsi wrapper; it wants them present, not filled.
const WRAPPER_PARAMETERS: [&str; 3] = ["userId", "roomName", "avatarUrl"];
/// Parameters of a Jitsi conference's page, and Element Call's that serve statistics.
const DROPPED_PARAMETERS: [&str; 12] = [
    "userInfo.email",
    "config.subject",
    "config.localSubject",
    "analyticsID",
    "posthogUserId",
    "posthogApiHost",
    "posthogApiKey",
    "sentryDsn",
    "sentryEnvironment",
    "rageshakeSubmitUrl",
    "config.callDisplayName",
    "interfaceConfig.APP_NAME",
];

const NO_RELAY: &str = "Mantle sends calls only through a relay (TURN) server, and your homeserver offers none, so this call cannot connect: ask its administrator for one, or let calls connect directly under “Calls” in Mantle, which shows both sides' network addresses.";
const FOREIGN_CALL_PAGE: &str = "Mantle did not open a call page on another site, because it would learn who you are and which room you are in: allow its host under “Calls” in Mantle's settings if you trust it.";
const NO_CALL_WIDGET: &str = "Mantle did not tell a call service which room you are in: allow its host under “Calls” in Mantle's settings if you trust it.";
const NO_JITSI_AUTH: &str = "Mantle did not ask the Jitsi host how it wants to be used.";

impl Shield for Calls {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::TurnServer => HeadStep::InspectResponse,
            Endpoint::StateSend if is_widget(head) => HeadStep::Body,
            Endpoint::Send if is_call_event(head) => HeadStep::Body,
            Endpoint::JitsiWellKnown
                if PUBLIC_JITSI.contains(&head.address.host_name())
                    && !context.policy.is_allowed(INFO.id, head.address.host) =>
            {
                HeadStep::Reply(Action::Blocked, Reply::error(404, "M_NOT_FOUND", NO_JITSI_AUTH))
            }
            Endpoint::BridgeUser if is_dialling(head) => {
                HeadStep::Reply(Action::Answered, Reply::ok("[]"))
            }
            Endpoint::Foreign
                if names_room(&head.address)
                    && head.address.host != context.page_host
                    && !context.policy.is_allowed(INFO.id, head.address.host) =>
            {
                HeadStep::Reply(Action::Blocked, Reply::forbidden(NO_CALL_WIDGET))
            }
            Endpoint::Foreign if may_ask(head, context) => HeadStep::Body,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if head.endpoint == Endpoint::Foreign {
            let is_asked = asks_about(head, context, body);
            return Ok(if is_asked { BodyStep::Ask(&STRANGER) } else { BodyStep::Pass });
        }
        let text = utf8(body)?;
        let edits = match head.endpoint {
            Endpoint::StateSend => widget_edits(text)?,
            _ if is_direct(context) => Vec::new(),
            _ => call_event_edits(text)?,
        };
        Ok(if edits.is_empty() { BodyStep::Pass } else { BodyStep::Edit(edits) })
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        vec!["uris".into()]
    }

    fn response(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        let mut kept = Vec::new();
        let list = body.get("uris").unwrap_or("[]".into());
        let uris = elements(&list)?;
        for uri in &uris {
            let Some(server) = string(uri.as_bytes()).and_then(|uri| IceServer::parse(&uri)) else {
                continue;
            };
            if server.relays {
                kept.push(*uri);
                step.turn_hosts.push(server.host);
            } else if context.policy.is_allowed(INFO.id, &server.host) {
                kept.push(*uri);
            }
        }
        if kept.is_empty() && !uris.is_empty() {
            // Without servers Element takes the homeserver for one that offers none.
            step.replaced = Some("{}".to_owned());
        } else if kept.len() < uris.len() {
            step.edits.push(Edit::replace(&["uris"], format!("[{}]", kept.join(","))));
        }
        Ok(step)
    }

    fn peer(&self, urls: &[String], context: &Context<'_>) -> Option<PeerStep> {
        // A LiveKit server of one's own is told the address anyway, and tells no participant. What a
        // connection is for its servers tell; without any, the page does.
        let mut hosts = urls.iter().filter_map(|url| IceServer::parse(url)).map(|one| one.host);
        let to_server = context.learned.has_used_call_server()
            && match urls {
                [] => context.page_path.contains(BUNDLED_ELEMENT_CALL),
                _ => !hosts.any(|host| context.learned.is_turn(&host)),
            };
        let kept: Vec<_> = urls
            .iter()
            .map(|url| {
                IceServer::parse(url).is_some_and(|server| {
                    context.policy.is_allowed(INFO.id, &server.host)
                        || server.relays && (to_server || context.learned.is_turn(&server.host))
                })
            })
            .collect();
        let can_relay = urls
            .iter()
            .zip(&kept)
            .any(|(url, kept)| *kept && IceServer::parse(url).is_some_and(|server| server.relays));
        let relay_only = !to_server && !is_direct(context);
        let sentence = (relay_only && !can_relay).then_some(NO_RELAY);
        Some(PeerStep { relay_only, kept, sentence })
    }

    fn prompt(&self, what: &str) -> Option<&'static Question> {
        what.starts_with(CALL_SERVER).then_some(&STRANGER)
    }

    fn frame(&self, url: &str, context: &Context<'_>) -> Option<FrameStep> {
        let address = Address::parse(url)?;
        let (before, fragment) = url.split_once('#')?;
        let is_wrapper = address.host == context.page_host && address.path.ends_with(WRAPPER);
        // Element Call writes its parameters behind `#?` or `#/?`.
        let (start, parameters) = match fragment.split_once('?') {
            Some((start, rest)) => (format!("{start}?"), rest),
            None => (String::new(), fragment),
        };
        let names = |wanted: &str| parameters.split('&').any(|pair| name(pair) == wanted);
        if address.host != context.page_host
            && ["userId", "deviceId", "roomId"].iter().all(|wanted| names(wanted))
            && !context.policy.is_allowed(INFO.id, address.host)
        {
            return Some(FrameStep {
                url: "about:blank".to_owned(),
                action: Action::Blocked,
                sentence: Some(FOREIGN_CALL_PAGE),
            });
        }
        let mut changed = false;
        let mut next: Vec<Cow<'_, str>> = Vec::new();
        for pair in parameters.split('&') {
            let name = name(pair);
            if DROPPED_PARAMETERS.contains(&name) {
                changed = true;
            } else if is_wrapper
                && WRAPPER_PARAMETERS.contains(&name)
                && pair.len() > name.len().saturating_add(1)
            {
                changed = true;
                next.push(format!("{name}=").into());
            } else {
                next.push(pair.into());
            }
        }
        changed.then(|| FrameStep {
            url: format!("{before}#{start}{}", next.join("&")),
            action: Action::Rewritten,
            sentence: None,
        })
    }
}

/// Whether the person is asked about this request, which has a token for a stranger's call server:
/// where they want to be asked about calls, and the token would be stopped otherwise.
pub(super) fn asks_about(head: &Head<'_>, context: &Context<'_>, body: &[u8]) -> bool {
    may_ask(head, context) && is_call_request(body)
}

fn may_ask(head: &Head<'_>, context: &Context<'_>) -> bool {
    head.is_of_stranger()
        && head.method == "POST"
        && mode_in(context.policy, INFO.id) == Mode::Ask
        && mode_in(context.policy, integrations::INFO.id) == Mode::On
        && !integrations::may_know(head.address.host, context)
}

/// Whether a call service of one's own, or one on the person's list, is given a token. There are other
/// services on such hosts, so it goes by the path (MSC4195, and `/sfu/get` before it).
pub(crate) fn begins_call(head: &Head<'_>, policy: &EffectiveSettings, learned: &Learned) -> bool {
    let host = head.address.host;
    head.method == "POST"
        && ["/sfu/get", "/get_token"].iter().any(|end| head.address.path.ends_with(end))
        && (learned.is_call_server(host) || policy.is_allowed(INFO.id, host))
}

/// What a call service is sent (MSC4195, and `/sfu/get` before it): a token, the room and the device,
/// wherever the service lies. Without a device it is for another service.
fn is_call_request(body: &[u8]) -> bool {
    let has = |text, path: &[&str]| matches!(get_str(text, path), Ok(Some(_)));
    utf8(body).is_ok_and(|text| {
        has(text, &["openid_token", "access_token"])
            && has(text, &["openid_token", "matrix_server_name"])
            && (has(text, &["room"]) || has(text, &["room_id"]))
            && (has(text, &["device_id"]) || has(text, &["member", "claimed_device_id"]))
    })
}

fn is_direct(context: &Context<'_>) -> bool {
    context.policy.option_flag(INFO.id, DIRECT.key)
}

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// `rooms/{roomId}/state/{type}/{key}`.
fn is_widget(head: &Head<'_>) -> bool {
    ["im.vector.modular.widgets", "m.widget"].iter().any(|kind| head.route.is_parameter(1, kind))
}

/// `rooms/{roomId}/send/{type}/{txnId}`.
fn is_call_event(head: &Head<'_>) -> bool {
    ["m.call.invite", "m.call.candidates", "m.call.answer", "m.call.negotiate"]
        .iter()
        .any(|kind| head.route.is_parameter(1, kind))
}

/// How a service that builds call widgets is asked (Element's `widget_build_url`).
fn names_room(address: &Address<'_>) -> bool {
    address.parameter("roomId").is_some_and(|room| room.starts_with('!'))
}

/// Looks a phone number up, or whether somebody has a number in place of a Matrix ID.
fn is_dialling(head: &Head<'_>) -> bool {
    let protocol = head.route.parameter(0).unwrap_or_default();
    protocol == "m.protocol.pstn" || protocol.starts_with("im.vector.protocol.")
}

fn widget_edits(text: &str) -> Result<Vec<Edit>, JsonError> {
    let kind = get_str(text, &["type"])?.unwrap_or_default();
    if !matches!(kind.as_str(), "jitsi" | "m.jitsi") {
        return Ok(Vec::new());
    }
    let mut edits = vec![Edit::replace(&["data", "roomName"], r#""""#)];
    // Every client puts its own wrapper in place of this one.
    if let Some(url) = get_str(text, &["url"])?
        && let Some((_, parameters)) = url.split_once(WRAPPER)
    {
        edits.push(Edit::replace(&["url"], quoted(&format!("{NEUTRAL_WRAPPER}{parameters}"))));
    }
    Ok(edits)
}

/// The offer, the answer and the candidates of a call (Client-Server API, 'm.call.invite').
fn call_event_edits(text: &str) -> Result<Vec<Edit>, JsonError> {
    let mut edits = Vec::new();
    for path in [&["offer", "sdp"], &["answer", "sdp"], &["description", "sdp"]] {
        if let Some(hidden) = get_str(text, path)?.as_deref().and_then(relay_only) {
            edits.push(Edit::replace(path, quoted(&hidden)));
        }
    }
    let mut kept = Vec::new();
    let mut changed = false;
    for candidate in elements(get(text, &["candidates"])?.unwrap_or("[]"))? {
        let line = get_str(candidate, &["candidate"])?.unwrap_or_default();
        if !is_relay_candidate(&line) {
            changed = true;
        } else if let Some(hidden) = without_related_address(&line) {
            changed = true;
            let edit = [Edit::replace(&["candidate"], quoted(&hidden))];
            let edited = mantle_wire::json::apply(candidate.as_bytes(), &edit)?;
            kept.extend(edited.and_then(|bytes| String::from_utf8(bytes).ok()));
        } else {
            kept.push(candidate.to_owned());
        }
    }
    if changed {
        edits.push(Edit::replace(&["candidates"], format!("[{}]", kept.join(","))));
    }
    Ok(edits)
}
