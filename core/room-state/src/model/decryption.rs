//! Decrypts an event with what is known, and keeps what that taught.

use crate::decrypt::decrypt::{
    Decryption, Levels, OpenError, OpenedState, OwnerOf, ReceivedEvent, Rules, finish_decryption,
    open_by,
};
use crate::ids::{RoomId, SessionId, UserId};
use crate::model::Model;
use crate::model::journal::Prefix;
use crate::model::owners::{Keys, Standing};
use crate::model::rooms::Rooms;
use crate::model::settings::Trust;
use crate::model::warnings::Warning;
use crate::msc4362::eligible::MEMBER_PROFILE;

/// What an event's place makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Claims to be the room's state of now; later lists count more.
    Current(u8),
    /// History: decrypted, but says nothing about now.
    History,
    /// Stripped state of a room the user is not in.
    Stripped,
}

/// The list whose events may be older than state and newer than it.
pub(crate) const TIMELINE: Role = Role::Current(1);

/// How far an event is.
#[derive(Debug)]
pub(crate) enum Started {
    /// It was decrypted before.
    Known(OpenedState),
    /// Its place among those that are to be verified.
    Decryption(usize),
}

/// What tells by which device an event was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    pub(crate) session: SessionId<'a>,
    pub(crate) sender: UserId<'a>,
    /// The device whose signature inside was checked.
    pub(crate) author: Option<&'a Keys>,
}

impl<'a> Made<'a> {
    pub(crate) fn of(room: RoomId<'a>, sender: UserId<'a>, opened: &'a OpenedState) -> Self {
        let (session, _) = opened.place(room);
        Self { session, sender, author: opened.author.as_ref() }
    }
}

/// By whose levels an event is judged.
fn levels<'a>(rooms: &'a Rooms, room: RoomId<'_>, role: Role) -> Levels<'a> {
    match (role, rooms.levels(room.0)) {
        (Role::Stripped, _) => Levels::NotAsked,
        (_, Some(levels)) => Levels::Known(levels),
        (_, None) => Levels::Unknown,
    }
}

impl Model {
    /// Adds what was begun of an event that was not decrypted before.
    #[inline(never)]
    pub(crate) fn start(
        &mut self,
        event: &ReceivedEvent<'_>,
        decryption: &mut Vec<Decryption>,
    ) -> Started {
        if let Some(opened) = self.decrypted.get(event) {
            return Started::Known(opened.clone());
        }
        let gone_devices = self.may_be_gone(event);
        decryption.push(Decryption::ahead(event, &mut self.sessions, gone_devices));
        Started::Decryption(decryption.len() - 1)
    }

