//! Link previews: the homeserver is not told which links you are shown.
//!
//! Catalogue section 8. An empty answer is "nothing to preview" (Client-Server API, 'GET
//! preview_url').

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;

pub(super) struct Previews;

pub(super) static INFO: Info = Info {
    id: "previews",
    name: "Link previews",
    purpose: documented(
        "Does not ask your homeserver for previews of links, so that it neither learns nor opens the links you are sent.",
    ),
    loses: documented("Links have no picture and summary below them."),
    why: documented(
        "Your homeserver would be told links from encrypted rooms too, wherever previews are switched on.",
    ),
    endpoints: &[Endpoint::UrlPreview],
    ..Info::PLAIN
};

impl Shield for Previews {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::UrlPreview => HeadStep::Reply(Action::Answered, Reply::ok("{}")),
            _ => HeadStep::Pass,
        }
    }
}
