//! What TypeScript calls: plain objects in and out, no state.
//! The types are generated from the Rust ones; see
//! `extension/generated/types.ts`.

use mantle_settings::{Change, Site, validate};
use mantle_shields::overview;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::Url;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
import type { ImportError, SettingChange, SettingsView, Site, SiteLists } from "./types.ts";
"#;

/// A panic says its place in the console, in builds where panics have messages (`scripts/wasm-toolchain`).
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// The settings in force, for showing, from the stored form and the policy (JSON texts).
///
/// # Errors
/// None that a person could mend.
#[wasm_bindgen(unchecked_return_type = "SettingsView")]
pub fn describe(stored: Option<String>, policy: Option<String>) -> Result<JsValue, JsError> {
    to_js(&overview::describe(stored.as_deref(), policy.as_deref()))
}

/// The stored form after one change.
///
/// # Errors
/// A sentence for the person when the change is not allowed.
#[wasm_bindgen]
pub fn change(
    stored: Option<String>,
    policy: Option<String>,
    #[wasm_bindgen(unchecked_param_type = "SettingChange")] change: JsValue,
) -> Result<String, JsError> {
    let mut change = serde_wasm_bindgen::from_value(change)
        .map_err(|_| JsError::new("Mantle does not know this setting; update Mantle."))?;
    // What is no host or site stays as it was typed, for the sentence that refuses it.
    match &mut change {
        Change::Allow { hosts, .. } => {
            for typed in hosts {
                *typed = host(typed).unwrap_or_else(|| typed.clone());
            }
        }
        Change::Sites { sites } => {
            for typed in sites {
                *typed = parse_site(typed).map_or_else(|| typed.clone(), |site| site.url);
            }
        }
        _ => {}
    }
    overview::change(stored.as_deref(), policy.as_deref(), change)
        .map_err(|error| JsError::new(&error.to_string()))
}

/// The stored form that a person's file stands for, in place of the one that is there.
///
/// # Errors
/// None that a person could mend: what is wrong with the file is in what it returns.
#[wasm_bindgen(js_name = importSettings, unchecked_return_type = "string | ImportError")]
pub fn import_settings(stored: Option<String>, file: &str) -> Result<JsValue, JsError> {
    match overview::import(stored.as_deref(), file) {
        Ok(stored) => Ok(stored.into()),
        Err(error) => to_js(&error),
    }
}

/// A host as the browser writes it in addresses, with a port at most; `undefined` for anything else.
#[wasm_bindgen]
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let is_cut = |letter: char| letter.is_whitespace() || "/?#@\\".contains(letter);
    if text.contains(is_cut) {
        return None;
    }
    validate::host(&Url::new(&format!("https://{text}/")).ok()?.host())
}

/// An origin where Element may live, with a path at most; `undefined` for anything else.
///
/// # Errors
/// None that a person could mend.
#[wasm_bindgen(unchecked_return_type = "Site | undefined")]
pub fn site(text: &str) -> Result<JsValue, JsError> {
    parse_site(text).map_or(Ok(JsValue::UNDEFINED), |site| to_js(&site))
}

/// The sites that the stored form and the policy (JSON texts) name.
///
/// # Errors
/// None that a person could mend.
#[wasm_bindgen(unchecked_return_type = "SiteLists")]
pub fn sites(stored: Option<String>, policy: Option<String>) -> Result<JsValue, JsError> {
    to_js(&overview::sites(stored.as_deref(), policy.as_deref()))
}

/// As the browser's parser reads it, since addresses are compared with what that makes of them.
fn parse_site(text: &str) -> Option<Site> {
    let url = Url::new(text.trim()).ok()?;
    let is_plain =
        url.username().is_empty() && url.password().is_empty() && !url.href().contains(['?', '#']);
    let site = || validate::site(&format!("{}//{}{}", url.protocol(), url.host(), url.pathname()));
    is_plain.then(site).flatten()
}

/// Maps become plain objects and nothing becomes null, as in JSON.
pub(crate) fn to_js<T: Serialize>(value: &T) -> Result<JsValue, JsError> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}
