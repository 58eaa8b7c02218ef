//! What the stored forms of the components have in common.

use crate::ids::is_room_id;
use mantle_wire::json::{elements, exact_string, get, get_str};

/// Written into every entry.
pub(crate) const VERSION: u64 = 1;

/// The room of a record: it says so itself; those of before are named after it.
pub(crate) fn room_of(value: &str, named: Named<'_>) -> Option<String> {
    let said = get_str(value, &["room_id"]).ok().flatten();
    Some(said.unwrap_or_else(|| named.0.to_owned())).filter(|room_id| is_room_id(room_id))
}

/// What stands behind the prefix of an entry's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a>(pub(crate) &'a str);

/// An array of just so many texts.
pub(crate) fn texts<const COUNT: usize>(array: &str) -> Option<[String; COUNT]> {
    strings(array)?.try_into().ok()
}

/// The strings of a JSON array; `None` when something else is among them.
pub(crate) fn strings(list: &str) -> Option<Vec<String>> {
    elements(list).ok()?.into_iter().map(exact_string).collect()
}

/// A whole number under a key.
pub(crate) fn number(json: &str, key: &'static str) -> Option<u64> {
    get(json, &[key]).ok()??.parse().ok()
}
