//! Reactions and replies (MSC4392): what is reacted to or answered leaves inside the ciphertext.
//!
//! The work is done in the page (`extension/page/relations`), which has the event as Element made it;
//! here is only said which requests go there. Edits and threads stay as they are, since homeservers
//! put them together; the page leaves these alone.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::Handler;
use mantle_settings::Mode;
use mantle_wire::json::{JsonError, members};
use mantle_wire::route::Endpoint;

pub(super) struct Relations;

pub(super) static INFO: Info = Info {
    id: "relations",
    name: "Reactions and replies",
    purpose: documented(
        "In encrypted rooms, what you react with, to which message, and which one you answer is sent encrypted (MSC4392).",
    ),
    loses: documented(
        "People whose app does not read encrypted reactions see none of yours, and your replies as ordinary messages; phones wake for a reaction as for a message.",
    ),
    default: Mode::Off,
    why: documented("Only people with Mantle and a few other apps see such reactions."),
    strict: Mode::On,
    modes: &[Mode::Off, Mode::Ask, Mode::On],
    endpoints: &[Endpoint::Send],
    ..Info::PLAIN
};

impl Shield for Relations {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        if head.route.is_parameter(1, "m.reaction") {
            return HeadStep::Delegate(Handler::Relations);
        }
        match head.route.is_parameter(1, "m.room.encrypted") {
            true => HeadStep::Body,
            false => HeadStep::Pass,
        }
    }

    /// Of an encrypted event: whether it says beside its ciphertext what it relates to.
    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let relates = members(text)?
            .is_some_and(|all| all.iter().any(|member| member.key.as_str() == "m.relates_to"));
        Ok(if relates { BodyStep::Delegate(Handler::Relations) } else { BodyStep::Pass })
    }
}
