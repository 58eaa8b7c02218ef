//! A room's session: made or renewed where that is due, and its key given to whoever may read. Who that
//! is comes in parts, and goes out in parts: a room may have ten thousand members.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::EngineError;
use crate::ids::{DeviceId, EventId, RoomId, SessionId, Slot, TypeAndKey, UserId};
use crate::megolm::authorship::{MAX_INTEGER, SlotOrder};
use crate::megolm::encrypt::{
    encrypt_payload, encrypt_state, room_key_content, room_key_contents_from, room_keys_for_import,
};
use crate::megolm::recipients::{UserHash, user_hash};
use crate::megolm::{OutboundSession, OwnDevice, Recipients, RotationPolicy, RotationReason};
use crate::model::Model;
use crate::model::gathered::{Gathered, MAX_NAMED, RefusedDevice};
use crate::model::journal::Prefix;
use crate::model::outbound::{Outbound, Outgoing};
use crate::model::signing::Signing;
use crate::model::starts::{MAX_INDEX, MAX_USERS, MAX_WITHOUT_DEVICES};
use crate::model::stored::number;
use crate::model::warnings::Warning;
use crate::paths::encrypted_path;
use crate::sorted::{Map, Set};
use mantle_wire::json::{elements, exact_string, get, get_str};

/// A user's device by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceName {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub device_id: String,
}

/// So many devices are named at once.
const MAX_TOLD: usize = 1_000;
/// In so many groups of those who may read from another index on: a key is made for each.
const MAX_GROUPS: usize = 32;

/// The session of a room, and who must get its key first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id.
    pub session_id: String,
    /// It was made just now.
    pub is_new: bool,
    /// Why the one before was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated: Option<&'static str>,
    /// Devices to send `room_key_content` to: some of them.
    pub share_with: Vec<DeviceName>,
    /// Some of the devices that get none.
    pub refused: Vec<RefusedDevice>,
    /// Some of the members none of whose devices gets the key.
    pub without_devices: Vec<String>,
    /// Content of `m.room_key`. Secret.
    pub room_key_content: Box<RawValue>,
    /// Further devices, of people who may not read the session from its beginning on.
    pub later: Vec<LaterShare>,
    /// Further devices are to be asked for ([`more_shares`]).
    pub more: bool,
    /// For the page's `importRoomKeysAsJson`. Secret.
    pub import_json: String,
    /// The page's crypto may not have it yet.
    pub should_import: bool,
}

/// Further devices that must get a session's key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoreShares {
    /// Devices to send the session's `room_key_content` to.
    pub share_with: Vec<DeviceName>,
    /// Devices of people who may not read it from its beginning on.
    pub later: Vec<LaterShare>,
    /// There are others.
    pub more: bool,
}

/// Devices that get a session's key from a later index on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaterShare {
    /// Devices to send `room_key_content` to.
    pub share_with: Vec<DeviceName>,
    /// Content of `m.room_key`. Secret.
    pub room_key_content: Box<RawValue>,
}

impl std::fmt::Debug for LaterShare {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LaterShare")
            .field("share_with", &self.share_with)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SessionView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SessionView")
            .field("is_new", &self.is_new)
            .field("share_with", &self.share_with)
            .finish_non_exhaustive()
    }
}

/// Why a session is given up for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// Its index was used elsewhere.
    Asked,
    /// It may be that of a restored profile.
    Unverified,
    Rotation(RotationReason),
    /// Its key decrypts, for those who join, what they may not read.
    Visibility,
}

impl Renewal {
    const fn text(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Unverified => "unverified",
            Self::Rotation(RotationReason::Age) => "age",
            Self::Rotation(RotationReason::Messages) => "messages",
            Self::Rotation(RotationReason::MemberLeft) => "member-left",
            Self::Rotation(RotationReason::DeviceRemoved) => "device-removed",
            Self::Visibility => "visibility",
        }
    }

    /// Somebody has gone who has the key, or come who may not have it.
    const fn can_wait(self) -> bool {
        matches!(
            self,
            Self::Rotation(RotationReason::MemberLeft | RotationReason::DeviceRemoved)
                | Self::Visibility
        )
    }
}

/// What the page says when it needs a session.
struct Request {
    room_id: String,
    now: u64,
    policy: RotationPolicy,
    // What is encrypted once more after a rotation must not bring about the next one.
    is_repeat: bool,
    // Nothing is going to be encrypted.
    shares_only: bool,
    // Whoever joins may read what was before.
    shares_history: bool,
}

