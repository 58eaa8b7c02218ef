//! Request headers: servers see a common browser and a common language.
//!
//! Catalogue section 5. Decided by no request but by a declarative rule that the background makes,
//! since the values depend on the browser, and since the browser wants permission for every host
//! whose requests it changes. What the page's own scripts see stays as it is: they pick Element's
//! language and its keys by it, and what they send of it other shields take out.

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::policy::Mode;

pub(super) struct RequestHeaders;

static INFO: Info = Info {
    id: "request-headers",
    name: "Browser and language",
    purpose: documented(
        "Tells servers a common system and English in place of your own (User-Agent, Accept-Language), once you have given Mantle the browser's permission for all sites; without it nothing is changed.",
    ),
    loses: documented(
        "Pages that servers show inside Element come in English, and your homeserver lists your sessions under another system.",
    ),
    default: Mode::Off,
    why: documented("It needs the browser's permission for all sites, which only you can give."),
    // A rule of the browser acts or does not; it cannot only watch.
    modes: &[Mode::Off, Mode::On],
    ..Info::PLAIN
};

impl Shield for RequestHeaders {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, _head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        HeadStep::Pass
    }
}
