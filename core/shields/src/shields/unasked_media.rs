//! Pictures nobody asked for: Element fetches them after a click.
//!
//! Catalogue section 8. Element (of 2026 and later) reads a setting from account data (MSC4278); where
//! a first sync holds none, or one of which Element reads nothing, one is put in. The homeserver's copy
//! stays as it is, and what the person sets later takes its place.

use super::{Context, EventTypes, Head, HeadStep, Info, ResponseStep, Shield, documented};
use mantle_wire::json::{JsonError, get_str};
use mantle_wire::route::Endpoint;

pub(super) struct UnaskedMedia;

pub(super) static INFO: Info = Info {
    id: "unasked-media",
    name: "Pictures you did not ask for",
    purpose: documented(
        "Has Element (of 2026 and later) fetch pictures in public rooms only after a click, and those of invitations not at all, unless you set that yourself.",
    ),
    loses: documented(
        "From your next sign-in on, pictures in public rooms need a click, and invitations have none.",
    ),
    why: documented(
        "Anyone can send them to you, and the fetching tells servers when you look; a click shows one.",
    ),
    endpoints: &[Endpoint::Sync],
    ..Info::PLAIN
};

/// The content of both events.
macro_rules! careful {
    () => {
        r#"{"media_previews":"private","invite_avatars":"off"}"#
    };
}

macro_rules! event {
    ($kind:literal) => {
        ($kind, concat!(r#"{"type":""#, $kind, r#"","content":"#, careful!(), "}"))
    };
}

/// Under the name of Matrix 1.19 and the one before; what is set under either is the person's.
const EVENTS: [(&str, &str); 2] =
    [event!("m.media_preview_config"), event!("io.element.msc4278.media_preview_config")];

/// What Element reads of such an event; it takes anything else for unset, and then fetches all.
const VALUES: [(&str, &[&str]); 2] =
    [("media_previews", &["on", "private", "off"]), ("invite_avatars", &["on", "off"])];

impl Shield for UnaskedMedia {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        // Later ones tell only what changed.
        match head.endpoint {
            Endpoint::Sync if !head.address.has_parameter("since") => HeadStep::InspectResponse,
            _ => HeadStep::Pass,
        }
    }

    fn account_data_types<'a>(&self, _context: &Context<'a>) -> Vec<EventTypes<'a>> {
        EVENTS.iter().map(|(kind, _)| EventTypes::One(kind)).collect()
    }

    fn account_data(
        &self,
        _event_type: &str,
        content: &str,
        _context: &Context<'_>,
        _step: &mut ResponseStep,
    ) -> Result<Option<String>, JsonError> {
        for (key, values) in VALUES {
            if get_str(content, &[key])?.is_some_and(|value| values.contains(&value.as_str())) {
                return Ok(None);
            }
        }
        Ok(Some(careful!().to_owned()))
    }

    fn missing_account_data(&self) -> &'static [(&'static str, &'static str)] {
        &EVENTS
    }
}