impl Request {
    fn read(json: &str) -> Result<Self, EngineError> {
        let room_id = get_str(json, &["roomId"])?.ok_or(EngineError::Input("room"))?;
        let now = number(json, "now").ok_or(EngineError::Input("time"))?;
        let encryption = get(json, &["encryption"])?.unwrap_or("{}");
        let is_repeat = get(json, &["keeps"])? == Some("true");
        let shares_only = get(json, &["sharesOnly"])? == Some("true");
        let policy = if is_repeat {
            RotationPolicy::NEVER
        } else {
            RotationPolicy::from_encryption_content(encryption)
        };
        let shares_history = matches!(
            get_str(json, &["historyVisibility"])?.as_deref(),
            None | Some("shared" | "world_readable")
        );
        Ok(Self { room_id, now, policy, is_repeat, shares_only, shares_history })
    }
}

/// Begins to say who may read a room.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn begin_targets(model: &mut Model, room: RoomId<'_>) -> Result<(), EngineError> {
    model.must_write()?;
    model.gathered = Some(Gathered::new(room.0, model.settings.trust));
    Ok(())
}

/// Further users who may read the room, with their devices: `[{"userId", "devices": [{"deviceId",
/// "curve25519", "crossSigned", "verified", "blocked"}]}]`.
///
/// # Errors
///
/// [`EngineError`] where it was not begun, or the text is not that.
pub(crate) fn add_targets(
    model: &mut Model,
    room: RoomId<'_>,
    targets: &str,
) -> Result<(), EngineError> {
    let own = model.devices.own().ok_or(EngineError::NoDevice)?;
    let gathered = model.gathered.as_mut().ok_or(EngineError::Input("targets"))?;
    if !gathered.is_for(room.0, model.settings.trust) {
        return Err(EngineError::Input("targets"));
    }
    gathered.add(own, targets)
}

/// The session to encrypt a room's state with, and who must get its key: those of
/// [`add_targets`], or the request's own `members` and `targets`. Makes or replaces it where that is
/// due; with `"keeps": true` neither for its age nor for its use, which only what somebody sets anew
/// asks for. With `"sharesOnly": true` nothing is going to be encrypted, so one of an earlier run of
/// the browser will do. Not all devices are named at once: [`more_shares`].
///
/// # Errors
///
/// [`EngineError`] where this tab or the device cannot encrypt, or the text is not what it
/// should be.
pub(crate) fn need_session(model: &mut Model, json: &str) -> Result<SessionView, EngineError> {
    model.must_write()?;
    let device = model.devices.own().cloned().ok_or(EngineError::NoDevice)?;
    let request = Request::read(json)?;
    let (room_id, now) = (request.room_id.as_str(), request.now);
    let (allowed, refused) = recipients(model, &device, RoomId(room_id), json)?;
    let newcomers = Newcomers::of(model, UserId(device.user_id()), RoomId(room_id), &allowed);
    let (renewal, is_put_off) = renewal(model, &request, (&allowed, &newcomers));
    let is_new = renewal.is_some() || model.outbound.get(room_id).is_none();
    if is_new {
        let session = OutboundSession::make(room_id, now);
        let made = Outbound::made(session, request.shares_history);
        // Our own sessions open our own events. A contradiction is somebody else's key under our
        // session's id; ours came first or stands beside it.
        let _ = model.sessions.add(made.session.to_inbound(&device));
        model.outbound.replace(room_id, made, &mut model.journal);
    }
    let newcomers = if is_new {
        Newcomers::of(model, UserId(device.user_id()), RoomId(room_id), &allowed)
    } else {
        newcomers
    };
    let outbound = model.outbound.get_mut(room_id).ok_or(EngineError::NoSession)?;
    if newcomers.note(outbound, &request, &allowed) {
        model.journal.touch(Prefix::Outbound, room_id);
    }
    outbound.note_members(&allowed);
    let without_devices = allowed
        .users_without_devices()
        .filter(|user| *user != device.user_id())
        .take(MAX_NAMED)
        .map(str::to_owned)
        .collect();
    let missing = if is_put_off {
        // A session that is to be replaced soon: those who came get the key of the next.
        Recipients::new()
    } else {
        let missing = outbound.session.holders().without_key(allowed);
        newcomers.without_unknown(outbound, missing)
    };
    // On disk before the first of them is sent the key: the page may be closed in between.
    let changed = outbound.session.mark_intended(&missing);
    outbound.reached = missing.is_empty();
    outbound.wanted = missing;
    outbound.told = 0;
    outbound.asked = true;
    outbound.now = now;
    let MoreShares { share_with, later, more } = shares(outbound)?;
    let session = &outbound.session;
    // As of when it was made, whatever is so now.
    let shares_history = request.shares_history && outbound.shares_history;
    let view = SessionView {
        session_id: session.session_id(),
        is_new,
        rotated: renewal.map(Renewal::text),
        share_with,
        refused,
        without_devices,
        room_key_content: raw(room_key_content(session, shares_history), |secret| {
            secret.expose().to_owned()
        })?,
        later,
        more,
        import_json: room_keys_for_import(session, &device, shares_history)
            .map_err(|_| EngineError::NoSession)?
            .expose()
            .to_owned(),
        should_import: !outbound.imported,
    };
    if let Some(first) = changed {
        model.outbound.touch_holders(room_id, first, &mut model.journal);
    }
    Ok(view)
}

