//! One request in, one decision out.
//!
//! Routes once, asks the shields in their order, and composes what they want:
//! the first reply wins, edits add up. Keeps what was learned from answers.

use crate::learned::Learned;
use crate::ledger::{Ledger, Record};
use crate::shields::{
    BodyStep, Context, EventTypes, FrameStep, Head, HeadStep, Kept, POSITION, Part, PeerStep,
    Place, Question, ResponseStep, SHIELDS, Shield, ShieldSet, account_and_type, begins_call,
    settables,
};
use crate::verdict::{Action, Handler, Reply, flag};
use mantle_settings::{EffectiveSettings, Mode};
use mantle_wire::account_data;
use mantle_wire::ice::IceServer;
use mantle_wire::json::chunked::Source;
use mantle_wire::json::{self, Document, JsonError, Kinds, Opening, Splices};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, percent_decoded, without_dot};
use serde::Serialize;

/// Contents kept on this device, and their bytes.
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 1 << 20;

/// Smaller answers are cheaper to take in whole than to look at in parts first.
const LARGE: usize = 256 * 1024;
/// Bytes looked at in one go, and how far account data may reach over that.
const PART: usize = 128 * 1024;
const MARGIN: usize = 8 * 1024;
/// Events of one kind that are told apart by what is behind its type, such as a device's ID.
const MAX_BELOW: usize = 1024;
/// Of one event in a sync response, and of any other response, how much is read. No honest one is as
/// long: homeservers take no event of a tenth of it, and Element's configuration is a few pages.
const MAX_READ: usize = 1 << 20;
/// How much longer a sync response may become by what is kept on this device.
const MAX_GROWTH: usize = 4 << 20;

const HIDDEN: &str = "Mantle did not send this, because the homeserver's address, or an ID that it gave, hides what is asked of it: the address may have no question mark and no number sign.";
const NOT_SENT: &str = "Mantle did not send this; let it ask you first in Mantle's settings.";

/// What the browser side has to carry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Effect {
    /// For the ledger.
    Record(Record),
    /// A host to keep Element's page away from by declarativeNetRequest too.
    #[serde(rename_all = "camelCase")]
    Learned {
        /// Shield id.
        shield: &'static str,
        /// Host, with port where named.
        host: String,
        /// `/` for the whole host.
        path_prefix: String,
    },
}

/// Decides for one document.
#[derive(Debug, Default)]
pub struct Engine {
    policy: EffectiveSettings,
    ready: bool,
    /// Settings came; until then every shield is on.
    informed: bool,
    /// In force, by the shields' places.
    modes: Vec<Mode>,
    /// Those that are not off.
    active: ShieldSet,
    page_host: String,
    page_path: String,
    page_folder: String,
    learned: Learned,
    unreported: Vec<Place>,
    kept: Vec<Kept>,
    /// Keys of those not handed out for storing yet, and of those no longer kept.
    unsaved: Vec<String>,
    dropped: Vec<String>,
    /// Something was learned that [`Engine::memory`] has not handed out yet.
    fresh: bool,
    ledger: Ledger,
    /// Of the last decision, until it is taken.
    reply: Option<(&'static str, Reply)>,
    body: Option<Vec<u8>>,
    url: Option<String>,
    delegates: Vec<Delegate>,
    response_delegate: Option<Delegate>,
}

/// Who takes a request or an answer over, and on whose behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct Delegate {
    /// The part of the page script.
    pub handler: Handler,
    /// The shield's id.
    pub shield: &'static str,
    /// Its title.
    pub name: &'static str,
    /// What the person is asked; `None` where the handler has its own words, and for a prompt that
    /// is refused without asking.
    pub question: Option<&'static Question>,
}

/// Events of one kind in a sync response. An account has one of each type, so where one repeats only the
/// last counts, as for the page; and few whose types go on behind that of the kind. Those before them
/// are emptied, unread.
struct Kind<'a> {
    /// The type, and whether events of the kind have more behind it.
    name: &'a [u8],
    is_below: bool,
    /// How many of its last events are read.
    most: usize,
    /// How many follow the present one.
    unread: usize,
    /// Whether a shield that may change the response is concerned.
    is_held: bool,
    is_emptied: bool,
}

impl<'a> Kind<'a> {
    fn new(kinds: &Kinds<'a>, number: usize) -> Self {
        let (name, is_below) = match kinds.whole(number) {
            Some(name) => (name, false),
            None => (kinds.below(number).unwrap_or_default(), true),
        };
        let most = if is_below { MAX_BELOW } else { 1 };
        Self { name, is_below, most, unread: 0, is_held: false, is_emptied: false }
    }

