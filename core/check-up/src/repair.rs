//! A repair, step by step: it can be paused, cut off at any moment and gone on with, waits as long as
//! the homeserver asks, and takes its steps back where that is possible.
//!
//! A step that changes something reads it first. What is no longer as it was shown is left alone, in
//! both directions; what is already as it should be counts as done, so that a step whose answer was
//! lost may be made again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rooms::MAX_CONTENT;
use crate::{Account, FindingId, MAX_ITEMS, Request, Response, shortened};

/// Longest repair that is kept, in bytes of JSON.
pub(crate) const MAX_TEXT: usize = 256_000;
const VERSION: u8 = 1;
/// How often a step is tried that fails for no reason of its own, before the repair pauses.
const MAX_TRIES: u32 = 5;
/// How often in a row the homeserver may ask to wait.
const MAX_WAITS: u32 = 100;
/// A longer wait pauses the repair: nobody sits in front of it so long.
const LONGEST_WAIT_MS: u64 = 15 * 60 * 1_000;
const FIRST_WAIT_MS: u64 = 1_000;

/// One thing that is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Step {
    Change(Change),
    /// The page's encrypted state does it.
    Convert {
        label: String,
        room: String,
    },
}

/// A value at the homeserver that becomes another; null: none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    label: String,
    path: String,
    before: Value,
    after: Value,
    /// Nothing else may be in it. Otherwise only the members that are here count.
    #[serde(default)]
    whole: bool,
    /// Of an object: only the members of `before` are compared and edited, each by itself; what else
    /// is in it by then is written as it was read.
    #[serde(default)]
    entries: bool,
    /// What is sent too, once the former value is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<(String, Value)>,
}

impl Change {
    pub(crate) fn new(label: &str, path: String, before: Value, after: Value) -> Self {
        Self {
            label: shortened(label),
            path,
            before,
            after,
            whole: false,
            entries: false,
            then: None,
        }
    }

    pub(crate) fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    pub(crate) fn entries(self) -> Self {
        Self { entries: true, ..self }
    }

    pub(crate) fn then(self, path: String, body: Value) -> Self {
        Self { then: Some((path, body)), ..self }
    }

    /// Whether each entry is as it is in one of these.
    fn is_among(&self, now: &Value, all: &[&Value]) -> bool {
        if !self.entries {
            return all.iter().any(|one| self.is(now, one));
        }
        let is_known = |key: &String| all.iter().any(|one| now.get(key) == one.get(key));
        is_content(now) && self.before.as_object().is_some_and(|own| own.keys().all(is_known))
    }

    /// What is written in place of what was read.
    fn written(&self, read: &Map<String, Value>, wanted: &Value) -> Value {
        if !self.entries {
            return wanted.clone();
        }
        let mut content = read.clone();
        for key in self.before.as_object().into_iter().flat_map(Map::keys) {
            match wanted.get(key) {
                Some(entry) => content.insert(key.clone(), entry.clone()),
                None => content.remove(key),
            };
        }
        Value::Object(content)
    }

    fn is(&self, now: &Value, wanted: &Value) -> bool {
        match (now, wanted) {
            // What was emptied may be gone altogether.
            (Value::Null, Value::Object(members)) => self.whole && members.is_empty(),
            (Value::Object(now), Value::Object(wanted)) if !self.whole => has_all(now, wanted),
            _ => now == wanted,
        }
    }
}

/// Content of account data; null: there is none.
const fn is_content(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Null)
}

fn has_all(now: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| now.get(key) == Some(value))
}

impl Step {
    pub(crate) const fn can_be_undone(&self) -> bool {
        matches!(self, Self::Change(_))
    }

    /// Takes out all that it tells of the person: nothing will be done with it any more.
    fn spend(&mut self) {
        *self = match self {
            Self::Change(_) => {
                Self::Change(Change::new("", String::new(), Value::Null, Value::Null))
            }
            Self::Convert { .. } => Self::Convert { label: String::new(), room: String::new() },
        };
    }

    const fn is_spent(&self) -> bool {
        match self {
            Self::Change(change) => change.path.is_empty(),
            Self::Convert { room, .. } => room.is_empty(),
        }
    }

    /// In bytes, as it is kept.
    pub(crate) fn size(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }

    fn label(&self) -> &str {
        match self {
            Self::Change(change) => &change.label,
            Self::Convert { label, .. } => label,
        }
    }

