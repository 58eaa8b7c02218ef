//! Devices: this one, those of other people, and which of them made what was decrypted.

use crate::error::EngineError;
use crate::ids::{DeviceKeys, RoomId, UserId};
use crate::megolm::{OwnDevice, SessionStore};
use crate::model::journal::{Journal, Prefix};
use crate::model::owners::{Claim, Keys, MAX_DEVICES, Owners, Standing};
use crate::model::stored::{VERSION, texts};
use crate::sorted::{Bounded, Map, Set};
use mantle_wire::json::{elements, get, get_str, quoted};

/// Devices by which something was decrypted that are remembered for when they are gone.
const MAX_KEPT: usize = 4_096;
/// And how many bytes of them: they are one entry of the store.
const MAX_KEPT_BYTES: usize = 800_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Devices {
    own: Option<OwnDevice>,
    // Whose device the store belongs to: its Curve25519 key.
    stored_own: Option<String>,
    owners: Owners,
    // Those of them by whom something was decrypted: kept for when their devices are gone.
    kept: Bounded<Keys, ()>,
    // Users whose devices the page has told.
    listed: Set<String>,
    // Those of whom it also told what they have to do with their devices.
    judged: Set<String>,
    // Their Curve25519 keys of now.
    current: Map<String, Set<String>>,
    // Rooms of all of whose members, former ones too, the devices were told.
    complete: Set<String>,
}

impl Devices {
    pub(crate) fn new() -> Self {
        Self {
            own: None,
            stored_own: None,
            owners: Owners::default(),
            kept: Bounded::new(MAX_KEPT, MAX_KEPT_BYTES),
            listed: Set::new(),
            judged: Set::new(),
            current: Map::new(),
            complete: Set::new(),
        }
    }

    /// This device, once the page has told it.
    pub(crate) const fn own(&self) -> Option<&OwnDevice> {
        self.own.as_ref()
    }

    /// Whether that is the person themselves.
    pub(crate) fn is_self(&self, user_id: &str) -> bool {
        self.own.as_ref().is_some_and(|device| device.user_id() == user_id)
    }

    /// Whether the store is that of another login in the same browser profile.
    pub(crate) fn is_store_of_another(&self, device: &OwnDevice) -> bool {
        self.stored_own.as_deref().is_some_and(|own| own != device.curve25519())
    }

    pub(crate) fn set_own(
        &mut self,
        device: OwnDevice,
        sessions: &mut SessionStore,
        journal: &mut Journal,
    ) {
        if self.stored_own.is_none() {
            self.stored_own = Some(device.curve25519().to_owned());
            journal.touch(Prefix::Device, "");
        }
        let keys = (device.curve25519().to_owned(), device.ed25519().to_owned());
        self.owners.set_verified(&keys, device.user_id());
        sessions.set_owner(device.keys(), UserId(device.user_id()));
        self.own = Some(device);
    }

