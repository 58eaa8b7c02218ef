//! Where state events stand in a response of any size, without parsing it, and how others take their
//! place.

pub(crate) mod events;
pub(crate) mod members;
pub(crate) mod patch;
pub(crate) mod prefilter;
pub(crate) mod redactions;
pub(crate) mod walk;
