//! One check of the Ed25519 signatures of many events.
//!
//! A signature (R, s) of M by A is good when sB = R + kA, k = SHA-512(R, A, M): 256 doublings each
//! time. Here Σ zᵢ(Rᵢ + kᵢAᵢ − sᵢB) = 0 is asked of all at once, with a factor zᵢ of 128 bits each
//! that no sender can know before all of them are fixed; the doublings are shared, and the keys of
//! events of one session are added up. An equation that holds says that each of its events is good.
//!
//! What [`vodozemac`]'s own check (`verify_strict`) refuses is refused here too: R that is not in
//! canonical form, R or A of small order, s that is not reduced. One thing is looser: the point
//! Rᵢ + kᵢAᵢ − sᵢB may be of small order (dividing 8) and not 0 with a chance of up to one half. No
//! third party gains by it. Eight times such a point is 0, so the event passes the check that RFC
//! 8032, section 5.1.7 gives first, 8sB = 8R + 8kA, and to pass that without the session's private key is to forge
//! Ed25519. Who has the key could as well have signed properly; every other check is still to come.

use std::fmt;
use std::iter::empty;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint, VartimeEdwardsPrecomputation};
use curve25519_dalek::traits::{IsIdentity, VartimePrecomputedMultiscalarMul};
use curve25519_dalek::{Scalar, constants::ED25519_BASEPOINT_POINT};
use sha2::{Digest, Sha512};

use crate::sorted::Map;

/// Most events in one check: more save little, and when it fails all of them are checked singly.
pub(crate) const MAX_BATCH: usize = 128;

/// A key that can take part. Making it costs as much as a good part of a check.
#[derive(Clone)]
pub(super) struct Signer {
    bytes: [u8; 32],
    point: EdwardsPoint,
}

impl Signer {
    /// `None` for a key that signs nothing, or anything.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        let point = CompressedEdwardsY(bytes).decompress()?;
        (!point.is_small_order()).then_some(Self { bytes, point })
    }
}

/// A signature that may be good.
struct Signature {
    signer: Signer,
    r: EdwardsPoint,
    s: Scalar,
    // SHA-512(R, A, M), before it is reduced.
    hash: [u8; 64],
}

impl Signature {
    /// `None` when it cannot be good.
    fn new(signer: &Signer, message: &[u8], signature: &[u8; 64]) -> Option<Self> {
        let (r, s) = signature.split_at_checked(32)?;
        let (r, s): ([u8; 32], [u8; 32]) = (r.try_into().ok()?, s.try_into().ok()?);
        if !is_reduced(&r) {
            return None;
        }
        let hash = Sha512::new()
            .chain_update(r)
            .chain_update(signer.bytes)
            .chain_update(message)
            .finalize()
            .into();
        let r = CompressedEdwardsY(r).decompress()?;
        let s = Scalar::from_canonical_bytes(s).into_option()?;
        (!r.is_small_order()).then(|| Self { signer: signer.clone(), r, s, hash })
    }
}

/// True when the y in it is below 2²⁵⁵ − 19.
fn is_reduced(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    last & 0x7f != 0x7f || *first < 0xed || middle.iter().any(|byte| *byte != 0xff)
}

/// An event whose MAC is good, and whose signature is still to be checked; it keeps its payload to
/// itself until then.
pub(crate) struct Unverified {
    signature: Signature,
    message: Verified,
}

/// A payload and its index, all of it authentic.
pub(crate) struct Verified {
    pub(crate) payload: Vec<u8>,
    pub(crate) message_index: u32,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Unproven").finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proven").finish_non_exhaustive()
    }
}

impl Unverified {
    /// `None` when the signature cannot be good.
    pub(super) fn new(
        signer: &Signer,
        signed: &[u8],
        signature: &[u8; 64],
        payload: Vec<u8>,
        message_index: u32,
    ) -> Option<Self> {
        let signature = Signature::new(signer, signed, signature)?;
        Some(Self { signature, message: Verified { payload, message_index } })
    }
}

