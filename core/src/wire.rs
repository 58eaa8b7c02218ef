//! Matrix on the wire: addresses, endpoints and JSON text. No policy here.

pub mod account_data;
pub mod address;
pub mod endpoint;
pub mod ice;
pub mod json_edit;
pub mod json_walk;
pub(crate) mod windows;
