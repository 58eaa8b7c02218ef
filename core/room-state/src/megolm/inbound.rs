//! Sessions to open state events with.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vodozemac::megolm::{
    DecryptionError, ExportedSessionKey, InboundGroupSession, InboundGroupSessionPickle,
    MegolmMessage, SessionConfig, SessionKey, SessionKeyDecodeError, SessionOrdering,
};
use vodozemac::{Curve25519PublicKey, DecodeError, Ed25519PublicKey};

use crate::ids::DeviceKeys;

use super::batch_verify::{Signer, Unverified};
use super::{DeviceKeyError, PickleKey, RestoreError, check_version};

const STORED_VERSION: u32 = 1;

/// The two encodings of a session key; each is unreadable as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// Of `m.room_key`: signed by the session's own key.
    RoomKey,
    /// Of key exports, backups and forwarded keys: unsigned.
    Exported,
}

/// A session's key as somebody gave it.
#[derive(Clone, Copy)]
pub struct GivenKey<'a> {
    /// Its encoding.
    pub form: KeyForm,
    /// Unpadded base64. Secret.
    pub text: &'a str,
}

impl fmt::Debug for GivenKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GivenKey").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Where a session came from, as the Olm channel or the export says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOrigin {
    /// The room it is for.
    pub room_id: String,
    /// The Curve25519 identity key of the device that made it, unpadded base64.
    pub sender_key: String,
    /// The Ed25519 key that device claimed.
    pub claimed_ed25519: String,
}

impl SessionOrigin {
    /// The keys of the device that made it.
    pub fn keys(&self) -> DeviceKeys<'_> {
        DeviceKeys { curve25519: &self.sender_key, ed25519: &self.claimed_ed25519 }
    }
}

