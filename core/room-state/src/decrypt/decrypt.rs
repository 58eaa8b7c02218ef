//! From an encrypted state event to a clear one: decrypt, then every check.
//!
//! MSC4362 asks receivers to compare the packed key with the payload. The further checks close what
//! it leaves open: the server authorises only the outer type and state key, and Megolm alone says
//! neither who sent an event nor how often. Parsers' errors quote what they read, so none is kept.

use thiserror::Error;

use crate::decrypt::replay::SeenIndices;
use crate::ids::{SessionId, TypeAndKey, UserId};
use crate::index::members::Members;
use crate::megolm::authorship::{AUTHORSHIP, Authorship};
use crate::megolm::canonical::MAX_DEPTH;
use crate::megolm::{
    DecryptError, InboundSession, MAX_BATCH, MEGOLM_V1, SessionStore, Unverified, Verified, verify,
};
use crate::msc4362::eligible::MEMBER_PROFILE;
use crate::msc4362::eligible::{IneligibleType, check_eligible};
pub use crate::msc4362::event::{OpenedState, ReceivedEvent};
use crate::msc4362::packed_key::{PackError, WireKey};
use crate::msc4362::power_levels::PowerLevels;
use mantle_wire::json::string_end;

/// The most bytes of content that are looked at; an event may have 65,536 (client-server API,
/// "Size limits").
pub const MAX_CONTENT_BYTES: usize = 65_536;

/// An event that is opened alone takes as long as so many that are opened together.
pub(crate) const ALONE: usize = 4;

/// Why an encrypted state event is not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The content is longer than [`MAX_CONTENT_BYTES`].
    #[error("the content is too long: {0} bytes")]
    TooLong(usize),
    /// The content is not that of a Megolm event, for instance because it was redacted.
    #[error("the content is not that of an encrypted event")]
    Content,
    /// Another algorithm than [`MEGOLM_V1`].
    #[error("the event is encrypted with an unknown algorithm")]
    Algorithm,
    /// The outer state key is longer than any server may let pass.
    #[error(transparent)]
    StateKey(#[from] PackError),
    /// The session has not arrived yet.
    #[error("the key for this event has not arrived yet")]
    MissingSession,
    /// The session is there, but not from this event's index on.
    #[error("the key starts at index {first}, the event has index {got}")]
    MissingIndex {
        /// The first index the session can open.
        first: u32,
        /// The event's index.
        got: u32,
    },
    /// It is not known yet whose device made the session.
    #[error("it is not known yet whose device encrypted this event")]
    UnknownOwner,
    /// The device's owner does not stand for it, or that is not known yet, where only such count.
    #[error("the event comes from a device that its owner has not verified")]
    UntrustedDevice,
    /// The room's power levels are not known yet.
    #[error("it is not known yet who may change this room")]
    UnknownLevels,
    /// The session was made by a device of someone else than the event's sender.
    #[error("the event was encrypted by someone else than its sender")]
    ForeignSession,
    /// The ciphertext is damaged or forged.
    #[error("the event cannot be decrypted, it is damaged or forged")]
    Undecryptable,
    /// The payload is not the JSON of an event, or one in another too often.
    #[error("the decrypted event is malformed")]
    Payload,
    /// The payload is that of a message, without a state key.
    #[error("the decrypted event is a message, not state")]
    NotState,
    /// The payload's content is not an object.
    #[error("the decrypted content is not an object")]
    ContentNotObject,
    /// The payload was made for another room.
    #[error("the event was encrypted for another room")]
    RoomMismatch,
    /// The packed key names another type than the payload.
    #[error("the event's type inside differs from the one outside")]
    TypeMismatch,
    /// The packed key names another state key than the payload.
    #[error("the event's state key inside differs from the one outside")]
    StateKeyMismatch,
    /// The key outside names nothing, in a room whose keys have to.
    #[error("the event's key outside does not say what is inside")]
    OpaqueKey,
    /// The type inside must never be encrypted.
    #[error("the event's type may not be encrypted: {0}")]
    Ineligible(#[source] IneligibleType),
    /// The state key inside is a user id that is not the sender's. Servers refuse such state, but
    /// cannot see it here (client-server API, "Restricted state keys").
    #[error("the event sets state that belongs to another user")]
    ForeignStateKey,
    /// The sender may send `m.room.encrypted` state, but not state of the type inside.
    #[error("the sender may not change this")]
    PowerLevel,
    /// The payload says who set it, and not in a way that can be true.
    #[error("the event's author inside is not whom it names")]
    Authorship,
    /// The same ciphertext was seen in another event.
    #[error("the event repeats the ciphertext of another event")]
    Replay,
}

/// What an event lacks that may come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Its session.
    Session,
    /// Its session from an earlier index on.
    Index,
    /// Whose device made the session.
    Owner,
    /// Its sender's word for that device.
    Device,
    /// The room's power levels.
    Levels,
}

