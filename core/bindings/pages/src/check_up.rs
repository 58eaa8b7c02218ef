//! The check-up and its repairs. They hold what they know between calls; after a trap the check-up is
//! made again, and a repair goes on from its kept text.

use mantle_check_up::{Account, CheckUp, FindingId, Repair, Response};
use wasm_bindgen::prelude::*;

use crate::boundary::to_js;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
import type { Account, CheckUpNext, CheckUpReport, FindingId, RepairNext, RepairView } from "./types.ts";
"#;

/// One look at an account.
#[wasm_bindgen(js_name = CheckUp)]
#[derive(Debug)]
pub struct CheckUpHandle(CheckUp);

#[wasm_bindgen(js_class = CheckUp)]
impl CheckUpHandle {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// None that a person could mend.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "Account")] account: JsValue,
    ) -> Result<Self, JsError> {
        let account: Account = serde_wasm_bindgen::from_value(account)?;
        Ok(Self(CheckUp::new(account)))
    }

    /// What to ask the homeserver, or the page's session, next; `undefined` once all is asked.
    ///
    /// # Errors
    /// None that a person could mend.
    #[wasm_bindgen(js_name = nextInquiry, unchecked_return_type = "CheckUpNext | undefined")]
    pub fn next_inquiry(&mut self) -> Result<JsValue, JsError> {
        self.0.next_inquiry().map_or(Ok(JsValue::UNDEFINED), |inquiry| to_js(&inquiry))
    }

    /// The answer to what was asked last; status 0: there was none. `headers` is "name: value\n…". For
    /// how many milliseconds to wait before the next inquiry.
    #[allow(clippy::cast_precision_loss)]
    pub fn answer(&mut self, status: u16, headers: &str, body: &str) -> f64 {
        self.0.answer(Response { status, headers, body }) as f64
    }

    /// What was found so far, worst first.
    ///
    /// # Errors
    /// None that a person could mend.
    #[wasm_bindgen(unchecked_return_type = "CheckUpReport")]
    pub fn report(&self) -> Result<JsValue, JsError> {
        to_js(&self.0.report())
    }

    /// The repair of a finding; `undefined` where Mantle has none.
    ///
    /// # Errors
    /// None that a person could mend.
    pub fn repair(
        &self,
        #[wasm_bindgen(unchecked_param_type = "FindingId")] finding: JsValue,
    ) -> Result<Option<RepairHandle>, JsError> {
        let finding: FindingId = serde_wasm_bindgen::from_value(finding)?;
        Ok(self.0.repair(finding).map(RepairHandle))
    }
}

/// A repair of one finding, step by step.
#[wasm_bindgen(js_name = Repair)]
#[derive(Debug)]
pub struct RepairHandle(Repair);

#[wasm_bindgen(js_class = Repair)]
impl RepairHandle {
    /// As it was kept; `undefined` when the text is no repair of this account.
    #[wasm_bindgen(js_name = fromText)]
    #[must_use]
    pub fn from_text(text: &str, user: &str) -> Option<Self> {
        Repair::from_text(text, user).ok().map(Self)
    }

    /// To be kept: names and former values, so that it can go on and be taken back.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.text()
    }

    /// What to do at this time.
    ///
    /// # Errors
    /// None that a person could mend.
    #[wasm_bindgen(unchecked_return_type = "RepairNext")]
    pub fn next(&mut self, now: f64) -> Result<JsValue, JsError> {
        to_js(&self.0.next(milliseconds(now)))
    }

    /// The answer to what was asked last, or how the page fared with a room; see `CheckUp.answer`.
    pub fn answered(&mut self, now: f64, status: u16, headers: &str, body: &str) {
        self.0.answered(milliseconds(now), Response { status, headers, body });
    }

    /// The person wants a rest.
    pub fn pause(&mut self) {
        self.0.pause();
    }

    /// Goes on, also after a cut.
    pub fn resume(&mut self) {
        self.0.resume();
    }

    /// From here on, what was done is taken back; false where nothing can be.
    pub fn undo(&mut self) -> bool {
        self.0.undo()
    }

    /// For showing.
    ///
    /// # Errors
    /// None that a person could mend.
    #[wasm_bindgen(unchecked_return_type = "RepairView")]
    pub fn view(&self, now: f64) -> Result<JsValue, JsError> {
        to_js(&self.0.view(milliseconds(now)))
    }
}

/// What is no time, or before 1970, is 0; what is too late is the latest there is.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const fn milliseconds(time: f64) -> u64 {
    time as u64
}
