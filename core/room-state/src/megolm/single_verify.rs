//! In the place of batch verification where that is compiled out: nothing is ever left to be checked
//! with others, so vodozemac decrypts and checks each event alone.

/// As many at a time as with batch verification, so that the work is cut into the same steps.
pub(crate) const MAX_BATCH: usize = 128;

/// There is none.
#[derive(Clone)]
pub(super) enum Signer {}

impl Signer {
    pub(super) const fn new(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// There is none.
#[derive(Debug)]
pub(crate) enum Unverified {}

/// What [`verify`] would give.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) payload: Vec<u8>,
    pub(crate) message_index: u32,
}

impl Unverified {
    pub(super) const fn new(
        signer: &Signer,
        _signed: &[u8],
        _signature: &[u8; 64],
        _payload: Vec<u8>,
        _message_index: u32,
    ) -> Option<Self> {
        match *signer {}
    }
}

/// Of none, none.
pub(crate) fn verify(events: Vec<Unverified>) -> Option<Vec<Verified>> {
    events.into_iter().map(|event| match event {}).collect()
}

#[cfg(test)]
mod tests {
    use vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig};

    use super::verify;
    use crate::megolm::{InboundSession, SessionOrigin};

    #[test]
    fn each_event_is_vodozemacs() {
        let config = SessionConfig::version_1();
        let mut outbound = GroupSession::new(config);
        let inbound = InboundGroupSession::new(&outbound.session_key(), config);
        let origin = SessionOrigin {
            room_id: "!r:x".to_owned(),
            sender_key: String::new(),
            claimed_ed25519: String::new(),
        };
        let mut session = InboundSession::own(inbound, origin, "@a:x");
        let ciphertext = outbound.encrypt("text").to_base64();
        assert!(session.decrypt_unverified(&ciphertext).is_none());
        assert_eq!(session.decrypt(&ciphertext).unwrap(), (b"text".to_vec(), 0));
        assert!(verify(Vec::new()).unwrap().is_empty());
    }
}
