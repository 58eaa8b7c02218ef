//! Third parties: an Element page talks to its own host and to Matrix servers.
//!
//! Catalogue sections 1 and 14, what no other shield knows by name. Requests to Matrix paths pass,
//! since which homeserver it is the person says; so do the hosts that the homeserver names for
//! signing in (MSC2965) and for calls (MSC4143), and those on any shield's list. What elements
//! load is stopped by a declarative rule that the background makes, since it depends on the lists.

use super::{
    Context, FrameStep, Head, HeadStep, Info, Place, ResponseStep, SHIELDS, Shield, documented,
};
use crate::verdict::{Action, Reply};
use mantle_settings::Mode;
use mantle_wire::json::{Document, JsonError};
use mantle_wire::route::Endpoint;
use mantle_wire::url::Address;
use std::borrow::Cow;

pub(super) struct ThirdParty;

pub(super) static INFO: Info = Info {
    id: "third-party",
    name: "Third parties",
    purpose: documented(
        "Lets Element talk only to its own site, to your homeserver and to hosts on your lists: no widgets, captchas, call pages or pictures from anywhere else.",
    ),
    loses: documented(
        "Widgets, Jitsi calls and signing up with a captcha need their hosts on a list (for Google's captcha www.recaptcha.net and www.gstatic.com). Public rooms cannot be looked at without an account. Some calls need their server on a list, since what a homeserver's .well-known file names counts when you sign in and is not asked for again every two hours.",
    ),
    default: Mode::Off,
    why: documented(
        "Signing up at many homeservers needs a captcha, and widgets are opened by a click.",
    ),
    strict: Mode::On,
    allow: Some("Other hosts that Element may talk to"),
    endpoints: &[
        Endpoint::AuthMetadata,
        Endpoint::OpenIdConfiguration,
        Endpoint::WellKnownClient,
        Endpoint::ElementConfig,
        Endpoint::FederationVersion,
        Endpoint::SynapseApi,
        Endpoint::SynapseIsAdmin,
        Endpoint::Foreign,
        Endpoint::JitsiWellKnown,
        Endpoint::IdentityPing,
        Endpoint::IdentityVersions,
        Endpoint::IdentityHashDetails,
        Endpoint::IdentityLookup,
        Endpoint::IdentityLookupV1,
        Endpoint::IdentityBulkLookup,
        Endpoint::IdentityOther,
        Endpoint::IntegrationsApi,
    ],
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from servers other than its own and your homeserver; allow this host under “Third parties” in Mantle's settings if you trust it.";
const NOT_LOADED: &str = "Mantle did not load a part of this page (a widget, a call or a captcha) because it comes from another server: allow its host under “Third parties” in Mantle's settings if you trust it.";

/// Where signing in takes place.
const KEYS: [&str; 7] = [
    "issuer",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    // To sign another device in by a code (RFC 8628).
    "device_authorization_endpoint",
    // In `.well-known`.
    "m.authentication/issuer",
    "org.matrix.msc2965.authentication/issuer",
];

impl Shield for ThirdParty {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            // Only a homeserver, its sign-in and the page's own site have business with these.
            Endpoint::Foreign
            | Endpoint::JitsiWellKnown
            | Endpoint::ElementConfig
            | Endpoint::FederationVersion
            | Endpoint::OpenIdConfiguration
            | Endpoint::SynapseApi
            | Endpoint::SynapseIsAdmin
            | Endpoint::IntegrationsApi
                if is_third(head.address.host, context) =>
            {
                HeadStep::Reply(Action::Blocked, Reply::forbidden(REFUSED))
            }
            _ if head.route.is_identity() && is_third(head.address.host, context) => {
                HeadStep::Reply(Action::Blocked, Reply::forbidden(REFUSED))
            }
            Endpoint::AuthMetadata | Endpoint::OpenIdConfiguration | Endpoint::WellKnownClient => {
                HeadStep::InspectResponse
            }
            _ => HeadStep::Pass,
        }
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        KEYS.map(Cow::Borrowed).to_vec()
    }

    fn response(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        for key in KEYS {
            let url = body.get_str(key);
            step.auth_hosts.extend(url.as_deref().and_then(Place::of).map(|place| place.host));
        }
        Ok(step)
    }

    fn frame(&self, url: &str, context: &Context<'_>) -> Option<FrameStep> {
        let address = Address::parse(url)?;
        is_third(address.host, context).then(|| FrameStep {
            url: "about:blank".to_owned(),
            action: Action::Blocked,
            sentence: Some(NOT_LOADED),
        })
    }
}

fn is_third(host: &str, context: &Context<'_>) -> bool {
    !context.learned.is_auth(host)
        && !context.learned.is_call_server(host)
        && !context.learned.is_homeserver(host)
        && SHIELDS.iter().all(|shield| context.is_foreign(shield.info().id, host))
}