/// The next devices of those that want the key.
fn shares(outbound: &mut Outbound) -> Result<MoreShares, EngineError> {
    let mut by_start: Map<u32, Vec<DeviceName>> = Map::new();
    let mut told = 0;
    for one in outbound.wanted.each().skip(outbound.told).take(MAX_TOLD) {
        let start = outbound.starts.of(one.user_hash);
        if by_start.len() >= MAX_GROUPS && !by_start.contains_key(&start) {
            break;
        }
        let (user_id, device_id) = (one.user_id.to_owned(), one.device.device_id.clone());
        by_start.or_default(start).push(DeviceName { user_id, device_id });
        told += 1;
    }
    outbound.told += told;
    let share_with = by_start.remove(&0).unwrap_or_default();
    let starts: Vec<u32> = by_start.keys().copied().collect();
    let contents =
        room_key_contents_from(&outbound.session, &starts).map_err(|_| EngineError::NoSession)?;
    let mut later = Vec::new();
    for ((_, share_with), content) in by_start.into_iter().zip(contents) {
        let room_key_content = raw(Ok(content), |secret| secret.expose().to_owned())?;
        later.push(LaterShare { share_with, room_key_content });
    }
    Ok(MoreShares { share_with, later, more: outbound.told < outbound.wanted.len() })
}

/// Further devices that must get the key of the session that was asked for last.
///
/// # Errors
///
/// [`EngineError`] for another session than the one of now.
pub(crate) fn more_shares(
    model: &mut Model,
    session: SessionId<'_>,
) -> Result<MoreShares, EngineError> {
    model.must_write()?;
    shares(current(model, session)?)
}

/// Who may have the key, and some of those whose devices may not.
fn recipients(
    model: &mut Model,
    own: &OwnDevice,
    room: RoomId<'_>,
    json: &str,
) -> Result<(Recipients, Vec<RefusedDevice>), EngineError> {
    let gathered = model.gathered.take();
    let trust = model.settings.trust;
    let mut gathered = match get(json, &["targets"])? {
        Some(targets) => {
            let mut gathered = Gathered::new(room.0, trust);
            gathered.add(own, targets)?;
            gathered
        }
        None => gathered
            .filter(|gathered| gathered.is_for(room.0, trust))
            .ok_or(EngineError::Input("targets"))?,
    };
    if let Some(listed) = get(json, &["members"])? {
        let mut members = Set::new();
        for member in elements(listed)? {
            members.insert(exact_string(member).ok_or(EngineError::Input("members"))?);
        }
        gathered.retain_users(|user_id| members.contains(user_id));
        for member in members.iter() {
            gathered.add_member(UserId(member));
        }
    }
    gathered.retain_users(|user_id| !model.due.is_away(room, user_id));
    Ok(gathered.done())
}

/// Who came since a room's session was made that is not for all who come, and from where on they may
/// read it.
#[derive(Debug, Default)]
struct Newcomers {
    // And whether they have a device.
    users: Vec<(UserHash, bool)>,
    from: u32,
}