    /// Decrypts an event and checks it.
    #[inline(never)]
    pub(crate) fn finish(
        &mut self,
        event: &ReceivedEvent<'_>,
        role: Role,
        decryption: Option<Decryption>,
    ) -> Result<OpenedState, OpenError> {
        if decryption.is_none()
            && let Some(opened) = self.decrypted.get(event)
        {
            return Ok(opened.clone());
        }
        let rules = Rules {
            levels: levels(&self.rooms, RoomId(event.room_id), role),
            opaque_keys: self.takes_opaque_keys(event),
            gone_devices: self.may_be_gone(event),
        };
        let seen = self.seen.count(event.room_id);
        let (devices, seen_indices) = (&mut self.devices, &mut self.seen);
        let owner_of = &mut |keys: &Keys| devices.owner(keys).map(str::to_owned);
        let opened = match decryption {
            Some(decryption) => {
                let checks = (seen_indices, owner_of as &mut OwnerOf<'_>);
                finish_decryption(event, decryption, &mut self.sessions, &rules, checks)
            }
            None => open_by(event, &mut self.sessions, &rules, seen_indices, owner_of),
        }?;
        self.check_standing(event, &opened, role)?;
        self.keep_opened(event, seen, &opened);
        Ok(opened)
    }

    fn takes_opaque_keys(&self, event: &ReceivedEvent<'_>) -> bool {
        !self.states.known().encrypts_state(event.room_id)
    }

    fn may_be_gone(&self, event: &ReceivedEvent<'_>) -> bool {
        self.settings.trust == Trust::All
            && self.devices.may_be_gone(RoomId(event.room_id), event.sender)
    }

    /// The sender's device that made an event, and what they have to do with it: the one whose
    /// signature inside was checked, else the best of those that gave the session's key.
    pub(crate) fn sender_device(&self, made: Made<'_>) -> Option<(Keys, Standing)> {
        let Made { session, sender, author } = made;
        if let Some(author) = author {
            return Some((author.clone(), self.standing(author, sender.0)));
        }
        let claims = self.sessions.origins_of(session, sender);
        claims
            .map(|origin| (origin.sender_key.clone(), origin.claimed_ed25519.clone()))
            .map(|keys| {
                let standing = self.standing(&keys, sender.0);
                (keys, standing)
            })
            .max_by_key(|(_, standing)| *standing)
    }

    fn standing(&self, keys: &Keys, sender: &str) -> Standing {
        let own = self.devices.own().filter(|device| device.user_id() == sender);
        if own.is_some_and(|own| own.curve25519() == keys.0 && own.ed25519() == keys.1) {
            return Standing::Signed;
        }
        self.devices.standing(keys, sender)
    }

    /// Whether what was decrypted may be passed on: its sender stands for the device it came from, or
    /// nobody can do so for theirs and the settings take all.
    pub(crate) fn is_sure(&self, made: Made<'_>) -> bool {
        match self.sender_device(made).map(|(_, standing)| standing) {
            Some(Standing::Signed) => true,
            Some(Standing::Plain) => self.settings.trust == Trust::All,
            Some(Standing::Unknown | Standing::Unsigned) | None => false,
        }
    }

    fn check_standing(
        &mut self,
        event: &ReceivedEvent<'_>,
        opened: &OpenedState,
        role: Role,
    ) -> Result<(), OpenError> {
        let sender_device =
            self.sender_device(Made::of(RoomId(event.room_id), UserId(event.sender), opened));
        if role == Role::Stripped || (sender_device.is_none() && self.settings.trust == Trust::All)
        {
            // Nobody can know; or it is told that nobody has the device.
            return Ok(());
        }
        let standing = sender_device.map_or(Standing::Unsigned, |(_, standing)| standing);
        // What people are told is about rooms.
        let is_told = opened.event_type != MEMBER_PROFILE;
        self.judge_standing(event, standing, is_told)
    }

    /// Reading follows the trust of writing, and what is not sure is said.
    fn judge_standing(
        &mut self,
        event: &ReceivedEvent<'_>,
        standing: Standing,
        is_told: bool,
    ) -> Result<(), OpenError> {
        let mut warn = |warning| {
            if is_told {
                self.warnings.warn(RoomId(event.room_id), warning, event.sender);
            }
        };
        match (self.settings.trust, standing) {
            (_, Standing::Signed) | (Trust::All, Standing::Plain | Standing::Unknown) => Ok(()),
            (Trust::All, Standing::Unsigned) => {
                warn(Warning::UnsignedDevice);
                Ok(())
            }
            (Trust::CrossSigned, Standing::Unknown) => Err(OpenError::UntrustedDevice),
            (Trust::CrossSigned, Standing::Plain | Standing::Unsigned) => {
                warn(Warning::UntrustedDevice);
                Err(OpenError::UntrustedDevice)
            }
        }
    }

    /// Keeps what decrypting taught.
    fn keep_opened(&mut self, event: &ReceivedEvent<'_>, seen_before: usize, opened: &OpenedState) {
        if self.seen.count(event.room_id) != seen_before {
            self.journal.touch(Prefix::Seen, event.room_id);
        }
        if opened.by_gone_device {
            let room = RoomId(event.room_id);
            self.warnings.warn(room, Warning::GoneDevice, &opened.session_id);
        }
        if let Some((keys, _)) =
            self.sender_device(Made::of(RoomId(event.room_id), UserId(event.sender), opened))
        {
            self.devices.keep(keys, event.sender, &mut self.journal);
        }
        self.note_own_index(event.room_id, opened);
        self.decrypted.insert(event, opened);
    }

    /// An event of our own session with an index we have not used was made by a copy of this
    /// profile: the session must not go on. Whether we have used it is known when the store was
    /// read last, so it is judged when the session is needed.
    fn note_own_index(&mut self, room_id: &str, opened: &OpenedState) {
        if let Some(outbound) = self.outbound.get_mut(room_id)
            && outbound.session_id() == opened.session_id
        {
            outbound.note_received(Some(opened.message_index));
        }
    }
}
