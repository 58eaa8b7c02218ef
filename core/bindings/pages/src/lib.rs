//! The module of the extension's own pages and background: the settings as shown and changed, hosts
//! and sites, and the check-up of an account.
//!
//! It is a file of the package that each of them loads, so nothing here is parsed at the start of
//! Element's pages. What it does stands in the crates below.

#[cfg(target_arch = "wasm32")]
pub mod boundary;
#[cfg(target_arch = "wasm32")]
pub mod check_up;
