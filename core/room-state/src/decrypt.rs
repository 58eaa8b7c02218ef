//! An encrypted state event, decrypted and checked.

#[allow(clippy::module_inception, reason = "the step has the name of what it does")]
pub(crate) mod decrypt;
pub(crate) mod replay;
