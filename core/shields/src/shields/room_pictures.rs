//! Pictures of rooms that encrypt their state: encrypted before they leave.
//!
//! The page does it (`extension/page/room-pictures`): an upload does not say what it is for, so it is
//! held until a request names it. Which requests that may be nobody can tell by their address.

use super::{Info, Shield, documented};
use mantle_settings::Mode;

pub(super) struct RoomPictures;

pub(super) static INFO: Info = Info {
    id: "room-pictures",
    name: "Encrypted room pictures",
    purpose: documented(
        "In rooms with an encrypted name, a picture you give the room leaves encrypted, without place, camera and other hidden details.",
    ),
    loses: documented("People without Mantle see the room's first letter in place of the picture."),
    default: Mode::Off,
    why: documented("Only people with Mantle see such pictures."),
    strict: Mode::On,
    modes: &[Mode::Off, Mode::Ask, Mode::On],
    ..Info::PLAIN
};

impl Shield for RoomPictures {
    fn info(&self) -> &'static Info {
        &INFO
    }
}
