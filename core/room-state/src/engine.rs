//! The encrypted-state engine: what a page's requests and answers need, and what becomes of them.
//!
//! One engine per document. It knows no clock, no network and no browser: the page's glue hands it
//! answers, keys, devices and room state, and carries out what it says. Everything that must
//! survive a reload goes through [`StateEngine::take_persist`]; nothing encrypted leaves before the
//! index it used up is stored.

mod again;
mod convert;
mod pending;
mod persist;
mod read;
mod rooms;
mod write;

use crate::sorted::{Bounded, Map, Set};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::again::{Again, Reencryption};
use self::again::{InFlightWrite, Stale};
pub use self::convert::{Conversion, Put};
use self::pending::Pending;
pub use self::pending::{PendingEvent, PendingView};
pub use self::persist::{PersistBatch, PersistEntry};
use self::read::{Answers, Arrival};
pub use self::read::{
    Before, Needs, OpenStep, RetriedEvent, RetryStep, SessionNeed, UndecryptableEvent,
};
use self::rooms::RoomFacts;
pub use self::write::{
    CreatePlan, DeviceName, NewRooms, Plan, RefusedDevice, SessionView, WriteRoute,
};
use crate::decrypt::decrypt::OpenedState;
use crate::decrypt::replay::SeenIndices;
pub use crate::flow::invite_state::InvitePreview;
use crate::flow::invite_state::InviteState;
use crate::flow::retry::WaitingEvents;
use crate::megolm::{DeviceKeyError, OwnDevice, PickleKey, SessionStore};
use crate::model::journal::{Journal, Prefix};
use crate::model::memory::Memory;
use crate::model::outbound::OutboundSessions;
pub use crate::model::outbound::Outgoing;
use crate::model::owners::{Keys, Owners};
use crate::model::precedence::KnownState;
use crate::msc4362::eligible::EncryptedTypes;
use crate::msc4362::power_levels::PowerLevels;
use mantle_wire::json::{self, JsonError};

/// Why the engine cannot do what it is asked. Each is a sentence for the person.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// The pickle key has not 32 bytes.
    #[error("Mantle's key for stored room keys is damaged; sign out and in again.")]
    PickleKey,
    /// A JSON text of the page's glue is not what it should be.
    #[error("Mantle could not read what Element gave it ({0}); reload the page.")]
    Input(&'static str),
    /// The device's keys cannot be read.
    #[error("Element's device keys cannot be read; sign out and in again.")]
    Device(#[from] DeviceKeyError),
    /// Encryption was asked for before the device is known.
    #[error("Element's encryption is not ready yet; try again in a moment.")]
    NoDevice,
    /// Another tab may be using the outbound sessions.
    #[error("Another tab is sending encrypted room state; try again in a moment.")]
    NotWriter,
    /// No session, or not the one of now.
    #[error("The room's keys are not ready; try again.")]
    NoSession,
    /// Nobody could be given the key.
    #[error(
        "The room's new key could not be given to any of its members' devices; try again when they are online."
    )]
    NotShared,
    /// The event cannot be encrypted.
    #[error("This cannot be encrypted: {0}.")]
    Encrypt(String),
    /// The ciphertext's index is not on disk.
    #[error("Mantle could not store the room's key yet; try again.")]
    NotStored,
    /// No such answer, ticket or pending write.
    #[error("Mantle has lost this request; try again.")]
    Unknown,
}

impl From<JsonError> for EngineError {
    fn from(_: JsonError) -> Self {
        Self::Input("JSON")
    }
}

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

/// A room where members or devices changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tend {
    /// The room.
    pub room_id: String,
    /// `membership`, `devices`, `stale` (something waits to be encrypted once more) or `name` (one's
    /// own has come back).
    pub why: &'static str,
    /// What the page's client is to know first.
    pub members: Vec<Moved>,
}

/// What a sync said of a member last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Who.
    pub user_id: String,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: String,
}

/// Which devices get keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// All but blocked ones.
    #[default]
    All,
    /// Those their owner has signed.
    CrossSigned,
}

