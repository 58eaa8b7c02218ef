//! Boundary of the module that pages load for uploads: bytes and JSON texts, no logic.
#![cfg(target_arch = "wasm32")]

use mantle_media::{Decision, Piece, Settings, Upload, links, server};
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// One file under examination; the page reads the ranges it asks for.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Examination {
    inner: mantle_media::Examination,
    need: Option<mantle_media::Need>,
}

#[wasm_bindgen]
impl Examination {
    /// Of a file of `size` bytes.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(size: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let inner = mantle_media::Examination::new(size.max(0.0) as u64);
        Self { inner, need: None }
    }

    /// False: the examination is over. True: supply `length` bytes from `offset`.
    #[wasm_bindgen(js_name = next)]
    pub fn advance(&mut self) -> bool {
        self.need = self.inner.need();
        self.need.is_some()
    }

    /// First byte needed.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn offset(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        self.need.map_or(0.0, |need| need.offset as f64)
    }

    /// Number of bytes needed.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn length(&self) -> usize {
        self.need.map_or(0, |need| need.length)
    }

    /// The bytes; fewer where the file turned out shorter.
    pub fn supply(&mut self, bytes: Vec<u8>) {
        self.inner.supply(bytes);
    }

    /// JSON: `{kind, findings: {…}, refusal: code | null, isChanged}`; undefined before the end.
    #[must_use]
    pub fn report(&self) -> Option<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Out {
            kind: mantle_media::Kind,
            findings: mantle_media::Findings,
            refusal: Option<mantle_media::Refusal>,
            is_changed: bool,
        }
        let report = self.inner.report()?;
        let is_changed = report.plan.as_ref().is_ok_and(|plan| !plan.is_unchanged());
        let refusal = report.plan.as_ref().err().copied();
        let out = Out { kind: report.kind, findings: report.findings, refusal, is_changed };
        serde_json::to_string(&out).ok()
    }

    /// How the cleaned file is made, as JSON: `[from, to]` keeps a range, `{"bytes": […]}` puts
    /// bytes, a number so many zeros.
    #[must_use]
    pub fn pieces(&self) -> Option<String> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Out<'a> {
            Keep([u64; 2]),
            Bytes { bytes: &'a [u8] },
            Zeros(u64),
        }
        let plan = self.inner.report()?.plan.as_ref().ok()?;
        let pieces: Vec<_> = plan
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Keep { from, to } => Out::Keep([*from, *to]),
                Piece::Bytes(bytes) => Out::Bytes { bytes },
                Piece::Zeros(length) => Out::Zeros(*length),
            })
            .collect();
        serde_json::to_string(&pieces).ok()
    }

    /// Whether the upload is an attachment of an encrypted room. `upload` as for `decide`.
    #[wasm_bindgen(js_name = isCiphertext)]
    #[must_use]
    pub fn is_ciphertext(&self, upload: &str) -> bool {
        let upload = Upload::read(upload);
        self.inner.report().is_some_and(|report| mantle_media::is_ciphertext(&upload, report.kind))
    }

    /// What happens to the upload, as JSON (`Decision`). `settings` are the media shield's
    /// (`{"mode", "options": {"metadata", "fileName"}}`), `upload` an `Upload`.
    #[must_use]
    pub fn decide(&self, settings: &str, upload: &str) -> Option<String> {
        let report = self.inner.report()?;
        let decision: Decision =
            mantle_media::decide(Settings::read(settings), &Upload::read(upload), report);
        serde_json::to_string(&decision).ok()
    }
}

/// The URL without the file's name; undefined where it has none.
#[wasm_bindgen(js_name = withoutName)]
#[must_use]
pub fn without_name(url: &str) -> Option<String> {
    mantle_media::without_name(url)
}

/// Whether a `/_matrix/client/versions` answer says that media needs signing in.
#[wasm_bindgen(js_name = promisesAuthentication)]
#[must_use]
pub fn promises_authentication(versions: &str) -> bool {
    server::promises(versions)
}

/// Stands for a `/versions` answer.
#[wasm_bindgen]
#[must_use]
pub fn fingerprint(versions: &str) -> String {
    server::fingerprint(versions)
}

/// A try that counts, as JSON to be stored; undefined where the statuses say nothing.
#[wasm_bindgen]
#[must_use]
pub fn tried(statuses: &[u16], promises: bool, versions: &str, now: f64) -> Option<String> {
    let media = server::outcome(statuses);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let time = now.max(0.0) as u64;
    let tried = server::Tried { media, promises, versions: versions.to_owned(), time };
    (media != mantle_media::ServerMedia::Unknown).then(|| serde_json::to_string(&tried).ok())?
}

/// Whether a stored try still counts.
#[wasm_bindgen(js_name = isFresh)]
#[must_use]
pub fn is_fresh(tried: &str, now: f64, versions: &str) -> bool {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let now = now.max(0.0) as u64;
    server::Tried::read(tried).is_some_and(|tried| tried.is_fresh(now, versions))
}

/// What happens to a text that may link to media which needs no signing in, as JSON
/// (`LinkDecision`, and the first link's `host`). `settings` as for `decide`; `copied`: it lies on the clipboard already.
#[wasm_bindgen(js_name = decideLinks)]
#[must_use]
pub fn decide_links(settings: &str, text: &str, copied: bool) -> String {
    #[derive(Serialize)]
    struct Out {
        host: Option<String>,
        #[serde(flatten)]
        decision: links::LinkDecision,
    }
    let host = links::find(text).first().map(|link| link.host().to_owned());
    let decision = links::decide(Settings::read(settings).mode, text, copied);
    serde_json::to_string(&Out { host, decision }).unwrap_or_default()
}

/// The text with such links as `mxc://`, or in their authenticated form.
#[wasm_bindgen(js_name = replaceLinks)]
#[must_use]
pub fn replace_links(text: &str, authenticated: bool) -> String {
    links::replace(text, |link| if authenticated { link.authenticated() } else { link.mxc() })
}
