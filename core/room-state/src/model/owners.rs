//! Whose device has which keys. Device lists come unverified for people whom the page's crypto does
//! not follow, so anybody may list another's keys as their own: a claim counts once the signature
//! that the device itself put under it is checked. That costs, so it is checked when it matters:
//! where a session comes from the device, or two people claim one pair of keys.
//!
//! Whether its owner stands for the device is another question, since a homeserver may list one that
//! it made up, with keys and signature of its own: only cross-signing tells. The page's crypto says.

use crate::ids::UserId;
use crate::megolm::authorship::Signature;
use crate::sorted::{Map, Set};
use mantle_wire::json::{JsonError, elements, exact_string, get, get_str, members, quoted};

/// Devices of a user that are looked at.
pub(crate) const MAX_DEVICES: usize = 256;
/// Pairs of keys, of all users.
const MAX_PAIRS: usize = 20_000;
/// What a device signs, in bytes; longer ones do not count.
const MAX_CLAIM_BYTES: usize = 4 * 1024;
/// Of all claims that are not proven yet.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Whether a device's owner stands for it, by the page's crypto. Worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// The owner signs their devices, and not this one; or the person has blocked it.
    Unsigned,
    /// Nobody has said.
    #[default]
    Unknown,
    /// The owner signs no devices, so none can be told from one that is made up.
    Plain,
    /// The owner has signed it, or the person has compared its keys.
    Signed,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Unsigned, Self::Plain, Self::Signed];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unknown => "",
            Self::Plain => "plain",
            Self::Signed => "signed",
        }
    }

    /// As the page and the store say it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.text() == text)
    }
}

/// Nobody: whose events this would be sends none.
const NOBODY: &str = "";

/// Curve25519 and Ed25519 key.
pub(crate) type Keys = (String, String);

/// A user's word that a device with these keys is theirs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    user_id: String,
    // Canonical JSON.
    signed: String,
    signature: String,
}

impl Claim {
    /// Of a device as the page gives it: `{"deviceId", "algorithms": […], "keys": {…},
    /// "signature"}`. `None` where it lacks one of the keys.
    pub(crate) fn read(user: UserId<'_>, device: &str) -> Result<Option<(Keys, Self)>, JsonError> {
        let text = |path: &[&str]| get_str(device, path);
        let device_id = text(&["deviceId"])?.unwrap_or_default();
        let mut keys: Map<String, String> = Map::new();
        for member in members(get(device, &["keys"])?.unwrap_or("{}"))?.unwrap_or_default() {
            if let Some(key) = exact_string(member.value) {
                keys.insert(member.key.clone(), key);
            }
        }
        let key = |algorithm: &str| keys.get(&format!("{algorithm}:{device_id}")).cloned();
        let (Some(curve25519), Some(ed25519)) = (key("curve25519"), key("ed25519")) else {
            return Ok(None);
        };
        let mut algorithms = Vec::new();
        for algorithm in elements(get(device, &["algorithms"])?.unwrap_or("[]"))? {
            algorithms.extend(exact_string(algorithm).map(|name| quoted(&name)));
        }
        let keys: Vec<String> =
            keys.iter().map(|(id, key)| format!("{}:{}", quoted(id), quoted(key))).collect();
        let signed = format!(
            r#"{{"algorithms":[{}],"device_id":{},"keys":{{{}}},"user_id":{}}}"#,
            algorithms.join(","),
            quoted(&device_id),
            keys.join(","),
            quoted(user.0)
        );
        let signature = text(&["signature"])?.unwrap_or_default();
        let claim = Self { user_id: user.0.to_owned(), signed, signature };
        Ok(Some(((curve25519, ed25519), claim)))
    }

    /// Whether the device with this key signed it.
    fn is_verified(&self, ed25519: &str) -> bool {
        Signature { ed25519, base64: &self.signature }.is_of(&self.signed)
    }

    const fn cost(&self) -> usize {
        self.user_id.len() + self.signed.len() + self.signature.len()
    }
}

#[derive(Debug)]
enum Owner {
    // With a number: the higher, the later.
    Claimed(Box<Claim>, u64),
    // In the store since before signatures were checked: any proof goes before it.
    Stored(String),
    Verified(String),
    // Two have proven it.
    Nobody,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    pairs: Map<Keys, Owner>,
    bytes: usize,
    claims: u64,
    // By Curve25519 and Ed25519 key and whose device it is: anybody may sign another's keys as theirs.
    standings: Map<(String, String, String), Standing>,
    // Users of whom not every device is here: nothing follows from one that is not.
    crowded: Set<String>,
}

