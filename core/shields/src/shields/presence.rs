//! Presence: your homeserver, and who shares rooms with you, are not told when you are there.
//!
//! Catalogue section 10. Leaving `set_presence` out of a sync means "online" (Client-Server API,
//! 'GET sync'), so it is set on each.

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;
use mantle_wire::url::with_parameter;

pub(super) struct Presence;

pub(super) static INFO: Info = Info {
    id: "presence",
    name: "Online status",
    purpose: documented(
        "Makes you look offline, instead of telling your homeserver and everyone you share a room with when you are at your desk.",
    ),
    loses: documented("Nobody sees that you are online."),
    why: documented("It is a diary of when you work and sleep; messages arrive just the same."),
    endpoints: &[Endpoint::Presence, Endpoint::Sync, Endpoint::SlidingSync],
    ..Info::PLAIN
};

impl Shield for Presence {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Presence if head.method == "PUT" => {
                HeadStep::Reply(Action::Answered, Reply::ok("{}"))
            }
            Endpoint::Sync | Endpoint::SlidingSync => {
                with_parameter(head.url, "set_presence", "offline")
                    .map_or(HeadStep::Pass, HeadStep::Redirect)
            }
            _ => HeadStep::Pass,
        }
    }
}