    fn concerns(&self, types: &[EventTypes<'_>]) -> bool {
        let may_be =
            |kind: &EventTypes<'_>| !self.is_below || matches!(kind, EventTypes::AndBelow(_));
        types.iter().any(|kind| may_be(kind) && kind.is(self.name))
    }
}

/// What becomes of a sync response.
struct SyncResponse {
    /// `None`: it stays as it is.
    text: Option<Vec<u8>>,
    /// For each shield that saw it: what it learned, and whether it wanted something changed.
    steps: Vec<(ResponseStep, bool)>,
}

/// What the shields want.
#[derive(Debug, Default)]
struct Wanted {
    flags: u32,
    url: Option<String>,
    delegates: Vec<Delegate>,
    response_delegate: Option<Delegate>,
    reply: Option<(&'static str, Reply)>,
    body: Option<Vec<u8>>,
}

impl Engine {
    /// For the document at this URL.
    #[must_use]
    pub fn new(document_url: &str) -> Self {
        let address = Address::parse(document_url);
        let page_host = address.map(|address| address.host.to_owned()).unwrap_or_default();
        let page_path = address.map(|address| address.path.to_owned()).unwrap_or_default();
        let folder = page_path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let scheme = address.map_or("https", |address| address.scheme);
        let page_folder = format!("{scheme}://{page_host}{folder}/");
        let policy = EffectiveSettings::default().checked(settables());
        let mut engine = Self { page_host, page_path, page_folder, policy, ..Self::default() };
        engine.update_modes();
        // Element Call's page is told for whom it works, behind its address's `#?`.
        let parameters = document_url.split_once('#').and_then(|(_, rest)| rest.split_once('?'));
        for pair in parameters.map_or("", |(_, pairs)| pairs).split('&') {
            if let Some(user) = pair.strip_prefix("userId=") {
                engine.learned.user(&percent_decoded(user));
            }
        }
        engine
    }

    /// Puts settings in force; the sentences say what could not be read.
    pub fn apply_settings(&mut self, stored: Option<&str>, managed: Option<&str>) -> &[String] {
        self.policy = EffectiveSettings::read(stored, managed).checked(settables());
        self.ready = true;
        self.informed = true;
        self.update_modes();
        self.policy.warnings()
    }

    /// Settings are late: go on with every shield on.
    pub fn assume_strictest(&mut self) {
        self.ready = true;
    }

    /// Whether settings are in force.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// First look at a request. Returns [`flag`]s.
    pub fn decide(&mut self, method: &str, url: &str) -> u32 {
        let Some(first) = self.head(method, url) else { return 0 };
        fault(url);
        if first.route.endpoint == Endpoint::Unknown {
            let host = first.address.host;
            self.ledger.add("router", Action::Unknown, host, Endpoint::Unknown.template());
        }
        self.consider(&first, None)
    }

    /// Second look, with headers (`name: value` per line) and body. Replaces the first.
    pub fn decide_body(&mut self, method: &str, url: &str, headers: &str, body: &[u8]) -> u32 {
        match self.head(method, url) {
            Some(head) => self.consider(&head, Some((headers, body))),
            None => self.conclude(Wanted::default()),
        }
    }

    /// Asks the shields that a request concerns; the second look has headers and body.
    fn consider(&mut self, head: &Head<'_>, second: Option<(&str, &[u8])>) -> u32 {
        let mut wanted = Wanted::default();
        // No shield could tell what it is, so while any is in force it does not leave.
        if head.route.is_hidden() && self.modes.iter().any(|mode| *mode > Mode::Flag) {
            if second.is_none() {
                let template = head.endpoint.template();
                self.ledger.add("router", Action::Blocked, head.address.host, template);
            }
            wanted.reply = Some(("router", Reply::forbidden(HIDDEN)));
            return self.conclude(wanted);
        }
        // What a stranger is sent is judged as a stranger's and by what its path says: a reply of either
        // counts, and what is asked and edited adds up.
        if head.is_strange {
            let head = Head { endpoint: Endpoint::Foreign, ..head.clone() };
            let shields = ShieldSet::concerned_by(head.endpoint);
            self.ask_each(&head, shields, second, &mut wanted);
        }
        if wanted.reply.is_none() {
            let shields = ShieldSet::concerned_by(head.endpoint);
            self.ask_each(head, shields, second, &mut wanted);
        }
        self.conclude(wanted)
    }

    fn ask_each(
        &mut self,
        head: &Head<'_>,
        shields: ShieldSet,
        second: Option<(&str, &[u8])>,
        wanted: &mut Wanted,
    ) {
        for (place, shield) in shields.and(self.active) {
            let mode = self.modes.get(place).copied().unwrap_or(Mode::On);
            match (shield.head(head, &self.context()), second) {
                (HeadStep::Body, None) => wanted.flags |= flag::NEEDS_BODY,
                (HeadStep::Body, Some((headers, body))) => {
                    self.look(shield, mode, head, headers, body, wanted);
                }
                (step, _) => self.take(shield, mode, step, head, wanted, second.is_none()),
            }
            if wanted.reply.is_some() {
                return;
            }
            if let Some(url) = wanted.url.take() {
                // Shields that follow see the address it goes to.
                if let Some(mut next) = Head::new(head.method, &url) {
                    next.is_strange = head.is_strange;
                    let rest = ShieldSet::concerned_by(next.endpoint).after(place);
                    self.ask_each(&next, rest, second, wanted);
                }
                wanted.url.get_or_insert(url);
                return;
            }
        }
    }

