//! What is known of rooms and devices; each part is the one owner of its data, and stores it itself
//! through the journal.

pub(crate) mod current;
pub(crate) mod decrypted;
pub(crate) mod decryption;
pub(crate) mod devices;
pub(crate) mod gathered;
pub(crate) mod in_flight;
pub(crate) mod invite_state;
pub(crate) mod journal;
pub(crate) mod known;
pub(crate) mod memory;
pub(crate) mod needs;
pub(crate) mod observation;
pub(crate) mod outbound;
pub(crate) mod own_profiles;
pub(crate) mod owners;
pub(crate) mod pending;
pub(crate) mod precedence;
pub(crate) mod room_keys;
pub(crate) mod room_states;
pub(crate) mod rooms;
pub(crate) mod settings;
pub(crate) mod sharing_due;
pub(crate) mod signing;
pub(crate) mod stale;
pub(crate) mod starts;
pub(crate) mod store;
pub(crate) mod stored;
pub(crate) mod warnings;

use zeroize::Zeroizing;

use crate::decrypt::replay::SeenIndices;
use crate::error::EngineError;
use crate::megolm::{OwnDevice, PickleKey, SessionStore};
use crate::model::decrypted::DecryptedEvents;
use crate::model::devices::Devices;
use crate::model::gathered::Gathered;
use crate::model::invite_state::InviteState;
use crate::model::journal::Journal;
use crate::model::outbound::OutboundSessions;
use crate::model::own_profiles::OwnProfiles;
use crate::model::pending::PendingWrites;
use crate::model::room_states::RoomStates;
use crate::model::rooms::Rooms;
use crate::model::settings::StateSettings;
use crate::model::sharing_due::{Due, SharingDue};
use crate::model::signing::Signing;
use crate::model::warnings::Warnings;
use crate::sorted::Set;
use mantle_wire::json::{elements, exact_string};

/// All parts, for the flows, which have few data of their own.
#[derive(Debug)]
pub(crate) struct Model {
    key: Zeroizing<PickleKey>,
    // Whether this tab may write what all tabs share.
    is_writer: bool,
    pub(crate) settings: StateSettings,
    // The running Element encrypts all state of rooms with the flag where it is let.
    pub(crate) encrypts_all: bool,
    pub(crate) journal: Journal,
    pub(crate) warnings: Warnings,
    pub(crate) sessions: SessionStore,
    pub(crate) devices: Devices,
    pub(crate) rooms: Rooms,
    pub(crate) states: RoomStates,
    pub(crate) seen: SeenIndices,
    pub(crate) decrypted: DecryptedEvents,
    pub(crate) invites: InviteState,
    pub(crate) profiles: OwnProfiles,
    pub(crate) due: SharingDue,
    pub(crate) outbound: OutboundSessions,
    // Whom the session that is asked for next is for.
    pub(crate) gathered: Option<Gathered>,
    // What is encrypted next, with its device's signature.
    pub(crate) signing: Option<Signing>,
    pub(crate) pending: PendingWrites,
}

impl Model {
    pub(crate) fn new(key: PickleKey) -> Self {
        Self {
            key: Zeroizing::new(key),
            is_writer: false,
            settings: StateSettings::default(),
            encrypts_all: false,
            journal: Journal::new(),
            warnings: Warnings::new(),
            sessions: SessionStore::new(),
            devices: Devices::new(),
            rooms: Rooms::default(),
            states: RoomStates::new(),
            seen: SeenIndices::new(),
            decrypted: DecryptedEvents::new(),
            invites: InviteState::default(),
            profiles: OwnProfiles::new(),
            due: SharingDue::new(),
            outbound: OutboundSessions::default(),
            gathered: None,
            signing: None,
            pending: PendingWrites::default(),
        }
    }

    /// The devices of these users are others than those that are known: sessions are judged by the new
    /// ones, and keys are given to them.
    pub(crate) fn note_changed_devices(&mut self, users: &Set<String>) {
        if users.is_empty() {
            return;
        }
        self.devices.note_changed(users);
        for (room_id, outbound) in self.outbound.iter() {
            if users.iter().any(|user| outbound.concerns(user)) {
                self.due.note(room_id, Due::Devices);
            }
        }
    }

    /// The same of a JSON array of ids.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub(crate) fn read_changed_devices(&mut self, users: &str) -> Result<(), EngineError> {
        let users = elements(users)?.into_iter().filter_map(exact_string).collect();
        self.note_changed_devices(&users);
        Ok(())
    }

    /// Puts settings in force.
    pub(crate) fn apply_settings(&mut self, settings: StateSettings) {
        if settings.trust != self.settings.trust {
            // What was decrypted by other rules.
            self.decrypted.clear();
        }
        self.states.set_types(settings.types.clone());
        self.settings = settings;
    }

    /// Says which device this is.
    pub(crate) fn set_own_device(&mut self, device: OwnDevice) {
        self.devices.set_own(device, &mut self.sessions, &mut self.journal);
        self.read_own_sessions();
    }

    /// Our own sessions decrypt our own events, also those of before a reload.
    fn read_own_sessions(&mut self) {
        let Some(device) = self.devices.own() else { return };
        for (_, outbound) in self.outbound.iter() {
            let _ = self.sessions.add(outbound.session.to_inbound(device));
        }
    }

    /// Forgets everything, the store's entries too: for a logout. Settings, warnings and the right to
    /// write stay.
    pub(crate) fn forget_all(&mut self) {
        self.journal.discard_all();
        self.sessions = SessionStore::new();
        self.devices = Devices::new();
        self.rooms.clear();
        self.states = RoomStates::new();
        self.states.set_types(self.settings.types.clone());
        self.seen = SeenIndices::new();
        self.decrypted.clear();
        self.invites.clear();
        self.profiles.clear();
        self.due = SharingDue::new();
        self.outbound.clear();
        self.gathered = None;
        self.signing = None;
        self.pending.clear();
    }

    /// Whether this tab may write what all tabs share.
    pub(crate) const fn is_writer(&self) -> bool {
        self.is_writer
    }

    /// # Errors
    ///
    /// [`EngineError::NotWriter`] where it may not.
    pub(crate) const fn must_write(&self) -> Result<(), EngineError> {
        if self.is_writer { Ok(()) } else { Err(EngineError::NotWriter) }
    }
}
