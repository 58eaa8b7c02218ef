//! Device names: one text for everybody instead of browser, system and host.
//!
//! Catalogue section 4. Covers login, registration (guests included),
//! renaming a session, the stand-in for a device that is away (MSC3814), and dynamic client
//! registration (RFC 7591, MSC2966). An authorisation server names a session itself when it is given
//! its first token (MSC2964), so the page gives it another name before the session does anything.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::Handler;
use mantle_wire::json::{Edit, JsonError, get, members, quoted};
use mantle_wire::route::Endpoint;
use mantle_wire::url::percent_decoded;

pub(super) struct DeviceName;

pub(super) static INFO: Info = Info {
    id: "device-name",
    name: "Device names",
    purpose: documented(
        "Calls your sessions by one plain name instead of one that gives away your browser, system and the site you use.",
    ),
    loses: documented(
        "Your list of sessions tells them apart by date and ID only, unless you choose a name here.",
    ),
    why: documented(
        "Your homeserver, and often everyone you talk to, can read the name; a plain one costs little.",
    ),
    endpoints: &[
        Endpoint::Login,
        Endpoint::Register,
        Endpoint::DeviceUpdate,
        Endpoint::DehydratedDevice,
        Endpoint::Foreign,
        Endpoint::Unknown,
    ],
    ..Info::PLAIN
};

const DEVICE: &str = "initial_device_display_name";

impl Shield for DeviceName {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Login | Endpoint::Register | Endpoint::DeviceUpdate => HeadStep::Body,
            Endpoint::DehydratedDevice if head.method == "PUT" => HeadStep::Body,
            // Where the registration and token endpoints are, only the auth server says; their bodies
            // are unmistakable, and so is that of a sign-in at a path that no row knows.
            Endpoint::Foreign | Endpoint::Unknown if head.method == "POST" => HeadStep::Body,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if body.trim_ascii().is_empty() {
            return Ok(BodyStep::Pass);
        }
        let name = quoted(context.policy.device_name().value);
        if matches!(head.endpoint, Endpoint::Foreign | Endpoint::Unknown) {
            if begins_session(body) {
                return Ok(BodyStep::DelegateResponse(Handler::Session));
            }
            return Ok(by_shape(body, &name).map_or(BodyStep::Pass, BodyStep::Edit));
        }
        Ok(BodyStep::Edit(match head.endpoint {
            Endpoint::DeviceUpdate => vec![Edit::replace(&["display_name"], name)],
            _ => vec![Edit::replace(&[DEVICE], name)],
        }))
    }
}

/// Whether this form asks for the first token of a session (RFC 6749, section 4.1.3; RFC 8628,
/// section 3.4). One that asks for the next token does not.
fn begins_session(form: &[u8]) -> bool {
    let is_first = |kind: &str| {
        matches!(
            percent_decoded(kind).as_ref(),
            "authorization_code" | "urn:ietf:params:oauth:grant-type:device_code"
        )
    };
    std::str::from_utf8(form).is_ok_and(|form| {
        form.trim().split('&').any(|pair| pair.strip_prefix("grant_type=").is_some_and(is_first))
    })
}

/// Edits for a sign-in or a dynamic client registration; `None` when the body is anything else.
fn by_shape(body: &[u8], name: &str) -> Option<Vec<Edit>> {
    let text = std::str::from_utf8(body).ok()?.trim_start();
    if !text.starts_with('{') {
        return None;
    }
    if get(text, &[DEVICE]).ok()?.is_some() {
        return Some(vec![Edit::replace(&[DEVICE], name)]);
    }
    get(text, &["redirect_uris"]).ok()??;
    // `client_name#de` is the same name in a language (RFC 7591, section 2.2).
    let edits: Vec<_> = members(text)
        .ok()??
        .into_iter()
        .filter_map(|member| {
            match member.key.split_once('#').map_or(member.key.as_str(), |(key, _)| key) {
                "client_name" => Some(Edit::replace(&[&member.key], name)),
                // Optional there; each names whoever made this build of Element.
                "contacts" | "logo_uri" | "policy_uri" | "tos_uri" => {
                    Some(Edit::remove(&[&member.key]))
                }
                _ => None,
            }
        })
        .collect();
    Some(edits)
}
