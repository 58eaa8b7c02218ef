//! Megolm sessions for state events; the only user of vodozemac.
//!
//! State has an outbound session of its own in each room, never the timeline's: so its key at index
//! 0 may go to a later joiner, who can then read the room's state and nothing else.

pub(crate) mod authorship;
#[cfg(feature = "batch-verification")]
mod batch_verify;
#[cfg(not(feature = "batch-verification"))]
#[path = "megolm/single_verify.rs"]
mod batch_verify;
pub(crate) mod canonical;
pub(crate) mod encrypt;
pub(crate) mod holders;
mod inbound;
mod outbound;
pub(crate) mod recipients;
mod seal;
mod store;

use thiserror::Error;
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, PickleError};

use crate::ids::{DeviceId, DeviceKeys};
use mantle_wire::json::get;

pub(crate) use batch_verify::{MAX_BATCH, Unverified, Verified, verify};
pub(crate) use inbound::DecryptError;
pub use inbound::{GivenKey, InboundSession, KeyForm, SessionError, SessionOrigin};
pub use outbound::{OutboundSession, RotationPolicy, RotationReason};
pub use recipients::{DeviceKey, Recipients, Sharing};
pub(crate) use seal::{Place, drawn, is_first_form, seal, unseal};
pub use store::{AddError, Added, SessionStore};

/// The one algorithm used: `m.megolm.v1.aes-sha2` (client-server API, "Messaging algorithms").
pub const MEGOLM_V1: &str = "m.megolm.v1.aes-sha2";

/// Key for pickles, 32 random bytes; the caller keeps it where pickles are not.
pub type PickleKey = [u8; 32];

/// This user's device, with the keys it published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDevice {
    user_id: String,
    device_id: String,
    curve25519: String,
    ed25519: String,
}

/// A published device key that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKeyError {
    /// Not an unpadded base64 Curve25519 key.
    #[error("the device's Curve25519 identity key cannot be read")]
    Curve25519,
    /// Not an unpadded base64 Ed25519 key.
    #[error("the device's Ed25519 fingerprint key cannot be read")]
    Ed25519,
}

impl OwnDevice {
    /// Takes ids and the two public keys.
    ///
    /// # Errors
    ///
    /// [`DeviceKeyError`] when a key cannot be read: one such key would fail a whole import.
    pub fn new(device: DeviceId<'_>, keys: DeviceKeys<'_>) -> Result<Self, DeviceKeyError> {
        let curve25519 = Curve25519PublicKey::from_base64(keys.curve25519)
            .map_err(|_| DeviceKeyError::Curve25519)?;
        let ed25519 =
            Ed25519PublicKey::from_base64(keys.ed25519).map_err(|_| DeviceKeyError::Ed25519)?;
        Ok(Self {
            user_id: device.user_id.to_owned(),
            device_id: device.id.to_owned(),
            curve25519: curve25519.to_base64(),
            ed25519: ed25519.to_base64(),
        })
    }

    /// The user's id.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The device's id.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Whose it is, and which.
    pub fn id(&self) -> DeviceId<'_> {
        DeviceId { user_id: &self.user_id, id: &self.device_id }
    }

    /// Its keys.
    pub fn keys(&self) -> DeviceKeys<'_> {
        DeviceKeys { curve25519: &self.curve25519, ed25519: &self.ed25519 }
    }

    /// The identity key, unpadded base64.
    pub fn curve25519(&self) -> &str {
        &self.curve25519
    }

    /// The fingerprint key, unpadded base64.
    pub fn ed25519(&self) -> &str {
        &self.ed25519
    }
}

/// Why a stored session cannot be used again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Not the JSON this version writes.
    #[error("the stored session cannot be read")]
    Format,
    /// Written by a version this one does not know.
    #[error("the stored session has version {got}, this Mantle knows {expected}")]
    Version {
        /// The version this code writes and reads.
        expected: u32,
        /// The version found.
        got: u32,
    },
    /// The pickle is damaged or was encrypted with another key.
    #[error("the stored session cannot be decrypted: {0}")]
    Pickle(#[from] PickleError),
    /// A sealed text is damaged, of another key or of another place.
    #[error("the stored text cannot be decrypted")]
    Sealed,
    /// Two parts of the stored form belong to different sessions.
    #[error("the parts of the stored session do not belong together")]
    Mismatch,
}

fn check_version(stored: &str, expected: u32) -> Result<(), RestoreError> {
    let version = get(stored, &["version"])
        .ok()
        .flatten()
        .and_then(|version| version.parse().ok())
        .ok_or(RestoreError::Format)?;
    if version == expected { Ok(()) } else { Err(RestoreError::Version { expected, got: version }) }
}
