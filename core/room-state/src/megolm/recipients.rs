//! Who has a session's key, and what follows from it.

use crate::sorted::{Map, Set};
use mantle_wire::json::{elements, get_str, members, quoted};

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

    /// `{user: [{"device_id", "curve25519"}]}`.
    pub(super) fn stored(&self) -> String {
        let users: Vec<String> = self
            .0
            .iter()
            .map(|(user_id, devices)| {
                let devices: Vec<String> = devices
                    .iter()
                    .map(|device| {
                        format!(
                            r#"{{"device_id":{},"curve25519":{}}}"#,
                            quoted(&device.device_id),
                            quoted(&device.curve25519)
                        )
                    })
                    .collect();
                format!("{}:[{}]", quoted(user_id), devices.join(","))
            })
            .collect();
        format!("{{{}}}", users.join(","))
    }

    pub(super) fn restore(stored: &str) -> Option<Self> {
        let mut all = Self::new();
        for user in members(stored).ok()?? {
            all.add_user(&user.key);
            for device in elements(user.value).ok()? {
                let text = |key| get_str(device, &[key]).ok().flatten();
                let device =
                    DeviceKey { device_id: text("device_id")?, curve25519: text("curve25519")? };
                all.add(&user.key, device);
            }
        }
        Some(all)
    }

    /// Users none of whose devices is among them.
    pub fn users_without_devices(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, devices)| devices.is_empty()).map(|(user_id, _)| user_id.as_str())
    }

    pub(crate) fn has_user(&self, user_id: &str) -> bool {
        self.0.contains_key(user_id)
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

/// Compares those who have the key with those who may.
pub(super) fn compare(holders: &Recipients, allowed: &Recipients) -> Sharing {
    for (user_id, device) in holders.iter() {
        if !allowed.has_user(user_id) {
            return Sharing::Rotate(RotationReason::MemberLeft);
        }
        if !allowed.contains(user_id, device) {
            return Sharing::Rotate(RotationReason::DeviceRemoved);
        }
    }
    let mut missing = Recipients::new();
    for (user_id, device) in allowed.iter() {
        if !holders.contains(user_id, device) {
            missing.add(user_id, device.clone());
        }
    }
    Sharing::Share(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, key: &str) -> DeviceKey {
        DeviceKey { device_id: id.to_owned(), curve25519: key.to_owned() }
    }

    fn two() -> Recipients {
        let mut all = Recipients::new();
        all.add("@a:x", device("A", "ka"));
        all.add("@b:x", device("B", "kb"));
        all
    }

    #[test]
    fn a_new_device_gets_the_key() {
        let holders = two();
        let mut allowed = two();
        allowed.add("@b:x", device("B2", "kb2"));
        let mut expected = Recipients::new();
        expected.add("@b:x", device("B2", "kb2"));
        assert_eq!(compare(&holders, &allowed), Sharing::Share(expected));
        assert_eq!(compare(&holders, &two()), Sharing::Share(Recipients::new()));
    }

    #[test]
    fn a_member_who_left_rotates() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        assert_eq!(compare(&two(), &allowed), Sharing::Rotate(RotationReason::MemberLeft));
    }

    #[test]
    fn a_removed_device_rotates_even_if_it_was_the_last() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        allowed.add_user("@b:x");
        assert_eq!(compare(&two(), &allowed), Sharing::Rotate(RotationReason::DeviceRemoved));
    }

    #[test]
    fn a_device_id_with_another_key_is_another_device() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        allowed.add("@b:x", device("B", "other"));
        assert_eq!(compare(&two(), &allowed), Sharing::Rotate(RotationReason::DeviceRemoved));
    }
}
