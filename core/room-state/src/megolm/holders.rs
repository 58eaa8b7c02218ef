//! Who has an outbound session's key, or may have it: apart from the ratchet, in parts that grow at
//! the end, and hashed, so that a room of any size can be kept.

use super::RotationReason;
use super::recipients::{
    DEVICE_BYTES, DeviceHash, DeviceKey, Recipients, Sharing, USER_BYTES, UserHash, cut,
    device_hash, user_hash,
};

/// Devices in one part.
pub(crate) const IN_PART: usize = 2_000;

/// Whether it was given the key, user, device.
const RECORD_BYTES: usize = 1 + USER_BYTES + DEVICE_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    // The homeserver has the key for it. Before, only perhaps: a page may be closed at any moment.
    has_key: bool,
    user: UserHash,
    device: DeviceHash,
}

/// Places of records by a hash that is spread evenly: open addressing, at most half full. A sorted
/// list would move megabytes for each of fifty thousand.
#[derive(Clone, Debug, Default)]
struct Places {
    // One more than the place; 0 is free.
    slots: Vec<u32>,
    count: usize,
}

impl Places {
    /// The slot of what `is_it` says yes to, or a free one for it.
    fn slot(&self, hash: &[u8], is_it: impl Fn(usize) -> bool) -> Option<(usize, Option<usize>)> {
        let mask = self.slots.len().checked_sub(1)?;
        let start = hash.iter().take(4).fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        for step in 0..self.slots.len() {
            let at = (start + step) & mask;
            match *self.slots.get(at)? {
                0 => return Some((at, None)),
                place => {
                    let place = place as usize - 1;
                    if is_it(place) {
                        return Some((at, Some(place)));
                    }
                }
            }
        }
        None
    }

    fn find(&self, hash: &[u8], is_it: impl Fn(usize) -> bool) -> Option<usize> {
        self.slot(hash, is_it)?.1
    }

    /// Adds a place that is not there; `hash_of` gives those of all before it.
    fn add<'a>(&mut self, hash: &[u8], place: usize, hash_of: impl Fn(usize) -> &'a [u8]) {
        if self.count * 2 >= self.slots.len() {
            let size = (self.slots.len() * 2).max(16);
            let old = std::mem::replace(&mut self.slots, vec![0; size]);
            for place in old.into_iter().filter(|place| *place != 0) {
                self.put(hash_of(place as usize - 1), place);
            }
        }
        self.count += 1;
        self.put(hash, u32::try_from(place + 1).unwrap_or(u32::MAX));
    }

    fn put(&mut self, hash: &[u8], place: u32) {
        if let Some((at, _)) = self.slot(hash, |_| false)
            && let Some(slot) = self.slots.get_mut(at)
        {
            *slot = place;
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    records: Vec<Record>,
    devices: Places,
    // One device of each user who has the key for sure.
    users: Places,
}

impl PartialEq for Holders {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
    }
}

impl Eq for Holders {}

impl Holders {
    pub(crate) const fn new() -> Self {
        let none = Places { slots: Vec::new(), count: 0 };
        let nobody = Places { slots: Vec::new(), count: 0 };
        Self { records: Vec::new(), devices: none, users: nobody }
    }

    fn place(&self, device: &DeviceHash) -> Option<usize> {
        let is_it =
            |place: usize| self.records.get(place).is_some_and(|known| known.device == *device);
        self.devices.find(device, is_it)
    }

    fn user_place(&self, user: &UserHash) -> Option<usize> {
        let is_it = |place: usize| self.records.get(place).is_some_and(|known| known.user == *user);
        self.users.find(user, is_it)
    }

    /// All that may have the key.
    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    /// Forgets those after so many, who may have the key only; false when one of them has it.
    pub(crate) fn keep_first(&mut self, count: usize) -> bool {
        if self.records.len() <= count {
            return true;
        }
        let records = std::mem::take(&mut self.records);
        *self = Self::new();
        for (at, record) in records.into_iter().enumerate() {
            if at >= count {
                if record.has_key {
                    return false;
                }
                continue;
            }
            let (has_key, user) = (record.has_key, record.user);
            let place = self.push(record);
            if has_key {
                self.note_user(place, user);
            }
        }
        true
    }

