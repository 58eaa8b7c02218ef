//! Encrypted state: Megolm-encrypted `m.room.name`, `m.room.topic` and other state events, after
//! [MSC4362](https://github.com/matrix-org/matrix-spec-proposals/pull/4362) (draft of September
//! 2025, unstable flag `io.element.msc4362.encrypt_state_events`); the opaque state keys of
//! [MSC3414](https://github.com/matrix-org/matrix-spec-proposals/pull/3414) are understood when
//! reading.
//!
//! Sans-I/O: time, keys for storage, device lists and power levels come in as plain data; contents
//! to send, opened events and rewritten responses come out. Where MSC4362 is silent, the stricter
//! reading holds: see [`open_state`].

mod decrypt;
mod engine;
mod error;
mod flow;
mod ids;
mod index;
mod megolm;
mod model;
mod msc4362;
mod paths;
mod sorted;

pub use decrypt::decrypt::{MAX_CONTENT_BYTES, OpenError, OpenedState, ReceivedEvent, open_state};
pub use decrypt::replay::SeenIndices;
pub use engine::StateEngine;
pub use error::EngineError;
pub use flow::convert::{Conversion, Put};
pub use flow::pending::Upgrade;
pub use flow::plan_write::{CreatePlan, Plan, WriteRoute};
pub use flow::reencrypt::{Again, Reencryption};
pub use flow::responses::{Before, OpenStep};
pub use flow::retry::{RetriedEvent, RetryStep, UndecryptableEvent};
pub use flow::share_keys::{DeviceName, LaterShare, MoreShares, SessionView};
pub use ids::{DeviceId, DeviceKeys, EventId, RoomId, SessionId, TypeAndKey, UserId};
pub use index::events::{ENCRYPTED_TYPE, FoundState, Place, find_state};
pub use index::patch::{Edited, Part, Splice, splice};
pub use megolm::authorship::{
    AUTHORSHIP, Authorship, SignedBy, SlotOrder, signed_payload, text_to_sign,
};
pub use megolm::encrypt::{
    EncryptError, EncryptedState, MAX_PAYLOAD_BYTES, encrypt_state, history_is_shared,
    room_key_content, room_keys_for_import,
};
pub use megolm::{
    AddError, Added, DeviceKey, DeviceKeyError, GivenKey, InboundSession, KeyForm, MEGOLM_V1,
    OutboundSession, OwnDevice, PickleKey, Recipients, RestoreError, RotationPolicy,
    RotationReason, SessionError, SessionOrigin, SessionStore, Sharing,
};
pub use model::gathered::RefusedDevice;
pub use model::invite_state::InvitePreview;
pub use model::known::{FlagChange, KnownState, STATE_ENCRYPTION_FLAGS, StoredStateError};
pub use model::needs::{Needs, SessionNeed};
pub use model::outbound::Outgoing;
pub use model::own_profiles::OwnProfileView;
pub use model::pending::{PendingEvent, PendingView};
pub use model::precedence::{CLOCK_TOLERANCE_MS, Candidate, Precedence};
pub use model::settings::{NewRooms, StateSettings, Trust};
pub use model::sharing_due::{Moved, RoomDue};
pub use model::store::{PersistBatch, PersistEntry};
pub use model::warnings::Problem;
pub use msc4362::eligible::MEMBER_PROFILE;
pub use msc4362::eligible::{
    CALL_TYPES, DEFAULT_TYPES, EncryptedTypes, IneligibleType, PROTOCOL_TYPES, SERVER_TYPES,
    check_eligible,
};
pub use msc4362::packed_key::{MAX_STATE_KEY_BYTES, PackError, PackedKey, WireKey};
pub use msc4362::power_levels::{LevelContents, PowerLevels};
pub use paths::Request;
