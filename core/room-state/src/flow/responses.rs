//! Responses that may hold state: from a response to what it needs, and from there to what the page
//! gets.

mod compose;
mod fill;
mod invites;
mod look;
mod response;
mod split;
mod verify;

use serde::Serialize;

use self::response::{Entry, MAX_FOLLOWED_BYTES, Response};
use crate::error::EngineError;
use crate::ids::{EventId, RoomId};
use crate::index::patch::Edited;
use crate::index::prefilter;
use crate::index::redactions::{self, Redacted};
use crate::megolm::{MAX_BATCH, drawn};
use crate::model::Model;
use crate::model::needs::Needs;
use crate::model::observation::Observation;
use crate::paths::{Request, room_path};
use crate::sorted::Map;
use mantle_index::sparse;
use mantle_wire::json::chunked::Source;
use mantle_wire::route::Endpoint;
use mantle_wire::url::Address;

/// Smaller responses are cheaper to take in whole than to look at in parts first.
const MIN_PREFILTERED_BYTES: usize = 256 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What to do with a request for a response that may hold state.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Before {
    /// Send it; to another URL where one is named.
    Send {
        /// The whole URL.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Do not send; this is the 200 response.
    Reply {
        /// JSON.
        body: String,
    },
    /// Do not send; the response is here already: go on as after [`StateEngine::inspect`](crate::StateEngine::inspect).
    Held {
        /// What [`StateEngine::open`](crate::StateEngine::open) wants to know.
        answer: u32,
        /// As of [`StateEngine::inspect`](crate::StateEngine::inspect).
        needs: Needs,
    },
}

/// How far a response is.
#[derive(Debug)]
pub enum OpenStep {
    /// Call again.
    More,
    /// Supply this, then call again.
    Needs(Needs),
    /// Finished; without a body the original bytes are right.
    Done(Option<Edited>),
    /// Give the page this; the rest follows on its next sync with the same `since`.
    Split(Vec<u8>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    open: Map<u32, Response>,
    next: u32,
    // The one that is looked at in parts.
    looking: Option<u32>,
    // The second half of a split sync.
    held: Option<u32>,
}

impl Responses {
    /// None yet. After a trap the page may still have ids of those before, which must not stand for
    /// others: so they do not begin at the same number.
    pub(crate) fn new() -> Self {
        Self { next: drawn(), ..Self::default() }
    }

    /// Before a request is sent whose response may hold state.
    pub(crate) fn before(&mut self, model: &Model, request: Request<'_>) -> Before {
        let send = Before::Send { url: None };
        let Some((address, endpoint)) = request.read() else { return send };
        match endpoint {
            Endpoint::Sync => self.second_half(model, &address).unwrap_or(send),
            Endpoint::StateRead => fill::known_state(model.states.memory(), &address)
                .map_or(send, |body| Before::Reply { body }),
            _ => send,
        }
    }

    /// What was held back of a sync, when the page comes for it.
    fn second_half(&mut self, model: &Model, address: &Address<'_>) -> Option<Before> {
        let since = address.parameter("since");
        let id = self.held.take()?;
        let mut response = self.open.remove(&id)?;
        if response.since != since || since.is_none() {
            return None;
        }
        response.stage.fetch();
        response.cursor = 0;
        let needs = response.needs(model, id);
        self.open.insert(id, response);
        Some(Before::Held { answer: id, needs })
    }

    /// As [`Responses::inspect`], of a response of `length` bytes that stays where it is: `read` fills
    /// the buffer with its bytes from a position on, `whole` gives all of them. What does not concern
    /// state is not copied; of a large first sync, only what does.
    pub(crate) fn inspect_there(
        &mut self,
        model: &mut Model,
        request: Request<'_>,
        length: usize,
        read: &mut dyn FnMut(usize, &mut [u8]),
        whole: impl FnOnce() -> Vec<u8>,
        observed: &mut Vec<Observation>,
    ) -> Option<Needs> {
        let (address, endpoint) = request.read()?;
        self.finish_look(model, observed);
        if !may_concern(model, endpoint, &address, &mut Source { length, read }) {
            return None;
        }
        let is_first_sync = endpoint == Endpoint::Sync
            && length > MAX_FOLLOWED_BYTES
            && model.invites.is_empty()
            && address.parameter("since").is_none();
        if is_first_sync
            && let Some(sparse) = sparse::of(&mut Source { length, read })
            && (!sparse.scan.may_hide || model.states.known().is_empty())
        {
            let mut response = Response::new(endpoint, &address, request.url, sparse.bytes);
            response.cuts = Some(sparse.cuts);
            look::look_at(model, &mut response, sparse.scan);
            look::go_on(model, &mut response, observed);
            return self.keep(model, response);
        }
        self.inspect(model, request, whole(), observed)
    }

    /// A whole response with status 200. `None`: its bytes go on as they are. Else it is kept until
    /// [`Responses::open`] is done with it, or [`Responses::drop_response`].
    pub(crate) fn inspect(
        &mut self,
        model: &mut Model,
        request: Request<'_>,
        mut body: Vec<u8>,
        observed: &mut Vec<Observation>,
    ) -> Option<Needs> {
        let (address, endpoint) = request.read()?;
        if !carries_state(endpoint) {
            return None;
        }
        self.finish_look(model, observed);
        // Browsers take it away.
        let is_marked = body.starts_with(BYTE_ORDER_MARK);
        let body = if is_marked { body.split_off(BYTE_ORDER_MARK.len()) } else { body };
        let mut response = Response::new(endpoint, &address, request.url, body);
        response.has_changed = is_marked;
        let states = &model.states;
        if endpoint == Endpoint::Hierarchy {
            response.has_changed |= fill::summaries(states.memory(), &mut response.body);
        } else {
            if endpoint == Endpoint::SlidingSync && !states.known().is_empty() {
                response.has_changed |= fill::rooms(states.memory(), &mut response.body);
            }
            take_redactions(model, &response, observed);
            look::look(model, &mut response);
            look::go_on(model, &mut response, observed);
        }
        self.keep(model, response)
    }

    /// Keeps a response that something is to be done with.
    fn keep(&mut self, model: &Model, mut response: Response) -> Option<Needs> {
        if response.is_idle() {
            return None;
        }
        self.next = self.next.wrapping_add(1).max(1);
        let id = self.next;
        // Only syncs come one after the other.
        if response.is_sync() {
            response.number = id;
        }
        let needs = response.needs(model, id);
        self.looking = needs.more.then_some(id);
        self.open.insert(id, response);
        Some(needs)
    }

    /// Goes on with the look at a response, where it needed [`Needs::more`].
    ///
    /// # Errors
    ///
    /// [`EngineError::Unknown`] for one that is done or was dropped.
    pub(crate) fn inspect_more(
        &mut self,
        model: &mut Model,
        id: u32,
        observed: &mut Vec<Observation>,
    ) -> Result<Option<Needs>, EngineError> {
        let mut response = self.open.remove(&id).ok_or(EngineError::Unknown)?;
        look::go_on(model, &mut response, observed);
        let needs = (!response.is_idle()).then(|| response.needs(model, id));
        if response.look.is_none() {
            self.looking = self.looking.filter(|looking| *looking != id);
        }
        if needs.is_some() {
            self.open.insert(id, response);
        }
        Ok(needs)
    }

    /// Looks at the rest of the response that is looked at in parts: what it says comes before what
    /// follows.
    fn finish_look(&mut self, model: &mut Model, observed: &mut Vec<Observation>) {
        let Some(id) = self.looking.take() else { return };
        let Some(response) = self.open.get_mut(&id) else { return };
        while response.look.is_some() {
            look::go_on(model, response, observed);
        }
    }

    /// Goes on with a response: decrypts at most `most` events, then puts it together.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unknown`] for one that is done or was dropped.
    pub(crate) fn open(
        &mut self,
        model: &mut Model,
        id: u32,
        most: usize,
        observed: &mut Vec<Observation>,
    ) -> Result<OpenStep, EngineError> {
        if self.looking == Some(id) {
            self.finish_look(model, observed);
        }
        let mut response = self.open.remove(&id).ok_or(EngineError::Unknown)?;
        let mut left = most.max(1);
        while response.cursor < response.encrypted.len() {
            if left == 0 {
                self.open.insert(id, response);
                return Ok(OpenStep::More);
            }
            let cost = verify::decrypt_some(model, &mut response, left.min(MAX_BATCH));
            left = left.saturating_sub(cost);
        }
        let unknown = response.rooms_of_unknown_owners(model);
        if !unknown.is_empty() && response.stage.ask_devices() {
            response.cursor = 0;
            self.open.insert(id, response);
            let member_devices = unknown.into_iter().collect();
            return Ok(OpenStep::Needs(Needs { answer: id, member_devices, ..Needs::default() }));
        }
        if response.stage.may_split()
            && response.encrypted.iter().any(Entry::lacks_key)
            && let Some((first, delivered)) = split::first_half(&response)
        {
            response.stage.hold(delivered);
            // One split at a time; an earlier one the page never came back for is gone.
            if let Some(old) = self.held.replace(id) {
                self.open.remove(&old);
            }
            self.open.insert(id, response);
            return Ok(OpenStep::Split(first));
        }
        Ok(OpenStep::Done(compose::compose(model, response, observed)))
    }

    /// Gives a response up. The page may get it as it came, so what it says counts.
    pub(crate) fn drop_response(
        &mut self,
        model: &mut Model,
        id: u32,
        observed: &mut Vec<Observation>,
    ) {
        if self.looking == Some(id) {
            self.finish_look(model, observed);
        }
        self.open.remove(&id);
    }
}

fn may_concern(
    model: &Model,
    endpoint: Endpoint,
    address: &Address<'_>,
    source: &mut Source<'_>,
) -> bool {
    if !carries_state(endpoint) {
        return false;
    }
    let length = source.length;
    let known = model.states.known();
    let is_followed = !model.outbound.is_empty() && length <= MAX_FOLLOWED_BYTES;
    let is_known = room_path(address).is_some_and(|path| !known.is_unknown(&path.room_id));
    endpoint == Endpoint::Hierarchy
        || length < MIN_PREFILTERED_BYTES
        || is_followed
        || is_known
        || !model.invites.is_empty()
        || prefilter::finds(source, &|room_id| !known.is_unknown(room_id))
}

const fn carries_state(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Sync
            | Endpoint::SlidingSync
            | Endpoint::Events
            | Endpoint::History
            | Endpoint::StateRead
            | Endpoint::Search
            | Endpoint::Notifications
            | Endpoint::Hierarchy
    )
}

/// What a response says was redacted.
fn take_redactions(model: &mut Model, response: &Response, observed: &mut Vec<Observation>) {
    if model.states.known().is_empty() {
        return;
    }
    for Redacted { room_id, event_id } in redacted(model, response) {
        observed.extend(model.redact(EventId { room_id: &room_id, id: &event_id }));
    }
}

fn redacted(model: &Model, response: &Response) -> Vec<Redacted> {
    let place = |room_id: &str| redactions::Place::of(model.rooms.version(room_id).as_deref());
    let room = response.request_room.as_deref().map(RoomId);
    redactions::find(response.endpoint, &response.body, room, place)
}
