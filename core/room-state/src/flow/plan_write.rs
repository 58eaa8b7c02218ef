//! What becomes of a request with readable state: pass, encrypt, hold or refuse.

use serde::Serialize;

use crate::error::EngineError;
use crate::ids::{RoomId, Slot, TypeAndKey};
use crate::index::events::ENCRYPTED_TYPE;
use crate::megolm::encrypt::MAX_PAYLOAD_BYTES;
use crate::model::Model;
use crate::model::known::{STATE_ENCRYPTION_FLAGS, is_flagged};
use crate::model::pending::PendingEvent;
use crate::model::settings::{NewRooms, TypeAndContent};
use crate::msc4362::eligible::{DEFAULT_TYPES, check_sendable};
use crate::msc4362::packed_key::PackedKey;
use crate::paths::{Request, room_path};
use crate::sorted::Map;
use mantle_wire::json::{self, Edit, elements, get, get_str, members, span};
use mantle_wire::route::Endpoint;

/// The widgets Element writes the room's name into (`data.roomName`).
const WIDGET_TYPES: [&str; 2] = ["im.vector.modular.widgets", "m.widget"];

/// What a change is sent later by (MSC4140).
const DELAYS: [&str; 3] =
    ["org.matrix.msc4140.delay", "org.matrix.msc4140.parent_delay_id", "delay"];

/// What a request of the page may have to be changed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WriteRoute {
    /// It sets state: [`StateEngine::plan_put`](crate::StateEngine::plan_put).
    Put,
    /// It makes a room: [`StateEngine::plan_create`](crate::StateEngine::plan_create).
    Create,
    /// It upgrades a room that encrypts its state; [`StateEngine::upgraded`](crate::StateEngine::upgraded) when that is done.
    Upgrade {
        /// The room.
        room_id: String,
    },
    /// Its body may name what state it wants: [`StateEngine::include_encrypted_type`](crate::StateEngine::include_encrypted_type).
    Body,
}

/// What becomes of a `PUT` of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Plan {
    /// Send it as it is.
    Pass,
    /// Send this body instead: the room's name was in it in passing.
    Rewrite {
        /// JSON.
        body: String,
    },
    /// Send it as it is; when the server has taken it, [`StateEngine::note_flag`](crate::StateEngine::note_flag) before the page
    /// learns of it: the next name it sends must be encrypted.
    Flag {
        /// The room.
        room_id: String,
    },
    /// Encrypt the body and send it to `url`.
    Encrypt {
        /// The room.
        room_id: String,
        /// The clear type.
        event_type: String,
        /// The clear state key.
        state_key: String,
        /// Where the encrypted event goes.
        url: String,
    },
    /// Tell the room's state, then ask again; if it cannot be told, refuse with the sentence.
    NeedRoom {
        /// The room.
        room_id: String,
        /// For the refusal.
        sentence: &'static str,
    },
    /// Do not send.
    Refuse {
        /// Matrix error code.
        errcode: &'static str,
        /// For the person.
        sentence: String,
    },
}

/// What becomes of a `createRoom`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CreatePlan {
    /// Send it as it is.
    Pass {
        /// `public`, `unencrypted`, `space` or `off`.
        why: &'static str,
    },
    /// The person decides.
    Ask,
    /// Send this body; what was taken out is pending.
    Create {
        /// Empty when nothing waits.
        pending_id: String,
        /// JSON.
        body: String,
        /// How many events wait.
        held: usize,
    },
}

impl std::fmt::Debug for CreatePlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Pass { .. } => "Pass",
            Self::Ask => "Ask",
            Self::Create { .. } => "Create",
        })
    }
}

/// Which of the plans a request of the page needs.
pub(crate) fn route_write(model: &Model, request: Request<'_>) -> WriteRoute {
    let Some((address, endpoint)) = request.read() else { return WriteRoute::Body };
    match endpoint {
        Endpoint::StateSend => WriteRoute::Put,
        Endpoint::CreateRoom => WriteRoute::Create,
        Endpoint::Upgrade => room_path(&address)
            .filter(|path| model.states.known().encrypts_state(&path.room_id))
            .map_or(WriteRoute::Body, |path| WriteRoute::Upgrade { room_id: path.room_id }),
        _ => WriteRoute::Body,
    }
}

