//! The session this device encrypts state with, its rotation and its stored form.

use std::fmt;

use vodozemac::megolm::{GroupSession, GroupSessionPickle, InboundGroupSession, SessionConfig};

use super::holders::Holders;
use super::recipients::{DeviceKey, Recipients, Sharing};
use super::{
    InboundSession, MEGOLM_V1, OwnDevice, PickleKey, RestoreError, SessionOrigin, check_version,
};
use mantle_wire::json::{elements, exact_string, get, get_str, members, quoted};
use mantle_wire::secret::Secret;

/// In version 1 the holders stood in the session's own form.
const STORED_VERSION: u32 = 2;

const HOUR_MS: u64 = 60 * 60 * 1000;
const WEEK_MS: u64 = 7 * 24 * HOUR_MS;
const DEFAULT_MESSAGES: u64 = 100;
const MAX_MESSAGES: u64 = 10_000;

/// When a session is used up (client-server API, `m.room.encryption`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// The longest use, in milliseconds; at least an hour.
    pub period_ms: u64,
    /// The most events; 1 to 10,000.
    pub period_msgs: u64,
}

impl Default for RotationPolicy {
    /// The defaults of the specification: one week, 100 events.
    fn default() -> Self {
        Self { period_ms: WEEK_MS, period_msgs: DEFAULT_MESSAGES }
    }
}

impl RotationPolicy {
    /// Neither age nor use.
    pub(crate) const NEVER: Self = Self { period_ms: u64::MAX, period_msgs: u64::MAX };

    /// Reads `rotation_period_ms` and `rotation_period_msgs` of an `m.room.encryption` content.
    /// Missing or unusable values are the defaults; extremes are bounded as matrix-sdk-crypto does.
    pub fn from_encryption_content(content: &str) -> Self {
        let default = Self::default();
        let number = |name: &str| -> Option<u64> { get(content, &[name]).ok()??.parse().ok() };
        Self {
            period_ms: number("rotation_period_ms").unwrap_or(default.period_ms).max(HOUR_MS),
            period_msgs: number("rotation_period_msgs")
                .unwrap_or(default.period_msgs)
                .clamp(1, MAX_MESSAGES),
        }
    }
}

/// Why a session must not encrypt any further event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationReason {
    /// Older than [`RotationPolicy::period_ms`], or from a clock that was set back as far.
    Age,
    /// Used for [`RotationPolicy::period_msgs`] events.
    Messages,
    /// A user who has the key is no longer a member.
    MemberLeft,
    /// A device that has the key was removed, blocked or lost its trust.
    DeviceRemoved,
}

/// A room's dedicated outbound Megolm session for state events.
///
/// Only one place may hold it at a time, and its stored form must be kept before an encrypted event
/// is sent: a session brought back to an earlier index would encrypt two events with one key, and
/// receivers refuse the second as a replay.
pub struct OutboundSession {
    room_id: String,
    created_ms: u64,
    current: GroupSession,
    // Never encrypts what leaves: it only hands out signed keys.
    initial: GroupSession,
    holders: Holders,
}

impl fmt::Debug for OutboundSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutboundSession")
            .field("message_index", &self.message_index())
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

impl OutboundSession {
    /// Makes a session with random keys. `now_ms` is the time since the epoch in milliseconds.
    pub fn make(room_id: &str, now_ms: u64) -> Self {
        let current = GroupSession::new(SessionConfig::version_1());
        let initial = GroupSession::from_pickle(current.pickle());
        Self {
            room_id: room_id.to_owned(),
            created_ms: now_ms,
            current,
            initial,
            holders: Holders::new(),
        }
    }

    /// The room the session belongs to.
    pub fn room_id(&self) -> &str {
        &self.room_id
    }

    /// The session's id: its public signing key in unpadded base64.
    pub fn session_id(&self) -> String {
        self.current.session_id()
    }

    /// The number of events encrypted so far, and the index of the next.
    pub fn message_index(&self) -> u32 {
        self.current.message_index()
    }

