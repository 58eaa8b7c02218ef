//! JSON as text, read as the browser reads it and edited in place, so that what nobody understands
//! stays as it was.

mod cursor;
mod document;
mod edit;
mod read;
mod skip;

pub use cursor::{Cursor, JsonError, Key};
pub use document::Document;
pub use edit::*;
pub use read::*;
pub use skip::{string_end, walk_on};