/// All of them when each is good; `None` when one is not.
pub(crate) fn verify(events: Vec<Unverified>) -> Option<Vec<Verified>> {
    let (signatures, messages): (Vec<_>, Vec<_>) =
        events.into_iter().map(|event| (event.signature, event.message)).unzip();
    are_good(&signatures).then_some(messages)
}

fn are_good(signatures: &[Signature]) -> bool {
    let mut keys: Map<[u8; 32], (Scalar, EdwardsPoint)> = Map::new();
    let mut base = Scalar::ZERO;
    let mut scalars = factors(signatures);
    for (signature, z) in signatures.iter().zip(&scalars) {
        let Signer { bytes, point } = &signature.signer;
        let (sum, _) = keys.or_insert_with(*bytes, || (Scalar::ZERO, *point));
        *sum += z * Scalar::from_bytes_mod_order_wide(&signature.hash);
        base -= z * signature.s;
    }
    let mut points: Vec<EdwardsPoint> = signatures.iter().map(|signature| signature.r).collect();
    for (sum, point) in keys.values() {
        scalars.push(*sum);
        points.push(*point);
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    // Nothing is precomputed; but so there is Straus' method only, which is the best for so few points.
    VartimeEdwardsPrecomputation::new(empty::<EdwardsPoint>())
        .vartime_mixed_multiscalar_mul(empty::<Scalar>(), scalars, points)
        .is_identity()
}

/// The factors, from a hash of everything that is checked, as in ed25519-dalek's `verify_batch`: R,
/// A and M through k, and s. So they need no random numbers, and cannot be chosen.
fn factors(signatures: &[Signature]) -> Vec<Scalar> {
    let mut all = Sha512::new().chain_update(b"mantle: signatures of several events");
    for signature in signatures {
        all.update(signature.hash);
        all.update(signature.s.as_bytes());
    }
    let all = all.finalize();
    let mut factors = Vec::with_capacity(2 * signatures.len() + 1);
    for block in 0_u32.. {
        let hash = Sha512::new().chain_update(all).chain_update(block.to_le_bytes()).finalize();
        for part in hash.chunks(16) {
            if factors.len() == signatures.len() {
                return factors;
            }
            let mut bytes = [0; 16];
            bytes.copy_from_slice(part);
            factors.push(Scalar::from(u128::from_le_bytes(bytes)));
        }
    }
    factors
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vodozemac::megolm::{
        ExportedSessionKey, InboundGroupSession, MegolmMessage, SessionConfig,
    };
    use vodozemac::{Ed25519Keypair, base64_encode};

    use super::super::{GivenKey, InboundSession, KeyForm, SessionOrigin};
    use super::*;
    use crate::megolm::DecryptError;

    /// A session whose private key is at hand too.
    struct Maker {
        pair: Ed25519Keypair,
        export: ExportedSessionKey,
    }

    impl Maker {
        fn new() -> Self {
            let pair = Ed25519Keypair::new();
            // Version, index, ratchet, key.
            let mut key = vec![1, 0, 0, 0, 0];
            for part in 0..4 {
                key.extend_from_slice(Ed25519Keypair::new().public_key().as_bytes());
                key[5 + 32 * part] = 7;
            }
            key.extend_from_slice(pair.public_key().as_bytes());
            Self { pair, export: ExportedSessionKey::from_bytes(&key).unwrap() }
        }

        fn session(&self) -> InboundSession {
            let curve =
                vodozemac::Curve25519PublicKey::from(&vodozemac::Curve25519SecretKey::new());
            let origin = SessionOrigin {
                room_id: "!r:x".to_owned(),
                sender_key: curve.to_base64(),
                claimed_ed25519: self.pair.public_key().to_base64(),
            };
            InboundSession::import(
                &self.pair.public_key().to_base64(),
                GivenKey { form: KeyForm::Exported, text: &self.export.to_base64() },
                origin,
            )
            .unwrap()
        }

        fn message(&self, index: u32, payload: &[u8]) -> Vec<u8> {
            let session = InboundGroupSession::import(&self.export, SessionConfig::version_1());
            let cipher = session.get_cipher_at(index).unwrap();
            MegolmMessage::encrypt(index, &cipher, &self.pair, payload).to_bytes()
        }

        /// The signature that belongs to the rest.
        fn sign_again(&self, message: &mut [u8]) {
            let (signed, signature) = message.split_last_chunk_mut::<64>().unwrap();
            signature.copy_from_slice(&self.pair.sign(signed).to_bytes());
        }
    }

    fn begin(session: &mut InboundSession, message: &[u8]) -> Option<Unverified> {
        session.decrypt_unverified(&base64_encode(message))
    }

    /// What it makes of one event.
    fn alone(session: &mut InboundSession, message: &[u8]) -> Option<(Vec<u8>, u32)> {
        let verified = verify(vec![begin(session, message)?])?.pop().unwrap();
        Some((verified.payload, verified.message_index))
    }

    #[test]
    fn good_events_of_several_sessions_are_proven_together() {
        let makers = [Maker::new(), Maker::new(), Maker::new()];
        let mut sessions: Vec<_> = makers.iter().map(Maker::session).collect();
        let mut unverified = Vec::new();
        // Not in order, and many in one session.
        for (index, at) in [(3, 0), (0, 1), (1, 0), (700, 2), (2, 0), (699, 2), (3, 1)] {
            let message = makers[at].message(index, format!("{at} {index}").as_bytes());
            unverified.push(begin(&mut sessions[at], &message).unwrap());
        }
        let verified = verify(unverified).unwrap();
        let payloads: Vec<_> =
            verified.iter().map(|one| std::str::from_utf8(&one.payload).unwrap()).collect();
        assert_eq!(payloads, ["0 3", "1 0", "0 1", "2 700", "0 2", "2 699", "1 3"]);
        assert_eq!(verified[3].message_index, 700);
        assert!(verify(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn one_forged_signature_spoils_the_whole_check() {
        let (maker, other) = (Maker::new(), Maker::new());
        let mut session = maker.session();
        let good = maker.message(0, b"good");
        let mut of_another_message = maker.message(1, b"bad");
        of_another_message.splice(good.len() - 64.., good[good.len() - 64..].iter().copied());
        let mut of_another_key = maker.message(2, b"bad");
        other.sign_again(&mut of_another_key);
        for bad in [of_another_message, of_another_key] {
            assert_eq!(alone(&mut session, &good).unwrap().0, b"good");
            assert!(begin(&mut session, &bad).is_some(), "the MAC is good");
            assert!(alone(&mut session, &bad).is_none());
            let mut unverified: Vec<_> = (3..40)
                .map(|index| begin(&mut session, &maker.message(index, b"good")).unwrap())
                .collect();
            unverified.insert(20, begin(&mut session, &bad).unwrap());
            assert!(verify(unverified).is_none());
            assert!(matches!(session.decrypt(&base64_encode(&bad)), Err(DecryptError::Forged(_))));
        }
    }

    #[test]
    fn errors_that_cancel_out_are_seen() {
        let maker = Maker::new();
        let mut session = maker.session();
        let mut unverified: Vec<_> = (0..4)
            .map(|index| begin(&mut session, &maker.message(index, b"good")).unwrap())
            .collect();
        unverified[0].signature.s += Scalar::ONE;
        unverified[1].signature.s -= Scalar::ONE;
        assert!(verify(unverified).is_none());
        let mut unverified: Vec<_> = (0..2)
            .map(|index| begin(&mut session, &maker.message(index, b"good")).unwrap())
            .collect();
        unverified[0].signature.r += ED25519_BASEPOINT_POINT;
        unverified[1].signature.r -= ED25519_BASEPOINT_POINT;
        assert!(verify(unverified).is_none());
    }

    #[test]
    fn a_wrong_mac_or_index_is_refused_though_the_session_signed_it() {
        let maker = Maker::new();
        let mut session = maker.session();
        let mut mac = maker.message(0, b"x");
        let at = mac.len() - 65;
        mac[at] ^= 1;
        maker.sign_again(&mut mac);
        let mut index = maker.message(0, b"x");
        assert_eq!(index[1..3], [8, 0], "the index");
        index[2] = 1;
        maker.sign_again(&mut index);
        for message in [mac, index] {
            assert!(begin(&mut session, &message).is_none());
            assert!(matches!(
                session.decrypt(&base64_encode(&message)),
                Err(DecryptError::Forged(_))
            ));
        }
        session.decrypt(&base64_encode(maker.message(1, b"x"))).unwrap();
    }

    #[test]
    fn keys_and_signatures_of_small_order_or_unusual_form_are_left_to_the_judge() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        for point in EIGHT_TORSION {
            assert!(Signer::new(point.compress().as_bytes()).is_none());
        }
        let maker = Maker::new();
        let signer = Signer::new(maker.pair.public_key().as_bytes()).unwrap();
        let mut signature = maker.pair.sign(b"signed").to_bytes();
        assert!(Signature::new(&signer, b"signed", &signature).is_some());
        let good = signature;
        for point in EIGHT_TORSION {
            signature[..32].copy_from_slice(point.compress().as_bytes());
            assert!(Signature::new(&signer, b"signed", &signature).is_none());
        }
        // y = 2²⁵⁵ − 16, which is 3: a point, written as nobody should.
        signature[..32].copy_from_slice(&[0xff; 32]);
        (signature[0], signature[31]) = (0xf0, 0x7f);
        assert!(CompressedEdwardsY(signature[..32].try_into().unwrap()).decompress().is_some());
        assert!(Signature::new(&signer, b"signed", &signature).is_none());
        // s + the order of the group.
        let mut unreduced = good;
        let mut carry = 0;
        for (byte, order) in unreduced[32..].iter_mut().zip((-Scalar::ONE).to_bytes()) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(Signature::new(&signer, b"signed", &unreduced).is_none());
    }

    #[test]
    fn a_good_signature_off_by_a_point_of_small_order_is_not_of_a_third_party() {
        // What the check is looser in: only with the private key can such a signature be made.
        let maker = Maker::new();
        let signer = Signer::new(maker.pair.public_key().as_bytes()).unwrap();
        let signature = maker.pair.sign(b"signed").to_bytes();
        let mut moved = Signature::new(&signer, b"signed", &signature).unwrap();
        moved.r += curve25519_dalek::constants::EIGHT_TORSION[1];
        let bytes: Vec<u8> = [moved.r.compress().to_bytes(), moved.s.to_bytes()].concat();
        let again = Signature::new(&signer, b"signed", &bytes.try_into().unwrap()).unwrap();
        assert!(!are_good(&[again]), "the hash is another");
    }

    fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..7), 0..3)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// On anything, it says what vodozemac says; or nothing, where the bytes are not those that
        /// vodozemac would write.
        #[test]
        fn it_agrees_with_vodozemac(
            payload in prop::collection::vec(any::<u8>(), 0..80),
            index in 0_u32..20,
            mutations in mutations(),
            signed_again in any::<bool>(),
        ) {
            let maker = Maker::new();
            let mut message = maker.message(index, &payload);
            for (at, byte, kind) in mutations {
                let end = message.len();
                let at = at.index(end);
                match kind {
                    0 => message.insert(at, byte),
                    1 if message.len() > 80 => drop(message.remove(at)),
                    2 => message[at] = byte,
                    // In the header: version, index, length.
                    3 => message[at % 8] = byte,
                    4 => message[at] ^= 1 << (byte % 8),
                    // In the signature, so that the MAC stays right.
                    5 => message[end - 1 - at % 64] ^= 1 << (byte % 8),
                    // A longer form of the index.
                    _ if message[2] < 128 => {
                        message[2] |= 128;
                        message.insert(3, 0);
                    }
                    _ => {}
                }
            }
            if signed_again {
                maker.sign_again(&mut message);
            }
            let mut session = maker.session();
            let ours = alone(&mut session, &message);
            let judged = session.decrypt(&base64_encode(&message)).ok();
            let is_usual = MegolmMessage::from_bytes(&message)
                .is_ok_and(|parsed| parsed.to_bytes() == message);
            if is_usual || ours.is_some() {
                prop_assert_eq!(ours, judged);
            }
        }
    }
}
