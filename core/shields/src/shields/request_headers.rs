//! Request headers: servers see a common system and one common set of languages.
//!
//! Catalogue section 5. Decided by no request but by a declarative rule that the background makes,
//! since the values depend on the browser, and since the browser wants permission for every host
//! whose requests it changes. While the rule is there, the page's scripts see the same values
//! (`extension/page/navigator-hook.ts`). They pick Element's language and its keys by it, so the
//! first language and macOS stay.

use super::{Info, Shield, documented};
use mantle_settings::Mode;

pub(super) struct RequestHeaders;

pub(super) static INFO: Info = Info {
    id: "request-headers",
    name: "Browser and language",
    purpose: documented(
        "Shows servers and the page a common system (Windows, macOS or Android) instead of yours, and only the first of your languages (User-Agent, Accept-Language). Works once you have given Mantle the browser's permission for all sites; without it nothing is changed.",
    ),
    loses: documented(
        "Where Element or a server's page does not know your first language it shows English, not your second one, and your homeserver lists your sessions under another system.",
    ),
    default: Mode::Off,
    why: documented("It needs the browser's permission for all sites, which only you can give."),
    // A rule of the browser acts or does not; it cannot only watch.
    modes: &[Mode::Off, Mode::On],
    everywhere: true,
    ..Info::PLAIN
};

impl Shield for RequestHeaders {
    fn info(&self) -> &'static Info {
        &INFO
    }
}