impl Newcomers {
    fn of(model: &Model, own: UserId<'_>, room: RoomId<'_>, allowed: &Recipients) -> Self {
        let room_id = room.0;
        let Some(outbound) = model.outbound.get(room_id).filter(|known| !known.shares_history)
        else {
            return Self::default();
        };
        let own = user_hash(own.0);
        let mut users = outbound.newcomers(allowed);
        users.retain(|(user, _)| *user != own);
        if users.is_empty() {
            return Self::default();
        }
        // What is so now is for them as well: if nothing that was replaced comes after it, by its key,
        // else it is sent once more.
        let known = model.states.known();
        let session_id = outbound.session_id();
        let is_so = |of: TypeAndKey<'_>, id: &str| {
            !known.is_redacted(EventId { room_id, id })
                && !model.states.is_awaited(&Slot::new(room, of))
        };
        let current: Set<u32> = known
            .slots(room_id)
            .filter(|(_, current)| current.session_id == session_id)
            .filter(|(of, current)| is_so(*of, &current.event_id))
            .map(|(_, current)| current.message_index)
            .collect();
        let mut from = outbound.message_index();
        while from > 0 && current.contains(&(from - 1)) {
            from -= 1;
        }
        Self { users, from: outbound.starts.open_from().map_or(from, |open| from.min(open)) }
    }

    /// Whether one of them is to get a key that cannot be handed out, or not be kept in mind.
    fn need_new_session(&self, outbound: &Outbound) -> bool {
        let count = self.users.iter().filter(|(_, has_device)| *has_device).count();
        count > 0
            && (self.from > MAX_INDEX || outbound.starts.len() + count > MAX_USERS)
            && outbound.message_index() > 0
    }

    /// Keeps in mind from where on they may read; true where something is to be stored.
    fn note(&self, outbound: &mut Outbound, request: &Request, allowed: &Recipients) -> bool {
        if outbound.shares_history {
            return false;
        }
        let index = outbound.message_index();
        let mut has_changed = outbound.starts.set_open(request.shares_history, index);
        has_changed |= outbound.forget_gone(allowed);
        if self.from > MAX_INDEX {
            // Who is to get the key now gets that of a new session, and so do the others in their time.
            return has_changed;
        }
        // Those who are given the key now have their place before the others.
        for (has_device, places) in [(true, MAX_USERS), (false, MAX_WITHOUT_DEVICES)] {
            for (user, _) in self.users.iter().filter(|(_, has)| *has == has_device) {
                has_changed |= outbound.starts.add(*user, self.from, places);
            }
        }
        has_changed
    }

    /// Those of them who may be given the key: not who came when it is not known from where on.
    fn without_unknown(&self, outbound: &Outbound, mut missing: Recipients) -> Recipients {
        let is_unknown = |user: &UserHash| !outbound.starts.contains(user);
        let unknown: Set<UserHash> =
            self.users.iter().map(|(user, _)| *user).filter(is_unknown).collect();
        if unknown.is_empty() {
            return missing;
        }
        missing.retain_users(|_, user| !unknown.contains(user));
        missing
    }
}

/// Why the room's session is to be given up now, and whether it is to be soon.
fn renewal(
    model: &mut Model,
    request: &Request,
    (allowed, newcomers): (&Recipients, &Newcomers),
) -> (Option<Renewal>, bool) {
    let room_id = request.room_id.as_str();
    let Some(outbound) = model.outbound.get(room_id) else { return (None, false) };
    let session_id = outbound.session_id();
    let stale = || model.states.is_stale_session(RoomId(room_id), &session_id);
    let renewal = match outbound.session.rotation(allowed, &request.policy, request.now) {
        _ if outbound.is_behind() => {
            model.warnings.warn(RoomId(room_id), Warning::IndexUsedTwice, &session_id);
            Some(Renewal::Asked)
        }
        // Before whatever may wait: it encrypts nothing in any case.
        _ if !request.shares_only && !outbound.is_verified() => Some(Renewal::Unverified),
        Some(reason) => Some(Renewal::Rotation(reason)),
        None if outbound.shares_history && !request.shares_history => Some(Renewal::Visibility),
        None if newcomers.need_new_session(outbound) => Some(Renewal::Visibility),
        // So that it is done by this device, as the others in the room think.
        None if stale() => Some(Renewal::Rotation(RotationReason::MemberLeft)),
        None => None,
    };
    // What is sent again tells nobody anything new. What is set anew waits for nothing.
    let is_put_off = renewal.is_some_and(Renewal::can_wait)
        && !model.due.renews(room_id, request.now, request.is_repeat);
    (renewal.filter(|_| !is_put_off), is_put_off)
}

/// The page's own crypto has the session.
///
/// # Errors
///
/// [`EngineError::NotWriter`] or [`EngineError::NoSession`].
pub(crate) fn imported(model: &mut Model, session: SessionId<'_>) -> Result<(), EngineError> {
    model.must_write()?;
    current(model, session)?.imported = true;
    Ok(())
}

