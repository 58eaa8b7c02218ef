//! What MSC4362 says of one event or room: which types, which state key, who may.

pub(crate) mod eligible;
pub(crate) mod event;
pub(crate) mod flag;
pub(crate) mod member_profile;
pub(crate) mod packed_key;
pub(crate) mod power_levels;
