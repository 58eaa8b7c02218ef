//! Requests of the page, and paths of the client-server API that name a room.

use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::{Address, encoded, percent_decoded};

use crate::ids::{RoomId, TypeAndKey};
use crate::msc4362::eligible::ENCRYPTED_TYPE;
use crate::msc4362::packed_key::PackedKey;

/// A path below `…/rooms/{roomId}/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomPath {
    /// Decoded.
    pub(crate) room_id: String,
    /// The decoded segments after it; a final slash counts for nothing.
    pub(crate) rest: Vec<String>,
    /// How many segments of the path end with the room.
    pub(crate) depth: usize,
}

/// Reads the room and what follows it.
#[inline(never)]
pub(crate) fn room_path(address: &Address<'_>) -> Option<RoomPath> {
    let segments: Vec<_> = address
        .path
        .split('/')
        .map(percent_decoded)
        .enumerate()
        .filter(|(_, segment)| !segment.is_empty())
        .collect();
    // A homeserver's base may have such segments of its own: the last ones count, as in `route`.
    let client = segments.windows(2).rposition(
        |pair| matches!(pair, [(_, one), (_, next)] if one == "_matrix" && next == "client"),
    )?;
    let mut segments = segments.into_iter().skip(client);
    segments.find(|(_, segment)| segment == "rooms")?;
    let (at, room_id) = segments.next().filter(|(_, room_id)| room_id.starts_with('!'))?;
    let room_id = room_id.into_owned();
    let rest = segments.map(|(_, segment)| segment.into_owned()).collect();
    Some(RoomPath { room_id, rest, depth: at + 1 })
}

/// Where a readable state event is sent.
pub(crate) fn state_path(room: RoomId<'_>, slot: TypeAndKey<'_>) -> String {
    format!(
        "/_matrix/client/v3/rooms/{}/state/{}/{}",
        encoded(room.0),
        encoded(slot.event_type),
        encoded(slot.state_key)
    )
}

/// Where an encrypted state event is sent.
pub(crate) fn encrypted_path(room_id: &str, key: &PackedKey) -> String {
    format!(
        "/_matrix/client/v3/rooms/{}/state/{ENCRYPTED_TYPE}/{}",
        encoded(room_id),
        key.to_path_segment()
    )
}

/// A request of the page.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
}

impl<'a> Request<'a> {
    /// Its address, and what is there; `None` where that cannot be read.
    #[inline(never)]
    pub(crate) fn read(self) -> Option<(Address<'a>, Endpoint)> {
        let address = Address::parse(self.url)?;
        let endpoint = route(self.method, &address).endpoint;
        Some((address, endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_paths_are_read_decoded() {
        let path = |url| room_path(&Address::parse(url).unwrap());
        assert_eq!(
            path("https://hs/x/_matrix/client/r0/rooms/%21r%3Ax/state/m.room.name/"),
            Some(RoomPath {
                room_id: "!r:x".to_owned(),
                rest: vec!["state".to_owned(), "m.room.name".to_owned()],
                depth: 7,
            })
        );
        assert_eq!(path("https://hs/_matrix/client/v3/rooms/nonsense/state"), None);
        assert_eq!(path("https://hs/_matrix/client/v3/sync"), None);
    }
}
