//! The check-up of an account: which requests tell what it shows already, what of that is a finding
//! and who can see it, and how a finding is taken back step by step.
//!
//! Nothing here asks anybody: the extension's page sends what [`CheckUp::next_inquiry`] and [`Repair::next`]
//! give it, through Element's own session, and hands the answers in. Answers are a homeserver's and
//! may be anything: each is read once, in a time that grows with its length, and what cannot be read
//! costs itself alone.

mod facts;
mod findings;
mod members;
mod repair;
mod rooms;

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Deserializer, Serialize};

pub use findings::{Audience, Finding, FindingId, Grade, Item, Offer, Report};
pub use repair::{Next, Pause, Repair, RepairState, RepairView, Unrestored};

use facts::Facts;
use mantle_wire::url::encoded;

/// Most items of one finding that are told and repaired; the count is of all.
pub const MAX_ITEMS: usize = 1_000;
/// Most rooms that are looked for in the homeserver's list.
const MAX_DIRECTORY: usize = 100;
/// How often in a row, and how long at most, a check-up waits for the homeserver.
const MAX_WAITS: u32 = 10;
const MAX_WAIT_MS: u64 = 60_000;
/// Most letters of a name that is shown.
const MAX_NAME: usize = 200;
/// The latest date of JavaScript, in milliseconds since the epoch.
const LATEST: u64 = 8_640_000_000_000_000;
/// Largest answer that is read, in bytes; a page does not hand on more.
pub const MAX_ANSWER: usize = 48_000_000;

/// Whose account it is, as the page's session says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Matrix ID.
    pub user: String,
    /// Of the page's own session.
    pub device: String,
    /// What sessions are to be called, by the settings in force.
    pub session_name: String,
    /// Rooms whose names the page's encrypted state can encrypt.
    pub convertible: Vec<String>,
    /// Milliseconds since the epoch.
    pub now: u64,
}

/// One request to the homeserver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "CheckUpRequest"))]
pub struct Request {
    /// `GET`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Begins with `/_matrix/`.
    pub path: String,
    /// JSON.
    pub body: Option<String>,
    /// With the session's access token; otherwise as somebody who has no account.
    pub signed: bool,
}

impl Request {
    fn get(path: String) -> Self {
        Self { method: "GET", path, body: None, signed: true }
    }

    fn unsigned(path: String) -> Self {
        Self { method: "GET", path, body: None, signed: false }
    }
}

/// What a check-up wants next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "CheckUpNext"))]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Inquiry {
    /// Send it, and hand in the answer.
    Ask {
        /// To the homeserver.
        request: Request,
    },
    /// Let the page's session say whether it trusts a key backup, and hand that in with status 200:
    /// `{"trusted":…,"matchesDecryptionKey":…}`. Only the session knows its keys by itself; what a
    /// homeserver says of signatures is the homeserver's word.
    Judge {
        /// JSON, as the homeserver tells of it.
        backup: String,
    },
}

/// What came back. Without an answer the status is 0.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// Of HTTP.
    pub status: u16,
    /// As far as the browser lets a page read them: `name: value`, one a line.
    pub headers: &'a str,
    /// As it was sent.
    pub body: &'a str,
}

impl Response<'_> {
    /// How long the homeserver asks to wait, in milliseconds: by Matrix, or else by HTTP in seconds.
    fn retry_after(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Limited {
            retry_after_ms: u64,
        }
        let by_matrix = members::read::<Limited>(self.body);
        let by_http = || {
            let named = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.trim()
                    .eq_ignore_ascii_case("retry-after")
                    .then(|| value.trim().parse().ok())?
            };
            self.headers.lines().find_map(named).map(|seconds: u64| seconds.saturating_mul(1_000))
        };
        by_matrix.map(|limited| limited.retry_after_ms).or_else(by_http)
    }
}

/// What a request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Names of sessions.
    Sessions,
    /// Account data, and the state of rooms.
    Sync,
    /// E-mail addresses and telephone numbers of the account.
    Contacts,
    /// Where notifications are pushed to.
    Pushers,
    /// What anybody is told of the person, without an account.
    Profile,
    /// Whether the person is there.
    Presence,
    /// Whether a room is in the homeserver's list.
    Directory,
    /// Whether a picture is handed out without an account.
    Media,
    /// Whether the key backup is the person's own.
    Backup,
}

