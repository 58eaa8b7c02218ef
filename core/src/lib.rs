//! Mantle's core: decides what an Element Web page may tell which server.
//!
//! Sans-I/O: requests, answers and settings go in as plain data; verdicts and
//! effects come out. No clock, no network, no globals. The browser side hands
//! over what it saw and carries out what it is told.
//!
//! Layers, each using only those below it: `wasm` boundary,
//! [`engine`], [`shields`] and [`state`], [`policy`] and [`verdict`], [`wire`].

pub mod engine;
pub mod leaks;
pub mod ledger;
pub mod overview;
pub mod policy;
pub mod secret;
pub mod shields;
pub mod state;
pub mod verdict;
pub mod wire;

// One boundary per WASM module: see the features.
#[cfg(all(target_arch = "wasm32", feature = "module-core"))]
pub mod wasm;
#[cfg(all(target_arch = "wasm32", feature = "module-media"))]
pub mod wasm_media;
#[cfg(all(target_arch = "wasm32", feature = "module-state"))]
pub mod wasm_state;