    /// Carries out what a shield said of the head. What the first look counted, the second does not.
    fn take(
        &mut self,
        shield: &dyn Shield,
        mode: Mode,
        step: HeadStep,
        head: &Head<'_>,
        wanted: &mut Wanted,
        is_first: bool,
    ) {
        match step {
            HeadStep::Pass | HeadStep::Body => {}
            HeadStep::InspectResponse => wanted.flags |= flag::INSPECT_RESPONSE,
            HeadStep::Reply(action, reply) => {
                if is_first || mode != Mode::Flag {
                    self.refuse(shield, mode, action, reply, head, wanted);
                }
            }
            HeadStep::Ask(question) => {
                if is_first || mode != Mode::Flag {
                    self.ask(shield, mode, question, head, wanted);
                }
            }
            HeadStep::Redirect(url) => {
                let done = match is_first {
                    true => self.settle(shield, mode, Action::Rewritten, head),
                    false => mode != Mode::Flag,
                };
                if done {
                    wanted.url = Some(url);
                }
            }
            // The page says what came of it: see `note`.
            // Uploads are looked at in any case: what is flagged depends on what they are.
            HeadStep::Delegate(handler) if mode != Mode::Flag || handler == Handler::Media => {
                wanted.delegates.push(delegate(shield, handler));
            }
            HeadStep::Delegate(_) => {
                if is_first {
                    self.settle(shield, mode, Action::Flagged, head);
                }
            }
            HeadStep::DelegateResponse(handler) => {
                if mode != Mode::Flag {
                    wanted.response_delegate.get_or_insert(delegate(shield, handler));
                }
            }
        }
    }

    /// Shows a shield the body as the shields before it left it.
    fn look(
        &mut self,
        shield: &dyn Shield,
        mode: Mode,
        head: &Head<'_>,
        headers: &str,
        body: &[u8],
        wanted: &mut Wanted,
    ) {
        let current = wanted.body.as_deref().unwrap_or(body);
        let outcome = match shield.body(head, &self.context(), headers, current) {
            Ok(BodyStep::Pass) => Ok(None),
            Ok(BodyStep::Reply(action, reply)) => {
                self.refuse(shield, mode, action, reply, head, wanted);
                return;
            }
            Ok(BodyStep::Ask(question)) => {
                self.ask(shield, mode, question, head, wanted);
                return;
            }
            Ok(BodyStep::AskEdited(question, edits)) => {
                let next = json::apply(current, &edits);
                if next.is_ok() {
                    self.ask(shield, mode, question, head, wanted);
                }
                if wanted.reply.is_some() {
                    return;
                }
                next
            }
            Ok(BodyStep::Delegate(handler)) => {
                if mode == Mode::Flag {
                    self.settle(shield, mode, Action::Flagged, head);
                } else {
                    wanted.delegates.push(delegate(shield, handler));
                }
                return;
            }
            Ok(BodyStep::DelegateResponse(handler)) => {
                if mode == Mode::Flag {
                    self.settle(shield, mode, Action::Flagged, head);
                } else {
                    wanted.response_delegate.get_or_insert(delegate(shield, handler));
                }
                return;
            }
            Ok(BodyStep::Edit(edits)) => json::apply(current, &edits),
            Ok(BodyStep::Replace(text)) => Ok(Some(text.into_bytes())),
            Ok(BodyStep::Keep { parts, sent }) => {
                let is_changed = sent.as_bytes() != current;
                if mode != Mode::Flag {
                    for Part { key, content } in parts {
                        self.keep(key, content);
                    }
                }
                Ok(is_changed.then(|| sent.into_bytes()))
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(next)) => {
                if self.settle(shield, mode, Action::Rewritten, head) {
                    wanted.body = Some(next);
                }
            }
            Err(error) => {
                // A server may read what we cannot; so it does not leave.
                if self.settle(shield, mode, Action::Answered, head) {
                    let sentence = format!("Mantle could not check this request: {error}.");
                    wanted.reply =
                        Some((shield.info().id, Reply::error(400, "M_NOT_JSON", &sentence)));
                }
            }
        }
    }

    /// Does not let it leave.
    fn refuse(
        &mut self,
        shield: &dyn Shield,
        mode: Mode,
        action: Action,
        reply: Reply,
        head: &Head<'_>,
        wanted: &mut Wanted,
    ) {
        if self.settle(shield, mode, action, head) {
            wanted.reply = Some((shield.info().id, reply));
        }
    }

    /// Has the person asked where they want to be, and else refuses it.
    fn ask(
        &mut self,
        shield: &dyn Shield,
        mode: Mode,
        question: &'static Question,
        head: &Head<'_>,
        wanted: &mut Wanted,
    ) {
        if mode == Mode::Ask {
            wanted.delegates.push(asking(shield, question));
        } else {
            self.refuse(shield, mode, Action::Answered, Reply::forbidden(NOT_SENT), head, wanted);
        }
    }

    fn conclude(&mut self, wanted: Wanted) -> u32 {
        let Wanted { mut flags, url, delegates, response_delegate, reply, body } = wanted;
        if reply.is_some() {
            self.reply = reply;
            return flag::REPLY;
        }
        for (is_set, bit) in [
            (url.is_some(), flag::REDIRECT),
            (!delegates.is_empty(), flag::DELEGATE),
            (response_delegate.is_some(), flag::DELEGATE_RESPONSE),
            (body.is_some(), flag::REWRITTEN),
        ] {
            if is_set {
                flags |= bit;
            }
        }
        (self.url, self.delegates, self.response_delegate, self.body) =
            (url, delegates, response_delegate, body);
        flags
    }

