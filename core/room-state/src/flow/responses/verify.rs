//! Events of a response are decrypted many at a time, since their signatures are verified together.

use super::response::Response;
use crate::decrypt::decrypt::{ALONE, ReceivedEvent, verify_all};
use crate::ids::EventId;
use crate::model::Model;
use crate::model::decryption::Started;

/// Decrypts the next events of a response; what that cost, in events.
pub(super) fn decrypt_some(model: &mut Model, response: &mut Response, most: usize) -> usize {
    let mut decryption = Vec::new();
    let mut opening = Vec::new();
    while opening.len() < most
        && let Some(entry) = response.encrypted.get(response.cursor)
    {
        response.cursor += 1;
        if entry.is_open() {
            continue;
        }
        let room = Some(entry.room_id.as_str());
        let previous = entry.found.received_previous(&response.body, room);
        let is_over =
            |id| model.states.known().is_redacted(EventId { room_id: &entry.room_id, id });
        let previous = previous.filter(|event| !event.event_id.is_some_and(is_over));
        let mut start =
            |event: Option<ReceivedEvent<'_>>| Some(model.start(&event?, &mut decryption));
        let event = start(entry.found.received(&response.body, room));
        let previous = start(previous);
        opening.push((response.cursor - 1, event, previous));
    }
    let alone = verify_all(&mut decryption);
    let mut decryption: Vec<_> = decryption.into_iter().map(Some).collect();
    let cost = opening.len() + (ALONE - 1) * alone;
    for (at, event, previous) in opening {
        let Some(entry) = response.encrypted.get_mut(at) else { continue };
        let role = entry.role;
        let mut finish = |received: Option<ReceivedEvent<'_>>, started| match started? {
            Started::Known(opened) => Some(Ok(opened)),
            Started::Decryption(at) => {
                let decryption = decryption.get_mut(at).and_then(Option::take);
                Some(model.finish(&received?, role, decryption))
            }
        };
        let room = Some(entry.room_id.as_str());
        let opened = finish(entry.found.received(&response.body, room), event);
        let before = finish(entry.found.received_previous(&response.body, room), previous);
        if let Some(opened) = opened {
            entry.opened = Some(opened);
            entry.previous = before.and_then(Result::ok);
        }
    }
    cost
}