/// What the user or their organisation chose.
#[derive(Clone, Debug, Default)]
pub struct StateSettings {
    /// What is encrypted in rooms with the flag.
    pub types: EncryptedTypes,
    /// What becomes of new rooms.
    pub new_rooms: NewRooms,
    /// Who gets keys.
    pub trust: Trust,
}

/// How many opened events are kept, so that an answer that comes again is not decrypted again.
const MAX_CACHED: usize = 4_096;
/// And how many bytes of them.
const MAX_CACHED_BYTES: usize = 16 * 1024 * 1024;
/// Slots of which it is known when their current event came.
const MAX_PLACED: usize = 4_096;
/// Devices by which something was opened that are remembered for when they are gone.
const MAX_KEPT_OWNERS: usize = 4_096;
/// And how many bytes of them: they are one entry of the store.
const MAX_KEPT_OWNERS_BYTES: usize = 800_000;
/// Problems that are not told a second time.
const MAX_TOLD: usize = 4_096;
/// Rooms of which it is known when their session was renewed.
const MAX_RENEWED: usize = 1_024;
/// Re-encryptions that are followed.
const MAX_IN_FLIGHT: usize = 256;

/// What was opened, with all that decided it.
#[derive(Debug)]
struct Cached {
    content: String,
    sender: String,
    state_key: String,
    opened: OpenedState,
}

impl Cached {
    const fn cost(&self) -> usize {
        let opened = &self.opened;
        self.content.len()
            + self.sender.len()
            + self.state_key.len()
            + opened.event_type.len()
            + opened.state_key.len()
            + opened.content.len()
            + opened.session_id.len()
    }
}

/// See the module.
#[derive(Debug)]
pub struct StateEngine {
    key: Zeroizing<PickleKey>,
    settings: StateSettings,
    device: Option<OwnDevice>,
    // Read.
    sessions: SessionStore,
    owners: Owners,
    // Those of them by whom something was opened: kept for when their devices are gone.
    kept_owners: Bounded<Keys, ()>,
    known: KnownState,
    seen: SeenIndices,
    memory: Memory,
    levels: Map<String, PowerLevels>,
    rooms: Map<String, RoomFacts>,
    members_known: Set<String>,
    // Users whose devices the page has told.
    listed: Set<String>,
    // Those of whom it also told what they have to do with their devices.
    judged: Set<String>,
    // Their Curve25519 keys of now.
    current_devices: Map<String, Set<String>>,
    cache: Bounded<(String, String), Box<Cached>>,
    answers: Answers,
    waiting: WaitingEvents,
    // Those of them still to be tried in this round, last to first.
    retrying: Vec<(String, String)>,
    // When the current event of a slot came: room, type, state key.
    placed: Bounded<(String, String, String), Arrival>,
    previews: InviteState,
    // Clear events without content, for what was redacted: the running client may hold it.
    emptied: Vec<RetriedEvent>,
    problems: Vec<Problem>,
    told: Bounded<(String, &'static str, String), ()>,
    tend: Map<String, &'static str>,
    // Write.
    writer: bool,
    outbound: OutboundSessions,
    pending: Map<String, Pending>,
    // Rooms that this page has made.
    made: Vec<String>,
    // By room: when a session was made last because somebody or a device had gone.
    renewed: Bounded<String, u64>,
    // By room: when the next one is due.
    postponed: Map<String, u64>,
    // By room.
    stale: Map<String, Stale>,
    // By room, type and state key.
    in_flight: Bounded<(String, String, String), InFlightWrite>,
    // By room and user: memberships of which a sync told.
    moved: Map<String, Bounded<String, String>>,
    // Store.
    journal: Journal,
    stored_owner: Option<String>,
}

impl StateEngine {
    /// `stored` is a JSON object of everything [`StateEngine::take_persist`] ever gave. Entries that
    /// cannot be read (another key, damage) are taken out of the store.
    ///
    /// # Errors
    ///
    /// [`EngineError::PickleKey`].
    pub fn new(pickle_key: &[u8], stored: &str) -> Result<Self, EngineError> {
        let key: PickleKey = pickle_key.try_into().map_err(|_| EngineError::PickleKey)?;
        let mut engine = Self {
            key: Zeroizing::new(key),
            settings: StateSettings::default(),
            device: None,
            sessions: SessionStore::new(),
            owners: Owners::default(),
            known: KnownState::new(),
            seen: SeenIndices::new(),
            memory: Memory::default(),
            levels: Map::new(),
            rooms: Map::new(),
            members_known: Set::new(),
            listed: Set::new(),
            judged: Set::new(),
            current_devices: Map::new(),
            cache: Bounded::new(MAX_CACHED, MAX_CACHED_BYTES),
            answers: Answers::default(),
            waiting: WaitingEvents::default(),
            retrying: Vec::new(),
            placed: Bounded::new(MAX_PLACED, usize::MAX),
            previews: InviteState::default(),
            emptied: Vec::new(),
            problems: Vec::new(),
            told: Bounded::new(MAX_TOLD, usize::MAX),
            tend: Map::new(),
            writer: false,
            outbound: OutboundSessions::default(),
            pending: Map::new(),
            made: Vec::new(),
            renewed: Bounded::new(MAX_RENEWED, usize::MAX),
            postponed: Map::new(),
            stale: Map::new(),
            in_flight: Bounded::new(MAX_IN_FLIGHT, usize::MAX),
            moved: Map::new(),
            journal: Journal::new(),
            stored_owner: None,
            kept_owners: Bounded::new(MAX_KEPT_OWNERS, MAX_KEPT_OWNERS_BYTES),
        };
        engine.load(stored);
        Ok(engine)
    }