    /// Counts what a handler of the page did with a request it took over.
    pub fn note(&mut self, shield: &str, action: Action, method: &str, url: &str) {
        let known = SHIELDS.iter().map(|known| known.info().id).find(|id| *id == shield);
        if let (Some(shield), Some(head)) = (known, Head::new(method, url)) {
            self.ledger.add(shield, action, head.address.host, head.endpoint.template());
        }
    }

    /// The person let the call server at this URL know who they are, as long as this document is there.
    pub fn agree(&mut self, url: &str) {
        if let Some(address) = Address::parse(url) {
            self.fresh |= self.learned.agreed_call_server(address.host);
        }
    }

    /// What a part of the page script has to know of a shield's settings: JSON text
    /// `{"mode": …, "options": {…}, "allow": […]}`; `None` for a shield that is not there.
    #[must_use]
    pub fn shield_settings(&self, id: &str) -> Option<String> {
        let shield = SHIELDS.iter().find(|shield| shield.info().id == id)?;
        let unsettled = if self.informed { &[] } else { shield.info().unsettled };
        let options: Vec<_> = shield
            .info()
            .options
            .iter()
            .filter_map(|option| {
                let value = match unsettled.iter().find(|(key, _)| *key == option.key) {
                    Some((_, value)) => (*value).to_owned(),
                    None => self.policy.option(id, option.key)?.value.json(),
                };
                Some(format!("{}:{value}", json::quoted(option.key)))
            })
            .collect();
        let allow: Vec<_> = self.policy.allowed(id).map(json::quoted).collect();
        Some(format!(
            r#"{{"mode":"{}","options":{{{}}},"allow":[{}]}}"#,
            self.mode(*shield).name(),
            options.join(","),
            allow.join(",")
        ))
    }

    /// The URL the last decision wants instead.
    pub fn take_url(&mut self) -> Option<String> {
        self.url.take()
    }

    /// Who takes the request of the last decision over, in their order.
    pub fn take_delegates(&mut self) -> Vec<Delegate> {
        std::mem::take(&mut self.delegates)
    }

    /// Who takes the answer over.
    pub const fn take_response_delegate(&mut self) -> Option<Delegate> {
        self.response_delegate.take()
    }

    /// The synthetic answer of the last decision, with the shield it comes from.
    pub fn take_reply(&mut self) -> Option<(&'static str, Reply)> {
        self.reply.take()
    }

    /// The rewritten body of the last decision.
    pub fn take_body(&mut self) -> Option<Vec<u8>> {
        self.body.take()
    }

    /// False when [`Engine::response`] need not see the response of `length` bytes. `read` fills the
    /// buffer with its bytes from a position on. Of large syncs, only the global account data
    /// concerns shields, and few have any: those are not copied for nothing.
    pub fn needs_response_body(
        &self,
        method: &str,
        url: &str,
        length: usize,
        read: &mut dyn FnMut(usize, &mut [u8]),
    ) -> bool {
        let Some(head) = Head::new(method, url) else { return false };
        let watching = self.watching(&head);
        if watching.is_empty() {
            return false;
        }
        let adds = watching.iter().any(|(shield, _)| !shield.missing_account_data().is_empty());
        if length < LARGE || adds || account_data::path(head.endpoint).is_none() {
            return true;
        }
        Source { length, read }.any_in_parts(PART, MARGIN, |window| {
            let part = window.bytes.get(window.own.start..).unwrap_or_default();
            if account_data::hides_letters(part) {
                return true;
            }
            account_data::mentions(head.endpoint, part).any(|mentioned| {
                let Some(alone) = mentioned else { return true };
                let sync = self.account_data(&head, &watching, alone.as_bytes());
                sync.ok().flatten().is_some_and(|sync| {
                    sync.text.is_some()
                        || sync.steps.iter().any(|(step, is_changed)| {
                            *is_changed || *step != ResponseStep::default()
                        })
                })
            })
        })
    }

    /// A look at a whole response; `None` when its bytes go on as they are. It is read as a browser's
    /// `json()` reads it: what that refuses, the page cannot read either.
    pub fn response(
        &mut self,
        method: &str,
        url: &str,
        status: u16,
        body: &[u8],
    ) -> Option<Vec<u8>> {
        let head = Head::new(method, url)?;
        // Errors carry nothing to harden, and UIA's 401 must arrive unchanged.
        if !(200..300).contains(&status) {
            return None;
        }
        let watching = self.watching(&head);
        if watching.is_empty() {
            return None;
        }
        if account_data::path(head.endpoint).is_some() {
            let Some(sync) = self.account_data(&head, &watching, json::without_mark(body)).ok()?
            else {
                return self.unread(watching, &head);
            };
            for ((shield, mode), (step, is_changed)) in watching.into_iter().zip(sync.steps) {
                self.learn(shield, step, &head);
                if is_changed {
                    self.settle(shield, mode, Action::Rewritten, &head);
                }
            }
            return sync.text;
        }
        if body.len() > MAX_READ {
            return self.unread(watching, &head);
        }
        let paths = watching.iter().flat_map(|(shield, _)| shield.response_paths(&head));
        let document = Document::read(body, paths).ok()?;
        let mut edited: Option<Vec<u8>> = None;
        let mut edits = Vec::new();
        for (shield, mode) in watching {
            let Ok(mut step) = shield.response(&head, &self.context(), &document) else { continue };
            let replaced = step.replaced.take().map(String::into_bytes);
            let own = std::mem::take(&mut step.edits);
            self.learn(shield, step, &head);
            if replaced.is_some() && self.settle(shield, mode, Action::Rewritten, &head) {
                edited = replaced;
            }
            if !own.is_empty() {
                edits.push((shield, mode, own));
            }
        }
        // All that is in force at once; what is only watched sees the response as it came.
        let is_watched = |mode: Mode| mode == Mode::Flag;
        let (watched, applied): (Vec<_>, Vec<_>) =
            edits.into_iter().partition(|(_, mode, _)| is_watched(*mode));
        for (shield, mode, own) in watched {
            if json::apply_to_response(body, &own).is_ok_and(|next| next.is_some()) {
                self.settle(shield, mode, Action::Rewritten, &head);
            }
        }
        let all: Vec<_> = applied.iter().map(|(_, _, own)| own.as_slice()).collect();
        if all.is_empty() {
            return edited;
        }
        let outcome = match edited.as_deref() {
            None => document.edited(&all),
            Some(edited) => Document::read(edited, [""]).and_then(|document| document.edited(&all)),
        };
        let Ok((next, changed)) = outcome else { return edited };
        for ((shield, mode, _), is_changed) in applied.into_iter().zip(changed) {
            if is_changed {
                self.settle(shield, mode, Action::Rewritten, &head);
            }
        }
        next.or(edited)
    }

