//! Profile: what everyone on Matrix can read is not published by accident.
//!
//! Catalogue sections 6 and 11. Profiles are readable by users of every server, and the homeserver
//! copies name and picture into each room; room addresses and the public list are readable by all.

use super::{BodyStep, Context, Head, HeadStep, Info, Question, Shield, documented};
use crate::verdict::{Action, Reply};
use mantle_settings::Mode;
use mantle_wire::json::{Edit, JsonError, members, utf8};
use mantle_wire::route::Endpoint;

pub(super) struct Profile;

pub(super) static INFO: Info = Info {
    id: "profile",
    name: "Public profile and addresses",
    purpose: documented(
        "Asks before your name, your picture, your status or a room's address becomes readable by everyone, and never publishes your time zone or that you are in a call.",
    ),
    loses: documented(
        "A question comes before you change your name or publish a room; others do not see your local time, nor that you are in a call.",
    ),
    default: Mode::Ask,
    why: documented(
        "Few people know that a profile is public, and it cannot be called back; often it is meant to be.",
    ),
    strict: Mode::Ask,
    modes: &Mode::ALL,
    endpoints: &[
        Endpoint::Profile,
        Endpoint::CreateRoom,
        Endpoint::StateSend,
        Endpoint::DirectoryList,
        Endpoint::Directory,
    ],
    ..Info::PLAIN
};

static NAME: Question = Question {
    id: "profile",
    title: "Change your public profile?",
    text: "Your name and picture are readable by everyone on Matrix, also by people you never talk to, and are copied into every room you are in.",
    send: "Publish",
    remember: Some("Do not ask again for this account"),
};

static FIELD: Question = Question {
    id: "field",
    title: "Publish this in your profile?",
    text: "Whatever Element puts into your profile, a status for instance, is readable by everyone on Matrix, also by people you never talk to.",
    send: "Publish",
    remember: None,
};

static NICKNAME: Question = Question {
    id: "nickname",
    title: "Change your name or picture in this room?",
    text: "The homeservers of everyone in the room can read it, also in an encrypted room.",
    send: "Change",
    remember: Some("Do not ask again for this room"),
};

static ADDRESS: Question = Question {
    id: "address",
    title: "Make this room's address public?",
    text: "Everyone on Matrix can read a room's address, and its name where the room is listed.",
    send: "Publish",
    remember: None,
};

const SHOWN: [&str; 2] = ["displayname", "avatar_url"];
/// Members of a profile that hold a time zone (MSC4175).
const ZONES: [&str; 2] = ["us.cloke.msc4175.tz", "m.tz"];
/// Written by Element itself whenever a call is joined (MSC4426).
const CALLS: [&str; 2] = ["org.matrix.msc4426.call", "m.call"];

impl Shield for Profile {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match (head.endpoint, head.method) {
            // PATCH and a PUT of the whole profile may come with MSC4133.
            (Endpoint::Profile, "PUT" | "PATCH") | (Endpoint::CreateRoom, _) => HeadStep::Body,
            (Endpoint::StateSend, _) if head.route.is_parameter(1, "m.room.member") => {
                HeadStep::Body
            }
            (Endpoint::DirectoryList, "PUT") => HeadStep::Body,
            (Endpoint::Directory, "PUT") => HeadStep::Ask(&ADDRESS),
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if body.trim_ascii().is_empty() {
            return Ok(BodyStep::Pass);
        }
        let Some(members) = members(utf8(body)?)? else { return Ok(BodyStep::Pass) };
        let says = |key: &str, value: &str| {
            members.iter().any(|member| member.key == key && member.value == value)
        };
        // What is emptied is no longer public.
        let has = |keys: &[&str]| {
            members.iter().any(|member| {
                keys.contains(&member.key.as_str()) && !matches!(member.value, "null" | "\"\"")
            })
        };
        let shows = has(&SHOWN);
        if head.endpoint == Endpoint::Profile {
            let is_call = CALLS.iter().any(|call| head.route.is_parameter(1, call));
            let has_other = members.iter().any(|member| {
                let key = [member.key.as_str()];
                has(&key) && ![&SHOWN, &ZONES, &CALLS].iter().any(|known| known.contains(&key[0]))
            });
            if is_call && has(&CALLS) {
                return Ok(BodyStep::Reply(Action::Answered, Reply::ok("{}")));
            }
            let mut edits = Vec::new();
            if has(&ZONES) {
                // Sent empty: that also takes back what was published before.
                edits.extend(ZONES.map(|zone| Edit::replace(&[zone], r#""""#)));
            }
            if has(&CALLS) {
                edits.extend(CALLS.map(|call| Edit::remove(&[call])));
            }
            return Ok(match (shows, has_other) {
                (true, _) => BodyStep::AskEdited(&NAME, edits),
                (_, true) => BodyStep::AskEdited(&FIELD, edits),
                _ => BodyStep::Edit(edits),
            });
        }
        Ok(match head.endpoint {
            Endpoint::StateSend if shows && says("membership", r#""join""#) => {
                BodyStep::Ask(&NICKNAME)
            }
            Endpoint::DirectoryList | Endpoint::CreateRoom
                if has(&["room_alias_name"]) || says("visibility", r#""public""#) =>
            {
                BodyStep::Ask(&ADDRESS)
            }
            _ => BodyStep::Pass,
        })
    }
}