impl Missing {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Index => "index",
            Self::Owner => "owner",
            Self::Device => "device",
            Self::Levels => "levels",
        }
    }
}

impl OpenError {
    /// True when the event may open later, without any change to it.
    pub const fn may_retry(&self) -> bool {
        self.missing().is_some()
    }

    /// What has to come so that the event opens; `None` where nothing helps.
    pub(crate) const fn missing(&self) -> Option<Missing> {
        match self {
            Self::MissingSession => Some(Missing::Session),
            Self::MissingIndex { .. } => Some(Missing::Index),
            Self::UnknownOwner => Some(Missing::Owner),
            Self::UntrustedDevice => Some(Missing::Device),
            Self::UnknownLevels => Some(Missing::Levels),
            _ => None,
        }
    }
}

/// What the checks go by.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    /// The room's power levels; unknown ones make the event wait.
    pub(crate) levels: Levels<'a>,
    /// Take an opaque state key, which says nothing of what is inside: where the room's flag, and so
    /// MSC4362, is not in force.
    pub(crate) opaque_keys: bool,
    /// Take a session whose device no member has (any more) for the sender's.
    pub(crate) gone_devices: bool,
}

/// Who may send what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Levels<'a> {
    Known(&'a PowerLevels),
    Unknown,
    /// Stripped state of a room the user is not in: nobody can know.
    NotAsked,
}

#[derive(Debug)]
struct EncryptedContent {
    ciphertext: String,
    session_id: String,
}

/// Opens an encrypted state event.
///
/// `levels` are the room's power levels when the event was sent, as far as they are known.
/// The (session, index) pair is bound to the event only when every other check has passed, so that
/// a bad copy that comes first cannot keep the good event out.
///
/// # Errors
///
/// [`OpenError`]: one variant for each check; [`OpenError::may_retry`] tells those to try again.
pub fn open_state(
    event: &ReceivedEvent<'_>,
    sessions: &mut SessionStore,
    levels: &PowerLevels,
    seen: &mut SeenIndices,
) -> Result<OpenedState, OpenError> {
    let rules = Rules { levels: Levels::Known(levels), opaque_keys: true, gone_devices: false };
    open_by(event, sessions, &rules, seen, &mut |_| None)
}

/// Whose device has these keys, by what that device signed: Curve25519 and Ed25519.
pub(crate) type OwnerOf<'a> = dyn FnMut(&(String, String)) -> Option<String> + 'a;

/// Who gave a session's key.
#[derive(Debug)]
enum Giver {
    /// A device of the event's sender.
    Sender,
    /// A device that nobody has, where that is allowed.
    Gone,
    /// Somebody else, or one who is not known: then the author inside must be the sender for sure.
    /// With what is to be said where it is not.
    Other(OpenError),
}

