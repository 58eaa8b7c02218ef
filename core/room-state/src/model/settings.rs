//! What the user or their organisation chose of encrypted state.

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
