//! The event that is encrypted next, and what its author's device signed of it.

use crate::ids::{SessionId, Slot};
use crate::megolm::OwnDevice;
use crate::megolm::authorship::{
    Authorship, Signature, SignedBy, SlotOrder, signed_payload, text_to_sign,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Signing {
    slot: Slot,
    content: String,
    session_id: String,
    text: String,
    signature: Option<String>,
}

impl Signing {
    /// `None` where nothing of it can be signed.
    pub(crate) fn of(
        device: &OwnDevice,
        (slot, content): (&Slot, &str),
        session: SessionId<'_>,
        order: SlotOrder,
    ) -> Option<Self> {
        let authorship = Authorship {
            user_id: device.user_id().to_owned(),
            device_id: device.device_id().to_owned(),
            curve25519: device.curve25519().to_owned(),
            ed25519: device.ed25519().to_owned(),
            session_id: session.id.to_owned(),
            order,
        };
        Some(Self {
            slot: slot.clone(),
            content: content.to_owned(),
            text: text_to_sign(slot.room(), slot.of(), content, &authorship)?,
            session_id: authorship.session_id,
            signature: None,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn sign(&mut self, signature: &str) {
        self.signature = Some(signature.to_owned());
    }

    /// The payload with its signature; `None` where it is another event's or session's, or not good.
    pub(crate) fn payload(
        &self,
        (slot, content): (&Slot, &str),
        session: SessionId<'_>,
        device: &OwnDevice,
    ) -> Option<String> {
        let signature = self.signature.as_deref()?;
        let is_it = self.slot == *slot
            && self.content == content
            && self.session_id == session.id
            && Signature { ed25519: device.ed25519(), base64: signature }.is_of(&self.text);
        is_it.then(|| signed_payload(&self.text, SignedBy { device: device.id(), signature }))
    }
}
