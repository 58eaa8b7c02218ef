//! Matrix on the wire: addresses, routes and JSON text. No policy and no cryptography.

pub mod account_data;
pub mod ice;
pub mod route;
pub mod secret;
pub mod state_types;
pub mod url;

pub use mantle_json as json;