    /// In place of a response that no honest server gives: an empty one, which the page cannot read.
    fn unread(
        &mut self,
        watching: Vec<(&'static dyn Shield, Mode)>,
        head: &Head<'_>,
    ) -> Option<Vec<u8>> {
        let mut is_held = false;
        for (shield, mode) in watching {
            is_held |= self.settle(shield, mode, Action::Blocked, head);
        }
        is_held.then(Vec::new)
    }

    /// The shields that see the response to a request, and their modes.
    fn watching(&self, head: &Head<'_>) -> Vec<(&'static dyn Shield, Mode)> {
        let context = self.context();
        ShieldSet::concerned_by(head.endpoint)
            .and(self.active)
            .filter(|(_, shield)| matches!(shield.head(head, &context), HeadStep::InspectResponse))
            .map(|(place, shield)| (shield, self.modes.get(place).copied().unwrap_or(Mode::On)))
            .collect()
    }

    /// What the shields make of the global account data in a sync response, which is gone over once
    /// and written once; `None` where no honest server has as much of it.
    fn account_data(
        &self,
        head: &Head<'_>,
        watching: &[(&'static dyn Shield, Mode)],
        text: &[u8],
    ) -> Result<Option<SyncResponse>, JsonError> {
        let context = self.context();
        let mut steps = vec![(ResponseStep::default(), false); watching.len()];
        let concerned: Vec<_> =
            watching.iter().map(|(shield, _)| shield.account_data_types(&context)).collect();
        let mut missing: Vec<_> =
            watching.iter().map(|(shield, _)| shield.missing_account_data()).collect();
        let mut kinds = Kinds::default();
        for types in concerned.iter().flatten() {
            match types {
                EventTypes::One(one) => kinds.add(one),
                EventTypes::AndBelow(one) => kinds.add_below(one),
            }
        }
        for (kind, _) in missing.iter().copied().flatten() {
            kinds.add(kind);
        }
        let Some((events, opening)) = account_data::of(head.endpoint, text, &kinds)? else {
            return Ok(None);
        };
        let mut kinds: Vec<_> =
            (0..kinds.count()).map(|number| Kind::new(&kinds, number)).collect();
        for kind in &mut kinds {
            let mut concerned = watching.iter().zip(&concerned);
            kind.is_held =
                concerned.any(|((_, mode), types)| *mode != Mode::Flag && kind.concerns(types));
        }
        for event in &events {
            if let Some(kind) = kinds.get_mut(event.kind) {
                kind.unread = kind.unread.saturating_add(1);
            }
        }
        let mut splices = Splices::new(text);
        let mut grown = 0_usize;
        for event in events {
            let Some(kind) = kinds.get_mut(event.kind) else { continue };
            kind.unread = kind.unread.saturating_sub(1);
            let content = text.get(event.content.clone()).unwrap_or_default();
            if kind.unread >= kind.most || content.len() > MAX_READ {
                if kind.is_held && content != b"{}" {
                    kind.is_emptied = true;
                    splices.replace(event.content, b"{}");
                }
                continue;
            }
            let event_type = text.get(event.event_type).and_then(json::string_bytes);
            let event_type = event_type.unwrap_or_default();
            let mut content = String::from_utf8_lossy(content);
            let mut is_other = false;
            let watching = watching.iter().zip(&mut steps).zip(&mut missing).zip(&concerned);
            for ((((shield, mode), (step, is_changed)), missing), types) in watching {
                if missing.iter().any(|(kind, _)| kind.as_bytes() == &*event_type) {
                    *missing = &[];
                }
                if !types.iter().any(|kind| kind.is(&event_type)) {
                    continue;
                }
                let kind = String::from_utf8_lossy(&event_type);
                let next = shield.account_data(&kind, &content, &context, step);
                if let Some(next) = next.ok().flatten().filter(|next| *next != content) {
                    *is_changed = true;
                    if *mode != Mode::Flag {
                        content = next.into();
                        is_other = true;
                    }
                }
            }
            if is_other {
                grown = grown.saturating_add(content.len().saturating_sub(event.content.len()));
                // A server repeats placeholders at no cost.
                let with = if grown > MAX_GROWTH { b"{}" } else { content.as_bytes() };
                splices.replace(event.content, with);
            }
        }
        for kind in kinds.iter().filter(|kind| kind.is_emptied) {
            for (place, types) in concerned.iter().enumerate() {
                if let Some((_, is_changed)) = steps.get_mut(place) {
                    *is_changed |= kind.concerns(types);
                }
            }
        }
        let mut added = Vec::new();
        let all = watching.iter().zip(&mut steps).zip(missing);
        for (((_, mode), (_, is_changed)), missing) in all {
            *is_changed |= !missing.is_empty();
            if *mode != Mode::Flag {
                added.extend(missing.iter().map(|(_, event)| *event));
            }
        }
        if let Some(opening) = opening.filter(|_| !added.is_empty()) {
            let Opening { place, before, after } = opening;
            splices.replace(place, format!("{before}{}{after}", added.join(",")).as_bytes());
        }
        Ok(Some(SyncResponse { text: splices.finish(), steps }))
    }

    /// A look at a new peer connection's ICE servers; `None` to leave it alone.
    pub fn peer(&mut self, urls: &[String]) -> Option<PeerStep> {
        const ENDPOINT: &str = "(peer connection)";
        for &shield in SHIELDS {
            let mode = self.mode(shield);
            if mode == Mode::Off {
                continue;
            }
            let Some(step) = shield.peer(urls, &self.context()) else { continue };
            let id = shield.info().id;
            let done = mode != Mode::Flag;
            for url in urls.iter().zip(&step.kept).filter_map(|(url, kept)| (!kept).then_some(url))
            {
                let host = IceServer::parse(url).map(|server| server.host).unwrap_or_default();
                let action = if done { Action::Blocked } else { Action::Flagged };
                self.ledger.add(id, action, &host, ENDPOINT);
            }
            if step.relay_only {
                let action = if done { Action::Rewritten } else { Action::Flagged };
                self.ledger.add(id, action, &self.page_host, ENDPOINT);
            }
            return done.then_some(step);
        }
        None
    }

    /// A look at the address a frame is about to get; `None` to leave it alone.
    pub fn frame(&mut self, url: &str) -> Option<FrameStep> {
        const ENDPOINT: &str = "(frame)";
        let mut wanted: Option<FrameStep> = None;
        for &shield in SHIELDS {
            let mode = self.mode(shield);
            // Before settings came: whoever has the others on has the browser's rule for frames too,
            // and everybody else would lose the call that a page opens as it starts (Jitsi's does).
            let is_early = !self.informed && shield.info().default == Mode::Off;
            if mode == Mode::Off || is_early {
                continue;
            }
            let Some(step) = shield.frame(url, &self.context()) else { continue };
            // What one shield rewrites another may still keep from being opened at all.
            if wanted.is_some() && step.action != Action::Blocked {
                continue;
            }
            let done = mode != Mode::Flag;
            let host = Address::parse(url).map(|address| address.host).unwrap_or_default();
            let action = if done { step.action } else { Action::Flagged };
            self.ledger.add(shield.info().id, action, host, ENDPOINT);
            if done {
                let is_final = step.action == Action::Blocked;
                wanted = Some(step);
                if is_final {
                    break;
                }
            }
        }
        wanted
    }

    /// A look at a link that is about to be followed; where to go instead, or `None`.
    pub fn link(&mut self, url: &str) -> Option<String> {
        for &shield in SHIELDS {
            let mode = self.mode(shield);
            if mode == Mode::Off {
                continue;
            }
            let Some(own) = shield.link(url, &self.context()) else { continue };
            let done = mode != Mode::Flag;
            let host = Address::parse(url).map(|address| address.host).unwrap_or_default();
            let action = if done { Action::Rewritten } else { Action::Flagged };
            self.ledger.add(shield.info().id, action, host, "(link)");
            return done.then_some(own);
        }
        None
    }

    /// What the person is asked before the page does something that is no request of its own, see
    /// [`Shield::prompt`]; without a question it is refused. `None`: nobody minds.
    pub fn prompt(&mut self, what: &str) -> Option<Delegate> {
        for &shield in SHIELDS {
            let mode = self.mode(shield);
            let question = if mode == Mode::Off { None } else { shield.prompt(what) };
            let Some(question) = question else { continue };
            let (action, delegate) = match mode {
                Mode::Ask => (Action::Asked, Some(asking(shield, question))),
                Mode::On => (Action::Blocked, Some(delegate(shield, Handler::Ask))),
                Mode::Flag | Mode::Off => (Action::Flagged, None),
            };
            // What a frame asks its window the frame counts itself.
            let address = Address::parse(what);
            if what == POSITION || address.is_some() {
                let host = address.map_or(&*self.page_host, |address| address.host);
                self.ledger.add(shield.info().id, action, host, "(leaving Element)");
            }
            return delegate;
        }
        None
    }

    /// What was learned from answers, when it changed since the last call: JSON for
    /// [`Engine::remember`]. Holds OpenID tokens, so it must not leave the page.
    pub fn memory(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        serde_json::to_string(&self.learned).ok()
    }

    /// Gives a new engine what a trapped one had learned; texts it cannot read are ignored.
    pub fn remember(&mut self, memory: &str) {
        if let Ok(learned) = Learned::read(memory) {
            self.learned = learned;
        }
    }

    fn keep(&mut self, key: String, content: String) {
        self.kept.retain(|kept| kept.key != key);
        self.unsaved.push(key.clone());
        self.kept.push(Kept { key, content });
        self.evict();
    }

    /// The oldest of what is kept goes where it is too much.
    fn evict(&mut self) {
        let size = |kept: &Kept| kept.key.len().saturating_add(kept.content.len());
        let mut bytes: usize = self.kept.iter().map(size).sum();
        while bytes > MAX_KEPT_BYTES || self.kept.len() > MAX_KEPT {
            let oldest = self.kept.remove(0);
            bytes = bytes.saturating_sub(size(&oldest));
            self.unsaved.retain(|key| *key != oldest.key);
            self.dropped.push(oldest.key);
        }
    }

    /// Forgets what belongs to the session that ends.
    fn sign_out(&mut self) {
        if let Some(account) = self.learned.account() {
            let is_theirs = |kept: &Kept| account_and_type(&kept.key).0 == account;
            let keys = self.kept.iter().filter(|kept| is_theirs(kept)).map(|kept| kept.key.clone());
            self.dropped.extend(keys);
            self.kept.retain(|kept| !is_theirs(kept));
            self.unsaved.retain(|key| account_and_type(key).0 != account);
        }
        self.learned.sign_out();
        self.fresh = true;
    }

    /// What stays on this device: `{key: {"content": …}}`, as [`Engine::take_unsaved`] gave it before.
    pub fn restore(&mut self, kept: &str) {
        for entry in json::members(kept).ok().flatten().unwrap_or_default() {
            let content = json::get(entry.value, &["content"]).ok().flatten();
            if let Some(content) = content {
                self.kept.retain(|kept| kept.key != entry.key);
                self.kept.push(Kept { key: entry.key, content: content.to_owned() });
            }
        }
        self.evict();
    }

    /// What was kept since the last call, to be stored: `{key: {"content": …}}`, with `null` for what was
    /// dropped.
    pub fn take_unsaved(&mut self) -> Option<String> {
        let keys = std::mem::take(&mut self.unsaved);
        let dropped = std::mem::take(&mut self.dropped);
        let dropped = dropped.iter().filter(|key| !self.kept.iter().any(|kept| kept.key == **key));
        let dropped: Vec<_> = dropped.map(|key| format!("{}:null", json::quoted(key))).collect();
        let entries: Vec<_> = self
            .kept
            .iter()
            .filter(|kept| keys.contains(&kept.key))
            .map(|kept| format!("{}:{{\"content\":{}}}", json::quoted(&kept.key), kept.content))
            .chain(dropped)
            .collect();
        (!entries.is_empty()).then(|| format!("{{{}}}", entries.join(",")))
    }

    /// Whether [`Engine::effects`] has something, or [`Engine::take_unsaved`] what was dropped.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.ledger.is_empty() || !self.unreported.is_empty() || !self.dropped.is_empty()
    }

    /// Effects since the last call; `now` in milliseconds since the epoch.
    pub fn effects(&mut self, now: u64) -> Vec<Effect> {
        let learned =
            std::mem::take(&mut self.unreported).into_iter().map(|place| Effect::Learned {
                shield: "integrations",
                host: place.host,
                path_prefix: place.path_prefix,
            });
        let learned: Vec<_> = learned.collect();
        self.ledger.drain(now).into_iter().map(Effect::Record).chain(learned).collect()
    }

    fn update_modes(&mut self) {
        self.modes = SHIELDS.iter().map(|shield| self.mode(*shield)).collect();
        let modes = self.modes.iter().enumerate();
        self.active =
            ShieldSet::of(modes.filter(|(_, mode)| **mode != Mode::Off).map(|(place, _)| place));
    }

    fn mode(&self, shield: &dyn Shield) -> Mode {
        if !self.informed {
            return shield.info().strict;
        }
        let info = shield.info();
        self.policy.mode(info.id, info.default_in(self.policy.profile().value)).value
    }

    fn context(&self) -> Context<'_> {
        Context {
            policy: &self.policy,
            page_host: &self.page_host,
            page_path: &self.page_path,
            page_folder: &self.page_folder,
            learned: &self.learned,
            kept: &self.kept,
        }
    }

    /// Records what was found; whether it is to be done.
    fn settle(&mut self, shield: &dyn Shield, mode: Mode, action: Action, head: &Head<'_>) -> bool {
        let done = mode != Mode::Flag;
        let action = if done { action } else { Action::Flagged };
        self.ledger.add(shield.info().id, action, head.address.host, head.endpoint.template());
        done
    }

    fn learn(&mut self, shield: &dyn Shield, step: ResponseStep, head: &Head<'_>) {
        let ResponseStep { reports, managers, token, rtc_hosts, auth_hosts, turn_hosts, .. } = step;
        let by = head.address.host;
        for mut place in managers {
            place.host = without_dot(&place.host).into_owned();
            let is_allowed = self.policy.is_allowed(shield.info().id, &place.host);
            if !is_allowed && self.learned.manager(&self.page_host, by, place.clone()) {
                self.unreported.push(place);
                self.fresh = true;
            }
        }
        let learned = &mut self.learned;
        self.fresh |= token.is_some_and(|token| learned.token(by, token));
        for place in reports {
            self.fresh |= learned.report(by, place);
        }
        for host in rtc_hosts {
            self.fresh |= learned.rtc_host(by, host);
        }
        for host in auth_hosts {
            self.fresh |= learned.auth_host(by, host);
        }
        for host in turn_hosts {
            self.fresh |= learned.turn_host(by, host);
        }
    }

    /// A request's head, with what it says of who is talked to.
    fn head<'a>(&mut self, method: &'a str, url: &'a str) -> Option<Head<'a>> {
        let mut head = Head::new(method, url)?;
        let host = head.address.host;
        head.is_strange = match head.endpoint {
            // Of a server that Element does not use as its homeserver, a path that no row knows is a
            // stranger's.
            Endpoint::Unknown => !self.learned.is_homeserver(host),
            // Nor is a homeserver first asked by a write: who names a call service, a manager or where an
            // invitation is signed chooses how its path begins.
            _ => is_write_to_matrix(&head) && self.learned.is_strange(host),
        };
        match head.endpoint {
            Endpoint::Logout if !head.is_strange => self.sign_out(),
            _ if head.route.is_client() && !head.is_strange => {
                self.fresh |= self.learned.homeserver(host);
                let user = head.route.user();
                // Without an account Element asks none of these.
                let acts = matches!(
                    head.endpoint,
                    Endpoint::Sync
                        | Endpoint::SlidingSync
                        | Endpoint::WhoAmI
                        | Endpoint::RtcTransports
                );
                if acts || user.is_some() {
                    self.fresh |= self.learned.acts(host, user.as_deref());
                }
            }
            _ => {
                let is_used = begins_call(&head, &self.policy, &self.learned);
                self.fresh |= is_used && self.learned.used_call_server(host);
            }
        }
        Some(head)
    }
}

/// Whether a path says that this writes to a homeserver.
fn is_write_to_matrix(head: &Head<'_>) -> bool {
    let is_admin = matches!(head.endpoint, Endpoint::SynapseApi | Endpoint::SynapseIsAdmin);
    (is_admin || head.is_of_homeserver()) && !matches!(head.method, "GET" | "HEAD")
}

fn delegate(shield: &dyn Shield, handler: Handler) -> Delegate {
    let info = shield.info();
    Delegate { handler, shield: info.id, name: info.name, question: None }
}

fn asking(shield: &dyn Shield, question: &'static Question) -> Delegate {
    Delegate { question: Some(question), ..delegate(shield, Handler::Ask) }
}

/// Lets tests see a real trap.
#[cfg(feature = "fault-injection")]
#[allow(clippy::panic)]
fn fault(url: &str) {
    assert!(!url.contains("mantle-test-trap"), "fault injection");
}

#[cfg(not(feature = "fault-injection"))]
const fn fault(_url: &str) {}

#[cfg(test)]
mod tests {
    use super::*;
    use mantle_wire::route::route;
    use std::collections::BTreeMap;