/// A `PUT` of state, before it is sent.
pub(crate) fn plan_put(model: &Model, request: Request<'_>, body: &[u8]) -> Plan {
    let Some((address, endpoint)) = request.read() else { return Plan::Pass };
    if endpoint != Endpoint::StateSend {
        return Plan::Pass;
    }
    // What is routed here and cannot be read must not pass for something harmless.
    let Some(path) = room_path(&address) else { return unreadable() };
    let [_, event_type, key @ ..] = path.rest.as_slice() else { return unreadable() };
    let state_key = key.join("/");
    let room_id = path.room_id;
    if event_type == "m.room.encryption" {
        let flagged = std::str::from_utf8(body).is_ok_and(is_flagged);
        return if flagged { Plan::Flag { room_id } } else { Plan::Pass };
    }
    let is_widget = WIDGET_TYPES.contains(&event_type.as_str());
    let slot = TypeAndKey { event_type, state_key: &state_key };
    let is_encrypted = is_encrypted_in(model, RoomId(&room_id), slot);
    if !is_encrypted && !is_widget {
        return Plan::Pass;
    }
    let encrypts = |of| model.states.encrypts(&Slot::new(RoomId(&room_id), of));
    if !is_encrypted || !encrypts(slot) {
        if is_widget && encrypts(TypeAndKey::single("m.room.name")) {
            return without_room_name(body);
        }
        let is_told = model.rooms.levels(&room_id).is_some();
        return if is_told {
            Plan::Pass
        } else {
            Plan::NeedRoom {
                room_id,
                sentence: "Mantle does not know yet whether this room encrypts its name; wait until Element has loaded the room and try again.",
            }
        };
    }
    // What is encrypted now has a place before all that is set until the homeserver sends it.
    if DELAYS.iter().any(|name| address.has_parameter(name)) {
        return Plan::Refuse {
            errcode: "M_FORBIDDEN",
            sentence: "This room encrypts its state, and what is to be sent later cannot be encrypted now: send it at once instead.".to_owned(),
        };
    }
    if !matches!(std::str::from_utf8(body).map(members), Ok(Ok(Some(_)))) {
        return Plan::Refuse {
            errcode: "M_BAD_JSON",
            sentence: "Mantle can only encrypt a JSON object.".to_owned(),
        };
    }
    let key = match packed(slot, body.len()) {
        Ok(key) => key,
        Err(error) => {
            return Plan::Refuse { errcode: "M_TOO_LARGE", sentence: error.to_string() };
        }
    };
    let site = request.url.get(..span(request.url, address.path).start).unwrap_or_default();
    let room: Vec<_> = address.path.split('/').take(path.depth).collect();
    let query =
        if address.query.is_empty() { String::new() } else { format!("?{}", address.query) };
    let url =
        format!("{site}{}/state/{ENCRYPTED_TYPE}/{}{query}", room.join("/"), key.to_path_segment());
    Plan::Encrypt { room_id, event_type: event_type.clone(), state_key, url }
}

/// Whether state is encrypted where the room encrypts it: what the settings say, what is encrypted
/// there already (in clear nobody would see it, and everybody's server could read it), and all that
/// may be, where the running Element would have done so. Never what says who is in a call.
fn is_encrypted_in(model: &Model, room: RoomId<'_>, slot: TypeAndKey<'_>) -> bool {
    let known = model.states.known();
    model.settings.types.contains(slot.event_type)
        || check_sendable(slot.event_type).is_ok()
            && (model.encrypts_all || known.current(room, slot).is_some())
}