    /// Why the session must be replaced for its age or use, if it must.
    pub fn rotation_due(&self, policy: &RotationPolicy, now_ms: u64) -> Option<RotationReason> {
        if u64::from(self.message_index()) >= policy.period_msgs {
            Some(RotationReason::Messages)
        } else if now_ms.abs_diff(self.created_ms) >= policy.period_ms {
            Some(RotationReason::Age)
        } else {
            None
        }
    }

    /// What must happen before the next event: rotate, or share with whom.
    ///
    /// `allowed` is every device that may read the room's state now, already filtered by trust and
    /// without this device; a member with no device is in it as a user (`Recipients::add_user`).
    pub fn sharing(&self, allowed: &Recipients, policy: &RotationPolicy, now_ms: u64) -> Sharing {
        match self.rotation_due(policy, now_ms) {
            Some(reason) => Sharing::Rotate(reason),
            None => self.holders.compare(allowed),
        }
    }

    /// Why the session must be replaced before the next event, if it must: as of
    /// [`OutboundSession::sharing`].
    pub(crate) fn rotation(
        &self,
        allowed: &Recipients,
        policy: &RotationPolicy,
        now_ms: u64,
    ) -> Option<RotationReason> {
        self.rotation_due(policy, now_ms).or_else(|| self.holders.excess(allowed))
    }

    /// Those who have the key, or may have it.
    pub(crate) const fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Forgets holders after so many; false when one of them has the key.
    pub(crate) fn keep_holders(&mut self, count: usize) -> bool {
        self.holders.keep_first(count)
    }

    /// Takes over who has the key, which is stored apart.
    pub(crate) fn set_holders(&mut self, holders: Holders) {
        self.holders = holders;
    }

    /// Records those who are about to be sent the key; the first part of the holders that changed.
    pub(crate) fn mark_intended(&mut self, recipients: &Recipients) -> Option<usize> {
        self.holders.intend(recipients)
    }

    /// Records one who was sent the key; the part of the holders that changed.
    pub(crate) fn mark_given(&mut self, user_id: &str, device: &DeviceKey) -> usize {
        self.holders.give(user_id, device)
    }

    /// Records those who were sent the key.
    pub fn mark_shared(&mut self, recipients: &Recipients) {
        for (user_id, device) in recipients.iter() {
            self.holders.give(user_id, device);
        }
    }

    /// The key at index 0 in the form of `m.room_key`, signed.
    pub(crate) fn initial_session_key(&self) -> Secret {
        Secret::new(self.initial.session_key().to_base64())
    }

    /// The same from other indices on, in order; of one that is still to come, from the next on. Time
    /// grows with the last.
    pub(crate) fn session_keys_from(&self, indices: &[u32]) -> Vec<Secret> {
        let mut ahead = GroupSession::from_pickle(self.initial.pickle());
        let key = |index: &u32| {
            while ahead.message_index() < (*index).min(self.message_index()) {
                // Only this moves a session on. Nobody is given what comes of it.
                ahead.encrypt(b"");
            }
            Secret::new(ahead.session_key().to_base64())
        };
        indices.iter().map(key).collect()
    }

    /// The key at index 0 in the form of key exports, unsigned.
    pub(crate) fn initial_exported_key(&self) -> Secret {
        let inbound = InboundGroupSession::from(&self.initial);
        Secret::new(inbound.export_at_first_known_index().to_base64())
    }

    /// The Megolm message for a payload, in unpadded base64. Uses up one index.
    pub(crate) fn encrypt(&mut self, payload: &[u8]) -> String {
        self.current.encrypt(payload).to_base64()
    }

    /// The session for reading one's own events, from index 0.
    pub fn to_inbound(&self, device: &OwnDevice) -> InboundSession {
        InboundSession::own(
            InboundGroupSession::from(&self.initial),
            SessionOrigin {
                room_id: self.room_id.clone(),
                sender_key: device.curve25519().to_owned(),
                claimed_ed25519: device.ed25519().to_owned(),
            },
            device.user_id(),
        )
    }

