//! Keys of older messages (MSC4268): the person decides whether an invitation takes them along.
//!
//! The page does it (`extension/page/history`), by Element's own crypto: on the network they are an
//! upload and an encrypted message like any other.

use super::{Info, Shield, documented};
use mantle_settings::Mode;

pub(super) struct HistoryKeys;

pub(super) static INFO: Info = Info {
    id: "history-keys",
    name: "Older messages for people you invite",
    purpose: documented(
        "Asks before Element gives somebody you invite the keys to what was written in the room before.",
    ),
    loses: documented(
        "A question comes before an invitation to an encrypted room; without the keys the invited person cannot read older messages.",
    ),
    default: Mode::Ask,
    why: documented(
        "Whether older messages are meant for them, only you know; the invitation works without.",
    ),
    strict: Mode::Ask,
    modes: &Mode::ALL,
    ..Info::PLAIN
};

impl Shield for HistoryKeys {
    fn info(&self) -> &'static Info {
        &INFO
    }
}