    /// Requests to each endpoint, by every path that its template can be written with.
    fn requests() -> BTreeMap<String, Vec<(&'static str, String)>> {
        const AREAS: [&str; 9] = [
            "/_matrix/client/v3/",
            "/_matrix/client/unstable/",
            "/_matrix/media/v3/",
            "/_matrix/identity/v2/",
            "/_matrix/integrations/",
            "/_matrix/federation/v1/",
            "/.well-known/",
            "/_synapse/",
            "/",
        ];
        const PARAMETERS: [&str; 6] =
            ["x", "m.room.name", "m.call.invite", "avatar_url", "m.room.member", "word"];
        let mut requests: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
        for template in Endpoint::ALL.iter().map(|endpoint| endpoint.template()) {
            for area in AREAS {
                for parameter in PARAMETERS {
                    let path = template.replace("{*}", parameter).replace("{}", parameter);
                    for (method, query) in
                        [("GET", ""), ("POST", "?mxid=x&server=y"), ("PUT", ""), ("DELETE", "")]
                    {
                        let url = format!("https://hs.example.org{area}{path}{query}");
                        let endpoint = route(method, &Address::parse(&url).unwrap()).endpoint;
                        requests.entry(format!("{endpoint:?}")).or_default().push((method, url));
                    }
                }
            }
        }
        requests
    }

    #[test]
    fn shields_are_asked_about_every_endpoint_that_concerns_them() {
        let requests = requests();
        let mut engine = Engine::new("https://chat.example.org/app/");
        engine.apply_settings(Some(r#"{"profile":"strict"}"#), None);
        for endpoint in Endpoint::ALL {
            let requests = requests.get(&format!("{endpoint:?}")).map(Vec::as_slice);
            assert!(requests.is_some_and(|some| !some.is_empty()), "no request to {endpoint:?}");
            for (method, url) in requests.unwrap_or_default() {
                let head = Head::new(method, url).unwrap();
                for shield in SHIELDS {
                    let is_asked = ShieldSet::concerned_by(*endpoint)
                        .any(|(_, asked)| asked.info().id == shield.info().id);
                    assert!(
                        is_asked || shield.head(&head, &engine.context()) == HeadStep::Pass,
                        "{} is not asked about {method} {url}",
                        shield.info().id
                    );
                }
            }
        }
    }
}
