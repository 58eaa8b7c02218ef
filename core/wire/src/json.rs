//! JSON as text: read and edited in place, so that what nobody understands stays as it was.

mod edit;
mod skip;

pub use edit::*;
pub use skip::{string_end, walk_on};
