//! What is known of rooms and devices; each part is the one owner of its data.

pub(crate) mod journal;
pub(crate) mod memory;
pub(crate) mod outbound;
pub(crate) mod owners;
pub(crate) mod precedence;
