//! What an Element Web page may tell which server.
//!
//! Sans-I/O: requests, responses and settings go in as plain data; decisions and effects come out.
//! No clock, no network, no globals. The browser side hands over what it saw and carries out what
//! it is told.

mod decide;
mod learned;
mod needs_module;

pub mod catalogue;
pub mod ledger;
pub mod overview;
pub mod shields;
pub mod verdict;

pub use decide::{Delegate, Effect, Engine};
pub use needs_module::{can_stay_unloaded, can_stay_unloaded_after};