    /// Puts settings in force.
    pub fn apply_settings(&mut self, settings: StateSettings) {
        if settings.trust != self.settings.trust {
            // What was opened by other rules.
            self.cache.clear();
        }
        self.known.set_types(settings.types.clone());
        self.settings = settings;
    }

    /// Says which device this is: `{"userId","deviceId","curve25519","ed25519"}`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] or [`EngineError::Device`].
    pub fn set_own_device(&mut self, json: &str) -> Result<(), EngineError> {
        let text = |key| json::get_str(json, &[key]).map(Option::unwrap_or_default);
        let device = OwnDevice::new(
            &text("userId")?,
            &text("deviceId")?,
            &text("curve25519")?,
            &text("ed25519")?,
        )?;
        if self.stored_owner.as_deref().is_some_and(|owner| owner != device.curve25519()) {
            // Another login in the same browser profile.
            self.forget_all();
        }
        if self.stored_owner.is_none() {
            self.stored_owner = Some(device.curve25519().to_owned());
            self.journal.touch(Prefix::Device, "");
        }
        let keys = (device.curve25519().to_owned(), device.ed25519().to_owned());
        self.owners.set_verified(&keys, device.user_id());
        self.sessions.set_owner(&keys.0, &keys.1, device.user_id());
        self.device = Some(device);
        self.read_own_sessions();
        Ok(())
    }

    /// Says how late it is, in milliseconds since the epoch: before answers are read.
    pub fn set_clock(&mut self, now: u64) {
        self.known.set_clock(now);
    }

    /// Says which run of the browser this is: any text that is the same in all tabs until the browser
    /// ends, and lies on no disk. Without it, each tab encrypts with sessions of its own only.
    pub fn set_run(&mut self, run: &str) {
        self.outbound.set_run(run);
    }

    /// Whether [`StateEngine::set_own_device`] was called.
    #[must_use]
    pub const fn has_own_device(&self) -> bool {
        self.device.is_some()
    }