    /// The stored form: JSON with a version; all key material in it is encrypted with `key`. Who has
    /// the key is not in it, only how many.
    pub fn stored(&self, key: &PickleKey) -> String {
        let Self { room_id, created_ms, current, initial, holders } = self;
        format!(
            r#"{{"version":{STORED_VERSION},"room_id":{},"created_ms":{created_ms},"current":{},"initial":{},"holders":{}}}"#,
            quoted(room_id),
            quoted(&current.pickle().encrypt(key)),
            quoted(&initial.pickle().encrypt(key)),
            holders.len()
        )
    }

    /// Reads the stored form, without its holders.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; the caller makes a new session then.
    pub fn restore(stored: &str, key: &PickleKey) -> Result<Self, RestoreError> {
        let is_first = check_version(stored, 1).is_ok();
        if !is_first {
            check_version(stored, STORED_VERSION)?;
        }
        let part = |name| get(stored, &[name]).ok().flatten().ok_or(RestoreError::Format);
        let text = |name| -> Result<String, RestoreError> {
            exact_string(part(name)?).ok_or(RestoreError::Format)
        };
        let unpickle = |name| -> Result<GroupSession, RestoreError> {
            let pickle = text(name)?;
            Ok(GroupSession::from_pickle(GroupSessionPickle::from_encrypted(&pickle, key)?))
        };
        let current = unpickle("current")?;
        let initial = unpickle("initial")?;
        if current.session_id() != initial.session_id() || initial.message_index() != 0 {
            return Err(RestoreError::Mismatch);
        }
        Ok(Self {
            room_id: text("room_id")?,
            created_ms: part("created_ms")?.parse().map_err(|_| RestoreError::Format)?,
            current,
            initial,
            holders: if is_first {
                holders_of_version_1(part("holders")?).ok_or(RestoreError::Format)?
            } else {
                Holders::new()
            },
        })
    }

    /// The algorithm name for contents made with this session.
    pub(crate) const fn algorithm(&self) -> &'static str {
        MEGOLM_V1
    }
}