/// One look at an account, request by request.
#[derive(Debug)]
pub struct CheckUp {
    account: Account,
    facts: Facts,
    waiting: VecDeque<(Topic, Inquiry)>,
    asked: Option<(Topic, Inquiry)>,
    /// How often in a row the homeserver asked to wait.
    waits: u32,
    made: u32,
    unread: BTreeSet<Topic>,
}

impl CheckUp {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(account: Account) -> Self {
        let presence = format!("/_matrix/client/v3/presence/{}/status", encoded(&account.user));
        let signed = |topic, path: &str| (topic, Request::get(path.to_owned()));
        let waiting = [
            signed(Topic::Sessions, "/_matrix/client/v3/devices"),
            signed(Topic::Sync, &rooms::sync_path(account.now)),
            signed(Topic::Contacts, "/_matrix/client/v3/account/3pid"),
            signed(Topic::Pushers, "/_matrix/client/v3/pushers"),
            signed(Topic::Backup, "/_matrix/client/v3/room_keys/version"),
            (Topic::Profile, Request::unsigned(profile_path(&account.user))),
            signed(Topic::Presence, &presence),
        ];
        let waiting = waiting.map(|(topic, request)| (topic, Inquiry::Ask { request })).into();
        Self {
            account,
            facts: Facts::default(),
            waiting,
            asked: None,
            waits: 0,
            made: 0,
            unread: BTreeSet::new(),
        }
    }

    /// What to ask next; nothing once all is asked.
    pub fn next_inquiry(&mut self) -> Option<Inquiry> {
        let (topic, inquiry) = self.waiting.pop_front()?;
        self.asked = Some((topic, inquiry.clone()));
        Some(inquiry)
    }

    /// The answer to what was asked last; for how many milliseconds to wait before the next inquiry.
    pub fn answer(&mut self, response: Response<'_>) -> u64 {
        let Some((topic, inquiry)) = self.asked.take() else { return 0 };
        let Inquiry::Ask { request } = inquiry else {
            if self.facts.judge(response).is_none() {
                self.unread.insert(topic);
            }
            return 0;
        };
        if response.status == 429 && self.waits < MAX_WAITS {
            self.waits += 1;
            self.waiting.push_front((topic, Inquiry::Ask { request }));
            return response.retry_after().unwrap_or(2_000).min(MAX_WAIT_MS);
        }
        self.waits = 0;
        self.made += 1;
        if self.facts.read(topic, &request.path, response).is_none() {
            self.unread.insert(topic);
        }
        match topic {
            Topic::Sync => {
                let listed = self.facts.rooms.iter().filter(|room| {
                    room.is_public && room.may_send(&self.account.user, "m.room.canonical_alias")
                });
                for room in listed.take(MAX_DIRECTORY) {
                    let path = directory_path(&room.id);
                    let request = Request::get(path);
                    self.waiting.push_back((Topic::Directory, Inquiry::Ask { request }));
                }
            }
            Topic::Profile => {
                if let Some(path) = self.facts.picture_path() {
                    let request = Request::unsigned(path);
                    self.waiting.push_back((Topic::Media, Inquiry::Ask { request }));
                }
            }
            Topic::Backup if self.facts.backup.is_some() => {
                let backup = response.body.to_owned();
                self.waiting.push_front((topic, Inquiry::Judge { backup }));
            }
            _ => {}
        }
        0
    }

    /// What was found so far, worst first.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            findings: findings::findings(&self.facts, &self.account),
            requests: self.made,
            unread: self.unread.iter().copied().collect(),
        }
    }

    /// The repair of a finding; none where Mantle has none.
    #[must_use]
    pub fn repair(&self, finding: FindingId) -> Option<Repair> {
        Repair::new(finding, &self.account, findings::steps(finding, &self.facts, &self.account))
    }
}

fn profile_path(user: &str) -> String {
    format!("/_matrix/client/v3/profile/{}", encoded(user))
}

fn directory_path(room: &str) -> String {
    format!("/_matrix/client/v3/directory/list/room/{}", encoded(room))
}

/// A time of a homeserver, in milliseconds since the epoch: nothing where it is none, and no later
/// than JavaScript has dates.
fn time<'de, From: Deserializer<'de>>(from: From) -> Result<Option<u64>, From::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(value.as_u64().map(|time| time.min(LATEST)))
}

/// At most [`MAX_NAME`] letters of a text.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_NAME {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX_NAME).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
