//! Typing: nobody is told that you are writing.
//!
//! Catalogue section 10.

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;

pub(super) struct Typing;

pub(super) static INFO: Info = Info {
    id: "typing",
    name: "Typing notifications",
    purpose: documented("Does not tell your homeserver and the room that you are writing."),
    loses: documented("Others do not see “… is typing”."),
    why: documented(
        "It tells when and how long you write, also what you never send; nobody waits for it.",
    ),
    endpoints: &[Endpoint::Typing],
    ..Info::PLAIN
};

impl Shield for Typing {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Typing => HeadStep::Reply(Action::Answered, Reply::ok("{}")),
            _ => HeadStep::Pass,
        }
    }
}