    /// How many parts they take.
    pub(crate) const fn parts(&self) -> usize {
        self.records.len().div_ceil(IN_PART)
    }

    /// True when a device of the user was given the key.
    pub(crate) fn has_user(&self, user_id: &str) -> bool {
        self.user_place(&user_hash(user_id)).is_some()
    }

    /// The same for who stands for a user.
    pub(crate) fn has_hash(&self, user: &UserHash) -> bool {
        self.user_place(user).is_some()
    }

    /// Users with a device that has the key, or may have it: sorted.
    pub(crate) fn users(&self) -> Vec<UserHash> {
        let mut users: Vec<UserHash> = self.records.iter().map(|record| record.user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Compares those who have the key, or may, with those who may have it.
    pub(crate) fn compare(&self, allowed: &Recipients) -> Sharing {
        self.excess(allowed)
            .map_or_else(|| Sharing::Share(self.without_key(allowed.clone())), Sharing::Rotate)
    }

    /// Whether somebody has the key, or may, who may not have it.
    pub(crate) fn excess(&self, allowed: &Recipients) -> Option<RotationReason> {
        let mut users: Vec<UserHash> = allowed.users().map(|(user, _)| user).collect();
        users.sort_unstable();
        let mut is_allowed = vec![false; self.records.len()];
        for one in allowed.each() {
            let place = self.place(one.device_hash);
            if let Some(slot) = place.and_then(|place| is_allowed.get_mut(place)) {
                *slot = true;
            }
        }
        let mut removed = None;
        for (record, is_allowed) in self.records.iter().zip(is_allowed) {
            if is_allowed {
                continue;
            }
            if users.binary_search(&record.user).is_err() {
                return Some(RotationReason::MemberLeft);
            }
            removed = Some(RotationReason::DeviceRemoved);
        }
        removed
    }

    /// Those of them who do not have the key for sure.
    pub(crate) fn without_key(&self, mut allowed: Recipients) -> Recipients {
        allowed.retain_devices(|device| {
            let record = self.place(device).and_then(|place| self.records.get(place));
            !record.is_some_and(|record| record.has_key)
        });
        allowed
    }

    /// Notes that these are about to be given the key; the first part that changed.
    pub(crate) fn intend(&mut self, recipients: &Recipients) -> Option<usize> {
        let before = self.records.len();
        for one in recipients.each() {
            if self.place(one.device_hash).is_none() {
                let (user, device) = (*one.user_hash, *one.device_hash);
                self.push(Record { has_key: false, user, device });
            }
        }
        (self.records.len() > before).then_some(before / IN_PART)
    }

    /// Notes that the device was given the key; the part that changed.
    pub(crate) fn give(&mut self, user_id: &str, device: &DeviceKey) -> usize {
        let hash = device_hash(user_id, device);
        let user = user_hash(user_id);
        let place = match self.place(&hash) {
            Some(place) => place,
            None => self.push(Record { has_key: false, user, device: hash }),
        };
        if let Some(record) = self.records.get_mut(place) {
            record.has_key = true;
        }
        self.note_user(place, user);
        place / IN_PART
    }

    fn note_user(&mut self, place: usize, user: UserHash) {
        if self.user_place(&user).is_none() {
            let records = &self.records;
            let hash_of = |place: usize| records.get(place).map_or(&[][..], |known| &known.user);
            self.users.add(&user, place, hash_of);
        }
    }

    fn push(&mut self, record: Record) -> usize {
        let place = self.records.len();
        let records = &self.records;
        let hash_of = |place: usize| records.get(place).map_or(&[][..], |known| &known.device);
        self.devices.add(&record.device, place, hash_of);
        self.records.push(record);
        place
    }

    /// A part's stored form: base64 of its records.
    pub(crate) fn part(&self, number: usize) -> Option<String> {
        let records = self.records.chunks(IN_PART).nth(number)?;
        let mut bytes = Vec::with_capacity(records.len() * RECORD_BYTES);
        for record in records {
            bytes.push(u8::from(record.has_key));
            bytes.extend(record.user);
            bytes.extend(record.device);
        }
        Some(vodozemac::base64_encode(bytes))
    }

    /// Adds the next part; false when it cannot be read.
    pub(crate) fn add_part(&mut self, stored: &str) -> bool {
        let Ok(bytes) = vodozemac::base64_decode(stored) else { return false };
        if bytes.len() % RECORD_BYTES != 0 {
            return false;
        }
        for record in bytes.chunks_exact(RECORD_BYTES) {
            let Some((has_key, rest)) = record.split_first() else { return false };
            let Some((user, device)) = rest.split_first_chunk() else { return false };
            let device = cut(device);
            if self.place(&device).is_some() {
                return false;
            }
            let has_key = *has_key == 1;
            let place = self.push(Record { has_key, user: *user, device });
            if has_key {
                self.note_user(place, *user);
            }
        }
        true
    }
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

    fn holders() -> Holders {
        let mut holders = Holders::new();
        for (user_id, device) in two().iter() {
            holders.give(user_id, device);
        }
        holders
    }

    #[test]
    fn a_new_device_gets_the_key() {
        let mut allowed = two();
        allowed.add("@b:x", device("B2", "kb2"));
        let mut expected = Recipients::new();
        expected.add("@b:x", device("B2", "kb2"));
        assert_eq!(holders().compare(&allowed), Sharing::Share(expected));
        assert_eq!(holders().compare(&two()), Sharing::Share(Recipients::new()));
    }

    #[test]
    fn a_member_who_left_rotates() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        assert_eq!(holders().compare(&allowed), Sharing::Rotate(RotationReason::MemberLeft));
    }

    #[test]
    fn a_removed_device_rotates_even_if_it_was_the_last() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        allowed.add_user("@b:x");
        assert_eq!(holders().compare(&allowed), Sharing::Rotate(RotationReason::DeviceRemoved));
    }