    fn asks_homeserver_only(&self) -> bool {
        let is_ours = |path: &str| path.starts_with("/_matrix/client/");
        match self {
            Self::Change(change) => {
                is_ours(&change.path) && change.then.iter().all(|(path, _)| is_ours(path))
            }
            Self::Convert { .. } => true,
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Open,
    Done,
    /// Somebody changed it meanwhile.
    Changed,
    Refused,
    Undone,
    /// Done, but it could not be taken back.
    Kept,
}

/// Where in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Read,
    Write,
    Then,
}

/// Why a repair rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "RepairPause"))]
#[serde(rename_all = "kebab-case")]
pub enum Pause {
    /// The person wanted it.
    Asked,
    /// The page or its homeserver cannot be reached.
    Unreachable,
    /// The homeserver takes the session for signed out.
    SignedOut,
    /// The homeserver fails.
    Failing,
    /// The homeserver asks to wait for too long.
    Slow,
}

/// How far a repair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum RepairState {
    /// It goes on.
    Running,
    /// It rests until it is told to go on.
    Paused {
        /// Why.
        why: Pause,
    },
    /// There is nothing left to do.
    Ended,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "RepairNext"))]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Next {
    /// Send it, and hand in the answer.
    Ask {
        /// To the homeserver.
        request: Request,
    },
    /// Let the page encrypt a room's name and topic, and hand in how that went, as a status of HTTP.
    Convert {
        /// Its id.
        room: String,
    },
    /// Ask again then.
    Wait {
        /// Milliseconds since the epoch.
        until: u64,
    },
    /// Nothing, until the person wants something.
    Rest,
}

/// For showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct RepairView {
    /// What is repaired.
    pub finding: FindingId,
    /// How far.
    pub state: RepairState,
    /// It is being taken back, or was.
    pub undoing: bool,
    /// All steps; when it is taken back, those that were done.
    pub total: usize,
    /// Steps that need nothing more, however they ended.
    pub settled: usize,
    /// Steps of something that somebody changed meanwhile.
    pub changed: usize,
    /// Steps that the homeserver or the page refused.
    pub refused: usize,
    /// When the homeserver asked to wait: until then, in milliseconds since the epoch.
    pub waiting: Option<u64>,
    /// What the step under way is about.
    pub label: Option<String>,
    /// Whether something of it could be taken back now.
    pub undoable: bool,
}

/// A text that is no repair of this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unrestored;

/// A repair of one finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    version: u8,
    user: String,
    finding: FindingId,
    steps: Vec<Step>,
    outcomes: Vec<Outcome>,
    undoing: bool,
    state: RepairState,
    #[serde(default)]
    wait_until: u64,
    #[serde(default)]
    tries: u32,
    /// The step under way was tried before, and the repair paused for it.
    #[serde(default)]
    has_failed: bool,
    #[serde(skip)]
    phase: Phase,
    /// The answer that comes in is this step's, in this phase.
    #[serde(skip)]
    is_asked: bool,
    /// What the step under way read, where it edits a part of that.
    #[serde(skip)]
    read: Map<String, Value>,
}

impl Repair {
    pub(crate) fn new(finding: FindingId, account: &Account, steps: Vec<Step>) -> Option<Self> {
        if steps.is_empty() {
            return None;
        }
        let outcomes = vec![Outcome::Open; steps.len()];
        Some(Self {
            version: VERSION,
            user: account.user.clone(),
            finding,
            steps,
            outcomes,
            undoing: false,
            state: RepairState::Running,
            wait_until: 0,
            tries: 0,
            has_failed: false,
            phase: Phase::Read,
            is_asked: false,
            read: Map::new(),
        })
    }

    /// As it was kept.
    ///
    /// # Errors
    /// [`Unrestored`] when the text is another account's, of another version, too long or broken.
    pub fn from_text(text: &str, user: &str) -> Result<Self, Unrestored> {
        if text.len() > MAX_TEXT {
            return Err(Unrestored);
        }
        let repair: Self = serde_json::from_str(text).map_err(|_| Unrestored)?;
        let is_whole = repair.version == VERSION
            && repair.user == user
            && !repair.steps.is_empty()
            && repair.steps.len() <= MAX_ITEMS
            && repair.steps.len() == repair.outcomes.len()
            && (repair.state == RepairState::Ended || !repair.steps.iter().any(Step::is_spent))
            && repair.steps.iter().all(|step| step.is_spent() || step.asks_homeserver_only());
        if is_whole { Ok(repair) } else { Err(Unrestored) }
    }

