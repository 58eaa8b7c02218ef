//! Who may read a room, as the page says it in parts before it asks for the room's session: a room may
//! have ten thousand members, and what is said of them at once holds the page up.

use serde::Serialize;

use crate::error::EngineError;
use crate::ids::UserId;
use crate::megolm::{DeviceKey, OwnDevice, Recipients};
use crate::model::settings::Trust;
use mantle_wire::json::{elements, get, get_str};

/// Of those that get no key, so many are named.
pub(crate) const MAX_NAMED: usize = 100;

/// A device that gets no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedDevice {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub device_id: String,
    /// `blocked` or `not-cross-signed`.
    pub why: &'static str,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Gathered {
    room_id: String,
    trust: Trust,
    allowed: Recipients,
    refused: Vec<RefusedDevice>,
}

impl Gathered {
    pub(crate) fn new(room_id: &str, trust: Trust) -> Self {
        let room_id = room_id.to_owned();
        Self { room_id, trust, allowed: Recipients::new(), refused: Vec::new() }
    }

    /// Whether it is of that room, and by those rules.
    pub(crate) fn is_for(&self, room_id: &str, trust: Trust) -> bool {
        self.room_id == room_id && self.trust == trust
    }

    /// Further users with their devices.
    pub(crate) fn add(&mut self, own: &OwnDevice, targets: &str) -> Result<(), EngineError> {
        for user in elements(targets)? {
            let user_id = get_str(user, &["userId"])?.ok_or(EngineError::Input("targets"))?;
            self.allowed.add_user(&user_id);
            for target in elements(get(user, &["devices"])?.unwrap_or("[]"))? {
                let text = |key| get_str(target, &[key]).map(Option::unwrap_or_default);
                let (device_id, curve25519) = (text("deviceId")?, text("curve25519")?);
                let is_self = user_id == own.user_id() && device_id == own.device_id();
                if is_self || device_id.is_empty() || curve25519.is_empty() {
                    continue;
                }
                match self.refusal(target)? {
                    Some(why) => {
                        self.refused.push(RefusedDevice {
                            user_id: user_id.clone(),
                            device_id,
                            why,
                        });
                    }
                    None => self.allowed.add(&user_id, DeviceKey { device_id, curve25519 }),
                }
            }
        }
        Ok(())
    }

    /// Why a device gets no key.
    fn refusal(&self, target: &str) -> Result<Option<&'static str>, EngineError> {
        let says = |key| get(target, &[key]).map(|value| value == Some("true"));
        Ok(if says("blocked")? {
            Some("blocked")
        } else if self.trust == Trust::CrossSigned && !says("crossSigned")? && !says("verified")? {
            Some("not-cross-signed")
        } else {
            None
        })
    }

    /// A member of whom nothing else is known.
    pub(crate) fn add_member(&mut self, user: UserId<'_>) {
        self.allowed.add_user(user.0);
    }

    /// Leaves out who is no member.
    pub(crate) fn retain_users(&mut self, is_member: impl Fn(&str) -> bool) {
        self.allowed.retain_users(|user_id, _| is_member(user_id));
    }

    /// Who may have the key, and some of those whose devices may not.
    pub(crate) fn done(self) -> (Recipients, Vec<RefusedDevice>) {
        let Self { allowed, mut refused, .. } = self;
        refused.retain(|device| allowed.has_user(&device.user_id));
        refused.truncate(MAX_NAMED);
        (allowed, refused)
    }
}
