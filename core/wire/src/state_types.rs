//! Types of state events, by whether they may be encrypted (MSC4362): for the shield that hands them
//! on and for the module that encrypts, which must not differ.

/// The type of every encrypted event.
pub const ENCRYPTED_TYPE: &str = "m.room.encrypted";

/// The types MSC4362 keeps in clear because the protocol depends on them.
pub const PROTOCOL_TYPES: [&str; 8] = [
    "m.room.create",
    "m.room.member",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.third_party_invite",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

/// Further types that stay in clear because homeservers act on them.
pub const SERVER_TYPES: [&str; 8] = [
    "m.room.server_acl",
    "m.room.tombstone",
    "m.room.canonical_alias",
    "m.space.child",
    "m.space.parent",
    "m.room.retention",
    // The server that is asked whether an event may enter the room (MSC4284).
    "m.room.policy",
    "org.matrix.msc4284.policy",
];

/// Who is in a call, and what call there is: never sent encrypted. A client has the homeserver say
/// later that it has left (MSC4140), before it says that it has joined, so that one has no place
/// after the other, and whoever cannot open either takes the person for being in the call.
pub const CALL_TYPES: [&str; 8] = [
    "org.matrix.msc3401.call",
    "org.matrix.msc3401.call.member",
    "m.call",
    "m.call.member",
    "org.matrix.msc4143.rtc.slot",
    "org.matrix.msc4143.rtc.member",
    "m.rtc.slot",
    "m.rtc.member",
];

/// Encrypted unless a setting says otherwise.
pub const DEFAULT_TYPES: [&str; 2] = ["m.room.name", "m.room.topic"];

/// Whether it is in one of the lists of types that never leave encrypted.
#[must_use]
pub fn stays_clear(event_type: &str) -> bool {
    event_type == ENCRYPTED_TYPE
        || PROTOCOL_TYPES.contains(&event_type)
        || SERVER_TYPES.contains(&event_type)
        || CALL_TYPES.contains(&event_type)
}