/// A `createRoom`, before it is sent. `consent` is the person's answer to
/// [`CreatePlan::Ask`]: `yes` or `no`.
///
/// # Errors
///
/// [`EngineError::NotWriter`]; [`EngineError::Input`] when the body is no JSON.
pub(crate) fn plan_create(
    model: &mut Model,
    body: &[u8],
    now: u64,
    consent: Option<&str>,
) -> Result<CreatePlan, EngineError> {
    model.must_write()?;
    let text = std::str::from_utf8(body).map_err(|_| EngineError::Input("createRoom"))?;
    let string = |path: &[&str]| get_str(text, path);
    if string(&["creation_content", "type"])?.as_deref() == Some("m.space") {
        return Ok(CreatePlan::Pass { why: "space" });
    }
    let listed = string(&["visibility"])?.as_deref() == Some("public");
    let mut public = string(&["preset"])?.as_deref() == Some("public_chat");
    let mut encrypted = false;
    let mut flagged = false;
    let mut kept = Vec::new();
    let mut held: Map<(String, String), String> = Map::new();
    for event in elements(get(text, &["initial_state"])?.unwrap_or("[]"))? {
        let event_type = get_str(event, &["type"])?.unwrap_or_default();
        let state_key = get_str(event, &["state_key"])?.unwrap_or_default();
        let content = get(event, &["content"])?.unwrap_or("{}");
        if event_type == "m.room.join_rules" {
            // Counts for more than the preset.
            public = get_str(content, &["join_rule"])?.as_deref() == Some("public");
        }
        if event_type == "m.room.encryption" && state_key.is_empty() {
            encrypted = true;
            flagged = is_flagged(content);
            kept.push(with_flag(event)?);
        } else if model.settings.encrypts(TypeAndContent { event_type: &event_type, content }) {
            // No server takes anything else, so nothing is lost with it.
            if content.starts_with('{') {
                held.insert((event_type, state_key), content.to_owned());
            }
        } else if WIDGET_TYPES.contains(&event_type.as_str()) {
            let edit = Edit::remove(&["content", "data", "roomName"]);
            kept.push(edited(event, edit)?.unwrap_or_else(|| event.to_owned()));
        } else {
            kept.push(event.to_owned());
        }
    }
    if public || listed {
        return Ok(CreatePlan::Pass { why: "public" });
    }
    if !encrypted {
        return Ok(CreatePlan::Pass { why: "unencrypted" });
    }
    match (model.settings.new_rooms, consent) {
        _ if flagged => {}
        (NewRooms::On, _) | (NewRooms::Ask, Some("yes")) => {}
        (NewRooms::Ask, None) => return Ok(CreatePlan::Ask),
        _ => return Ok(CreatePlan::Pass { why: "off" }),
    }
    // Like a server, which lets these two override `initial_state`.
    for (key, event_type) in ["name", "topic"].into_iter().zip(DEFAULT_TYPES) {
        // As it was typed: half an emoji is no text in Rust.
        let typed = get(text, &[key])?.unwrap_or_default();
        if !typed.starts_with('"') || typed == r#""""# {
            continue;
        }
        let content = if key == "topic" {
            // MSC3765, as servers write it.
            format!(r#"{{"topic":{typed},"m.topic":{{"m.text":[{{"body":{typed}}}]}}}}"#)
        } else {
            format!(r#"{{"name":{typed}}}"#)
        };
        held.insert((event_type.to_owned(), String::new()), content);
    }
    for ((event_type, state_key), content) in held.iter() {
        packed(TypeAndKey { event_type, state_key }, content.len())?;
    }
    let edits = [
        Edit::remove(&["name"]),
        Edit::remove(&["topic"]),
        Edit::set(&["initial_state"], format!("[{}]", kept.join(","))),
    ];
    let body = json::apply(body, &edits)?
        .and_then(|body| String::from_utf8(body).ok())
        .unwrap_or_else(|| text.to_owned());
    let events: Vec<PendingEvent> = held
        .into_iter()
        .map(|((event_type, state_key), content_json)| PendingEvent {
            event_type,
            state_key,
            content_json,
            source: String::new(),
        })
        .collect();
    let count = events.len();
    let pending_id = if count == 0 {
        String::new()
    } else {
        model.pending.keep(None, events, now, &mut model.journal)
    };
    Ok(CreatePlan::Create { pending_id, body, held: count })
}

#[cold]
fn unreadable() -> Plan {
    Plan::Refuse {
        errcode: "M_INVALID_PARAM",
        sentence: "Mantle cannot read the address of this change of the room, so it was not sent."
            .to_owned(),
    }
}

/// The key of what is not too long to be encrypted, with all that is encrypted beside the content.
#[inline(never)]
fn packed(slot: TypeAndKey<'_>, length: usize) -> Result<PackedKey, EngineError> {
    const BESIDE: usize = 2_048;
    let key = PackedKey::pack(slot).map_err(|error| EngineError::Encrypt(error.to_string()))?;
    if length > MAX_PAYLOAD_BYTES - BESIDE {
        return Err(EngineError::Encrypt("it is too long, make it shorter".to_owned()));
    }
    Ok(key)
}

/// The event with the room's name cut out of a widget's data.
fn without_room_name(body: &[u8]) -> Plan {
    let edits = [Edit::remove(&["data", "roomName"])];
    match json::apply(body, &edits) {
        Ok(Some(body)) => match String::from_utf8(body) {
            Ok(body) => Plan::Rewrite { body },
            Err(_) => Plan::Pass,
        },
        Ok(None) => Plan::Pass,
        Err(_) => Plan::Refuse {
            errcode: "M_NOT_JSON",
            sentence: "Mantle could not check this request.".to_owned(),
        },
    }
}

fn with_flag(event: &str) -> Result<String, EngineError> {
    let [unstable, _] = STATE_ENCRYPTION_FLAGS;
    let edit = Edit::set(&["content", unstable], "true");
    Ok(edited(event, edit)?.unwrap_or_else(|| event.to_owned()))
}

/// `None` where the edit changes nothing.
fn edited(event: &str, edit: Edit) -> Result<Option<String>, EngineError> {
    let edited = json::apply(event.as_bytes(), &[edit])?;
    Ok(edited.and_then(|event| String::from_utf8(event).ok()))
}
