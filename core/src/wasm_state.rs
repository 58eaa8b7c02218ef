//! Boundary of the module that pages load for encrypted state: bytes and texts, no logic.

use wasm_bindgen::prelude::*;

/// Stands for encrypted state until it is wired in; tells that the module runs.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct EncryptedState;

#[wasm_bindgen]
impl EncryptedState {
    /// Nothing to set up.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Whether a text names an event type of encrypted state (MSC4362).
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        text.contains("m.room.encrypted")
    }
}
