//! Text for the store that nobody without the pickle key may read: names of rooms, state that waits
//! to be sent. XChaCha20-Poly1305, whose nonce is long enough to be drawn at random; the name of the
//! entry is authenticated with the text, so that none opens in the place of another.

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha512};
use vodozemac::megolm::{InboundGroupSession, InboundGroupSessionPickle, MegolmMessage};
use vodozemac::{base64_decode, base64_encode};

use super::{PickleKey, RestoreError};
use mantle_wire::secret::Secret;

/// Before the base64 of nonce and ciphertext. The first form has no such mark.
const MARK: &str = "2.";

const NONCE_BYTES: usize = 24;

/// Where in the store a text stands. Neither names of entries nor of parts hold a NUL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The name that the entry is stored under.
    pub(crate) entry: &'a str,
    /// Which of that entry's texts it is.
    pub(crate) part: &'static str,
}

impl Place<'_> {
    fn bytes(self) -> Vec<u8> {
        [self.entry.as_bytes(), self.part.as_bytes()].join(&0)
    }
}

/// A number drawn at random, below 2^30.
pub(crate) fn drawn() -> u32 {
    let nonce = XNonce::generate();
    u32::from_le_bytes(nonce.first_chunk().copied().unwrap_or_default()) >> 2
}

/// `2.` and base64.
pub(crate) fn seal(text: &str, place: Place<'_>, key: &PickleKey) -> String {
    let nonce = XNonce::generate();
    let payload = Payload { msg: text.as_bytes(), aad: &place.bytes() };
    // Fails only above 256 GB; then there is nothing in it.
    let ciphertext = cipher(key).encrypt(&nonce, payload).unwrap_or_default();
    format!("{MARK}{}", base64_encode([nonce.as_slice(), &ciphertext].concat()))
}

/// The text of what [`seal`] made for the same place; or, from before it bound a text to one, of the
/// first form.
///
/// # Errors
///
/// [`RestoreError`] when it is damaged, was made with another key or for another place.
pub(crate) fn unseal(
    sealed: &str,
    place: Place<'_>,
    key: &PickleKey,
) -> Result<Secret, RestoreError> {
    let Some(sealed) = sealed.strip_prefix(MARK) else { return unseal_first_form(sealed, key) };
    let bytes = base64_decode(sealed).map_err(|_| RestoreError::Format)?;
    let (nonce, ciphertext) =
        bytes.split_first_chunk::<NONCE_BYTES>().ok_or(RestoreError::Format)?;
    let text = cipher(key)
        .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &place.bytes() })
        .map_err(|_| RestoreError::Sealed)?;
    String::from_utf8(text).map(Secret::new).map_err(|_| RestoreError::Format)
}

/// True for the first form: it is to be written anew.
pub(crate) fn is_first_form(sealed: &str) -> bool {
    !sealed.starts_with(MARK)
}

/// Of its own, since pickles are encrypted with the key itself.
fn cipher(key: &PickleKey) -> XChaCha20Poly1305 {
    let hash = Sha512::new().chain_update(b"mantle: stored text").chain_update(key).finalize();
    let mut derived = PickleKey::default();
    derived.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    XChaCha20Poly1305::new(&derived.into())
}

/// `pickle.message`: the one message of a Megolm session of its own.
fn unseal_first_form(sealed: &str, key: &PickleKey) -> Result<Secret, RestoreError> {
    let (pickle, message) = sealed.split_once('.').ok_or(RestoreError::Format)?;
    let mut session =
        InboundGroupSession::from_pickle(InboundGroupSessionPickle::from_encrypted(pickle, key)?);
    let message = MegolmMessage::from_base64(message).map_err(|_| RestoreError::Format)?;
    let plaintext = session.decrypt(&message).map_err(|_| RestoreError::Mismatch)?.plaintext;
    String::from_utf8(plaintext).map(Secret::new).map_err(|_| RestoreError::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { entry: "room/!r:x", part: "events" };

    #[test]
    fn only_the_key_opens_it() {
        let sealed = seal("CANARY", PLACE, &[1; 32]);
        assert!(!sealed.contains("CANARY"));
        assert_eq!(unseal(&sealed, PLACE, &[1; 32]).unwrap().expose(), "CANARY");
        assert!(matches!(unseal(&sealed, PLACE, &[2; 32]), Err(RestoreError::Sealed)));
        for damaged in ["", "x", "2.", "2.x", "2.AAAA", "2.~"] {
            assert!(unseal(damaged, PLACE, &[1; 32]).is_err(), "{damaged}");
        }
        assert_ne!(seal("CANARY", PLACE, &[1; 32]), sealed, "a nonce of its own");
    }

    #[test]
    fn it_opens_in_its_own_place_only() {
        let sealed = seal("CANARY", PLACE, &[1; 32]);
        for (entry, part) in
            [("room/!s:x", "events"), ("room/!r:x", "rewrites"), ("hint/!r:x", "events")]
        {
            let other = Place { entry, part };
            assert!(matches!(unseal(&sealed, other, &[1; 32]), Err(RestoreError::Sealed)));
        }
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let sealed = seal("CANARY", PLACE, &[1; 32]);
        let bytes = base64_decode(sealed.strip_prefix(MARK).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{MARK}{}", base64_encode(changed));
            assert!(unseal(&changed, PLACE, &[1; 32]).is_err(), "byte {at}");
        }
        assert!(
            unseal(&format!("{MARK}{}", base64_encode(&bytes[..39])), PLACE, &[1; 32]).is_err()
        );
    }

    #[test]
    fn the_first_form_is_still_read() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/sealed_texts.json")).unwrap();
        let key: PickleKey = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let text = |name: &str| vector[name].as_str().unwrap();
        let place = Place { entry: text("entry"), part: "events" };
        assert_eq!(place.part, text("part"));
        for form in ["first", "second"] {
            let opened = unseal(text(form), place, &key).unwrap();
            assert_eq!(opened.expose(), text("text"), "{form}");
        }
        assert!(is_first_form(text("first")) && !is_first_form(text("second")));
        assert!(unseal(text("first"), PLACE, &[1; 32]).is_err());
    }

    /// Writes a vector; by hand, once for each form: an existing one is never made anew.
    #[test]
    #[ignore = "writes a test vector; run by hand when the form changes"]
    fn print_a_vector() {
        let key: PickleKey = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let place = Place { entry: "room/!room:example.org", part: "events" };
        println!("{}", seal("[{\"name\":\"Vector\"}]", place, &key));
    }
}