/// [`open_state`] by other rules.
pub(crate) fn open_by(
    event: &ReceivedEvent<'_>,
    sessions: &mut SessionStore,
    rules: &Rules<'_>,
    seen: &mut SeenIndices,
    owner_of: &mut OwnerOf<'_>,
) -> Result<OpenedState, OpenError> {
    finish_decryption(event, Decryption::new(event), sessions, rules, (seen, owner_of))
}

/// An event that is being opened, up to where its signature counts.
#[derive(Debug)]
pub(crate) struct Decryption {
    content: Result<EncryptedContent, OpenError>,
    unverified: Option<Unverified>,
    verified: Option<Verified>,
    by_gone_device: bool,
}

impl Decryption {
    fn new(event: &ReceivedEvent<'_>) -> Self {
        let content = read_content(event);
        Self { content, unverified: None, verified: None, by_gone_device: false }
    }

    /// Decrypts ahead, for [`verify_all`].
    #[inline(never)]
    pub(crate) fn ahead(
        event: &ReceivedEvent<'_>,
        sessions: &mut SessionStore,
        gone_devices: bool,
    ) -> Self {
        let mut decryption = Self::new(event);
        let Ok(content) = &decryption.content else { return decryption };
        let claims = sessions.claims(SessionId { room_id: event.room_id, id: &content.session_id });
        for gone in [false, true] {
            let fits = |session: &&mut InboundSession| {
                rank(session, event.sender, gone_devices) == Some(gone)
            };
            if let Some(session) = claims.iter_mut().find(fits) {
                decryption.unverified = session.decrypt_unverified(&content.ciphertext);
                decryption.by_gone_device = gone;
                break;
            }
        }
        decryption
    }
}

/// Checks the signatures of events that were begun [`Decryption::ahead`], many at a time. Where one is
/// not good, its whole group is left to be opened one by one; how many events that are.
pub(crate) fn verify_all(events: &mut [Decryption]) -> usize {
    if cfg!(not(feature = "batch-verification")) {
        return events.len();
    }
    let mut left = 0;
    for group in events.chunks_mut(MAX_BATCH) {
        let mut waiting: Vec<_> =
            group.iter_mut().filter(|event| event.unverified.is_some()).collect();
        let unverified = waiting.iter_mut().filter_map(|event| event.unverified.take()).collect();
        match verify(unverified) {
            Some(verified) => {
                for (event, verified) in waiting.into_iter().zip(verified) {
                    event.verified = Some(verified);
                }
            }
            None => left += waiting.len(),
        }
    }
    left
}

/// [`open_by`] for an event that was begun.
#[inline(never)]
pub(crate) fn finish_decryption(
    event: &ReceivedEvent<'_>,
    decryption: Decryption,
    sessions: &mut SessionStore,
    rules: &Rules<'_>,
    (seen, owner_of): (&mut SeenIndices, &mut OwnerOf<'_>),
) -> Result<OpenedState, OpenError> {
    let content = decryption.content?;
    let key = WireKey::read(event.state_key)?;
    let (payload, message_index, giver) = match decryption.verified {
        Some(Verified { payload, message_index }) => {
            let giver = if decryption.by_gone_device { Giver::Gone } else { Giver::Sender };
            (payload, message_index, giver)
        }
        None => decrypt(event, &content, sessions, rules.gone_devices)?,
    };
    let session_id = content.session_id;
    let decrypted = Decrypted { payload: &payload, session_id, message_index, giver, sessions };
    check(event, &key, decrypted, rules, (seen, owner_of))
}

fn read_content(event: &ReceivedEvent<'_>) -> Result<EncryptedContent, OpenError> {
    if event.content.len() > MAX_CONTENT_BYTES {
        return Err(OpenError::TooLong(event.content.len()));
    }
    let content = Members::read(event.content).ok_or(OpenError::Content)?;
    let text = |key| content.string(key).ok_or(OpenError::Content);
    if text("algorithm")? != MEGOLM_V1 {
        return Err(OpenError::Algorithm);
    }
    Ok(EncryptedContent { ciphertext: text("ciphertext")?, session_id: text("session_id")? })
}

struct Decrypted<'a> {
    payload: &'a [u8],
    session_id: String,
    message_index: u32,
    giver: Giver,
    sessions: &'a SessionStore,
}

