//! The inbound sessions of all rooms.

use crate::ids::{DeviceKeys, SessionId, UserId};
use crate::sorted::Map;
use thiserror::Error;

use super::{InboundSession, SessionOrigin};

/// How many devices may claim one session id in one room. More than one is an attack or a mix-up,
/// and must not hide the real session.
const MAX_CLAIMS: usize = 8;

/// What adding a session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The session was not known.
    New,
    /// It was known, and now opens earlier events than before.
    Better,
    /// Nothing new.
    Known,
}

/// Why a session was not added.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// Same room, id and sender key as a known session, but another ratchet.
    #[error("the session contradicts one that is already known")]
    Contradiction,
    /// More than eight devices claim the session id.
    #[error("too many devices claim this session")]
    TooManyClaims,
}

/// Inbound sessions by room and session id.
///
/// Devices that claim the same session are kept apart: a member who passes on someone else's
/// session as their own must neither replace it nor be believed.
#[derive(Debug, Default)]
pub struct SessionStore {
    sessions: Map<(String, String), Vec<InboundSession>>,
    // Rooms and ids of the sessions that a device made, by its two keys: lists of devices are long.
    by_device: Map<(String, String), Vec<(String, String)>>,
}

impl SessionStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a session, or merges it with the known one.
    ///
    /// # Errors
    ///
    /// [`AddError`]; the store is unchanged then.
    pub fn add(&mut self, mut session: InboundSession) -> Result<Added, AddError> {
        let slot = (session.origin().room_id.clone(), session.session_id());
        let claims = self.sessions.or_default(slot.clone());
        let sender_key = session.origin().sender_key.as_str();
        if let Some(known) = claims.iter_mut().find(|known| known.origin().sender_key == sender_key)
        {
            let first = known.first_known_index();
            return if !known.merge(&mut session) {
                Err(AddError::Contradiction)
            } else if known.first_known_index() < first {
                Ok(Added::Better)
            } else {
                Ok(Added::Known)
            };
        }
        if claims.len() >= MAX_CLAIMS {
            return Err(AddError::TooManyClaims);
        }
        let SessionOrigin { sender_key, claimed_ed25519, .. } = session.origin();
        let device = (sender_key.clone(), claimed_ed25519.clone());
        claims.push(session);
        self.by_device.or_default(device).push(slot);
        Ok(Added::New)
    }

    /// All claims to a session; empty when it is unknown.
    pub(crate) fn claims(&mut self, session: SessionId<'_>) -> &mut [InboundSession] {
        let claims = self.sessions.get_mut(&session.to_key());
        claims.map(Vec::as_mut_slice).unwrap_or_default()
    }

    fn known_claims(&self, session: SessionId<'_>) -> Option<&Vec<InboundSession>> {
        let key = (session.room_id, session.id);
        self.sessions.find(|(room_id, id)| (&**room_id, &**id).cmp(&key))
    }

    /// True when the session is there.
    pub(crate) fn contains(&self, session: SessionId<'_>) -> bool {
        self.known_claims(session).is_some()
    }

    /// Where the session came from, of those of whom nobody knows whose they are.
    pub(crate) fn unowned_origin(&self, session: SessionId<'_>) -> Option<&SessionOrigin> {
        let claims = self.known_claims(session)?;
        claims.iter().find(|session| session.owner().is_none()).map(InboundSession::origin)
    }

    /// Devices of that user that claim the session.
    pub(crate) fn origins_of<'a>(
        &'a self,
        session: SessionId<'_>,
        user: UserId<'a>,
    ) -> impl Iterator<Item = &'a SessionOrigin> {
        let claims = self.known_claims(session);
        claims
            .into_iter()
            .flatten()
            .filter(move |session| session.owner() == Some(user.0))
            .map(InboundSession::origin)
    }

    /// Origins of the sessions whose owner is still to be looked up.
    pub fn without_owner(&self) -> impl Iterator<Item = &SessionOrigin> {
        self.sessions
            .values()
            .flatten()
            .filter(|session| session.owner().is_none())
            .map(InboundSession::origin)
    }

    /// Whether a session says that it was made by the device with these two keys.
    pub(crate) fn has_origin(&self, keys: DeviceKeys<'_>) -> bool {
        self.made_by(keys).is_some()
    }

    fn made_by(&self, keys: DeviceKeys<'_>) -> Option<&Vec<(String, String)>> {
        let device = (keys.curve25519, keys.ed25519);
        self.by_device.find(|(curve25519, ed25519)| (&**curve25519, &**ed25519).cmp(&device))
    }

    /// Says whose device has these two keys, for all sessions that device made. The same care is
    /// due as with [`InboundSession::set_owner`]. The number of sessions that got an owner.
    pub fn set_owner(&mut self, keys: DeviceKeys<'_>, user: UserId<'_>) -> usize {
        let mut count = 0;
        for slot in self.made_by(keys).cloned().unwrap_or_default() {
            for session in self.sessions.get_mut(&slot).into_iter().flatten() {
                if session.origin().keys() == keys {
                    session.set_owner(user.0);
                    count += 1;
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GivenKey, KeyForm, OutboundSession, OwnDevice};
    use super::*;
    use crate::ids::DeviceId;

    fn device(user_id: &str) -> OwnDevice {
        let curve = vodozemac::Curve25519PublicKey::from(&vodozemac::Curve25519SecretKey::new());
        let ed = vodozemac::Ed25519Keypair::new().public_key();
        let keys = DeviceKeys { curve25519: &curve.to_base64(), ed25519: &ed.to_base64() };
        OwnDevice::new(DeviceId { user_id, id: "DEV" }, keys).unwrap()
    }

    fn origin(device: &OwnDevice) -> SessionOrigin {
        SessionOrigin {
            room_id: "!r:x".to_owned(),
            sender_key: device.curve25519().to_owned(),
            claimed_ed25519: device.ed25519().to_owned(),
        }
    }

    fn at_index(session: &OutboundSession, index: u32, origin: SessionOrigin) -> InboundSession {
        let mut whole = vodozemac::megolm::InboundGroupSession::import(
            &vodozemac::megolm::ExportedSessionKey::from_base64(
                session.initial_exported_key().expose(),
            )
            .unwrap(),
            vodozemac::megolm::SessionConfig::version_1(),
        );
        let key = whole.export_at(index).unwrap().to_base64();
        let key = GivenKey { form: KeyForm::Exported, text: &key };
        InboundSession::import(&session.session_id(), key, origin).unwrap()
    }

    #[test]
    fn an_earlier_key_improves_a_later_one_and_not_the_reverse() {
        let alice = device("@alice:x");
        let session = OutboundSession::make("!r:x", 0);
        let mut store = SessionStore::new();
        assert_eq!(store.add(at_index(&session, 3, origin(&alice))), Ok(Added::New));
        assert_eq!(store.add(at_index(&session, 0, origin(&alice))), Ok(Added::Better));
        assert_eq!(store.add(at_index(&session, 5, origin(&alice))), Ok(Added::Known));
        assert_eq!(
            store.claims(SessionId { room_id: "!r:x", id: &session.session_id() })[0]
                .first_known_index(),
            0
        );
        assert!(
            store.claims(SessionId { room_id: "!other:x", id: &session.session_id() }).is_empty()
        );
    }

    #[test]
    fn another_device_claiming_the_session_stands_beside_it() {
        let (alice, mallory) = (device("@alice:x"), device("@mallory:x"));
        let session = OutboundSession::make("!r:x", 0);
        let mut store = SessionStore::new();
        store.add(at_index(&session, 0, origin(&mallory))).unwrap();
        store.add(at_index(&session, 0, origin(&alice))).unwrap();
        assert_eq!(store.set_owner(alice.keys(), UserId("@alice:x")), 1);
        assert_eq!(store.set_owner(mallory.keys(), UserId("@mallory:x")), 1);
        assert_eq!(store.claims(SessionId { room_id: "!r:x", id: &session.session_id() }).len(), 2);
        for _ in 2..MAX_CLAIMS {
            store.add(at_index(&session, 0, origin(&device("@m:x")))).unwrap();
        }
        assert_eq!(
            store.add(at_index(&session, 0, origin(&device("@m:x")))),
            Err(AddError::TooManyClaims)
        );
    }

    #[test]
    fn an_owner_needs_both_keys() {
        let alice = device("@alice:x");
        let session = OutboundSession::make("!r:x", 0);
        let mut store = SessionStore::new();
        store.add(at_index(&session, 0, origin(&alice))).unwrap();
        assert_eq!(store.without_owner().count(), 1);
        let other = device("@alice:x");
        let mixed = DeviceKeys { ed25519: other.ed25519(), ..alice.keys() };
        assert_eq!(store.set_owner(mixed, UserId("@alice:x")), 0);
        assert_eq!(store.set_owner(alice.keys(), UserId("@alice:x")), 1);
        assert_eq!(store.without_owner().count(), 0);
    }

    #[test]
    fn a_key_under_a_wrong_id_or_in_the_wrong_form_is_refused() {
        let alice = device("@alice:x");
        let session = OutboundSession::make("!r:x", 0);
        let other = OutboundSession::make("!r:x", 0);
        let signed = session.initial_session_key();
        let exported = session.initial_exported_key();
        let import = |id: &str, text: &str, form| {
            InboundSession::import(id, GivenKey { form, text }, origin(&alice))
        };
        use super::super::SessionError;
        let id = session.session_id();
        assert!(import(&id, signed.expose(), KeyForm::RoomKey).is_ok());
        assert!(import(&id, exported.expose(), KeyForm::Exported).is_ok());
        assert!(matches!(
            import(&id, signed.expose(), KeyForm::Exported),
            Err(SessionError::Key(_))
        ));
        assert!(matches!(
            import(&id, exported.expose(), KeyForm::RoomKey),
            Err(SessionError::Key(_))
        ));
        assert!(matches!(
            import(&other.session_id(), signed.expose(), KeyForm::RoomKey),
            Err(SessionError::SessionId)
        ));
        let bad = SessionOrigin { claimed_ed25519: "AAAA".to_owned(), ..origin(&alice) };
        assert!(matches!(
            InboundSession::import(
                &id,
                GivenKey { form: KeyForm::RoomKey, text: signed.expose() },
                bad
            ),
            Err(SessionError::Device(_))
        ));
    }

    #[test]
    fn a_ratchet_that_contradicts_is_refused() {
        let alice = device("@alice:x");
        let session = OutboundSession::make("!r:x", 0);
        let mut bytes = vodozemac::base64_decode(session.initial_exported_key().expose()).unwrap();
        bytes[40] ^= 1;
        let forged = InboundSession::import(
            &session.session_id(),
            GivenKey { form: KeyForm::Exported, text: &vodozemac::base64_encode(bytes) },
            origin(&alice),
        )
        .unwrap();
        let mut store = SessionStore::new();
        store.add(session.to_inbound(&alice)).unwrap();
        assert_eq!(store.add(forged).unwrap_err(), AddError::Contradiction);
    }

    #[test]
    fn a_signed_key_replaces_an_unsigned_one_that_contradicts_it() {
        let alice = device("@alice:x");
        let mut session = OutboundSession::make("!r:x", 0);
        let mut bytes = vodozemac::base64_decode(session.initial_exported_key().expose()).unwrap();
        bytes[40] ^= 1;
        let forged = InboundSession::import(
            &session.session_id(),
            GivenKey { form: KeyForm::Exported, text: &vodozemac::base64_encode(bytes) },
            origin(&alice),
        )
        .unwrap();
        let mut store = SessionStore::new();
        store.add(forged).unwrap();
        store.add(session.to_inbound(&alice)).unwrap();
        let ciphertext = session.encrypt(b"payload");
        let claims = store.claims(SessionId { room_id: "!r:x", id: &session.session_id() });
        assert_eq!(claims.len(), 1);
        assert!(claims[0].decrypt(&ciphertext).is_ok());
    }

    #[test]
    fn a_stored_session_opens_what_it_opened_before() {
        let alice = device("@alice:x");
        let mut outbound = OutboundSession::make("!r:x", 0);
        let inbound = outbound.to_inbound(&alice);
        let ciphertext = outbound.encrypt(b"payload");
        let stored = inbound.stored(&[1; 32]).unwrap();
        let mut restored = InboundSession::restore(&stored, &[1; 32]).unwrap();
        assert_eq!(restored.owner(), Some("@alice:x"));
        assert_eq!(restored.decrypt(&ciphertext).unwrap(), (b"payload".to_vec(), 0));
        assert!(InboundSession::restore(&stored, &[2; 32]).is_err());
    }
}
