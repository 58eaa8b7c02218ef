//! Where state events stand in a response of any size, without parsing it.

pub(crate) mod events;
pub(crate) mod prefilter;
pub(crate) mod redactions;
