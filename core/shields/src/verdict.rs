//! What happens to a request, and why. Reasons hold no content.

use mantle_wire::json::quoted;

/// Decision flags as the hooks read them; none set means: pass untouched.
pub mod flag {
    /// Read the request's body and headers, then ask again with them.
    pub const NEEDS_BODY: u32 = 1;
    /// Do not send; give the synthetic answer.
    pub const REPLY: u32 = 2;
    /// Do not send; fail as a network error.
    pub const FAIL: u32 = 4;
    /// Send the rewritten body.
    pub const REWRITTEN: u32 = 8;
    /// Send, and pass the whole answer through the core.
    pub const INSPECT_RESPONSE: u32 = 16;
    /// Send to another URL; the page sees the one it asked for.
    pub const REDIRECT: u32 = 32;
    /// A handler in the page takes the request over before it is sent.
    pub const DELEGATE: u32 = 64;
    /// Once the answer is there, a handler in the page sees it before the core does.
    pub const DELEGATE_RESPONSE: u32 = 128;
}

/// A part of the page script that takes requests or answers over, asynchronously.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Handler {
    /// Encrypted state.
    State,
    /// Uploads.
    Media,
    /// Asks the user whether it may leave.
    Ask,
    /// Names sessions whose server named them.
    Session,
    /// Reactions and replies.
    Relations,
}

/// A synthetic answer, shaped so that Element copes with it quietly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status. Never 401: Element would log out.
    pub status: u16,
    /// JSON text.
    pub body: String,
}

impl Reply {
    /// 200 with a JSON text.
    #[must_use]
    pub fn ok(body: &str) -> Self {
        Self { status: 200, body: body.to_owned() }
    }

    /// A Matrix standard error response (Client-Server API, 'Standard error response').
    #[must_use]
    pub fn error(status: u16, errcode: &str, sentence: &str) -> Self {
        let body = format!(r#"{{"errcode":{},"error":{}}}"#, quoted(errcode), quoted(sentence));
        Self { status, body }
    }

    /// 403 `M_FORBIDDEN`.
    #[must_use]
    pub fn forbidden(sentence: &str) -> Self {
        Self::error(403, "M_FORBIDDEN", sentence)
    }
}

/// What Mantle did, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A third party was not contacted.
    Blocked,
    /// A homeserver request was answered in the page.
    Answered,
    /// A request or an answer went on with changes.
    Rewritten,
    /// It went on unchanged; the user may want to know.
    Flagged,
    /// The user was asked.
    Asked,
    /// A request to a Matrix path that the route table does not know.
    Unknown,
}

impl Action {
    /// What a handler of the page may say it did.
    #[must_use]
    pub fn of_handler(name: &str) -> Option<Self> {
        match name {
            "blocked" => Some(Self::Blocked),
            "answered" => Some(Self::Answered),
            "rewritten" => Some(Self::Rewritten),
            "flagged" => Some(Self::Flagged),
            // The latter: to all of the kind, as long as the document is there.
            "asked" | "agreed" => Some(Self::Asked),
            _ => None,
        }
    }
}
