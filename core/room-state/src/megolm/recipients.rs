//! Who has a session's key, and what follows from it.

use sha2::{Digest, Sha256};

use crate::ids::DeviceId;
use crate::sorted::Map;

use super::RotationReason;

pub(crate) const USER_BYTES: usize = 8;
pub(crate) const DEVICE_BYTES: usize = 12;

pub(crate) type UserHash = [u8; USER_BYTES];
/// Of user, device id and identity key.
pub(crate) type DeviceHash = [u8; DEVICE_BYTES];

/// Stands for a user where many are kept.
pub(crate) fn user_hash(user_id: &str) -> UserHash {
    cut(Sha256::digest(user_id))
}

pub(crate) fn device_hash(user_id: &str, device: &DeviceKey) -> DeviceHash {
    let mut hasher = Sha256::new();
    for part in [user_id, &device.device_id, &device.curve25519] {
        // None of them has one in it.
        hasher.update(part);
        hasher.update([0]);
    }
    cut(hasher.finalize())
}

pub(crate) fn cut<const COUNT: usize>(hash: impl AsRef<[u8]>) -> [u8; COUNT] {
    hash.as_ref().first_chunk().copied().unwrap_or([0; COUNT])
}

/// A device as the holder of a key: a device id that comes back with another identity key is
/// another device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceKey {
    /// The device's id.
    pub device_id: String,
    /// Its Curve25519 identity key, unpadded base64.
    pub curve25519: String,
}

/// Devices by the user they belong to. What stands for them is made once, as they are added, since
/// tens of thousands are compared at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Map<String, Devices>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Devices {
    user: UserHash,
    devices: Map<DeviceKey, DeviceHash>,
}

/// A device among others, with what stands for it and its user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) device: &'a DeviceKey,
    pub(crate) user_hash: &'a UserHash,
    pub(crate) device_hash: &'a DeviceHash,
}

impl Recipients {
    /// No one.
    pub fn new() -> Self {
        Self::default()
    }

    fn of_user(&mut self, user_id: &str) -> &mut Devices {
        let user = || Devices { user: user_hash(user_id), devices: Map::new() };
        self.0.or_insert_with(user_id.to_owned(), user)
    }

    /// Adds a user, who may have no device at all.
    pub fn add_user(&mut self, user_id: &str) {
        self.of_user(user_id);
    }

    /// Adds a device.
    pub fn add(&mut self, user_id: &str, device: DeviceKey) {
        let hash = device_hash(user_id, &device);
        self.of_user(user_id).devices.insert(device, hash);
    }

    /// True when the device is among them.
    pub fn contains(&self, user_id: &str, device: &DeviceKey) -> bool {
        self.0.get(user_id).is_some_and(|user| user.devices.contains_key(device))
    }

    /// Every device with its user, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DeviceKey)> {
        self.each().map(|one| (one.user_id, one.device))
    }

    /// True when there is no device.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|user| user.devices.is_empty())
    }

    /// The number of devices.
    pub fn len(&self) -> usize {
        self.0.values().map(|user| user.devices.len()).sum()
    }

    /// Users none of whose devices is among them.
    pub fn users_without_devices(&self) -> impl Iterator<Item = &str> {
        let without = self.0.iter().filter(|(_, user)| user.devices.is_empty());
        without.map(|(user_id, _)| user_id.as_str())
    }

    /// As of [`Recipients::iter`].
    pub(crate) fn each(&self) -> impl Iterator<Item = Recipient<'_>> {
        self.0.iter().flat_map(|(user_id, user)| {
            user.devices.iter().map(move |(device, device_hash)| Recipient {
                user_id,
                device,
                user_hash: &user.user,
                device_hash,
            })
        })
    }

    pub(crate) fn has_user(&self, user_id: &str) -> bool {
        self.0.contains_key(user_id)
    }

    /// What stands for the users, and whether they have a device.
    pub(crate) fn users(&self) -> impl Iterator<Item = (UserHash, bool)> {
        self.0.values().map(|user| (user.user, !user.devices.is_empty()))
    }

    /// Keeps users of whom that is so.
    pub(crate) fn retain_users(&mut self, is_kept: impl Fn(&str, &UserHash) -> bool) {
        self.0.retain(|user_id, user| is_kept(user_id, &user.user));
    }

    /// Keeps devices of which that is so, and whoever has one of them.
    pub(crate) fn retain_devices(&mut self, is_kept: impl Fn(&DeviceHash) -> bool) {
        for user in self.0.values_mut() {
            user.devices.retain(|_, hash| is_kept(hash));
        }
        self.0.retain(|_, user| !user.devices.is_empty());
    }

    /// A user's device by its id.
    pub(crate) fn device(&self, device: DeviceId<'_>) -> Option<&DeviceKey> {
        self.0.get(device.user_id)?.devices.keys().find(|known| known.device_id == device.id)
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
