//! From where on those may read a session who came after it was made: where a room's history
//! visibility keeps from newcomers what was before them. Whoever is not here may read all of it.

use crate::megolm::recipients::UserHash;
use crate::sorted::Map;

/// People that are kept.
pub(crate) const MAX_USERS: usize = 4_096;
/// Of these for people without a device, so that there is place for who comes with one. Who finds
/// none reads, with their first device, what they could if they came with it.
pub(crate) const MAX_WITHOUT_DEVICES: usize = MAX_USERS / 2;
/// How far on in a session its key is handed out: going there takes time.
pub(crate) const MAX_INDEX: u32 = 256;

/// Hash and index.
const RECORD_BYTES: usize = 12;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    users: Map<UserHash, u32>,
    // Since when whoever comes may read what was before, in a session that began otherwise.
    open_from: Option<u32>,
}

impl Starts {
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn contains(&self, user: &UserHash) -> bool {
        self.users.contains_key(user)
    }

    pub(crate) fn of(&self, user: &UserHash) -> u32 {
        self.users.get(user).copied().unwrap_or_default()
    }

    pub(crate) const fn open_from(&self) -> Option<u32> {
        self.open_from
    }

    /// Says whether newcomers may read from now, this index, on; true where that is new.
    pub(crate) fn set_open(&mut self, is_open: bool, index: u32) -> bool {
        let open_from = is_open.then(|| self.open_from.unwrap_or(index));
        std::mem::replace(&mut self.open_from, open_from) != open_from
    }

    /// The user came when this index was the first they may read; false where so many `places` are
    /// taken.
    pub(crate) fn add(&mut self, user: UserHash, index: u32, places: usize) -> bool {
        let has_place = self.users.len() < places.min(MAX_USERS);
        if has_place {
            self.users.insert(user, index);
        }
        has_place
    }

    /// Forgets those who have gone; true where there were some.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&UserHash) -> bool) -> bool {
        let gone: Vec<UserHash> =
            self.users.keys().filter(|user| !is_there(user)).copied().collect();
        for user in &gone {
            self.users.remove(user);
        }
        !gone.is_empty()
    }

    /// The highest index of those of whom that is so.
    pub(crate) fn latest(&self, is_so: impl Fn(&UserHash) -> bool) -> u32 {
        let theirs = self.users.iter().filter(|(user, _)| is_so(user));
        theirs.map(|(_, index)| *index).max().unwrap_or_default()
    }

    /// The stored form of who came when: base64 of hashes and indices.
    pub(crate) fn stored(&self) -> String {
        let mut bytes = Vec::with_capacity(self.users.len() * RECORD_BYTES);
        for (user, index) in self.users.iter() {
            bytes.extend(user);
            bytes.extend(index.to_be_bytes());
        }
        vodozemac::base64_encode(bytes)
    }

    /// Reads it; `None` where it is not that.
    pub(crate) fn restore(stored: &str, open_from: Option<u32>) -> Option<Self> {
        let bytes = vodozemac::base64_decode(stored).ok()?;
        if bytes.len() % RECORD_BYTES != 0 || bytes.len() / RECORD_BYTES > MAX_USERS {
            return None;
        }
        let mut users = Map::new();
        for record in bytes.chunks_exact(RECORD_BYTES) {
            let (user, index) = record.split_first_chunk()?;
            users.insert(*user, u32::from_be_bytes(*index.first_chunk()?));
        }
        Some(Self { users, open_from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u32) -> UserHash {
        let mut user = UserHash::default();
        user[..4].copy_from_slice(&number.to_be_bytes());
        user
    }

    #[test]
    fn who_is_not_known_may_read_all_and_what_is_known_is_stored() {
        let mut starts = Starts::default();
        assert!(starts.add(user(1), 7, 2) && starts.add(user(2), 300, 2));
        assert!(starts.set_open(true, 9) && !starts.set_open(true, 12));
        let restored = Starts::restore(&starts.stored(), starts.open_from()).unwrap();
        assert_eq!((restored.of(&user(1)), restored.of(&user(2))), (7, 300));
        assert_eq!((restored.of(&user(3)), restored.open_from()), (0, Some(9)));
        assert_eq!(restored.latest(|_| true), 300);
        assert_eq!(restored.latest(|one| *one == user(1)), 7);
        assert!(starts.retain(|one| *one == user(1)) && !starts.contains(&user(2)));
        assert!(starts.set_open(false, 20) && starts.open_from().is_none());
        for bad in ["AAAA", "?"] {
            assert!(Starts::restore(bad, None).is_none(), "{bad}");
        }
    }

    #[test]
    fn there_is_place_for_so_many() {
        let mut starts = Starts::default();
        for number in 0..5_000 {
            let has_place = starts.add(user(number), 1, usize::MAX);
            assert_eq!(has_place, (number as usize) < MAX_USERS);
        }
        assert_eq!(starts.len(), MAX_USERS);
        let mut few = Starts::default();
        assert!(few.add(user(1), 1, 1) && !few.add(user(2), 1, 1) && few.add(user(2), 1, 2));
        assert!(starts.stored().len() < 70_000);
        assert_eq!(Starts::restore(&starts.stored(), None).unwrap().len(), MAX_USERS);
    }
}