impl Owners {
    /// Takes what a user says, in place of what nobody needed until now where there is no other. False
    /// where there is none at all.
    pub(crate) fn claim(&mut self, keys: &Keys, claim: Claim) -> bool {
        let cost = claim.cost();
        let is_full = self.pairs.len() >= MAX_PAIRS || self.bytes + cost > MAX_BYTES;
        if is_full && cost <= MAX_CLAIM_BYTES && !self.pairs.contains_key(keys) {
            self.make_place();
        }
        self.add_claim(keys, claim)
    }

    /// The older half of all claims goes, at once, since each look for them goes over all. Nothing
    /// follows for those users from a device that is not here, until they are asked about again.
    fn make_place(&mut self) {
        let number = |owner: &Owner| match owner {
            Owner::Claimed(_, number) => Some(*number),
            Owner::Stored(_) | Owner::Verified(_) | Owner::Nobody => None,
        };
        let mut numbers: Vec<u64> = self.pairs.values().filter_map(number).collect();
        numbers.sort_unstable();
        let Some(last) = numbers.get(numbers.len() / 2).copied() else { return };
        let mut bytes = 0;
        for owner in self.pairs.values() {
            if let Owner::Claimed(claim, number) = owner {
                if *number > last {
                    bytes += claim.cost();
                } else {
                    self.crowded.insert(claim.user_id.clone());
                }
            }
        }
        self.bytes = bytes;
        self.pairs.retain(|_, owner| number(owner).is_none_or(|number| number > last));
        let Self { pairs, standings, .. } = self;
        standings.retain(|(curve25519, ed25519, _), _| {
            let keys = (curve25519.as_str(), ed25519.as_str());
            pairs.find(|known| (known.0.as_str(), known.1.as_str()).cmp(&keys)).is_some()
        });
    }

    fn add_claim(&mut self, keys: &Keys, claim: Claim) -> bool {
        let is_verified = |claim: &Claim| claim.is_verified(&keys.1);
        let Some(known) = self.pairs.get_mut(keys) else {
            let cost = claim.cost();
            if cost > MAX_CLAIM_BYTES {
                return true;
            }
            if self.pairs.len() >= MAX_PAIRS || self.bytes + cost > MAX_BYTES {
                return false;
            }
            self.bytes += cost;
            self.claims += 1;
            self.pairs.insert(keys.clone(), Owner::Claimed(Box::new(claim), self.claims));
            return true;
        };
        let next = match &*known {
            Owner::Claimed(before, _) if **before == claim => return true,
            Owner::Claimed(before, _) => match (is_verified(before), is_verified(&claim)) {
                (true, true) if before.user_id != claim.user_id => Some(Owner::Nobody),
                (true, _) => Some(Owner::Verified(before.user_id.clone())),
                (false, true) => Some(Owner::Verified(claim.user_id)),
                (false, false) => None,
            },
            Owner::Verified(user_id) if *user_id != claim.user_id && is_verified(&claim) => {
                Some(Owner::Nobody)
            }
            Owner::Stored(_) if is_verified(&claim) => Some(Owner::Verified(claim.user_id)),
            Owner::Verified(_) | Owner::Stored(_) | Owner::Nobody => return true,
        };
        self.set(keys, next);
        true
    }

    fn set(&mut self, keys: &Keys, owner: Option<Owner>) {
        if let Some(Owner::Claimed(claim, _)) = self.pairs.remove(keys) {
            self.bytes -= claim.cost();
        }
        if let Some(owner) = owner {
            self.pairs.insert(keys.clone(), owner);
        }
    }

    /// Of the person's own device, or of what was proven when it was stored.
    pub(crate) fn set_verified(&mut self, keys: &Keys, user_id: &str) {
        self.set(keys, Some(Owner::Verified(user_id.to_owned())));
    }

    /// What a store of before says.
    pub(crate) fn set_stored(&mut self, keys: &Keys, user_id: &str) {
        if !self.pairs.contains_key(keys) {
            self.set(keys, Some(Owner::Stored(user_id.to_owned())));
        }
    }

