//! When a page that knows no room with encrypted state can do without its module.

use memchr::memmem;

use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::Address;

/// Longer answers are for the module to judge.
const MAX_BYTES: usize = 256 * 1024;
/// The type of encrypted state and the event that has its flag; the flag itself, under either name;
/// and what begins the other spelling of a letter of these in JSON.
const MARKS: [&[u8]; 3] = [b"m.room.encrypt", b"encrypt_state_events", b"\\u00"];

/// Whether a request may leave without the module of encrypted state, where no room with it is
/// known: a sync after the first one that names its filter or has none. In doubt it is needed.
///
/// Client-server API, `GET /_matrix/client/v3/sync`.
#[must_use]
pub fn can_stay_unloaded(method: &str, url: &str) -> bool {
    let Some(address) = Address::parse(url) else { return false };
    let is_sync = route(method, &address).endpoint == Endpoint::Sync;
    let is_later = || address.parameter("since").is_some_and(|since| !since.is_empty());
    let is_named = || {
        address.parameter("filter").is_none_or(|filter| {
            filter.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
    };
    is_sync && is_later() && is_named()
}

/// Whether the 200 answer of such a request, of `length` bytes, may be handed over without the
/// module: it has nothing that the module would look at then. An ordinary encrypted message counts
/// as such a thing. `read` gives the answer; one that is too long for this look is not read.
#[must_use]
pub fn can_stay_unloaded_after(
    method: &str,
    url: &str,
    length: usize,
    read: impl FnOnce() -> Vec<u8>,
) -> bool {
    let is_quiet = |answer: &[u8]| MARKS.iter().all(|mark| memmem::find(answer, mark).is_none());
    can_stay_unloaded(method, url) && length <= MAX_BYTES && is_quiet(&read())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://hs/_matrix/client/v3/sync?filter=0&timeout=0&since=s1_2";

    #[test]
    fn later_syncs_with_a_named_filter_may_rest() {
        for url in [
            URL,
            "https://hs/_matrix/client/r0/sync?since=s1",
            "https://hs/_matrix/client/v3/sync?since=s1&filter=aB-_9&set_presence=offline",
        ] {
            assert!(can_stay_unloaded("GET", url), "{url}");
        }
    }

    #[test]
    fn nothing_else_may() {
        for (method, url) in [
            ("POST", URL),
            ("GET", "nonsense"),
            ("GET", "https://hs/_matrix/client/v3/sync"),
            ("GET", "https://hs/_matrix/client/v3/sync?since=&filter=0"),
            ("GET", "https://hs/_matrix/client/v3/sync?filter=0&xsince=s1"),
            ("GET", "https://hs/_matrix/client/v3/sync?since=s1&filter=%7B%22room%22%3A%7B%7D%7D"),
            ("GET", "https://hs/_matrix/client/v3/sync?since=s1&filter=+{}"),
            (
                "GET",
                "https://hs/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?since=s1",
            ),
            ("GET", "https://hs/_matrix/client/v3/rooms/!r:hs/state?since=s1"),
            ("GET", "https://hs/_matrix/client/v3/events?since=s1"),
        ] {
            assert!(!can_stay_unloaded(method, url), "{method} {url}");
        }
    }

    #[test]
    fn answers_that_may_concern_state_are_looked_at() {
        let rests =
            |answer: &[u8]| can_stay_unloaded_after("GET", URL, answer.len(), || answer.to_vec());
        let quiet = r#"{"next_batch":"s2","rooms":{"join":{"!r:hs":{"state":{"events":[{"type":"m.room.name","state_key":"","content":{"name":"Plain \ud83d\ude00"}}]}}}}}"#;
        assert!(rests(quiet.as_bytes()));
        assert!(rests(b"{}"));
        for part in [
            r#"{"type":"m.room.encrypted","state_key":"m.room.name:"}"#,
            r#"{"type":"m.room.encryption","state_key":""}"#,
            r#"{"io.element.msc4362.encrypt_state_events":true}"#,
            r#"{"encrypt_state_events":true}"#,
            r#"{"type":"\u006d.room.encrypted","state_key":""}"#,
            r#"{"type":"m.room.\u0065ncrypted","state_key":""}"#,
        ] {
            let answer = quiet.replace(r#""state_key":"""#, &format!(r#""x":{part}"#));
            assert!(!rests(answer.as_bytes()), "{part}");
        }
    }

    #[test]
    fn a_long_answer_is_not_even_read() {
        let reads = |url: &str, length: usize| {
            let mut is_read = false;
            let rests = can_stay_unloaded_after("GET", url, length, || {
                is_read = true;
                b"{}".to_vec()
            });
            assert_eq!(rests, is_read);
            is_read
        };
        assert!(reads(URL, MAX_BYTES));
        assert!(!reads(URL, MAX_BYTES + 1));
        assert!(!reads("https://hs/_matrix/client/v3/sync", 2));
    }
}
