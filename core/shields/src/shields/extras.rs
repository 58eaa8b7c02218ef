//! Services that chats do not need: GIF search, release notes, sliding-sync
//! proxies, and pages, translations and modules from foreign sites.
//!
//! Catalogue section 14. Which there are comes from the configuration and `.well-known`, where the
//! config shield takes out what lies on a foreign host; this one stops those with known addresses.

use super::{Context, Head, HeadStep, Info, Rule, Shield, declared, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;
use mantle_wire::url::Address;

/// Domains of the GIF search that Element can be configured for.
const HOSTS: [&str; 1] = ["klipy.com"];

pub(super) struct Extras;

pub(super) static INFO: Info = Info {
    id: "extras",
    name: "Extra services",
    purpose: documented(
        "Keeps Element from services that chats do not need: GIF search, release notes, old sliding-sync servers, and welcome pages, pictures, translations and modules from other sites.",
    ),
    loses: documented(
        "Element shows its own welcome page and texts; GIF search, the list of what is new in test versions, and modules from other sites are gone.",
    ),
    why: documented(
        "Each is told that you are there, a module could read everything, and Element's own builds need none of them.",
    ),
    allow: Some("Sites whose pages, modules or services you trust"),
    rules: declared(&[Rule::Domains(&HOSTS)]),
    endpoints: &[Endpoint::Foreign],
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from services that chats do not need; allow this host under “Extra services” in Mantle's settings if you trust it.";
/// Where phones are sent to get the app.
const LANDING: &str = "mobile.element.io";

impl Shield for Extras {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let address = &head.address;
        let is_extra = HOSTS.iter().any(|domain| address.is_within(domain))
            || address.is_within("riot.im") && address.path.starts_with("/github/")
            // The proxies of MSC3575 for servers without sliding sync of their own.
            || address.path == "/client/server.json";
        if is_extra
            && head.endpoint == Endpoint::Foreign
            && context.is_foreign(INFO.id, address.host)
        {
            return HeadStep::Reply(Action::Blocked, Reply::forbidden(REFUSED));
        }
        HeadStep::Pass
    }

    /// The landing page for phones is told the homeserver.
    fn link(&self, url: &str, context: &Context<'_>) -> Option<String> {
        let address = Address::parse(url)?;
        let is_told = address.is_within(LANDING)
            && !address.query.is_empty()
            && context.is_foreign(INFO.id, address.host);
        is_told.then(|| url.split('?').next().unwrap_or_default().to_owned())
    }
}
