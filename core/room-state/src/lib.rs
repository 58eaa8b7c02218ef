//! Encrypted state: Megolm-encrypted `m.room.name`, `m.room.topic` and other state events, after
//! [MSC4362](https://github.com/matrix-org/matrix-spec-proposals/pull/4362) (draft of September
//! 2025, unstable flag `io.element.msc4362.encrypt_state_events`); the opaque state keys of
//! [MSC3414](https://github.com/matrix-org/matrix-spec-proposals/pull/3414) are understood when
//! reading.
//!
//! Sans-I/O: time, keys for storage, device lists and power levels come in as plain data; contents
//! to send, opened events and rewritten answers come out. Where MSC4362 is silent, the stricter
//! reading holds: see [`open_state`].

mod decrypt;
mod engine;
mod flow;
mod ids;
mod index;
mod megolm;
mod model;
mod msc4362;
mod sorted;

pub use decrypt::decrypt::{MAX_CONTENT_BYTES, OpenError, OpenedState, ReceivedEvent, open_state};
pub use decrypt::replay::SeenIndices;
pub use engine::{
    Again, Before, Conversion, CreatePlan, DeviceName, EngineError, InvitePreview, Moved, Needs,
    NewRooms, OpenStep, Outgoing, PendingEvent, PendingView, PersistBatch, PersistEntry, Plan,
    Problem, Put, Reencryption, RefusedDevice, RetriedEvent, RetryStep, SessionNeed, SessionView,
    StateEngine, StateSettings, Tend, Trust, UndecryptableEvent, WriteRoute,
};
pub use index::events::{
    ENCRYPTED_TYPE, Edited, FoundState, Part, Place, Splice, find_state, splice,
};
pub use megolm::encrypt::{
    EncryptError, EncryptedState, MAX_PAYLOAD_BYTES, encrypt_state, history_is_shared,
    room_key_content, room_keys_for_import,
};
pub use megolm::{
    AddError, Added, DeviceKey, DeviceKeyError, InboundSession, KeyForm, MEGOLM_V1,
    OutboundSession, OwnDevice, PickleKey, Recipients, RestoreError, RotationPolicy,
    RotationReason, SessionError, SessionOrigin, SessionStore, Sharing,
};
pub use model::precedence::{
    CLOCK_TOLERANCE_MS, Candidate, FlagChange, KnownState, Precedence, STATE_ENCRYPTION_FLAGS,
    StoredStateError,
};
pub use msc4362::eligible::{
    DEFAULT_TYPES, EncryptedTypes, IneligibleType, PROTOCOL_TYPES, SERVER_TYPES, check_eligible,
};
pub use msc4362::packed_key::{MAX_STATE_KEY_BYTES, PackError, PackedKey, WireKey};
pub use msc4362::power_levels::PowerLevels;
