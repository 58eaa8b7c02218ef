//! Link previews: the homeserver is not told which links you are shown.
//!
//! Catalogue section 8. Element takes 'not found' for "nothing to preview"; of an empty preview a newer
//! one would draw an empty card, or attach it to the message.

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

const NONE: &str =
    "Mantle keeps links from your homeserver; switch “Link previews” off if you want previews.";

impl Shield for Previews {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::UrlPreview => {
                HeadStep::Reply(Action::Answered, Reply::error(404, "M_NOT_FOUND", NONE))
            }
            _ => HeadStep::Pass,
        }
    }
}