/// Whether the author a payload names is the event's sender, and for sure where that matters. Gives
/// whether nobody has their device, and the device's keys where its signature was checked.
fn check_author(
    event: &ReceivedEvent<'_>,
    payload: &str,
    author: Option<&Authorship>,
    (session, giver, sessions): (SessionId<'_>, Giver, &SessionStore),
    owner_of: &mut OwnerOf<'_>,
) -> Result<(bool, Option<(String, String)>), OpenError> {
    if author.is_some_and(|author| author.user_id != event.sender) {
        return Err(OpenError::ForeignSession);
    }
    if author.is_some_and(|author| author.session_id != session.id) {
        return Err(OpenError::Authorship);
    }
    let unsigned = |giver| match giver {
        Giver::Other(error) => Err(error),
        Giver::Gone => Ok((true, None)),
        Giver::Sender => Ok((false, None)),
    };
    let Some(author) = author else { return unsigned(giver) };
    let keys = (author.curve25519.clone(), author.ed25519.clone());
    if matches!(giver, Giver::Sender) {
        // Where the author's own device gave the key, that has said it all. Another of the sender's,
        // perhaps made up, may have given it first.
        let mut makers = sessions.origins_of(session, UserId(event.sender));
        let is_maker =
            makers.any(|origin| origin.sender_key == keys.0 && origin.claimed_ed25519 == keys.1);
        let is_proven = !is_maker
            && owner_of(&keys).is_some_and(|owner| owner == event.sender)
            && author.is_signed(payload);
        return Ok((false, is_proven.then_some(keys)));
    }
    match owner_of(&keys) {
        Some(owner) if owner != event.sender => Err(OpenError::ForeignSession),
        Some(_) if author.is_signed(payload) => Ok((false, Some(keys))),
        Some(_) => Err(OpenError::Authorship),
        None => match giver {
            // Their device may be told yet.
            Giver::Other(_) if author.is_signed(payload) => Err(OpenError::UnknownOwner),
            giver => unsigned(giver),
        },
    }
}

#[inline(never)]
fn check(
    event: &ReceivedEvent<'_>,
    key: &WireKey,
    decrypted: Decrypted<'_>,
    rules: &Rules<'_>,
    (seen, owner_of): (&mut SeenIndices, &mut OwnerOf<'_>),
) -> Result<OpenedState, OpenError> {
    let payload_text = std::str::from_utf8(decrypted.payload).map_err(|_| OpenError::Payload)?;
    let payload = Members::read(payload_text).ok_or(OpenError::Payload)?;
    if is_deep(payload_text) {
        return Err(OpenError::Payload);
    }
    let author = Authorship::read(payload.raw(AUTHORSHIP)).map_err(|()| OpenError::Authorship)?;
    let session = SessionId { room_id: event.room_id, id: &decrypted.session_id };
    let (by_gone_device, proven) = check_author(
        event,
        payload_text,
        author.as_ref(),
        (session, decrypted.giver, decrypted.sessions),
        owner_of,
    )?;
    let text = |key| payload.string(key).ok_or(OpenError::Payload);
    let (room_id, event_type) = (text("room_id")?, text("type")?);
    let content = payload.raw("content").ok_or(OpenError::Payload)?;
    let state_key = match payload.raw("state_key") {
        None | Some("null") => return Err(OpenError::NotState),
        Some(_) => text("state_key")?,
    };
    if !content.starts_with('{') {
        return Err(OpenError::ContentNotObject);
    }
    if room_id != event.room_id {
        return Err(OpenError::RoomMismatch);
    }
    match key {
        WireKey::Packed(key) if key.event_type() != event_type => {
            return Err(OpenError::TypeMismatch);
        }
        WireKey::Packed(key) if key.state_key() != state_key => {
            return Err(OpenError::StateKeyMismatch);
        }
        WireKey::Opaque if !rules.opaque_keys => return Err(OpenError::OpaqueKey),
        WireKey::Packed(_) | WireKey::Opaque => {}
    }
    check_eligible(&event_type).map_err(OpenError::Ineligible)?;
    let is_profile = event_type == MEMBER_PROFILE;
    if (is_profile || state_key.starts_with('@')) && state_key != event.sender {
        return Err(OpenError::ForeignStateKey);
    }
    match rules.levels {
        // Whoever is in the room may say how they are called there.
        _ if is_profile => {}
        Levels::Known(levels) if !levels.may_have_sent(UserId(event.sender), &event_type) => {
            return Err(OpenError::PowerLevel);
        }
        Levels::Unknown => return Err(OpenError::UnknownLevels),
        Levels::Known(_) | Levels::NotAsked => {}
    }
    if let Some(event_id) = event.event_id
        && !seen.bind(
            (session, decrypted.message_index),
            event_id,
            TypeAndKey { event_type: &event_type, state_key: &state_key },
        )
    {
        return Err(OpenError::Replay);
    }
    Ok(OpenedState {
        event_type,
        state_key,
        content: content.to_owned(),
        session_id: decrypted.session_id,
        message_index: decrypted.message_index,
        by_gone_device,
        order: author.map(|author| author.order),
        author: proven,
    })
}

/// Whether arrays and objects stand in one another deeper than what can be signed. No homeserver takes
/// such an event in clear, and a browser that copies one some thousand deep into its storage, or writes
/// it as JSON, runs out of stack: then nothing of any room is stored or written.
fn is_deep(json: &str) -> bool {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at).unwrap_or(bytes.len()),
            _ => at + 1,
        };
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Decrypts with a session made by a device of the event's sender; where that is allowed, with one
/// whose device nobody has; else with any, for an author inside.
#[inline(never)]
fn decrypt(
    event: &ReceivedEvent<'_>,
    content: &EncryptedContent,
    sessions: &mut SessionStore,
    gone_devices: bool,
) -> Result<(Vec<u8>, u32, Giver), OpenError> {
    let claims = sessions.claims(SessionId { room_id: event.room_id, id: &content.session_id });
    let mut error = if claims.is_empty() {
        OpenError::MissingSession
    } else if claims.iter().any(|session| session.owner().is_none()) {
        OpenError::UnknownOwner
    } else {
        OpenError::ForeignSession
    };
    for gone in [false, true] {
        let fits =
            |session: &&mut InboundSession| rank(session, event.sender, gone_devices) == Some(gone);
        for session in claims.iter_mut().filter(fits) {
            match session.decrypt(&content.ciphertext) {
                Ok((payload, index)) => {
                    let giver = if gone { Giver::Gone } else { Giver::Sender };
                    return Ok((payload, index, giver));
                }
                Err(DecryptError::UnknownIndex { first, got }) => {
                    error = OpenError::MissingIndex { first, got };
                }
                Err(DecryptError::Message(_) | DecryptError::Forged(_)) => {
                    error = OpenError::Undecryptable;
                }
            }
        }
    }
    // Somebody may have given another's key as his own, first.
    for session in claims.iter_mut() {
        if rank(session, event.sender, gone_devices).is_none()
            && let Ok((payload, index)) = session.decrypt(&content.ciphertext)
        {
            return Ok((payload, index, Giver::Other(error)));
        }
    }
    Err(error)
}

/// Whether a session may open events of that sender; true for one whose device nobody has.
fn rank(session: &InboundSession, sender: &str, gone_devices: bool) -> Option<bool> {
    match session.owner() {
        Some(owner) => (owner == sender).then_some(false),
        None => gone_devices.then_some(true),
    }
}