    /// Whose device has both keys: no sender's where two have proven it. A claim is checked now.
    pub(crate) fn of(&mut self, keys: &Keys) -> Option<&str> {
        if let Owner::Claimed(claim, _) = self.pairs.get(keys)? {
            let is_verified = claim.is_verified(&keys.1);
            let owner = is_verified.then(|| Owner::Verified(claim.user_id.clone()));
            self.set(keys, owner);
        }
        match self.pairs.get(keys)? {
            Owner::Verified(user_id) | Owner::Stored(user_id) => Some(user_id),
            Owner::Nobody => Some(NOBODY),
            Owner::Claimed(..) => None,
        }
    }

    /// The owner to be stored, and whether that is proven.
    pub(crate) fn stored(&self, keys: &Keys) -> Option<(&str, bool)> {
        match self.pairs.get(keys)? {
            Owner::Verified(user_id) => Some((user_id, true)),
            Owner::Stored(user_id) => Some((user_id, false)),
            Owner::Claimed(..) | Owner::Nobody => None,
        }
    }

    /// What the page's crypto says of a user's device; true where that is new. Only of keys that are
    /// known here, so it has their bound.
    pub(crate) fn set_standing(&mut self, keys: &Keys, user_id: &str, standing: Standing) -> bool {
        let (curve25519, ed25519) = keys.clone();
        let of = (curve25519, ed25519, user_id.to_owned());
        let is_bounded = self.standings.len() < MAX_PAIRS || self.standings.contains_key(&of);
        is_bounded
            && self.pairs.contains_key(keys)
            && self.standings.insert(of, standing) != Some(standing)
    }

    /// Whether that user stands for the device.
    pub(crate) fn standing(&self, keys: &Keys, user_id: &str) -> Standing {
        let of = (keys.0.as_str(), keys.1.as_str(), user_id);
        let found = self
            .standings
            .find(|(curve25519, ed25519, user)| (&**curve25519, &**ed25519, &**user).cmp(&of));
        found.copied().unwrap_or_default()
    }

    /// Says whether all of a user's devices have found a place.
    pub(crate) fn set_crowded(&mut self, user_id: &str, is_crowded: bool) {
        if is_crowded {
            self.crowded.insert(user_id.to_owned());
        } else {
            self.crowded.remove(user_id);
        }
    }