/// Why a key is no usable session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The key cannot be decoded, or the signature in it is wrong.
    #[error("the session key cannot be read: {0}")]
    Key(#[from] SessionKeyDecodeError),
    /// The key belongs to another session than the one it was sent for.
    #[error("the session key belongs to another session")]
    SessionId,
    /// The origin's device keys cannot be read.
    #[error(transparent)]
    Device(#[from] DeviceKeyError),
}

/// Why a ciphertext does not open with a session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DecryptError {
    /// Not a Megolm message.
    #[error("the ciphertext is no Megolm message: {0}")]
    Message(#[from] DecodeError),
    /// The message comes before the first index this session knows.
    #[error("the event has index {got}, the session starts at {first}")]
    UnknownIndex {
        /// The first index the session can open.
        first: u32,
        /// The message's index.
        got: u32,
    },
    /// Signature, MAC or padding is wrong.
    #[error("the ciphertext is not authentic: {0}")]
    Forged(#[source] DecryptionError),
}

/// A session to open state events with. Its key material is zeroized when dropped.
pub struct InboundSession {
    session: InboundGroupSession,
    origin: SessionOrigin,
    owner: Option<String>,
    // Came in the signed form, so that its ratchet is the sender device's own.
    signed: bool,
    // Of the first event that is opened with others; none inside for a key not fit for that.
    signer: Option<Option<Signer>>,
}

impl fmt::Debug for InboundSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InboundSession")
            .field("first_known_index", &self.first_known_index())
            .field("owner_known", &self.owner.is_some())
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    room_id: String,
    sender_key: String,
    claimed_ed25519: String,
    owner: Option<String>,
    signed: bool,
    session: String,
}

impl InboundSession {
    /// Reads a session key.
    ///
    /// `session_id` is the id the key was sent or exported under.
    ///
    /// # Errors
    ///
    /// [`SessionError`] when a part cannot be read or the id is another.
    pub fn import(
        session_id: &str,
        key: GivenKey<'_>,
        origin: SessionOrigin,
    ) -> Result<Self, SessionError> {
        Curve25519PublicKey::from_base64(&origin.sender_key)
            .map_err(|_| DeviceKeyError::Curve25519)?;
        Ed25519PublicKey::from_base64(&origin.claimed_ed25519)
            .map_err(|_| DeviceKeyError::Ed25519)?;
        let config = SessionConfig::version_1();
        let session = match key.form {
            KeyForm::RoomKey => {
                InboundGroupSession::new(&SessionKey::from_base64(key.text)?, config)
            }
            KeyForm::Exported => {
                InboundGroupSession::import(&ExportedSessionKey::from_base64(key.text)?, config)
            }
        };
        if session.session_id() != session_id {
            return Err(SessionError::SessionId);
        }
        Ok(Self {
            session,
            origin,
            owner: None,
            signed: key.form == KeyForm::RoomKey,
            signer: None,
        })
    }

    pub(super) fn own(session: InboundGroupSession, origin: SessionOrigin, owner: &str) -> Self {
        Self { session, origin, owner: Some(owner.to_owned()), signed: true, signer: None }
    }

    /// The session's id.
    pub fn session_id(&self) -> String {
        self.session.session_id()
    }

    /// Where it came from.
    pub fn origin(&self) -> &SessionOrigin {
        &self.origin
    }

    /// The first index it can open.
    pub fn first_known_index(&self) -> u32 {
        self.session.first_known_index()
    }

    /// The user who owns the device that made it, once that is known.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Says whose device has both keys of the origin. The caller must have looked that up in the
    /// device list the page's crypto verified, or have received the key from that device over Olm;
    /// the event's own `sender_key` proves nothing.
    pub fn set_owner(&mut self, user_id: &str) {
        self.owner = Some(user_id.to_owned());
    }

    /// Takes over the better of two keys of one session; a signed key replaces an unsigned one that
    /// contradicts it. False when the two contradict and this one stays.
    pub(super) fn merge(&mut self, other: &mut Self) -> bool {
        if self.origin.sender_key != other.origin.sender_key {
            return false;
        }
        match self.session.compare(&mut other.session) {
            SessionOrdering::Unconnected if self.signed || !other.signed => return false,
            SessionOrdering::Unconnected => std::mem::swap(&mut self.session, &mut other.session),
            SessionOrdering::Equal | SessionOrdering::Better => {}
            SessionOrdering::Worse => {
                if let Some(merged) = self.session.merge(&mut other.session) {
                    self.session = merged;
                }
            }
        }
        self.signed |= other.signed;
        if self.owner.is_none() {
            self.owner = other.owner.take();
        }
        true
    }

    /// Decrypts; the result is the payload and its index.
    pub(crate) fn decrypt(&mut self, ciphertext: &str) -> Result<(Vec<u8>, u32), DecryptError> {
        let message = MegolmMessage::from_base64(ciphertext)?;
        match self.session.decrypt(&message) {
            Ok(decrypted) => Ok((decrypted.plaintext, decrypted.message_index)),
            Err(DecryptionError::UnknownMessageIndex(first, got)) => {
                Err(DecryptError::UnknownIndex { first, got })
            }
            Err(error) => Err(DecryptError::Forged(error)),
        }
    }

    /// Decrypts, but leaves the signature to be checked with others. `None` when something is wrong,
    /// or only unusual: [`InboundSession::decrypt`] is the judge then.
    pub(crate) fn decrypt_unverified(&mut self, ciphertext: &str) -> Option<Unverified> {
        if cfg!(not(feature = "batch-verification")) {
            return None;
        }
        let bytes = vodozemac::base64_decode(ciphertext).ok()?;
        let message = MegolmMessage::from_bytes(&bytes).ok()?;
        // MAC and signature are about the bytes as vodozemac would write them.
        if message.to_bytes() != bytes {
            return None;
        }
        let (signed, signature) = bytes.split_last_chunk::<64>()?;
        let (authenticated, mac) = signed.split_last_chunk::<8>()?;
        if message.mac() != mac {
            return None;
        }
        let session = &self.session;
        let signer = self.signer.get_or_insert_with(|| {
            Signer::new(&vodozemac::base64_decode(session.session_id()).ok()?)
        });
        let signer = signer.as_ref()?;
        let index = message.message_index();
        // The session itself remembers how far it has come; a copy of it would start anew each time.
        let key = self.session.export_at(index)?;
        let cipher =
            InboundGroupSession::import(&key, SessionConfig::version_1()).get_cipher_at(index)?;
        cipher.verify_truncated_mac(authenticated, mac).ok()?;
        let payload = cipher.decrypt(message.ciphertext()).ok()?;
        Unverified::new(signer, signed, signature, payload, index)
    }

    /// The stored form: JSON with a version; all key material in it is encrypted with `key`.
    ///
    /// # Errors
    ///
    /// Those of serialization; none is known for this type.
    pub fn stored(&self, key: &PickleKey) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Stored {
            version: STORED_VERSION,
            room_id: self.origin.room_id.clone(),
            sender_key: self.origin.sender_key.clone(),
            claimed_ed25519: self.origin.claimed_ed25519.clone(),
            owner: self.owner.clone(),
            signed: self.signed,
            session: self.session.pickle().encrypt(key),
        })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; the page's own key store has the session too.
    pub fn restore(stored: &str, key: &PickleKey) -> Result<Self, RestoreError> {
        check_version(stored, STORED_VERSION)?;
        let stored: Stored = serde_json::from_str(stored).map_err(|_| RestoreError::Format)?;
        let pickle = InboundGroupSessionPickle::from_encrypted(&stored.session, key)?;
        Ok(Self {
            session: InboundGroupSession::from_pickle(pickle),
            origin: SessionOrigin {
                room_id: stored.room_id,
                sender_key: stored.sender_key,
                claimed_ed25519: stored.claimed_ed25519,
            },
            owner: stored.owner,
            signed: stored.signed,
            signer: None,
        })
    }
}
