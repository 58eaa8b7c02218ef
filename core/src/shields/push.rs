//! Push: gateways are told that there is something new, not what.
//!
//! Catalogue section 12. With `data.format: event_id_only` (Client-Server API, 'POST pushers/set')
//! the homeserver leaves room name, sender and text out of what it sends to a gateway.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield};
use crate::wire::endpoint::Endpoint;
use crate::wire::json_edit::{Edit, JsonError, get_str, utf8};

pub(super) struct Push;

static INFO: Info = Info {
    id: "push",
    name: "Push messages",
    purpose: "Sends push gateways the number of the message only, instead of the room's name, the sender and the text.",
    loses: "A push message shows its text only once the device has fetched it.",
    why: "Gateways belong to third parties, and devices can fetch the text themselves.",
    ..Info::PLAIN
};

impl Shield for Push {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Pushers if head.method == "POST" => HeadStep::Body,
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
        let text = utf8(body)?;
        if get_str(text, &["kind"])?.as_deref() != Some("http") {
            return Ok(BodyStep::Pass);
        }
        Ok(BodyStep::Edit(vec![Edit::set(&["data", "format"], r#""event_id_only""#)]))
    }
}
