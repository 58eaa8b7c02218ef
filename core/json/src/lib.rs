//! JSON as text, read as the browser reads it and edited in place, so that what nobody understands
//! stays as it was. A crate of its own, since it is what goes over whole responses, and is compiled for
//! speed where the rest is for size.

pub mod chunked;
mod cursor;
mod document;
mod edit;
mod events;
mod read;
mod skip;

pub use cursor::{Cursor, JsonError, Key};
pub use document::{Document, Opening};
pub use edit::*;
pub use events::{Event, Kinds};
pub use read::*;
pub use skip::{string_end, walk_on};
