//! Push: gateways are told that there is something new, not what.
//!
//! Catalogue section 12. With `data.format: event_id_only` (Client-Server API, 'POST pushers/set')
//! the homeserver leaves room name, sender and text out of what it sends to a gateway. For mails the
//! device's name, which Element makes of the address, and the region of the language go.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use mantle_wire::json::{Edit, JsonError, get_str, quoted, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct Push;

pub(super) static INFO: Info = Info {
    id: "push",
    name: "Push messages",
    purpose: documented(
        "Sends push gateways the number of the message only, instead of the room's name, the sender and the text, and leaves your address and region out of what goes with mail notifications.",
    ),
    loses: documented("A push message shows its text only once the device has fetched it."),
    why: documented("Gateways belong to third parties, and devices can fetch the text themselves."),
    endpoints: &[Endpoint::PusherSet],
    ..Info::PLAIN
};

/// In a pusher that a homeserver lists: the device that set it up.
const LISTED: [&str; 2] = ["org.matrix.msc3881.device_id", "device_id"];

impl Shield for Push {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::PusherSet => HeadStep::Body,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let text = utf8(body)?;
        // As the homeserver listed it: another device's own, which is only switched on or off from here
        // (MSC3881). What a client sets up by itself names no device.
        for name in LISTED {
            if get_str(text, &[name])?.is_some() {
                return Ok(BodyStep::Pass);
            }
        }
        Ok(match get_str(text, &["kind"])?.as_deref() {
            Some("http") => {
                BodyStep::Edit(vec![Edit::set(&["data", "format"], r#""event_id_only""#)])
            }
            // The address stands in `pushkey` as well; of the language the region says where you are.
            Some("email") => {
                let lang = get_str(text, &["lang"])?.unwrap_or_default();
                let language = lang.split_once('-').map_or(lang.as_str(), |(language, _)| language);
                let name = quoted(context.policy.device_name().value);
                BodyStep::Edit(vec![
                    Edit::replace(&["device_display_name"], name),
                    Edit::replace(&["lang"], quoted(language)),
                ])
            }
            _ => BodyStep::Pass,
        })
    }
}
