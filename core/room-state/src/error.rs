//! Why encrypted state cannot do what it is asked.

use thiserror::Error;

use crate::megolm::DeviceKeyError;
use mantle_wire::json::JsonError;

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
    /// No such response, ticket or pending write.
    #[error("Mantle has lost this request; try again.")]
    Unknown,
}

impl From<JsonError> for EngineError {
    fn from(_: JsonError) -> Self {
        Self::Input("JSON")
    }
}
