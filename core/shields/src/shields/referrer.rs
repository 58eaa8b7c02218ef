//! Referer: no server is told which page of which site a request comes from.
//!
//! Catalogue section 5. Decided by no request but by the header
//! `Referrer-Policy` (W3C Referrer Policy, 4.1) that a declarative rule puts on
//! the site's own documents, workers and style sheets: the browser then leaves
//! the header out of everything they start, service worker included. Taking it
//! off each request instead would need permission for every host.

use super::{Info, Rule, Shield, declared, documented};
use mantle_settings::Mode;

/// The policy every document of the site gets.
const POLICY: &str = "no-referrer";

pub(super) struct Referrer;

pub(super) static INFO: Info = Info {
    id: "referrer",
    name: "Where requests come from (Referer)",
    purpose: documented(
        "Keeps the browser from telling other servers that a request comes from your Element, also for images, call frames, workers and links.",
    ),
    loses: documented("A server that serves pictures only to pages it knows refuses them."),
    why: documented("Element means to send none; this closes the gaps it leaves."),
    // A rule of the browser acts or does not; it cannot only watch.
    modes: &[Mode::Off, Mode::On],
    rules: declared(&[Rule::Header("referrer-policy", POLICY)]),
    ..Info::PLAIN
};

impl Shield for Referrer {
    fn info(&self) -> &'static Info {
        &INFO
    }
}
