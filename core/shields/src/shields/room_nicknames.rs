//! Names and pictures in one room: in a room that encrypts its state they leave inside the member event's
//! ciphertext.
//!
//! The work is done in the page (`extension/page/room-names`), by the module of encrypted state; here
//! is only said which requests go there. It comes before `profile`, which asks about what stays
//! readable.

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::Handler;
use mantle_settings::Mode;
use mantle_wire::route::Endpoint;

pub(super) struct RoomNicknames;

pub(super) static INFO: Info = Info {
    id: "room-nicknames",
    name: "Your name in one room",
    purpose: documented(
        "In rooms that encrypt their name, what you are called and look like there alone (/myroomnick, /myroomavatar) leaves encrypted; servers see your usual name and picture.",
    ),
    loses: documented("People without Mantle see your usual name and picture there."),
    default: Mode::Off,
    why: documented(
        "Only people with Mantle see such a name or picture; a readable one is seen by everybody.",
    ),
    strict: Mode::On,
    modes: &[Mode::Off, Mode::On],
    endpoints: &[Endpoint::StateSend],
    ..Info::PLAIN
};

impl Shield for RoomNicknames {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::StateSend if head.route.is_parameter(1, "m.room.member") => {
                HeadStep::Delegate(Handler::State)
            }
            _ => HeadStep::Pass,
        }
    }
}
