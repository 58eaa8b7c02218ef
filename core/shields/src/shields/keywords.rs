//! Keywords and mail: what the homeserver is to look for, or to write, on your behalf.
//!
//! Catalogue section 12; Client-Server API, 'Push Rules' and 'POST pushers/set'.

use super::{BodyStep, Context, Head, HeadStep, Info, Question, Shield, documented};
use mantle_settings::Mode;
use mantle_wire::json::{JsonError, get_str, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct Keywords;

pub(super) static INFO: Info = Info {
    id: "keywords",
    name: "Keywords and mail",
    purpose: documented(
        "Asks before your homeserver is told words you want to be notified of, or sends unread messages by mail.",
    ),
    loses: documented("A question comes before you add a word or switch mails on."),
    default: Mode::Ask,
    why: documented(
        "The words stand there in clear, and mails pass other servers; but both do nothing unless they leave.",
    ),
    strict: Mode::Ask,
    modes: &Mode::ALL,
    endpoints: &[Endpoint::KeywordRule, Endpoint::PusherSet],
    ..Info::PLAIN
};

static WORD: Question = Question {
    id: "word",
    title: "Tell your homeserver this keyword?",
    text: "Your homeserver keeps it readable and looks for it in readable rooms.",
    send: "Add keyword",
    remember: Some("Do not ask again for keywords"),
};

static MAIL: Question = Question {
    id: "mail",
    title: "Have unread messages sent by mail?",
    text: "Mails name rooms and senders, and show messages of readable rooms, to every mail server on the way.",
    send: "Send mails",
    remember: None,
};

impl Shield for Keywords {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match (head.endpoint, head.method) {
            // Rules of Matrix itself begin with a dot.
            (Endpoint::KeywordRule, "PUT")
                if head.route.parameter(1).is_some_and(|rule| !rule.starts_with('.')) =>
            {
                HeadStep::Ask(&WORD)
            }
            (Endpoint::PusherSet, _) => HeadStep::Body,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let is_mail = get_str(utf8(body)?, &["kind"])?.as_deref() == Some("email");
        Ok(if is_mail { BodyStep::Ask(&MAIL) } else { BodyStep::Pass })
    }
}
