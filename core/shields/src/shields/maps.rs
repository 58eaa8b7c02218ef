//! Maps: no map service is told where shared locations are.
//!
//! Catalogue section 11. Which service there is comes from the configuration and `.well-known`; the
//! config shield takes it out there, this one stops the service that Element's own builds name.

use super::{Context, Head, HeadStep, Info, Rule, Shield, declared, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;

/// Domains of the map service in Element's own configuration.
const HOSTS: [&str; 1] = ["maptiler.com"];

pub(super) struct Maps;

pub(super) static INFO: Info = Info {
    id: "maps",
    name: "Maps",
    purpose: documented(
        "Keeps Element from loading maps, which would tell a map service every place that is shared with you, also in encrypted rooms.",
    ),
    loses: documented(
        "Shared locations show no map; the coordinates can still be opened by a click.",
    ),
    why: documented(
        "One shared location tells a stranger where your contacts are; few messages are locations.",
    ),
    allow: Some("Map services you trust"),
    rules: declared(&[Rule::Domains(&HOSTS)]),
    endpoints: &[Endpoint::Foreign],
    ..Info::PLAIN
};

const REFUSED: &str =
    "Mantle keeps Element from loading maps; allow this host in Mantle's settings if you trust it.";

impl Shield for Maps {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let is_map = head.endpoint == Endpoint::Foreign
            && HOSTS.iter().any(|domain| head.address.is_within(domain))
            && !context.policy.is_allowed(INFO.id, head.address.host);
        if is_map {
            HeadStep::Reply(Action::Blocked, Reply::forbidden(REFUSED))
        } else {
            HeadStep::Pass
        }
    }
}
