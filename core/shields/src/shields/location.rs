//! Location: the person decides when a position leaves, one way or the other.
//!
//! Catalogue section 11. Browsers find a position by asking their vendor; a click on a shared place
//! opens a map site with the coordinates in its address.

use super::{Info, POSITION, Question, Shield, documented};
use mantle_settings::Mode;
use mantle_wire::url::Address;

pub(super) struct Location;

pub(super) static INFO: Info = Info {
    id: "location",
    name: "Your position and map links",
    purpose: documented(
        "Asks before Element learns where you are, and before a link tells a map site the place somebody shared with you.",
    ),
    loses: documented("A question comes before either."),
    default: Mode::Ask,
    why: documented("Both tell a company in between; only you know whether it is worth it."),
    strict: Mode::Ask,
    modes: &Mode::ALL,
    ..Info::PLAIN
};

static HERE: Question = Question {
    id: "here",
    title: "Let Element know where you are?",
    text: "To find out, your browser usually asks its maker's location service, which learns your position as well.",
    send: "Tell Element",
    remember: None,
};

static MAP: Question = Question {
    id: "map",
    title: "Open this place on a map?",
    text: "openstreetmap.org learns the place that was shared with you, and your network address.",
    send: "Open the map",
    remember: None,
};

impl Shield for Location {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prompt(&self, what: &str) -> Option<&'static Question> {
        if what == POSITION {
            return Some(&HERE);
        }
        Address::parse(what)
            .is_some_and(|address| {
                address.is_within("openstreetmap.org") && address.has_parameter("mlat")
            })
            .then_some(&MAP)
    }
}
