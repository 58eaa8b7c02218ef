//! What the user or their organisation chose of encrypted state.

use mantle_wire::json::{get, get_str};

use crate::model::stored::strings;
use crate::msc4362::eligible::EncryptedTypes;

/// Which devices get keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// All but blocked ones.
    #[default]
    All,
    /// Those their owner has signed.
    CrossSigned,
}

/// What to do with new encrypted rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewRooms {
    /// Encrypt their state.
    #[default]
    On,
    /// Ask each time.
    Ask,
    /// Leave them.
    Off,
}

/// What the user or their organisation chose.
#[derive(Clone, Debug, Default)]
pub struct StateSettings {
    /// What is encrypted in rooms with the flag.
    pub types: EncryptedTypes,
    /// What becomes of new rooms.
    pub new_rooms: NewRooms,
    /// Who gets keys.
    pub trust: Trust,
}

/// Of a state event, in clear.
#[derive(Clone, Copy)]
pub(crate) struct TypeAndContent<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) content: &'a str,
}

impl StateSettings {
    /// Whether Mantle encrypts this by itself: state of its types, and a room's picture whose file is
    /// encrypted, since nobody else may have the file's key.
    pub(crate) fn encrypts(&self, state: TypeAndContent<'_>) -> bool {
        let TypeAndContent { event_type, content } = state;
        self.types.contains(event_type)
            || event_type == "m.room.avatar" && matches!(get(content, &["file"]), Ok(Some(_)))
    }

    /// From the settings of the shield as the page's core tells them; what is not there is as the
    /// shield has it by default.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let choice = |key: &str| get_str(text, &["options", key]).ok().flatten();
        let types = get(text, &["options", "types"]).ok().flatten().and_then(strings);
        let (types, _) = EncryptedTypes::with_additions(types.unwrap_or_default());
        Self {
            types,
            new_rooms: match choice("newRooms").as_deref() {
                Some("ask") => NewRooms::Ask,
                Some("off") => NewRooms::Off,
                _ => NewRooms::On,
            },
            trust: match choice("trust").as_deref() {
                Some("cross-signed") => Trust::CrossSigned,
                _ => Trust::All,
            },
        }
    }
}
