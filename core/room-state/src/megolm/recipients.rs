//! Who has a session's key, and what follows from it.

use crate::ids::DeviceId;
use crate::sorted::{Map, Set};

use super::RotationReason;

/// A device as the holder of a key: a device id that comes back with another identity key is
/// another device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceKey {
    /// The device's id.
    pub device_id: String,
    /// Its Curve25519 identity key, unpadded base64.
    pub curve25519: String,
}

/// Devices by the user they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Map<String, Set<DeviceKey>>);

impl Recipients {
    /// No one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, who may have no device at all.
    pub fn add_user(&mut self, user_id: &str) {
        self.0.or_default(user_id.to_owned());
    }

    /// Adds a device.
    pub fn add(&mut self, user_id: &str, device: DeviceKey) {
        self.0.or_default(user_id.to_owned()).insert(device);
    }

    /// True when the device is among them.
    pub fn contains(&self, user_id: &str, device: &DeviceKey) -> bool {
        self.0.get(user_id).is_some_and(|devices| devices.contains(device))
    }

    /// Every device with its user, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DeviceKey)> {
        self.0
            .iter()
            .flat_map(|(user, devices)| devices.iter().map(move |device| (user.as_str(), device)))
    }

    /// True when there is no device.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Set::is_empty)
    }

    /// The number of devices.
    pub fn len(&self) -> usize {
        self.0.values().map(Set::len).sum()
    }

    /// Users none of whose devices is among them.
    pub fn users_without_devices(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, devices)| devices.is_empty()).map(|(user_id, _)| user_id.as_str())
    }

    pub(crate) fn has_user(&self, user_id: &str) -> bool {
        self.0.contains_key(user_id)
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A user's device by its id.
    pub(crate) fn device(&self, device: DeviceId<'_>) -> Option<&DeviceKey> {
        self.0.get(device.user_id)?.iter().find(|known| known.device_id == device.id)
    }
}

/// What to do with a session's key before the next event is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Make a new session: someone who has the key may no longer read what comes.
    Rotate(RotationReason),
    /// Keep the session; give its key to these devices first (none: all have it).
    Share(Recipients),
}
