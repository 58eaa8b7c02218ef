//! Encrypted state: Megolm-encrypted `m.room.name`, `m.room.topic` and other state events, after
//! [MSC4362](https://github.com/matrix-org/matrix-spec-proposals/pull/4362) (draft of September
//! 2025, unstable flag `io.element.msc4362.encrypt_state_events`); the opaque state keys of
//! [MSC3414](https://github.com/matrix-org/matrix-spec-proposals/pull/3414) are understood when
//! reading.
//!
//! Sans-I/O: time, keys for storage, device lists and power levels come in as plain data; contents
//! to send, opened events and rewritten answers come out. Where MSC4362 is silent, the stricter
//! reading holds: see [`open_state`].

mod eligible;
mod encrypt;
mod engine;
mod excerpt;
mod filters;
mod glance;
mod open;
mod packed_key;
mod power_levels;
mod precedence;
mod replay;
mod rest;
mod scan;
mod sessions;
mod sorted;
mod sync;

pub use eligible::{
    DEFAULT_TYPES, EncryptedTypes, IneligibleType, PROTOCOL_TYPES, SERVER_TYPES, check_eligible,
};
pub use encrypt::{
    EncryptError, EncryptedState, MAX_PAYLOAD_BYTES, encrypt_state, history_is_shared,
    room_key_content, room_keys_for_import,
};
pub use engine::{
    Again, Before, Conversion, CreatePlan, DeviceName, EngineError, HealStep, HealedEvent,
    InviteHint, Moved, Needs, NewRooms, OpenStep, Outgoing, PendingEvent, PendingView,
    PersistBatch, PersistEntry, Plan, Problem, Put, Reencryption, RefusedDevice, SessionNeed,
    SessionView, StateEngine, StateSettings, Tend, Trust, UnopenedEvent, WriteRoute,
};
pub use open::{MAX_CONTENT_BYTES, OpenError, OpenedState, ReceivedEvent, open_state};
pub use packed_key::{MAX_STATE_KEY_BYTES, PackError, PackedKey, WireKey};
pub use power_levels::PowerLevels;
pub use precedence::{
    CLOCK_TOLERANCE_MS, Candidate, FlagChange, KnownState, Precedence, STATE_ENCRYPTION_FLAGS,
    StoredStateError,
};
pub use replay::SeenIndices;
pub use rest::{can_rest, can_rest_after};
pub use sessions::{
    AddError, Added, DeviceKey, DeviceKeyError, InboundSession, KeyForm, MEGOLM_V1,
    OutboundSession, OwnDevice, PickleKey, Recipients, RestoreError, RotationPolicy,
    RotationReason, SessionError, SessionOrigin, SessionStore, Sharing,
};
pub use sync::{ENCRYPTED_TYPE, Edited, FoundState, Part, Place, Splice, find_state, splice};
