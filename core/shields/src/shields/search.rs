//! Search: words from encrypted rooms and the first letters of names stay here.
//!
//! Catalogue section 11. A homeserver finds nothing in encrypted rooms, so asking it about them only
//! tells it what is searched. Which rooms those are the page knows (`extension/page/state/search.ts`).

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Handler, Reply};
use mantle_settings::{OptionInfo, OptionKind};
use mantle_wire::json::{JsonError, get_str, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct Search;

const LETTERS: OptionInfo = OptionInfo {
    key: "letters",
    title: "Letters of a name before people are searched",
    kind: OptionKind::Number { min: 1, max: 20 },
    default: "3",
    why: documented("Fewer fit half the server's users anyway."),
};

pub(super) static INFO: Info = Info {
    id: "search",
    name: "Search",
    purpose: documented(
        "Asks your homeserver to search readable rooms only, never encrypted ones, and for people only after the first letters of a name.",
    ),
    loses: documented(
        "People are suggested from the third letter on. Nothing is found in encrypted rooms, as without Mantle.",
    ),
    why: documented(
        "The server cannot search what is encrypted, so asking only tells it your words.",
    ),
    options: &[LETTERS],
    endpoints: &[Endpoint::Search, Endpoint::UserDirectory],
    ..Info::PLAIN
};

impl Shield for Search {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Search => HeadStep::Delegate(Handler::State),
            Endpoint::UserDirectory => HeadStep::Body,
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
        let Some(term) = get_str(utf8(body)?, &["search_term"])? else { return Ok(BodyStep::Pass) };
        let letters = term.trim().trim_start_matches('@').chars().map(letters_of).sum::<i64>();
        let least = context.policy.option_number(INFO.id, LETTERS.key);
        Ok(if least.is_some_and(|least| letters < least) {
            let reply = Reply::ok(r#"{"limited":false,"results":[]}"#);
            BodyStep::Reply(Action::Answered, reply)
        } else {
            BodyStep::Pass
        })
    }
}

/// One sign of a name in Chinese, Japanese or Korean says as much as three letters; accents, points and
/// what nobody sees are none.
const fn letters_of(sign: char) -> i64 {
    match sign {
        ' ' | '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' => 0,
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => 3,
        '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => 3,
        _ => 1,
    }
}
