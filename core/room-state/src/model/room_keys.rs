//! Keys of rooms that the page's own crypto gives.

use zeroize::Zeroizing;

use crate::error::EngineError;
use crate::megolm::{Added, GivenKey, InboundSession, KeyForm, MEGOLM_V1, SessionOrigin};
use crate::model::Model;
use mantle_wire::json::{elements, get_str};

impl Model {
    /// Takes sessions out of the page's key export; how many were new or better than before. Those
    /// that cannot be read are passed over.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub(crate) fn add_room_keys(&mut self, export: &str) -> Result<usize, EngineError> {
        let mut count = 0;
        for key in elements(export)? {
            count += usize::from(self.add_room_key(key).unwrap_or(false));
        }
        Ok(count)
    }

    fn add_room_key(&mut self, key: &str) -> Option<bool> {
        let text = |path: &[&str]| get_str(key, path).ok().flatten();
        if text(&["algorithm"])? != MEGOLM_V1 {
            return None;
        }
        let origin = SessionOrigin {
            room_id: text(&["room_id"])?,
            sender_key: text(&["sender_key"])?,
            claimed_ed25519: text(&["sender_claimed_keys", "ed25519"])?,
        };
        let keys = (origin.sender_key.clone(), origin.claimed_ed25519.clone());
        let session_key = Zeroizing::new(text(&["session_key"])?);
        let given = GivenKey { form: KeyForm::Exported, text: &session_key };
        let mut session = InboundSession::import(&text(&["session_id"])?, given, origin).ok()?;
        if let Some(owner) = self.devices.owner(&keys) {
            session.set_owner(owner);
        }
        Some(matches!(self.sessions.add(session), Ok(Added::New | Added::Better)))
    }
}
