//! Media: nobody uploads by accident what anyone may fetch.
//!
//! Catalogue section 8. What an upload is and what to do with it is found out by the media module
//! of the page (`crate::media`), which is given every upload; this part only says which requests
//! those are, and which messages link to media that needs no signing in.

use super::{BodyStep, Context, Head, HeadStep, Info, Shield, documented, mode_in};
use crate::verdict::Handler;
use mantle_settings::{Mode, OptionInfo, OptionKind};
use mantle_wire::json::JsonError;
use mantle_wire::route::Endpoint;

pub(super) struct Media;

pub(super) static INFO: Info = Info {
    id: "media",
    name: "Media",
    purpose: documented(
        "Finds out whether your server gives uploaded files to anyone. Removes place, camera and other hidden details from pictures and sound files, and the file's name from uploads; tells what films and documents say. Asks before a file goes out that anyone could open.",
    ),
    loses: documented(
        "Downloads lose their file name; pictures and sound files lose captions, titles and dates stored inside; a question may come before sending a file.",
    ),
    default: Mode::Ask,
    why: documented(
        "A file that was once public cannot be called back, and few people know what their pictures tell.",
    ),
    strict: Mode::On,
    modes: &Mode::ALL,
    options: &[
        OptionInfo {
            key: "metadata",
            title: "Hidden details in pictures (place, camera, time)",
            kind: OptionKind::Choice(&[("remove", "Remove"), ("keep", "Keep")]),
            default: "\"remove\"",
            why: documented(
                "The pixels stay the same to the bit; the details tell where and with what a picture was made.",
            ),
        },
        OptionInfo {
            key: "fileName",
            title: "The file's name in the upload",
            kind: OptionKind::Choice(&[("remove", "Remove"), ("keep", "Keep")]),
            default: "\"remove\"",
            why: documented(
                "The server needs no name to keep a file, and in a clear room the message has it anyway.",
            ),
        },
    ],
    endpoints: &[Endpoint::Upload, Endpoint::Send, Endpoint::Profile, Endpoint::StateSend],
    ..Info::PLAIN
};

/// Beginning of the paths that need no signing in (Client-Server API, deprecated in 1.11).
const OPEN_MEDIA: &[u8] = b"/_matrix/media/";

impl Shield for Media {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Upload => HeadStep::Delegate(Handler::Media),
            // Encrypted ones cannot be looked into.
            Endpoint::Send if !head.route.is_parameter(1, "m.room.encrypted") => HeadStep::Body,
            // The page tells people who can see such a picture, unless a question does.
            Endpoint::Profile
                if head.method == "PUT"
                    && head.route.is_parameter(1, "avatar_url")
                    && !matches!(mode_in(context.policy, "profile"), Mode::Ask | Mode::On) =>
            {
                HeadStep::Delegate(Handler::Media)
            }
            Endpoint::StateSend if head.route.is_parameter(1, "m.room.avatar") => {
                HeadStep::Delegate(Handler::Media)
            }
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
        let has_link = memchr::memmem::find(body, OPEN_MEDIA).is_some();
        Ok(if has_link { BodyStep::Delegate(Handler::Media) } else { BodyStep::Pass })
    }
}
