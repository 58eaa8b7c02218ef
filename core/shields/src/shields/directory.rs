//! Directories and look-ups that a person did not mean to make.
//!
//! Catalogue sections 2 and 11: the question for bridges at each start, searches in another server's room list, rooms in common, and the question
//! whether you are an administrator, which Element asks whenever a user's card is opened.

use super::{Context, Head, HeadStep, Info, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_wire::route::Endpoint;

pub(super) struct Directory;

pub(super) static INFO: Info = Info {
    id: "directory",
    name: "Directories and look-ups",
    purpose: documented(
        "Keeps your searches from other servers' room lists, and stops look-ups that Element makes by itself when you open somebody's card.",
    ),
    loses: documented(
        "You search only your own server's room list, and see no bridged networks and no rooms in common. Server administrators do not see Element's administration buttons.",
    ),
    why: documented("Another server would learn what you look for, and yours whose card you open."),
    allow: Some("Servers whose room lists you search"),
    endpoints: &[
        Endpoint::PublicRooms,
        Endpoint::BridgeProtocols,
        Endpoint::MutualRooms,
        Endpoint::SynapseIsAdmin,
    ],
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from asking whether you are an administrator; switch “Directories and look-ups” off if you are one.";

impl Shield for Directory {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let reply = match head.endpoint {
            Endpoint::PublicRooms => match head.address.parameter("server") {
                Some(server)
                    if server != head.address.host
                        && !context.policy.is_allowed(INFO.id, &server) =>
                {
                    Reply::ok(r#"{"chunk":[],"total_room_count_estimate":0}"#)
                }
                _ => return HeadStep::Pass,
            },
            Endpoint::BridgeProtocols => Reply::ok("{}"),
            Endpoint::MutualRooms => Reply::ok(r#"{"joined":[]}"#),
            Endpoint::SynapseIsAdmin => Reply::forbidden(REFUSED),
            _ => return HeadStep::Pass,
        };
        HeadStep::Reply(Action::Answered, reply)
    }
}