/// These devices have been sent the key: `[{"userId", "deviceId"}]`. Others than were to get it
/// are passed over.
///
/// # Errors
///
/// [`EngineError`] for another session than the one of now, or a text that is no such list.
pub(crate) fn shared(
    model: &mut Model,
    session: SessionId<'_>,
    devices: &str,
) -> Result<(), EngineError> {
    model.must_write()?;
    let own = model.devices.own().map(|device| device.user_id().to_owned());
    let outbound = current(model, session)?;
    let mut parts = Set::new();
    for device in elements(devices)? {
        let text = |key| get_str(device, &[key]).map(Option::unwrap_or_default);
        let (user_id, device_id) = (text("userId")?, text("deviceId")?);
        let device = DeviceId { user_id: &user_id, id: &device_id };
        let Some(device) = outbound.wanted.device(device).cloned() else { continue };
        let has_key = outbound.session.holders().has_user(&user_id);
        if !has_key && own.as_deref() != Some(&user_id) {
            outbound.note_given(&user_id);
        }
        parts.insert(outbound.session.mark_given(&user_id, &device));
        outbound.reached = true;
    }
    model.outbound.touch_parts(session.room_id, &parts, &mut model.journal);
    Ok(())
}

/// The room's session, where it is still this one.
fn current<'a>(
    model: &'a mut Model,
    session: SessionId<'_>,
) -> Result<&'a mut Outbound, EngineError> {
    model
        .outbound
        .get_mut(session.room_id)
        .filter(|outbound| outbound.session_id() == session.id)
        .ok_or(EngineError::NoSession)
}

/// An event that was encrypted, for whoever follows it.
#[derive(Debug)]
pub(crate) struct Encrypted {
    /// Gives it out once its index is stored.
    pub(crate) ticket: u32,
    pub(crate) session_id: String,
    pub(crate) message_index: u32,
}

/// What this device's key is to sign of an event that is encrypted next.
pub(crate) fn text_to_sign(
    model: &mut Model,
    slot: &Slot,
    content: &str,
    now: u64,
) -> Option<String> {
    let device = model.devices.own()?;
    let session_id = model.outbound.get(&slot.room_id)?.session_id();
    let session = SessionId { room_id: &slot.room_id, id: &session_id };
    let highest = model.states.known().highest(slot.room(), slot.of());
    let counter = highest.map_or(0, |highest| highest.counter).saturating_add(1);
    let order = SlotOrder { counter: counter.min(MAX_INTEGER), ts: now.min(MAX_INTEGER) };
    let signing = Signing::of(device, (slot, content), session, order)?;
    let text = signing.text().to_owned();
    model.signing = Some(signing);
    Some(text)
}

/// Encrypts one state event.
///
/// # Errors
///
/// [`EngineError`]; nothing was used up then.
pub(crate) fn encrypt(
    model: &mut Model,
    slot: &Slot,
    content: &str,
) -> Result<Encrypted, EngineError> {
    model.must_write()?;
    let room_id = slot.room_id.as_str();
    let device = model.devices.own().ok_or(EngineError::NoDevice)?;
    let outbound = model.outbound.get_mut(room_id).ok_or(EngineError::NoSession)?;
    if !outbound.asked || !outbound.imported || !outbound.is_verified() {
        return Err(EngineError::NoSession);
    }
    if !outbound.reached {
        return Err(EngineError::NotShared);
    }
    let (session_id, message_index) = (outbound.session_id(), outbound.message_index());
    let signing = model.signing.take();
    let made = SessionId { room_id, id: &session_id };
    let payload = signing.and_then(|signing| signing.payload((slot, content), made, device));
    let session = &mut outbound.session;
    let encrypted = match payload {
        Some(payload) => encrypt_payload(session, device, slot.of(), &payload),
        None => encrypt_state(session, device, slot.of(), content),
    }
    .map_err(|error| EngineError::Encrypt(error.to_string()))?;
    outbound.note_written(slot.in_room(), message_index);
    let outgoing =
        Outgoing { path: encrypted_path(room_id, &encrypted.key), body: encrypted.content };
    let ticket = model.outbound.hold(room_id, outgoing, &mut model.journal);
    Ok(Encrypted { ticket, session_id, message_index })
}

/// The encrypted event, once; after its index was stored.
///
/// # Errors
///
/// [`EngineError::NotStored`]: the ticket stays good. [`EngineError::Unknown`], also where its
/// session could not be stored.
pub(crate) fn take_encrypted(model: &mut Model, ticket: u32) -> Result<Outgoing, EngineError> {
    match model.outbound.take(ticket) {
        Some(Ok(outgoing)) => Ok(outgoing),
        Some(Err(())) => Err(EngineError::NotStored),
        None => Err(EngineError::Unknown),
    }
}

fn raw<T>(
    text: Result<T, serde_json::Error>,
    expose: impl Fn(&T) -> String,
) -> Result<Box<RawValue>, EngineError> {
    text.ok()
        .and_then(|text| RawValue::from_string(expose(&text)).ok())
        .ok_or(EngineError::NoSession)
}
