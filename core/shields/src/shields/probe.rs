//! Only for tests of the hooks: sends requests with a marker in their path every way there is.

use super::{BodyStep, Context, Head, HeadStep, Info, ResponseStep, Shield};
use crate::verdict::Handler;
use mantle_wire::json::{Document, Edit, JsonError};
use mantle_wire::route::Endpoint;

/// `…/mantle-probe/<way>…`
const MARKER: &str = "/mantle-probe/";

/// One way, so that several can meet on one request.
#[derive(Debug)]
pub(super) struct Probe(pub(super) &'static str);

pub(super) static INFO: Info =
    Info { id: "probe", name: "Probe", endpoints: Endpoint::ALL, ..Info::PLAIN };

impl Shield for Probe {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        let is_meant = head
            .address
            .path
            .split_once(MARKER)
            .is_some_and(|(_, ways)| ways.split(['-', '/']).any(|way| way == self.0));
        if !is_meant {
            return HeadStep::Pass;
        }
        match self.0 {
            "moved" => HeadStep::Redirect(head.url.replace("mantle-probe", "mantle-there")),
            "body" => HeadStep::Body,
            "over" => HeadStep::Delegate(Handler::Media),
            "over2" => HeadStep::Delegate(Handler::State),
            "back" => HeadStep::DelegateResponse(Handler::State),
            _ => HeadStep::InspectResponse,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let is_object = body.trim_ascii_start().starts_with(b"{");
        Ok(if is_object {
            BodyStep::Edit(vec![Edit::replace(&["initial_device_display_name"], r#""Element""#)])
        } else {
            BodyStep::Pass
        })
    }

    fn response(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let edits = vec![Edit::remove(&["m.identity_server"])];
        Ok(ResponseStep { edits, ..ResponseStep::default() })
    }
}