    #[test]
    fn a_device_id_with_another_key_is_another_device() {
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        allowed.add("@b:x", device("B", "other"));
        assert_eq!(holders().compare(&allowed), Sharing::Rotate(RotationReason::DeviceRemoved));
    }

    #[test]
    fn who_may_have_it_is_asked_again_and_counts_when_gone() {
        let mut holders = Holders::new();
        assert_eq!(holders.intend(&two()), Some(0));
        assert_eq!(holders.intend(&two()), None);
        assert!(!holders.has_user("@a:x"));
        assert_eq!(holders.compare(&two()), Sharing::Share(two()));
        holders.give("@a:x", &device("A", "ka"));
        assert!(holders.has_user("@a:x"));
        let mut allowed = Recipients::new();
        allowed.add("@a:x", device("A", "ka"));
        assert_eq!(holders.compare(&allowed), Sharing::Rotate(RotationReason::MemberLeft));
    }

    #[test]
    fn the_last_are_forgotten_where_they_only_may_have_it() {
        let mut holders = holders();
        let mut more = two();
        more.add("@c:x", device("C", "kc"));
        holders.intend(&more);
        let mut fewer = holders.clone();
        assert!(fewer.keep_first(2) && fewer.len() == 2 && fewer.has_user("@b:x"));
        assert_eq!(fewer.compare(&two()), Sharing::Share(Recipients::new()));
        assert!(fewer.keep_first(9) && fewer.len() == 2);
        assert!(holders.keep_first(3) && holders.len() == 3);
        assert!(!holders.keep_first(1), "one of them has it");
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        let mut all = Recipients::new();
        for number in 0..IN_PART + 1 {
            all.add(&format!("@{number}:x"), device("D", "k"));
        }
        let mut holders = Holders::new();
        holders.intend(&all);
        assert_eq!(holders.parts(), 2);
        assert_eq!(holders.give("@1:x", &device("D", "k")), 0);
        let mut read = Holders::new();
        for number in 0..2 {
            assert!(read.add_part(&holders.part(number).unwrap()));
        }
        assert_eq!(read, holders);
        assert_eq!(holders.part(2), None);
        assert!(!read.add_part("AAAA") && !read.add_part("?"));
        assert!(!read.add_part(&holders.part(0).unwrap()), "twice the same");
    }
}