    /// To be kept, before each request and after each answer.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What to do at this time, in milliseconds since the epoch.
    pub fn next(&mut self, now: u64) -> Next {
        let next = self.due(now);
        self.is_asked |= matches!(next, Next::Ask { .. } | Next::Convert { .. });
        next
    }

    fn due(&mut self, now: u64) -> Next {
        if self.state != RepairState::Running {
            return Next::Rest;
        }
        if now < self.wait_until {
            return Next::Wait { until: self.wait_until };
        }
        let Some(index) = self.current() else {
            self.end();
            return Next::Rest;
        };
        let Some(step) = self.steps.get(index) else { return Next::Rest };
        match step {
            Step::Convert { room, .. } => Next::Convert { room: room.clone() },
            Step::Change(change) => Next::Ask { request: self.request(change) },
        }
    }

    fn request(&self, change: &Change) -> Request {
        let put = |path: &str, value: &Value| Request {
            method: if value.is_null() { "DELETE" } else { "PUT" },
            path: path.to_owned(),
            body: (!value.is_null()).then(|| value.to_string()),
            signed: true,
        };
        match (self.phase, &change.then) {
            (Phase::Then, Some((path, value))) => put(path, value),
            (Phase::Write, _) => {
                put(&change.path, &change.written(&self.read, self.wanted(change)))
            }
            _ => Request::get(change.path.clone()),
        }
    }

    /// The answer to the last request, or how the page fared with a room. One that comes after
    /// [`Repair::resume`] or [`Repair::undo`] answers what is asked no longer, and is left out.
    pub fn answered(&mut self, now: u64, response: Response<'_>) {
        if !std::mem::take(&mut self.is_asked) {
            return;
        }
        let Response { status, body, .. } = response;
        let Some(index) = self.current() else { return };
        let is_running = self.state == RepairState::Running;
        // What is written later is read anew first.
        if self.phase == Phase::Write && matches!(status, 0 | 401 | 408 | 429 | 500..=599) {
            self.phase = Phase::Read;
        }
        match status {
            429 => self.wait(now, response.retry_after()),
            0 if is_running => self.again(index, now, Pause::Unreachable),
            401 if is_running => self.again(index, now, Pause::SignedOut),
            408 | 500..=599 if is_running => self.again(index, now, Pause::Failing),
            0 | 401 | 408 | 500..=599 => {}
            _ => self.go_on(index, status, body),
        }
    }

    fn go_on(&mut self, index: usize, status: u16, body: &str) {
        let is_done = (200..300).contains(&status);
        let Some(step) = self.steps.get(index) else { return };
        let Step::Change(change) = step else {
            self.settle(index, if is_done { Outcome::Done } else { Outcome::Refused });
            return;
        };
        let wanted = self.wanted(change);
        let reached = if self.undoing { Outcome::Undone } else { Outcome::Done };
        let failed = |outcome| if self.undoing { Outcome::Kept } else { outcome };
        let has_more = self.undoing && change.then.is_some();
        let outcome = match self.phase {
            Phase::Read => {
                let value = match status {
                    404 => Some(Value::Null),
                    // What is too long to be written again is not touched.
                    _ if change.entries && body.len() > MAX_CONTENT => None,
                    _ if is_done => serde_json::from_str(body).ok(),
                    _ => None,
                };
                let former = if self.undoing { &change.after } else { &change.before };
                match value {
                    Some(value) if change.is_among(&value, &[wanted]) && !has_more => reached,
                    Some(value) if change.is_among(&value, &[former, wanted]) => {
                        if let (true, Value::Object(read)) = (change.entries, value) {
                            self.read = read;
                        }
                        self.phase = Phase::Write;
                        return;
                    }
                    Some(_) => failed(Outcome::Changed),
                    None => failed(Outcome::Refused),
                }
            }
            Phase::Write if is_done || (status == 404 && wanted.is_null()) => {
                if has_more {
                    self.phase = Phase::Then;
                    return;
                }
                reached
            }
            Phase::Write => failed(Outcome::Refused),
            Phase::Then if is_done => reached,
            Phase::Then => Outcome::Kept,
        };
        self.settle(index, outcome);
    }

    /// The person wants a rest. What is under way is answered all the same.
    pub fn pause(&mut self) {
        if self.state == RepairState::Running {
            self.state = RepairState::Paused { why: Pause::Asked };
        }
    }

    /// Goes on, also after a cut.
    pub fn resume(&mut self) {
        if matches!(self.state, RepairState::Paused { .. }) {
            self.state = RepairState::Running;
            self.tries = 0;
        }
        self.phase = Phase::Read;
        self.is_asked = false;
    }

