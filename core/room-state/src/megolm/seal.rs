//! Text for the store that nobody without the pickle key may read: names of rooms, state that waits
//! to be sent.
//!
//! A text is the one message of a Megolm session of its own, kept beside that session's pickle: so
//! vodozemac's cipher and pickle format do it all, and no other cipher is linked.

use vodozemac::megolm::{
    GroupSession, InboundGroupSession, InboundGroupSessionPickle, MegolmMessage, SessionConfig,
};

use super::{PickleKey, RestoreError};
use mantle_wire::secret::Secret;

/// `pickle.message`, both base64.
pub(crate) fn seal(text: &str, key: &PickleKey) -> String {
    let mut session = GroupSession::new(SessionConfig::version_1());
    let pickle = InboundGroupSession::from(&session).pickle().encrypt(key);
    format!("{pickle}.{}", session.encrypt(text.as_bytes()).to_base64())
}

/// The text of what [`seal`] made.
///
/// # Errors
///
/// [`RestoreError`] when it is damaged or was made with another key.
pub(crate) fn unseal(sealed: &str, key: &PickleKey) -> Result<Secret, RestoreError> {
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

    #[test]
    fn only_the_key_opens_it() {
        let sealed = seal("CANARY", &[1; 32]);
        assert!(!sealed.contains("CANARY"));
        assert_eq!(unseal(&sealed, &[1; 32]).unwrap().expose(), "CANARY");
        assert!(matches!(unseal(&sealed, &[2; 32]), Err(RestoreError::Pickle(_))));
        assert!(matches!(unseal("x", &[1; 32]), Err(RestoreError::Format)));
        let other = seal("OTHER", &[1; 32]);
        let mixed =
            format!("{}.{}", sealed.split_once('.').unwrap().0, other.split_once('.').unwrap().1);
        assert!(matches!(unseal(&mixed, &[1; 32]), Err(RestoreError::Mismatch)));
    }
}