    /// Forgets everything, the store's entries too: for a logout.
    pub fn forget_all(&mut self) {
        self.journal.discard_all();
        self.device = None;
        self.sessions = SessionStore::new();
        self.made.clear();
        self.owners.clear();
        self.kept_owners.clear();
        self.known = KnownState::new();
        self.known.set_types(self.settings.types.clone());
        self.seen = SeenIndices::new();
        self.memory.clear();
        self.levels.clear();
        self.rooms.clear();
        self.members_known.clear();
        self.listed.clear();
        self.judged.clear();
        self.current_devices.clear();
        self.cache.clear();
        self.answers = Answers::default();
        self.waiting.clear();
        self.retrying.clear();
        self.placed.clear();
        self.previews.clear();
        self.emptied.clear();
        self.tend.clear();
        self.outbound.clear();
        self.pending.clear();
        self.renewed.clear();
        self.postponed.clear();
        self.stale.clear();
        self.in_flight.clear();
        self.moved.clear();
        self.stored_owner = None;
    }

    /// What happened since the last call, each thing once.
    pub fn problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// Rooms that keys may have to be shared or rotated in, since the last call.
    pub fn tend(&mut self) -> Vec<Tend> {
        std::mem::take(&mut self.tend)
            .into_iter()
            .map(|(room_id, why)| {
                let moved = self.moved.get(&room_id).into_iter().flat_map(Bounded::iter);
                let members = moved
                    .map(|(user_id, membership)| Moved {
                        user_id: user_id.clone(),
                        membership: membership.clone(),
                    })
                    .collect();
                Tend { room_id, why, members }
            })
            .collect()
    }

    /// Whether the room's flag was ever seen.
    #[must_use]
    pub fn encrypts_state(&self, room_id: &str) -> bool {
        self.known.encrypts_state(room_id)
    }

    /// The user has just set the room's flag.
    pub fn note_flag(&mut self, room_id: &str) {
        self.known.note_flag(room_id);
        self.touch_room(room_id);
    }

    fn problem(&mut self, room_id: &str, code: &'static str, event_id: &str) {
        let what = (room_id.to_owned(), code, event_id.to_owned());
        if !self.told.contains_key(&what) {
            self.told.insert(what, (), 0);
            let sentence = sentence(code);
            self.problems.push(Problem { room_id: room_id.to_owned(), code, sentence });
        }
    }
}

/// What a person is told about a problem.
fn sentence(code: &str) -> &'static str {
    match code {
        "rollback" => {
            "The server sent an older name or topic as the current one; Mantle keeps the newer."
        }
        "replay" => {
            "The server sent a room's encrypted state a second time as a new event; Mantle ignored it."
        }
        "clear-over-encrypted" => {
            "The server sent a readable name or topic for a room whose name is encrypted; Mantle keeps the encrypted one."
        }
        "flag-removed" => {
            "The server says a room no longer encrypts its name; Mantle goes on encrypting it."
        }
        "foreign-session" => {
            "Encrypted state of a room was made by someone else than its sender; Mantle ignored it."
        }
        "key-mismatch" => {
            "Encrypted state of a room is something else inside than it says outside; Mantle ignored it."
        }
        "room-mismatch" => "Encrypted state was made for another room; Mantle ignored it.",
        "not-eligible" => {
            "Encrypted state tried to change what only readable state may change; Mantle ignored it."
        }
        "power-level" => {
            "Someone changed a room's encrypted state without the right to; Mantle ignored it."
        }
        "gone-device" => {
            "A room's encrypted state was set from a device that no member has any more."
        }
        "unsigned-device" => {
            "A room's name or topic was set from a device that its owner has not verified, so it may be someone else's; Mantle shows it and passes it on to nobody."
        }
        "untrusted-device" => {
            "A room's name or topic was set from a device that its owner has not verified; Mantle does not show it until they have."
        }
        "not-passed-on" => {
            "A room's name or topic was not taken along into the new room, because the device that set it is not verified: set it there yourself if it is right."
        }
        "index-used-twice" => {
            "A room's key was used by another copy of this session; Mantle makes a new one."
        }
        "store" => {
            "Mantle could not read part of what it had stored about encrypted rooms and starts anew there."
        }
        _ => "Encrypted state of a room is damaged; Mantle ignored it.",
    }
}