/// `{user: [{"device_id", "curve25519"}]}`.
fn holders_of_version_1(stored: &str) -> Option<Holders> {
    let mut holders = Holders::new();
    for user in members(stored).ok()?? {
        for device in elements(user.value).ok()? {
            let text = |key| get_str(device, &[key]).ok().flatten();
            let device =
                DeviceKey { device_id: text("device_id")?, curve25519: text("curve25519")? };
            holders.give(&user.key, &device);
        }
    }
    Some(holders)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::DeviceKey;
    use super::*;

    const KEY: PickleKey = [7; 32];

    #[test]
    fn the_policy_is_read_and_bounded() {
        let read = |content: serde_json::Value| {
            RotationPolicy::from_encryption_content(&content.to_string())
        };
        assert_eq!(read(json!({})), RotationPolicy { period_ms: 604_800_000, period_msgs: 100 });
        assert_eq!(
            read(json!({"rotation_period_ms": 7_200_000, "rotation_period_msgs": 5})),
            RotationPolicy { period_ms: 7_200_000, period_msgs: 5 }
        );
        assert_eq!(
            read(json!({"rotation_period_ms": 0, "rotation_period_msgs": 0})),
            RotationPolicy { period_ms: HOUR_MS, period_msgs: 1 }
        );
        assert_eq!(
            read(json!({"rotation_period_ms": -1, "rotation_period_msgs": "9"})),
            RotationPolicy::default()
        );
        assert_eq!(read(json!({"rotation_period_msgs": u64::MAX})).period_msgs, 10_000);
    }

    #[test]
    fn age_and_use_rotate() {
        let policy = RotationPolicy { period_ms: HOUR_MS, period_msgs: 2 };
        let mut session = OutboundSession::make("!r:x", 1_000);
        assert_eq!(session.rotation_due(&policy, 1_000 + HOUR_MS - 1), None);
        assert_eq!(session.rotation_due(&policy, 1_000 + HOUR_MS), Some(RotationReason::Age));
        session.encrypt(b"one");
        assert_eq!(session.rotation_due(&policy, 1_000), None);
        session.encrypt(b"two");
        assert_eq!(session.rotation_due(&policy, 1_000), Some(RotationReason::Messages));
    }

    #[test]
    fn a_clock_set_far_back_rotates() {
        let session = OutboundSession::make("!r:x", 10 * WEEK_MS);
        assert_eq!(
            session.rotation_due(&RotationPolicy::default(), WEEK_MS),
            Some(RotationReason::Age)
        );
    }

    #[test]
    fn those_who_got_the_key_count_as_holders() {
        let mut session = OutboundSession::make("!r:x", 0);
        let mut allowed = Recipients::new();
        allowed.add("@b:x", DeviceKey { device_id: "B".into(), curve25519: "kb".into() });
        let policy = RotationPolicy::default();
        assert_eq!(session.sharing(&allowed, &policy, 0), Sharing::Share(allowed.clone()));
        session.mark_shared(&allowed);
        assert_eq!(session.sharing(&allowed, &policy, 0), Sharing::Share(Recipients::new()));
        assert_eq!(
            session.sharing(&Recipients::new(), &policy, 0),
            Sharing::Rotate(RotationReason::MemberLeft)
        );
    }

    #[test]
    fn the_key_for_joiners_stays_at_index_0() {
        let mut session = OutboundSession::make("!r:x", 0);
        let before = session.initial_session_key();
        session.encrypt(b"one");
        assert_eq!(session.message_index(), 1);
        assert_eq!(session.initial_session_key().expose(), before.expose());
    }

    #[test]
    fn stored_and_restored_goes_on_at_the_same_index() {
        let mut session = OutboundSession::make("!r:x", 5);
        session.encrypt(b"one");
        let stored = session.stored(&KEY);
        let restored = OutboundSession::restore(&stored, &KEY).unwrap();
        assert_eq!(restored.session_id(), session.session_id());
        assert_eq!(restored.message_index(), 1);
        assert_eq!(restored.room_id(), "!r:x");
        assert_eq!(restored.created_ms, 5);
        assert_eq!(restored.initial_session_key().expose(), session.initial_session_key().expose());
    }

    #[test]
    fn a_wrong_key_or_version_is_refused() {
        let session = OutboundSession::make("!r:x", 5);
        let stored = session.stored(&KEY);
        assert!(matches!(
            OutboundSession::restore(&stored, &[8; 32]),
            Err(RestoreError::Pickle(_))
        ));
        assert!(matches!(
            OutboundSession::restore(&stored.replace("\"version\":2", "\"version\":9"), &KEY),
            Err(RestoreError::Version { expected: 2, got: 9 })
        ));
        assert!(matches!(
            OutboundSession::restore("{\"version\":2}", &KEY),
            Err(RestoreError::Format)
        ));
    }

    #[test]
    fn parts_of_two_sessions_are_refused() {
        let mut one: serde_json::Value =
            serde_json::from_str(&OutboundSession::make("!r:x", 5).stored(&KEY)).unwrap();
        let two: serde_json::Value =
            serde_json::from_str(&OutboundSession::make("!r:x", 5).stored(&KEY)).unwrap();
        one["initial"] = two["initial"].clone();
        assert!(matches!(
            OutboundSession::restore(&one.to_string(), &KEY),
            Err(RestoreError::Mismatch)
        ));
    }

    #[test]
    fn neither_debug_nor_the_stored_form_shows_keys() {
        let session = OutboundSession::make("!secret:x", 5);
        let key = session.initial_session_key();
        let exported = session.initial_exported_key();
        let stored = session.stored(&KEY);
        let debug = format!("{session:?} {key:?}");
        for secret in [key.expose(), exported.expose()] {
            let ratchet = secret.get(20..120).unwrap();
            assert!(!stored.contains(ratchet));
            assert!(!debug.contains(ratchet));
        }
        assert!(!debug.contains("!secret:x"));
    }
}
