//! What must hold when people cheat and servers lie about order, dates and flags. Over the façade
//! alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "tests may panic, and not each uses all of the people's means"
)]

#[path = "../support/device.rs"]
mod device;
mod people;

mod authorship;
mod devices;
mod flags;
mod member_profiles;
mod order;
mod redacted;
mod sessions;
mod stored;
mod trust;
mod vectors;
mod visibility;
mod waiting;
