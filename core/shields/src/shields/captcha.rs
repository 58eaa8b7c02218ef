//! Captchas: another company sees your browser only if you agree.
//!
//! Catalogue section 14. Element loads the captcha of a homeserver's sign-up as a script of the
//! captcha's own host, which is held until the person has answered (`extension/page/frame-hook.ts`).

use super::{Info, Question, Shield, documented};
use mantle_settings::Mode;
use mantle_wire::url::Address;

pub(super) struct Captcha;

pub(super) static INFO: Info = Info {
    id: "captcha",
    name: "Captchas",
    purpose: documented(
        "Asks before the captcha of a sign-up is loaded, which shows your browser and your network address to the company that runs it.",
    ),
    loses: documented("A question comes before the captcha."),
    default: Mode::Ask,
    why: documented("Signing up at that homeserver needs it; another one may not ask for any."),
    strict: Mode::Ask,
    // Who wants none at all has `third-party`.
    modes: &[Mode::Off, Mode::Flag, Mode::Ask],
    ..Info::PLAIN
};

static LOAD: Question = Question {
    id: "load",
    title: "Load the captcha?",
    text: "This homeserver wants one before you sign up. The company that runs it, commonly Google, sees your browser, your network address and how you move the mouse. Without it you cannot sign up here.",
    send: "Load captcha",
    remember: None,
};

impl Shield for Captcha {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn prompt(&self, what: &str) -> Option<&'static Question> {
        let address = Address::parse(what)?;
        let is_captcha = ["recaptcha.net", "google.com"].iter().any(|one| address.is_within(one))
            && ["/recaptcha/api.js", "/recaptcha/enterprise.js"].contains(&address.path);
        is_captcha.then_some(&LOAD)
    }
}
