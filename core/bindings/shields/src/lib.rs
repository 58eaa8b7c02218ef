//! The only user of wasm-bindgen: plain data and bytes in and out, no logic.
#![cfg(target_arch = "wasm32")]

use mantle_shields::Engine;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
// Derived from the Rust types; see scripts/generate.
import type { Effect, FrameVerdict, PeerVerdict, Delegate } from "./types.ts";
export type { Action, Effect, FrameVerdict, PeerVerdict, Question, Delegate } from "./types.ts";
export interface SettingsReport { problems: string[] }
export interface SyntheticReply {
  status: number;
  statusText: string;
  headers: [string, string][];
  body: string;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "SettingsReport")]
    pub type SettingsReport;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "SyntheticReply")]
    pub type SyntheticReply;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Delegate[]")]
    pub type Delegates;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "PeerVerdict | undefined")]
    pub type PeerVerdict;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "FrameVerdict | undefined")]
    pub type FrameVerdict;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Effect[]")]
    pub type Effects;
}

/// The core of one document.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    engine: Engine,
}

#[wasm_bindgen]
impl Core {
    /// For the document at this URL.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(document_url: &str) -> Self {
        console_error_panic_hook::set_once();
        Self { engine: Engine::new(document_url) }
    }

    /// Puts stored settings and managed policy (JSON texts) in force.
    #[wasm_bindgen(js_name = applySettings)]
    pub fn apply_settings(
        &mut self,
        stored: Option<String>,
        managed: Option<String>,
    ) -> SettingsReport {
        #[derive(Serialize)]
        struct Report<'a> {
            problems: &'a [String],
        }
        let problems = self.engine.apply_settings(stored.as_deref(), managed.as_deref());
        to_js(&Report { problems }).unchecked_into()
    }

    /// Whether settings are in force.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.engine.is_ready()
    }

    /// Settings are late: go on with every shield on.
    #[wasm_bindgen(js_name = assumeStrictest)]
    pub fn assume_strictest(&mut self) {
        self.engine.assume_strictest();
    }

    /// First look at a request; returns decision flags, 0 to pass.
    pub fn decide(&mut self, method: &str, url: &str) -> u32 {
        self.engine.decide(method, url)
    }

    /// Second look, with headers and body.
    #[wasm_bindgen(js_name = decideBody)]
    pub fn decide_body(&mut self, method: &str, url: &str, headers: &str, body: &[u8]) -> u32 {
        self.engine.decide_body(method, url, headers, body)
    }

    /// The synthetic answer of the last decision.
    #[wasm_bindgen(js_name = takeReply)]
    pub fn take_reply(&mut self) -> SyntheticReply {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Out<'a> {
            status: u16,
            status_text: &'a str,
            headers: [(&'a str, &'a str); 2],
            body: &'a str,
        }
        let (shield, reply) = self.engine.take_reply().unwrap_or_else(|| {
            (
                "mantle",
                mantle_shields::verdict::Reply::forbidden(
                    "Mantle stopped this request; reload the page.",
                ),
            )
        });
        let status_text = match reply.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            _ => "Forbidden",
        };
        // Without the content type the SDK makes no Matrix error of it; the
        // marker lets people and tests tell our answers from a server's.
        let headers = [("content-type", "application/json"), ("x-mantle", shield)];
        to_js(&Out { status: reply.status, status_text, headers, body: &reply.body })
            .unchecked_into()
    }

    /// The rewritten body of the last decision.
    #[wasm_bindgen(js_name = takeBody)]
    pub fn take_body(&mut self) -> Vec<u8> {
        self.engine.take_body().unwrap_or_default()
    }

    /// What a part of the page script has to know of a shield's settings: JSON text
    /// `{"mode": …, "options": {…}, "allow": […]}`.
    #[wasm_bindgen(js_name = shieldSettings)]
    #[must_use]
    pub fn shield_settings(&self, shield: &str) -> Option<String> {
        self.engine.shield_settings(shield)
    }

    /// Whether a request may leave, or with `answer` that may be handed over, without the module of
    /// encrypted state, where no room with it is known. A long answer is not copied in.
    #[wasm_bindgen(js_name = canStayUnloaded)]
    #[must_use]
    pub fn can_stay_unloaded(
        &self,
        method: &str,
        url: &str,
        answer: Option<js_sys::Uint8Array>,
    ) -> bool {
        match answer {
            Some(answer) => {
                let length = answer.length() as usize;
                mantle_shields::can_stay_unloaded_after(method, url, length, || answer.to_vec())
            }
            None => mantle_shields::can_stay_unloaded(method, url),
        }
    }

    /// After `REDIRECT`: the absolute URL to send to.
    #[wasm_bindgen(js_name = takeUrl)]
    pub fn take_url(&mut self) -> Option<String> {
        self.engine.take_url()
    }

    /// After `DELEGATE`: who takes the request over, one after the other.
    #[wasm_bindgen(js_name = takeDelegates)]
    pub fn take_delegates(&mut self) -> Delegates {
        to_js(&self.engine.take_delegates()).unchecked_into()
    }

    /// After `DELEGATE_RESPONSE`: who takes the answer over; one or none.
    #[wasm_bindgen(js_name = takeResponseDelegate)]
    pub fn take_response_delegate(&mut self) -> Delegates {
        to_js(&self.engine.take_response_delegate().as_slice()).unchecked_into()
    }

    /// Counts what a handler did with the request it took over; "agreed": and the person let the host of
    /// the URL know who they are, see [`mantle_shields::Engine::agree`].
    pub fn note(&mut self, shield: &str, action: &str, method: &str, url: &str) {
        if action == "agreed" {
            self.engine.agree(url);
        }
        if let Some(action) = mantle_shields::verdict::Action::of_handler(action) {
            self.engine.note(shield, action, method, url);
        }
    }

    /// A look at a whole answer; `undefined` when its bytes go on as they are.
    pub fn answer(
        &mut self,
        method: &str,
        url: &str,
        status: u16,
        body: &js_sys::Uint8Array,
    ) -> Option<Vec<u8>> {
        #[allow(clippy::cast_possible_truncation)]
        let mut read = |at: usize, into: &mut [u8]| {
            let from = at as u32;
            body.subarray(from, from + into.len() as u32).copy_to(into);
        };
        if !self.engine.needs_response_body(method, url, body.length() as usize, &mut read) {
            return None;
        }
        self.engine.response(method, url, status, &body.to_vec())
    }

    /// For a new peer connection, with the URLs of its ICE servers, one a line; `undefined` to
    /// leave it alone.
    pub fn peer(&mut self, urls: &str) -> PeerVerdict {
        let urls: Vec<_> = urls.lines().map(str::to_owned).collect();
        optional(self.engine.peer(&urls).as_ref()).unchecked_into()
    }

    /// For the address of a frame, fragment included; `undefined` to leave it alone.
    pub fn frame(&mut self, url: &str) -> FrameVerdict {
        optional(self.engine.frame(url).as_ref()).unchecked_into()
    }

    /// For a link that is about to be followed: where to go instead; `undefined` to follow it.
    pub fn link(&mut self, url: &str) -> Option<String> {
        self.engine.link(url)
    }

    /// Before a link is followed (its absolute address), before the device's position is read
    /// (`position:`), and for a frame that would speak to `call-server:` and a host: what the person is asked; none where nobody minds.
    pub fn prompt(&mut self, what: &str) -> Delegates {
        to_js(&self.engine.prompt(what).as_slice()).unchecked_into()
    }

    /// What was learned from answers, when it changed since the last call: for `remember` of the
    /// core that replaces this one after a trap. Must not leave the page.
    pub fn memory(&mut self) -> Option<String> {
        self.engine.memory()
    }

    /// What a trapped core had learned.
    pub fn remember(&mut self, memory: &str) {
        self.engine.remember(memory);
    }

    /// What stays on this device, as `takeUnsaved` gave it before.
    pub fn restore(&mut self, kept: &str) {
        self.engine.restore(kept);
    }

    /// After `REWRITTEN`: what is to be kept on this device, JSON text `{key: {"content"}}`.
    #[wasm_bindgen(js_name = takeUnsaved)]
    pub fn take_unsaved(&mut self) -> Option<String> {
        self.engine.take_unsaved()
    }

    /// Whether `effects` has something.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.engine.is_pending()
    }

    /// Effects since the last call; `now` in milliseconds since the epoch.
    pub fn effects(&mut self, now: f64) -> Effects {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let now = now.max(0.0) as u64;
        to_js(&self.engine.effects(now)).unchecked_into()
    }
}

fn optional<T: Serialize>(value: Option<&T>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, to_js)
}

/// By way of JSON text: `serde-wasm-bindgen` would add several dozen KB to a file that every page start parses.
fn to_js<T: Serialize>(value: &T) -> JsValue {
    serde_json::to_string(value)
        .ok()
        .and_then(|text| js_sys::JSON::parse(&text).ok())
        .unwrap_or(JsValue::UNDEFINED)
}