    /// True for a user whose unknown devices may be there all the same.
    pub(crate) fn is_crowded(&self, user_id: &str) -> bool {
        self.crowded.contains(user_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vodozemac::Ed25519Keypair;

    use super::*;

    const ALICE: &str = "@alice:example.org";

    /// A device whose key signs that it is the user's.
    fn device(key: &Ed25519Keypair, user_id: &str) -> Value {
        let mut device = json!({"algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {"curve25519:D": "curve", "ed25519:D": key.public_key().to_base64()}});
        let mut signed = device.clone();
        signed["device_id"] = json!("D");
        signed["user_id"] = json!(user_id);
        device["deviceId"] = json!("D");
        device["signature"] = json!(key.sign(signed.to_string().as_bytes()).to_base64());
        device
    }

    fn read(user_id: &str, device: &Value) -> (Keys, Claim) {
        Claim::read(UserId(user_id), &device.to_string()).unwrap().unwrap()
    }

    fn owner(claims: &[(&str, &Value)]) -> Option<String> {
        let mut owners = Owners::default();
        let mut all = None;
        for (user_id, device) in claims {
            let (keys, claim) = read(user_id, device);
            assert!(owners.claim(&keys, claim));
            all = Some(keys);
        }
        owners.of(&all?).map(str::to_owned)
    }

    #[test]
    fn a_device_is_whose_it_says_by_its_own_signature() {
        let key = Ed25519Keypair::new();
        let alices = device(&key, ALICE);
        assert_eq!(owner(&[(ALICE, &alices)]).as_deref(), Some(ALICE));
        assert_eq!(owner(&[("@m:x", &alices)]), None);
        let squatters: Vec<String> = (0..20).map(|number| format!("@m{number}:x")).collect();
        let theirs: Vec<_> = squatters.iter().map(|user| (user.as_str(), &alices)).collect();
        for place in 0..=theirs.len() {
            let mut claims = theirs.clone();
            claims.insert(place, (ALICE, &alices));
            assert_eq!(owner(&claims).as_deref(), Some(ALICE), "{place}");
        }
    }

    #[test]
    fn every_part_of_what_is_signed_counts() {
        let key = Ed25519Keypair::new();
        let good = device(&key, ALICE);
        for (part, value) in [
            ("algorithms", json!([])),
            ("algorithms", json!(["m.olm.v1.curve25519-aes-sha2", "more"])),
            ("signature", json!("")),
            ("signature", json!("AAAA")),
            ("signature", json!(Ed25519Keypair::new().sign(b"x").to_base64())),
        ] {
            let mut bad = good.clone();
            bad[part] = value;
            assert_eq!(owner(&[(ALICE, &bad)]), None, "{bad}");
        }
        let mut bad = good.clone();
        bad["keys"]["curve25519:D"] = json!("another");
        assert_eq!(owner(&[(ALICE, &bad)]), None);
        bad = good;
        bad["keys"]["more"] = json!("key");
        assert_eq!(owner(&[(ALICE, &bad)]), None);
    }

    #[test]
    fn two_who_prove_one_pair_are_nobody_and_stay_so() {
        let key = Ed25519Keypair::new();
        let (ours, theirs) = (device(&key, ALICE), device(&key, "@m:x"));
        for claims in [[(ALICE, &ours), ("@m:x", &theirs)], [("@m:x", &theirs), (ALICE, &ours)]] {
            assert_eq!(owner(&claims).as_deref(), Some(NOBODY));
            let again = [claims[0], claims[1], claims[0], claims[0]];
            assert_eq!(owner(&again).as_deref(), Some(NOBODY));
        }
        assert_eq!(owner(&[(ALICE, &ours), (ALICE, &ours)]).as_deref(), Some(ALICE));
    }

    #[test]
    fn a_proof_goes_before_what_was_stored_without_one() {
        let key = Ed25519Keypair::new();
        let (keys, claim) = read(ALICE, &device(&key, ALICE));
        let mut owners = Owners::default();
        owners.set_stored(&keys, "@m:x");
        assert_eq!(owners.of(&keys), Some("@m:x"));
        owners.claim(&keys, read("@n:x", &device(&key, ALICE)).1);
        assert_eq!(owners.of(&keys), Some("@m:x"));
        owners.claim(&keys, claim);
        assert_eq!(owners.stored(&keys), Some((ALICE, true)));
        owners.set_stored(&keys, "@m:x");
        assert_eq!(owners.of(&keys), Some(ALICE));
    }

    #[test]
    fn at_the_bound_what_is_proven_stays_and_the_latest_finds_a_place() {
        let key = Ed25519Keypair::new();
        let (keys, claim) = read(ALICE, &device(&key, ALICE));
        let mut owners = Owners::default();
        assert!(owners.claim(&keys, claim));
        assert_eq!(owners.of(&keys), Some(ALICE));
        let crowd = |number: usize, length: usize| {
            let device = json!({"deviceId": "D", "keys": {"curve25519:D": number.to_string(),
                "ed25519:D": "x".repeat(length)}});
            read(&format!("@m{number}:x"), &device)
        };
        for number in 0..45_000 {
            let (keys, claim) = crowd(number, if number < 25_000 { 300 } else { 40 });
            assert!(owners.claim(&keys, claim));
            assert!(owners.set_standing(&keys, &format!("@m{number}:x"), Standing::Plain));
            assert!(owners.pairs.len() <= MAX_PAIRS && owners.bytes <= MAX_BYTES);
        }
        assert_eq!(owners.of(&keys), Some(ALICE));
        assert!(owners.is_crowded("@m0:x") && !owners.is_crowded("@m44999:x"));
        assert!(owners.pairs.contains_key(&crowd(44_999, 40).0));
        assert!(!owners.pairs.contains_key(&crowd(0, 300).0));
        let left: usize = owners
            .pairs
            .values()
            .map(|owner| if let Owner::Claimed(claim, _) = owner { claim.cost() } else { 0 })
            .sum();
        assert_eq!(owners.bytes, left);
        let lasts = |(curve25519, ed25519, _): &(String, String, String)| {
            owners.pairs.contains_key(&(curve25519.clone(), ed25519.clone()))
        };
        assert!(owners.standings.keys().all(lasts));
    }
}
