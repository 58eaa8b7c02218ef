//! Identity servers: never contacted, never named to the homeserver.
//!
//! Catalogue section 3. Answers are those Element copes with quietly: an
//! empty ping, "nobody found", otherwise 403.

use super::{
    BodyStep, Context, EventTypes, Head, HeadStep, Info, Place, ResponseStep, Rule, Shield,
    declared, documented,
};
use crate::verdict::{Action, Reply};
use mantle_wire::json::{Document, Edit, JsonError, elements, get, get_str, members, utf8};
use mantle_wire::route::Endpoint;
use std::borrow::Cow;

/// The Identity Service API on any host, as an RE2 expression.
const PATH_REGEX: &str = r"^(https?|wss?)://[^/?#]+(/[^?#]*)?/_matrix/+identity(/|\?|#|$)";

pub(super) struct Identity;

pub(super) static INFO: Info = Info {
    id: "identity",
    name: "Identity servers",
    purpose: documented(
        "Keeps Element from contacting an identity server (the “find people by e-mail or phone” service) and from naming one to your homeserver.",
    ),
    loses: documented(
        "You cannot find or invite people by e-mail address or phone number, and they cannot find you that way.",
    ),
    why: documented(
        "The server is contacted at every page load, and is told your and your contacts' addresses.",
    ),
    allow: Some("Contact look-up services you trust"),
    rules: declared(&[Rule::Addresses(PATH_REGEX)]),
    endpoints: &[
        Endpoint::IdentityPing,
        Endpoint::IdentityVersions,
        Endpoint::IdentityHashDetails,
        Endpoint::IdentityLookup,
        Endpoint::IdentityLookupV1,
        Endpoint::IdentityBulkLookup,
        Endpoint::IdentityOther,
        Endpoint::Foreign,
        Endpoint::Sync,
        Endpoint::SlidingSync,
        Endpoint::IdentityAccountData,
        Endpoint::Register,
        Endpoint::Password,
        Endpoint::Deactivate,
        Endpoint::DeviceSigningUpload,
        Endpoint::ThirdPartyIdAdd,
        Endpoint::ThirdPartyIdLegacy,
        Endpoint::ThirdPartyIdBind,
        Endpoint::RequestToken,
        Endpoint::Invite,
        Endpoint::CreateRoom,
        Endpoint::Devices,
        Endpoint::Unknown,
    ],
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from contacting identity servers; allow this host in Mantle's settings if you trust it.";
const SIGN_REFUSED: &str = "Mantle did not tell your Matrix ID to the address this invitation link names; allow its host in Mantle's settings if you trust it.";
const BIND_REFUSED: &str = "Mantle did not publish your address at an identity server; allow that server in Mantle's settings if you want to be found by it.";
const INVITE_REFUSED: &str = "Mantle did not send this invitation by e-mail, because an identity server would learn the address and the room's name; invite by Matrix ID instead.";
const ACCOUNT_REFUSED: &str =
    "Mantle did not save an identity server to your account; allow it in Mantle's settings first.";

const NULL_SERVER: &str = r#"{"base_url":null}"#;

impl Shield for Identity {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let reply = match head.endpoint {
            Endpoint::IdentityPing => Reply::ok("{}"),
            Endpoint::IdentityVersions => Reply::ok(r#"{"versions":[]}"#),
            Endpoint::IdentityHashDetails => {
                Reply::ok(r#"{"algorithms":["sha256"],"lookup_pepper":"x"}"#)
            }
            Endpoint::IdentityLookup => Reply::ok(r#"{"mappings":{}}"#),
            Endpoint::IdentityLookupV1 => Reply::ok("{}"),
            Endpoint::IdentityBulkLookup => Reply::ok(r#"{"threepids":[]}"#),
            Endpoint::IdentityOther => Reply::forbidden(REFUSED),
            // An e-mail invitation's link names the URL that is to sign your Matrix ID.
            Endpoint::Foreign if head.method == "POST" && head.address.has_parameter("mxid") => {
                Reply::forbidden(SIGN_REFUSED)
            }
            Endpoint::Sync | Endpoint::SlidingSync => return HeadStep::InspectResponse,
            Endpoint::IdentityAccountData if head.method != "PUT" => {
                return HeadStep::InspectResponse;
            }
            // Any of these may carry UIA `auth` (Client-Server API, 'User-Interactive Authentication').
            Endpoint::Register
            | Endpoint::Password
            | Endpoint::Deactivate
            | Endpoint::DeviceSigningUpload
            | Endpoint::ThirdPartyIdAdd
            | Endpoint::ThirdPartyIdLegacy
            | Endpoint::ThirdPartyIdBind
            | Endpoint::RequestToken
            | Endpoint::Invite
            | Endpoint::CreateRoom
            | Endpoint::IdentityAccountData => return HeadStep::Body,
            Endpoint::Devices if head.method != "GET" => return HeadStep::Body,
            Endpoint::Unknown if !matches!(head.method, "GET" | "HEAD") => return HeadStep::Body,
            _ => return HeadStep::Pass,
        };
        if context.policy.is_allowed(INFO.id, head.address.host) {
            return HeadStep::Pass;
        }
        HeadStep::Reply(Action::Blocked, reply)
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let text = match utf8(body) {
            Err(_) if head.endpoint == Endpoint::Unknown => return Ok(BodyStep::Pass),
            text => text?,
        };
        let text = text.trim();
        if text.is_empty() {
            return Ok(BodyStep::Pass);
        }
        let allowed = |name: Option<String>| {
            let server = name.unwrap_or_default();
            let host = server
                .split_once("://")
                .map_or(server.as_str(), |(_, rest)| rest)
                .trim_end_matches('/');
            context.policy.is_allowed(INFO.id, host)
        };
        // What it is nobody knows; so is what else it may hold.
        if head.endpoint == Endpoint::Unknown && !matches!(members(text), Ok(Some(_))) {
            return Ok(BodyStep::Pass);
        }
        if allowed(get_str(text, &["id_server"])?) {
            return Ok(BodyStep::Pass);
        }
        match head.endpoint {
            Endpoint::ThirdPartyIdBind => {
                return Ok(BodyStep::Reply(Action::Answered, Reply::forbidden(BIND_REFUSED)));
            }
            Endpoint::Invite
                if get(text, &["address"])?.is_some() || get(text, &["id_server"])?.is_some() =>
            {
                return Ok(BodyStep::Reply(Action::Answered, Reply::forbidden(INVITE_REFUSED)));
            }
            Endpoint::CreateRoom => {
                for invite in elements(get(text, &["invite_3pid"])?.unwrap_or("[]"))? {
                    if !allowed(get_str(invite, &["id_server"])?) {
                        return Ok(BodyStep::Reply(
                            Action::Answered,
                            Reply::forbidden(INVITE_REFUSED),
                        ));
                    }
                }
                return Ok(BodyStep::Pass);
            }
            Endpoint::IdentityAccountData => {
                return Ok(match get_str(text, &["base_url"])? {
                    Some(url) if !allowed(Some(url.clone())) => {
                        BodyStep::Reply(Action::Answered, Reply::forbidden(ACCOUNT_REFUSED))
                    }
                    _ => BodyStep::Pass,
                });
            }
            _ => {}
        }
        let mut edits = Vec::new();
        let paths: [&[&str]; 10] = [
            &["id_server"],
            &["id_access_token"],
            &["auth", "threepid_creds", "id_server"],
            &["auth", "threepid_creds", "id_access_token"],
            &["auth", "threepidCreds", "id_server"],
            &["auth", "threepidCreds", "id_access_token"],
            &["three_pid_creds", "id_server"],
            &["three_pid_creds", "id_access_token"],
            &["threePidCreds", "id_server"],
            &["threePidCreds", "id_access_token"],
        ];
        for path in paths {
            edits.push(Edit::remove(path));
        }
        if head.endpoint == Endpoint::ThirdPartyIdLegacy {
            edits.push(Edit::replace(&["bind"], "false"));
        }
        if head.endpoint == Endpoint::Register {
            edits.push(Edit::remove(&["bind_email"]));
            edits.push(Edit::remove(&["bind_msisdn"]));
        }
        Ok(BodyStep::Edit(edits))
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        vec!["base_url".into()]
    }

    fn response(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let is_kept = is_kept(body.get_str("base_url"), context);
        let replaced = (!is_kept).then(|| NULL_SERVER.to_owned());
        Ok(ResponseStep { replaced, ..ResponseStep::default() })
    }

    fn account_data_types<'a>(&self, _context: &Context<'a>) -> Vec<EventTypes<'a>> {
        vec![EventTypes::One("m.identity_server")]
    }

    fn account_data(
        &self,
        _event_type: &str,
        content: &str,
        context: &Context<'_>,
        _step: &mut ResponseStep,
    ) -> Result<Option<String>, JsonError> {
        let is_kept = is_kept(get_str(content, &["base_url"])?, context);
        Ok((!is_kept).then(|| NULL_SERVER.to_owned()))
    }
}

/// Whether the account may name this identity server, or names none.
fn is_kept(base_url: Option<String>, context: &Context<'_>) -> bool {
    base_url.is_none_or(|url| {
        // An address is read only where a list could have it.
        context.policy.allowed(INFO.id).next().is_some()
            && Place::of(&url).is_some_and(|place| context.policy.is_allowed(INFO.id, &place.host))
    })
}
