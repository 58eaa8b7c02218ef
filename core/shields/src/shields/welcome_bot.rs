//! Welcome bots: nobody is told that you just registered.
//!
//! Catalogue section 14. Element up to 1.11.58 invited the bot its configuration names into a new
//! chat right after registration.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::json::{JsonError, elements, get, string, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct WelcomeBot;

pub(super) static INFO: Info = Info {
    id: "welcome-bot",
    name: "Welcome bot",
    purpose: documented(
        "Keeps Element from starting a chat with a bot on another server right after you register.",
    ),
    loses: documented("No bot greets you."),
    why: documented(
        "It tells another server that you exist; current versions of Element do without.",
    ),
    endpoints: &[Endpoint::CreateRoom],
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle did not start a chat with a welcome bot.";

impl Shield for WelcomeBot {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::CreateRoom => HeadStep::Body,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if body.trim_ascii().is_empty() {
            return Ok(BodyStep::Pass);
        }
        let text = utf8(body)?;
        for invitee in elements(get(text, &["invite"])?.unwrap_or("[]"))? {
            let invitee = string(invitee.as_bytes()).unwrap_or_default();
            if invitee.starts_with("@riot-bot:") {
                return Ok(BodyStep::Reply(Action::Answered, Reply::forbidden(REFUSED)));
            }
        }
        Ok(BodyStep::Pass)
    }
}
