//! What serde_json, which shares no code with Mantle's own reader, makes of a text.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "not every law uses all of it")]

use serde::de::IgnoredAny;
use serde_json::Value;

#[derive(Debug)]
pub enum Read {
    /// No JSON.
    Invalid,
    /// JSON that serde_json keeps no value of: half a surrogate pair, a number too large, too deep.
    Valid,
    /// May be either: too deep for serde_json.
    Unknown,
    Value(Value),
}

pub fn read(text: &str) -> Read {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        // Some numbers it does not read again as it wrote them.
        let again = serde_json::from_str::<Value>(&value.to_string());
        return if again.is_ok_and(|again| again == value) {
            Read::Value(value)
        } else {
            Read::Valid
        };
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Read::Valid,
        Err(error) if error.to_string().contains("recursion limit") => Read::Unknown,
        Err(_) => Read::Invalid,
    }
}

/// The value, where serde_json has one.
pub fn value(text: &str) -> Option<Value> {
    match read(text) {
        Read::Value(value) => Some(value),
        _ => None,
    }
}

/// The first line of an input, and what follows it.
pub fn head(input: &str) -> (&str, &str) {
    input.split_once('\n').unwrap_or((input, ""))
}
