//! State of rooms that are being made or were upgraded: what of it still must be sent.

use crate::error::EngineError;
use crate::ids::{RoomId, TypeAndKey};
use crate::model::Model;
use crate::model::pending::{PendingEvent, PendingId, PendingView};
use crate::model::settings::TypeAndContent;
use crate::model::warnings::Warning;
use mantle_wire::json::{get, get_str};

/// The room was made: it is none of those that others wait for. Nothing waited for it where the
/// id is not known.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn created(
    model: &mut Model,
    id: PendingId<'_>,
    room: RoomId<'_>,
) -> Result<(), EngineError> {
    model.must_write()?;
    model.states.note_flag(room.0, &mut model.journal);
    model.pending.created(id, room.0, &mut model.journal);
    Ok(())
}

/// The server did not make the room.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn create_failed(model: &mut Model, id: PendingId<'_>) -> Result<(), EngineError> {
    model.must_write()?;
    model.pending.drop_all(id, &mut model.journal);
    Ok(())
}

/// The rooms before and after an upgrade.
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'a> {
    /// The one that was.
    pub old: RoomId<'a>,
    /// Its successor.
    pub new: RoomId<'a>,
}

/// A room was upgraded: what is known of its encrypted state is to be sent to the new one too,
/// since a server can only copy readable state.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn upgraded(
    model: &mut Model,
    Upgrade { old, new }: Upgrade<'_>,
    now: u64,
) -> Result<(), EngineError> {
    model.must_write()?;
    let mut events = Vec::new();
    let mut is_kept_back = false;
    let memory = model.states.memory();
    for (slot, event, is_sure) in memory.room(old.0) {
        let content = get(event, &["content"]).ok().flatten().unwrap_or("{}");
        if !model.settings.encrypts(TypeAndContent { event_type: slot.event_type, content }) {
            continue;
        }
        if !is_sure {
            is_kept_back = true;
            continue;
        }
        events.push(PendingEvent {
            event_type: slot.event_type.to_owned(),
            state_key: slot.state_key.to_owned(),
            content_json: content.to_owned(),
            source: get_str(event, &["event_id"]).ok().flatten().unwrap_or_default(),
        });
    }
    // What still waited to be sent there, as after two upgrades, goes on to the next.
    let waits = model.pending.all().into_iter();
    let waits = waits.filter(|pending| pending.room_id.as_deref() == Some(old.0));
    for event in waits.flat_map(|pending| pending.events) {
        if events.iter().all(|known: &PendingEvent| known.slot() != event.slot()) {
            events.push(event);
        }
    }
    if is_kept_back {
        model.warnings.warn(new, Warning::NotPassedOn, old.0);
    }
    if model.states.known().encrypts_state(old.0) {
        model.states.note_flag(new.0, &mut model.journal);
    }
    if !events.is_empty() {
        model.pending.keep(Some(new), events, now, &mut model.journal);
    }
    Ok(())
}

/// Takes out what somebody has set meanwhile, or what has come back by sync: new and upgraded
/// rooms have no encrypted state when they are made.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn drop_superseded(model: &mut Model) -> Result<(), EngineError> {
    for PendingView { pending_id, room_id, events, .. } in model.pending.all() {
        for PendingEvent { event_type, state_key, .. } in events {
            let slot = TypeAndKey { event_type: &event_type, state_key: &state_key };
            let memory = model.states.memory();
            let set = room_id.as_ref().and_then(|room_id| memory.get(RoomId(room_id), slot));
            if set.is_some() {
                sent(model, PendingId(&pending_id), slot)?;
            }
        }
    }
    Ok(())
}

/// The event of that type and state key is on the server.
///
/// # Errors
///
/// [`EngineError::NotWriter`].
pub(crate) fn sent(
    model: &mut Model,
    id: PendingId<'_>,
    slot: TypeAndKey<'_>,
) -> Result<(), EngineError> {
    model.must_write()?;
    model.pending.sent(id, slot, &mut model.journal);
    Ok(())
}
