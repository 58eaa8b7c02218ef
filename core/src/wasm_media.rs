//! Boundary of the module that pages load for uploads: bytes and texts, no logic.

use wasm_bindgen::prelude::*;

/// Stands for the cleaning of uploads until it is wired in; tells that the module runs.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct MediaCleaner;

#[wasm_bindgen]
impl MediaCleaner {
    /// Nothing to set up.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Whether these first bytes are those of a JPEG (ISO/IEC 10918-1, SOI marker).
    #[wasm_bindgen(js_name = isJpeg)]
    #[must_use]
    pub fn is_jpeg(&self, first: &[u8]) -> bool {
        first.starts_with(&[0xff, 0xd8, 0xff])
    }
}
