//! What a person is told about the state of their rooms, each thing once.

use serde::Serialize;

use crate::decrypt::decrypt::OpenError;
use crate::ids::{EventId, RoomId};
use crate::msc4362::eligible::IneligibleType;
use crate::sorted::Bounded;

/// Warnings that are not given a second time.
const MAX_TOLD: usize = 4_096;

/// What happened to a room's state that its reader should know. Holds no name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The room.
    pub room_id: String,
    /// Stable, for the ledger and tests.
    pub code: &'static str,
    /// For the person.
    pub sentence: &'static str,
}

/// What there is to warn of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Warning {
    /// An older event as the current one.
    Rollback,
    /// A ciphertext that came before.
    Replay,
    /// A readable event in the place of an encrypted one.
    ClearOverEncrypted,
    /// The same of what Mantle does not encrypt by itself.
    ReadableState,
    /// A readable name in a room that encrypted it by then.
    ReadableName,
    /// The room's flag was to be taken away.
    FlagRemoved,
    /// A session of somebody else than the sender.
    ForeignSession,
    /// Something else inside than outside.
    KeyMismatch,
    /// Made for another room.
    RoomMismatch,
    /// A type that servers act on.
    ServerState,
    /// A type that is never encrypted.
    NotEligible,
    /// The sender lacks the right.
    PowerLevel,
    /// From a device that no member has.
    GoneDevice,
    /// From a device that its owner has not signed; shown.
    UnsignedDevice,
    /// The same where only signed devices count; not shown.
    UntrustedDevice,
    /// Not taken into the upgraded room.
    NotPassedOn,
    /// Another copy of the session has used it.
    IndexUsedTwice,
    /// Cannot be read at all.
    Damaged,
}

impl Warning {
    /// Stable, for the ledger and tests; and for the person.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Rollback => (
                "rollback",
                "The server sent an older name or topic as the current one; Mantle keeps the newer.",
            ),
            Self::Replay => (
                "replay",
                "The server sent a room's encrypted state a second time as a new event; Mantle ignored it.",
            ),
            Self::ClearOverEncrypted => (
                "clear-over-encrypted",
                "The server sent a readable name or topic for a room whose name is encrypted; Mantle keeps the encrypted one.",
            ),
            Self::ReadableState => (
                "readable-state",
                "Part of a room's settings was set readable where it is encrypted; Mantle keeps the encrypted one.",
            ),
            Self::ReadableName => (
                "readable-name",
                "The server sent a readable name or topic for a room that encrypts them; Mantle does not show it, since anybody could have written it on the way: set it once more if it is right.",
            ),
            Self::FlagRemoved => (
                "flag-removed",
                "The server says a room no longer encrypts its name; Mantle goes on encrypting it.",
            ),
            Self::ForeignSession => (
                "foreign-session",
                "Encrypted state of a room was made by someone else than its sender; Mantle ignored it.",
            ),
            Self::KeyMismatch => (
                "key-mismatch",
                "Encrypted state of a room is something else inside than it says outside; Mantle ignored it.",
            ),
            Self::RoomMismatch => {
                ("room-mismatch", "Encrypted state was made for another room; Mantle ignored it.")
            }
            Self::ServerState => (
                "server-state",
                "An app has encrypted a setting of a room that servers act on, such as its address or which rooms belong to a space; it has no effect there, so Mantle leaves it out.",
            ),
            Self::NotEligible => (
                "not-eligible",
                "Encrypted state tried to change what only readable state may change; Mantle ignored it.",
            ),
            Self::PowerLevel => (
                "power-level",
                "Someone changed a room's encrypted state without the right to; Mantle ignored it.",
            ),
            Self::GoneDevice => (
                "gone-device",
                "A room's encrypted state was set from a device that no member has any more.",
            ),
            Self::UnsignedDevice => (
                "unsigned-device",
                "A room's name or topic was set from a device that its owner has not verified, so it may be someone else's; Mantle shows it and passes it on to nobody.",
            ),
            Self::UntrustedDevice => (
                "untrusted-device",
                "A room's name or topic was set from a device that its owner has not verified; Mantle does not show it until they have.",
            ),
            Self::NotPassedOn => (
                "not-passed-on",
                "A room's name or topic was not taken along into the new room, because the device that set it is not verified: set it there yourself if it is right.",
            ),
            Self::IndexUsedTwice => (
                "index-used-twice",
                "A room's key was used by another copy of this session; Mantle makes a new one.",
            ),
            Self::Damaged => {
                ("damaged", "Encrypted state of a room is damaged; Mantle ignored it.")
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Warnings {
    fresh: Vec<Problem>,
    told: Bounded<(String, Warning, String), ()>,
}

impl Warnings {
    pub(crate) const fn new() -> Self {
        Self { fresh: Vec::new(), told: Bounded::new(MAX_TOLD, usize::MAX) }
    }

    /// Warns once of the same thing in a room; `about` is an event, a session or a person.
    pub(crate) fn warn(&mut self, room: RoomId<'_>, warning: Warning, about: &str) {
        let what = (room.0.to_owned(), warning, about.to_owned());
        if !self.told.contains_key(&what) {
            self.told.insert(what, (), 0);
            let (code, sentence) = warning.texts();
            self.fresh.push(Problem { room_id: room.0.to_owned(), code, sentence });
        }
    }

    /// An event was not taken because of that.
    pub(crate) fn refused(&mut self, event: EventId<'_>, error: &OpenError) {
        let warning = match error {
            OpenError::Replay => Warning::Replay,
            OpenError::ForeignSession | OpenError::Authorship => Warning::ForeignSession,
            OpenError::TypeMismatch | OpenError::StateKeyMismatch | OpenError::OpaqueKey => {
                Warning::KeyMismatch
            }
            OpenError::RoomMismatch => Warning::RoomMismatch,
            OpenError::Ineligible(IneligibleType::Server) => Warning::ServerState,
            OpenError::Ineligible(_) | OpenError::StateKey(_) => Warning::NotEligible,
            OpenError::PowerLevel | OpenError::ForeignStateKey => Warning::PowerLevel,
            _ => Warning::Damaged,
        };
        self.warn(RoomId(event.room_id), warning, event.id);
    }

    /// What there was since the last call.
    pub(crate) fn take(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once() {
        let mut warnings = Warnings::new();
        let room = RoomId("!a:x");
        warnings.warn(room, Warning::Replay, "$one");
        warnings.warn(room, Warning::Replay, "$one");
        warnings.warn(room, Warning::Replay, "$two");
        warnings.warn(room, Warning::Rollback, "$one");
        let codes: Vec<_> = warnings.take().iter().map(|warning| warning.code).collect();
        assert_eq!(codes, ["replay", "replay", "rollback"]);
        warnings.warn(room, Warning::Replay, "$two");
        assert!(warnings.take().is_empty());
    }
}
