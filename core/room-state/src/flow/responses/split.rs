//! A sync whose events lack keys that it brings itself comes to the page in two parts: the keys first.

use std::ops::Range;

use super::response::Response;
use mantle_wire::json::{elements, get, members, quoted, span};
use mantle_wire::route::Endpoint;

/// The part of a sync response that brings keys, as a response of its own that changes nothing else;
/// and where its to-device events stand in the whole. `None` when there is nothing to bring.
pub(super) fn first_half(response: &Response) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    const PARTS: [&str; 5] = [
        "to_device",
        "device_lists",
        "device_one_time_keys_count",
        "device_unused_fallback_key_types",
        "org.matrix.msc2732.device_unused_fallback_key_types",
    ];
    if response.endpoint != Endpoint::Sync {
        return None;
    }
    let since = response.since.as_deref()?;
    let text = std::str::from_utf8(&response.body).ok()?;
    let all = members(text).ok()??;
    let to_device = all.iter().rfind(|member| member.key == "to_device")?;
    let events = get(to_device.value, &["events"]).ok()??;
    if elements(events).ok()?.is_empty() {
        return None;
    }
    let mut first = format!(r#"{{"next_batch":{}"#, quoted(since));
    for member in all.iter().filter(|member| PARTS.contains(&member.key.as_str())) {
        first.push_str(&format!(",{}:{}", quoted(&member.key), member.value));
    }
    first.push('}');
    Some((first.into_bytes(), vec![span(text, events)]))
}