    /// Says whose devices have which keys: `[{"userId", "devices": [{"deviceId", "algorithms", "keys",
    /// "signature", "standing"}]}]`, with all that the device signs and its own signature. Nothing of
    /// it is taken on trust but the standing, which the page's crypto has checked.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub(crate) fn add(
        &mut self,
        json: &str,
        sessions: &mut SessionStore,
        journal: &mut Journal,
    ) -> Result<(), EngineError> {
        for user in elements(json)? {
            let user_id =
                get_str(user, &["userId"])?.ok_or(EngineError::Input("devices: userId"))?;
            let devices = elements(get(user, &["devices"])?.unwrap_or("[]"))?;
            let mut current = Set::new();
            let mut is_judged = devices.is_empty();
            let mut is_crowded = devices.len() > MAX_DEVICES;
            for device in devices.into_iter().take(MAX_DEVICES) {
                let Some((keys, claim)) = Claim::read(UserId(&user_id), device)? else { continue };
                is_crowded |= !self.owners.claim(&keys, claim);
                if sessions.has_origin(as_keys(&keys))
                    && let Some(owner) = self.owners.of(&keys)
                {
                    sessions.set_owner(as_keys(&keys), UserId(owner));
                }
                let standing = get_str(device, &["standing"])?;
                is_judged |= standing.is_some();
                if let Some(standing) = standing.as_deref().and_then(Standing::read)
                    && self.owners.set_standing(&keys, &user_id, standing)
                    && self.kept.contains_key(&keys)
                {
                    journal.touch(Prefix::Owners, "");
                }
                current.insert(keys.0);
            }
            self.owners.set_crowded(&user_id, is_crowded);
            if is_judged {
                self.judged.insert(user_id.clone());
            }
            if is_crowded {
                // Of whom not everything is known, nothing is gone.
                self.current.remove(&user_id);
                self.listed.remove(&user_id);
            } else {
                self.current.insert(user_id.clone(), current);
                self.listed.insert(user_id);
            }
        }
        Ok(())
    }

    /// The devices of these users are others than those that are known.
    pub(crate) fn note_changed(&mut self, users: &Set<String>) {
        self.complete.clear();
        for user in users.iter() {
            self.listed.remove(user);
            self.judged.remove(user);
        }
    }

    /// Whether it is not known which devices a sender has, or what they have to do with them.
    pub(crate) fn is_to_be_looked_up(&self, user_id: &str) -> bool {
        !self.is_listed(user_id) || !self.judged.contains(user_id)
    }

    /// Whether all of the user's devices are known.
    fn is_listed(&self, user_id: &str) -> bool {
        self.listed.contains(user_id) && !self.owners.is_crowded(user_id)
    }

    /// The devices of all the room's members, former ones too, have been given: a session of none of
    /// them was made by a device that is gone.
    pub(crate) fn set_complete(&mut self, room_id: &str) {
        self.complete.insert(room_id.to_owned());
    }

    /// The room has other members than before.
    pub(crate) fn set_incomplete(&mut self, room_id: &str) {
        self.complete.remove(room_id);
    }

    pub(crate) fn is_complete(&self, room_id: &str) -> bool {
        self.complete.contains(room_id)
    }

    /// Whether a session that no device has may be taken for that sender's.
    pub(crate) fn may_be_gone(&self, room: RoomId<'_>, sender: &str) -> bool {
        self.complete.contains(room.0) && !self.owners.is_crowded(sender)
    }

    /// Whose device has both keys, as of [`Owners::of`].
    pub(crate) fn owner(&mut self, keys: &Keys) -> Option<&str> {
        self.owners.of(keys)
    }

    /// Whether that user stands for the device.
    pub(crate) fn standing(&self, keys: &Keys, user_id: &str) -> Standing {
        self.owners.standing(keys, user_id)
    }

    /// Curve25519 keys of a user's devices of now, once they were told.
    pub(crate) fn current(&self, user_id: &str) -> Option<&Set<String>> {
        self.current.get(user_id)
    }

    /// False when the user's devices were told and none of them has this key.
    pub(crate) fn may_have(&self, user_id: &str, curve25519: &Curve25519<'_>) -> bool {
        !self.is_listed(user_id)
            || self.current.get(user_id).is_some_and(|keys| keys.contains(curve25519.0))
    }

    /// Something of the user was decrypted that this device has made.
    pub(crate) fn keep(&mut self, keys: Keys, user_id: &str, journal: &mut Journal) {
        if !self.kept.contains_key(&keys) {
            let cost = keys.0.len() + keys.1.len() + user_id.len();
            self.kept.insert(keys, (), cost);
            journal.touch(Prefix::Owners, "");
        }
    }

    /// The store's entry of this device.
    pub(crate) fn own_value(&self) -> Option<String> {
        self.stored_own
            .as_ref()
            .map(|own| format!(r#"{{"version":{VERSION},"curve25519":{}}}"#, quoted(own)))
    }

    pub(crate) fn load_own(&mut self, value: &str) -> Option<()> {
        self.stored_own = Some(get_str(value, &["curve25519"]).ok().flatten()?);
        Some(())
    }

    /// The store's entry of others' devices.
    pub(crate) fn kept_value(&self) -> Option<String> {
        let list: Vec<String> = self
            .kept
            .iter()
            .filter_map(|(keys, ())| {
                let (user_id, is_verified) = self.owners.stored(keys)?;
                let (curve25519, ed25519) = (quoted(&keys.0), quoted(&keys.1));
                let user = quoted(user_id);
                let proof = if is_verified { r#","proven""# } else { "" };
                let standing = match self.owners.standing(keys, user_id).text() {
                    "" => String::new(),
                    _ if !is_verified => String::new(),
                    text => format!(",{}", quoted(text)),
                };
                Some(format!("[{curve25519},{ed25519},{user}{proof}{standing}]"))
            })
            .collect();
        (!list.is_empty())
            .then(|| format!(r#"{{"version":{VERSION},"owners":[{}]}}"#, list.join(",")))
    }

    pub(crate) fn load_kept(&mut self, value: &str, sessions: &mut SessionStore) -> Option<()> {
        for owner in elements(get(value, &["owners"]).ok()??).ok()? {
            // The fourth says that the device's signature was checked, which earlier versions did not,
            // the fifth what its owner has to do with it.
            let (keys, user) = if let Some([curve25519, ed25519, user, _, text]) = texts(owner) {
                let keys = (curve25519, ed25519);
                self.owners.set_verified(&keys, &user);
                if let Some(standing) = Standing::read(&text) {
                    self.owners.set_standing(&keys, &user, standing);
                }
                (keys, user)
            } else if let Some([curve25519, ed25519, user, _]) = texts(owner) {
                let keys = (curve25519, ed25519);
                self.owners.set_verified(&keys, &user);
                (keys, user)
            } else {
                let [curve25519, ed25519, user] = texts(owner)?;
                let keys = (curve25519, ed25519);
                self.owners.set_stored(&keys, &user);
                (keys, user)
            };
            if let Some(owner) = self.owners.of(&keys) {
                sessions.set_owner(as_keys(&keys), UserId(owner));
            }
            let cost = keys.0.len() + keys.1.len() + user.len();
            self.kept.insert(keys, (), cost);
        }
        Some(())
    }
}

fn as_keys((curve25519, ed25519): &Keys) -> DeviceKeys<'_> {
    DeviceKeys { curve25519, ed25519 }
}

/// A device's identity key, unpadded base64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve25519<'a>(pub(crate) &'a str);