    /// From here on, what was done is taken back, the last first; false where nothing can be.
    pub fn undo(&mut self) -> bool {
        if !self.is_undoable() {
            return false;
        }
        self.undoing = true;
        self.state = RepairState::Running;
        self.tries = 0;
        self.has_failed = false;
        self.phase = Phase::Read;
        self.is_asked = false;
        true
    }

    /// For showing.
    #[must_use]
    pub fn view(&self, now: u64) -> RepairView {
        let count = |wanted: &[Outcome]| {
            self.outcomes.iter().filter(|outcome| wanted.contains(outcome)).count()
        };
        let left = self.steps.iter().enumerate().filter(|(index, _)| self.is_due(*index)).count();
        let undone = count(&[Outcome::Undone]);
        let kept = count(&[Outcome::Kept]);
        let total = if self.undoing { left + undone + kept } else { self.steps.len() };
        let is_waiting = self.state == RepairState::Running && now < self.wait_until;
        let label = self.current().and_then(|index| self.steps.get(index));
        RepairView {
            finding: self.finding,
            state: self.state,
            undoing: self.undoing,
            total,
            settled: total - left,
            changed: if self.undoing { kept } else { count(&[Outcome::Changed]) },
            refused: if self.undoing { 0 } else { count(&[Outcome::Refused]) },
            waiting: is_waiting.then_some(self.wait_until),
            label: label.map(|step| step.label().to_owned()),
            undoable: self.is_undoable(),
        }
    }

    fn is_undoable(&self) -> bool {
        !self.undoing
            && self.state != RepairState::Running
            && (0..self.steps.len()).any(|index| self.can_be_undone(index))
    }

    fn can_be_undone(&self, index: usize) -> bool {
        self.outcomes.get(index) == Some(&Outcome::Done)
            && self.steps.get(index).is_some_and(Step::can_be_undone)
    }

    /// The step under way, or the next one.
    fn current(&self) -> Option<usize> {
        let mut indices = 0..self.steps.len();
        if self.undoing {
            indices.rev().find(|index| self.is_due(*index))
        } else {
            indices.find(|index| self.is_due(*index))
        }
    }

    fn is_due(&self, index: usize) -> bool {
        if self.undoing {
            self.can_be_undone(index)
        } else {
            self.outcomes.get(index) == Some(&Outcome::Open)
        }
    }

    const fn wanted<'a>(&self, change: &'a Change) -> &'a Value {
        if self.undoing { &change.before } else { &change.after }
    }

    fn settle(&mut self, index: usize, outcome: Outcome) {
        if let Some(known) = self.outcomes.get_mut(index) {
            *known = outcome;
        }
        self.phase = Phase::Read;
        self.read = Map::new();
        self.tries = 0;
        self.has_failed = false;
        if self.current().is_none() {
            self.end();
        }
    }

    /// From here on nothing is kept but the way back, where there is one, and how the steps ended.
    fn end(&mut self) {
        self.state = RepairState::Ended;
        for index in 0..self.steps.len() {
            let is_kept = !self.undoing && self.can_be_undone(index);
            if let (false, Some(step)) = (is_kept, self.steps.get_mut(index)) {
                step.spend();
            }
        }
    }

    fn wait(&mut self, now: u64, retry_after: Option<u64>) {
        self.tries += 1;
        let wait = retry_after.unwrap_or_else(|| growing(self.tries));
        let is_long = wait > LONGEST_WAIT_MS || self.tries > MAX_WAITS;
        if is_long && self.state == RepairState::Running {
            self.rest(Pause::Slow);
        }
        // A long wait holds for the person's "go on" too.
        self.wait_until = now.saturating_add(wait.min(24 * 60 * 60 * 1_000));
    }

    fn again(&mut self, index: usize, now: u64, why: Pause) {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            if self.has_failed && why != Pause::SignedOut {
                // It may be this step alone that fails, for ever: those behind it get their turn.
                self.settle(index, if self.undoing { Outcome::Kept } else { Outcome::Refused });
            } else {
                self.has_failed = why != Pause::SignedOut;
                self.rest(why);
            }
        } else {
            self.wait_until = now.saturating_add(growing(self.tries));
        }
    }

    const fn rest(&mut self, why: Pause) {
        self.state = RepairState::Paused { why };
        self.tries = 0;
    }
}

/// Twice as long each time, half a minute at most.
fn growing(tries: u32) -> u64 {
    FIRST_WAIT_MS.saturating_mul(1 << tries.min(6)).min(30_000)
}
