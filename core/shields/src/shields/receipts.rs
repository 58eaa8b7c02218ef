//! Read receipts: private ones instead of public ones.
//!
//! Catalogue section 10. `m.read.private` (Client-Server API, 'Private read receipts', from v1.4 on)
//! clears your unread counts and goes to nobody else. A server too old for it refuses the request:
//! nothing leaks then either.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use mantle_wire::json::{Edit, JsonError, get, span, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct Receipts;

pub(super) static INFO: Info = Info {
    id: "receipts",
    name: "Read receipts",
    purpose: documented(
        "Tells only your own homeserver what you have read, and nobody else in the room.",
    ),
    loses: documented("Others do not see how far you have read."),
    why: documented(
        "Everyone in a room would see when you read what; your unread counts stay right without.",
    ),
    endpoints: &[Endpoint::Receipts, Endpoint::ReadMarkers],
    ..Info::PLAIN
};

const PUBLIC: &str = "m.read";
const PRIVATE: &str = "m.read.private";

impl Shield for Receipts {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::ReadMarkers => HeadStep::Body,
            Endpoint::Receipts => private_receipt(head).map_or(HeadStep::Pass, HeadStep::Redirect),
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
        let Some(event) = get(text, &[PUBLIC])? else { return Ok(BodyStep::Pass) };
        let mut edits = vec![Edit::remove(&[PUBLIC])];
        if get(text, &[PRIVATE])?.is_none() {
            edits.push(Edit::set(&[PRIVATE], event));
        }
        Ok(BodyStep::Edit(edits))
    }
}

/// `…/receipt/m.read/{eventId}` with the private type; `None` for other types.
fn private_receipt(head: &Head<'_>) -> Option<String> {
    let kind = head.route.raw_parameter(1)?;
    if !head.route.is_parameter(1, PUBLIC) {
        return None;
    }
    let mut url = head.url.to_owned();
    url.replace_range(span(head.url, kind), PRIVATE);
    Some(url)
}
