//! Encrypted state (MSC4362): names and topics of rooms leave encrypted and come back clear.
//!
//! The work is done in the page, by the module `mantle_state` and Element's own crypto; here is
//! only said which requests and answers go there.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented, mode_in};
use crate::verdict::{Action, Handler, Reply};
use mantle_settings::{Item, Mode, OptionInfo, OptionKind};
use mantle_wire::json::{JsonError, members};
use mantle_wire::route::Endpoint;
use mantle_wire::state_types::{DEFAULT_TYPES, stays_clear};

pub(super) struct EncryptedState;

const ID: &str = "encrypted-state";
/// Looked at as well: the flag that turns encrypted state on, and Jitsi widgets, which repeat the
/// room's name.
const OTHERS: [&str; 3] = ["m.room.encryption", "im.vector.modular.widgets", "m.widget"];

/// What can be set beside the mode; the page's module reads the same.
const OPTIONS: [OptionInfo; 3] = [
    OptionInfo {
        key: "newRooms",
        title: "New encrypted rooms",
        kind: OptionKind::Choice(&[
            ("on", "encrypt name and topic"),
            ("ask", "ask each time"),
            ("off", "leave them readable"),
        ]),
        default: r#""on""#,
        why: documented("What was once sent in clear cannot be called back."),
    },
    OptionInfo {
        key: "types",
        title: "Further state to encrypt (event types)",
        kind: OptionKind::List { max: 20, item: Item::State },
        default: "[]",
        why: documented("Name and topic are what says most, and what clients cope with best."),
    },
    OptionInfo {
        key: "trust",
        title: "Whose devices count",
        kind: OptionKind::Choice(&[
            ("all", "every device of a member, but blocked ones"),
            ("cross-signed", "devices their owner has verified"),
        ]),
        default: r#""all""#,
        why: documented("The same devices as for messages."),
    },
];

pub(super) static INFO: Info = Info {
    id: ID,
    name: "Encrypted room names",
    purpose: documented(
        "Names and topics of new encrypted rooms are sent encrypted (MSC4362); those of old rooms once you ask for it in Mantle's window or in the check-up.",
    ),
    loses: documented(
        "People whose app cannot read encrypted room names see the members' names instead.",
    ),
    why: documented(
        "Members on Mantle or on Element with encrypted state events read the names as before.",
    ),
    options: &OPTIONS,
    // A key that has gone out is not taken back.
    unsettled: &[("trust", r#""cross-signed""#)],
    endpoints: &[
        Endpoint::StateSend,
        Endpoint::CreateRoom,
        Endpoint::Upgrade,
        Endpoint::Filter,
        Endpoint::Sync,
        Endpoint::SlidingSync,
        Endpoint::Events,
        Endpoint::StateRead,
        Endpoint::History,
        Endpoint::Notifications,
        Endpoint::Search,
        Endpoint::Hierarchy,
        Endpoint::Unknown,
    ],
    ..Info::PLAIN
};

const UNKNOWN_REFUSED: &str = "Mantle does not know this request of Element's and did not let a room's name leave with it: update Mantle.";

impl Shield for EncryptedState {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::StateSend if is_encrypted_type(head, context) => {
                HeadStep::Delegate(Handler::State)
            }
            // What is encrypted in its room already, or by this Element itself; the module knows.
            Endpoint::StateSend
                if mode_in(context.policy, ID) != Mode::Flag && may_be_encrypted(head) =>
            {
                HeadStep::Delegate(Handler::State)
            }
            Endpoint::CreateRoom => HeadStep::Delegate(Handler::State),
            Endpoint::Unknown if !matches!(head.method, "GET" | "HEAD") => {
                if DEFAULT_TYPES.iter().any(|kind| head.route.mentions(kind)) {
                    let reply = Reply::forbidden(UNKNOWN_REFUSED);
                    return HeadStep::Reply(Action::Answered, reply);
                }
                HeadStep::Body
            }
            // Nothing of these is worth a record where the shield only watches.
            _ if mode_in(context.policy, ID) == Mode::Flag => HeadStep::Pass,
            Endpoint::Upgrade => HeadStep::Delegate(Handler::State),
            Endpoint::Filter if head.method == "POST" => HeadStep::Delegate(Handler::State),
            Endpoint::Sync
            | Endpoint::SlidingSync
            | Endpoint::Events
            | Endpoint::StateRead
            | Endpoint::History
            | Endpoint::Notifications
            | Endpoint::Search
            | Endpoint::Hierarchy => HeadStep::DelegateResponse(Handler::State),
            _ => HeadStep::Pass,
        }
    }

    /// Of a request that no row knows: whether it makes a room with a name or a topic.
    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let Ok(Some(members)) = members(text) else { return Ok(BodyStep::Pass) };
        let has = |keys: &[&str]| members.iter().any(|member| keys.contains(&member.key.as_str()));
        let makes_room = has(&["preset", "initial_state", "creation_content", "room_version"]);
        Ok(match makes_room && has(&["name", "topic"]) {
            true => BodyStep::Reply(Action::Answered, Reply::forbidden(UNKNOWN_REFUSED)),
            false => BodyStep::Pass,
        })
    }
}

/// Whether it names a type that a room may have encrypted: what servers need is never.
fn may_be_encrypted(head: &Head<'_>) -> bool {
    head.route.parameter(1).is_some_and(|event_type| !stays_clear(&event_type))
}

/// Whether `…/rooms/{roomId}/state/{type}[/{key}]` names a type that may have to leave encrypted.
fn is_encrypted_type(head: &Head<'_>, context: &Context<'_>) -> bool {
    let Some(event_type) = head.route.parameter(1) else { return false };
    DEFAULT_TYPES.contains(&event_type.as_ref())
        || OTHERS.contains(&event_type.as_ref())
        || context.policy.option_list(ID, "types").iter().any(|other| *other == event_type)
}
