//! A first look at a large response, in parts small enough for the processor's cache: whether a whole
//! look is worth a copy of it in this module's memory. In doubt it is.

use memchr::{memchr, memmem};

use crate::index::events::ENCRYPTED_TYPE;
use crate::index::walk::{object_around, walk_budget};
use mantle_index::structural::{self, Value};
use mantle_wire::json::chunked::{Source, Window};

/// How far from a state key its event's ends may be; events have at most 64 KiB, and some more in
/// `unsigned`.
const REACH: usize = 96 * 1024;
/// Events over a part's edge are looked at once more; many of them are no honest response.
const MAX_EDGES: usize = 64;

const FLAG_END: &[u8] = b"encrypt_state_events\"";

/// True when the response may have a room that `is_known` knows, encrypted state or the flag of state
/// encryption.
pub(crate) fn finds(source: &mut Source<'_>, is_known: &dyn Fn(&str) -> bool) -> bool {
    let mut edges = Vec::new();
    // A response made to be walked over at every mark is worth a whole look.
    let mut budget = walk_budget(source.length);
    let found = source.any(|Window { bytes, from, own }| {
        structural::any_mark(bytes, own.clone(), &mut |mark| match look(
            bytes,
            mark,
            is_known,
            &mut budget,
        ) {
            Look::Nothing => false,
            Look::Concern => true,
            Look::Edge => {
                edges.push(from + mark);
                edges.len() > MAX_EDGES
            }
        })
    });
    found
        || edges.into_iter().any(|at| {
            let from = at.saturating_sub(REACH);
            let bytes = source.get(from..at + REACH);
            !matches!(look(&bytes, at - from, is_known, &mut budget), Look::Nothing)
        })
}

enum Look {
    Nothing,
    Concern,
    /// The part ends before that can be said.
    Edge,
}

/// What stands at a mark.
fn look(part: &[u8], mark: usize, is_known: &dyn Fn(&str) -> bool, budget: &mut usize) -> Look {
    let after = part.get(mark..).unwrap_or_default();
    match after {
        // A string that starts with a room's id, or one that hides what it starts with.
        [b'"', b'!', ..] => match memchr(b'"', after.get(1..).unwrap_or_default()) {
            None => Look::Edge,
            Some(end) => match std::str::from_utf8(after.get(1..=end).unwrap_or_default()) {
                Ok(room_id) if !room_id.contains('\\') && !is_known(room_id) => Look::Nothing,
                _ => Look::Concern,
            },
        },
        [b'"', b'\\', b'u', ..] => Look::Concern,
        _ => match structural::state_key_at(part, mark) {
            None | Some(Value::None | Value::User) => Look::Nothing,
            Some(Value::Open) => Look::Edge,
            Some(Value::Empty | Value::Other) => match object_around(part, mark, budget) {
                None if *budget == 0 => Look::Concern,
                None => Look::Edge,
                Some(object) => {
                    let has = |needle: &[u8]| memmem::find(object, needle).is_some();
                    if has(ENCRYPTED_TYPE.as_bytes()) || has(FLAG_END) {
                        Look::Concern
                    } else {
                        Look::Nothing
                    }
                }
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether something is found in a response where no room is known, and how many bytes were read.
    fn finds_after(response: &str) -> (bool, usize) {
        let mut bytes_read = 0;
        let mut read = |at: usize, into: &mut [u8]| {
            bytes_read += into.len();
            into.copy_from_slice(&response.as_bytes()[at..at + into.len()]);
        };
        let found = finds(&mut Source { length: response.len(), read: &mut read }, &|_| false);
        (found, bytes_read)
    }

    #[test]
    fn an_answer_made_to_be_walked_over_at_every_mark_is_given_up() {
        let flat = format!(r#"{{{}"z":0}}"#, r#""state_key":"x","#.repeat(4_000));
        let nested = r#"{"state_key":"x","a":"#.repeat(3_000) + "0" + &"}".repeat(3_000);
        for object in [flat, nested] {
            let rest = "word ".repeat(600_000);
            let (found, bytes_read) =
                finds_after(&format!(r#"{{"events":[{object}],"rest":"{rest}"}}"#));
            assert!(found, "walked over to the end");
            assert!(bytes_read < rest.len() / 2, "{bytes_read}");
        }
    }

    #[test]
    fn honest_answers_are_within_the_budget() {
        let kept = r#"{"type":"m.space.child","state_key":"!x"}"#;
        let body = "word ".repeat(2_000);
        let event = format!(
            r#"{{"content":{{"topic":"{body}"}},"state_key":"","prev_content":{{"kept":{kept}}}}},"#
        );
        let response = format!(r#"{{"events":[{}{{}}]}}"#, event.repeat(200));
        assert!(!finds_after(&response).0);
    }
}
