//! The room's flag in `m.room.encryption`.

/// Whether a value of the flag, JSON, turns it on. matrix-js-sdk asks for no type and takes whatever
/// JavaScript calls true; what it encrypts there must not leave in clear here.
pub(crate) fn is_on(value: &str) -> bool {
    match value {
        "false" | "null" | "\"\"" => false,
        _ if value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            // One that is too large to be read is not zero.
            value.parse::<f64>().ok().is_none_or(|number| number != 0.0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_where_javascript_says_so() {
        for on in ["true", "1", "-1", "0.5", "1e999", "5e-324", "\"false\"", "\"0\"", "{}", "[]"] {
            assert!(is_on(on), "{on}");
        }
        for off in ["false", "null", "0", "-0", "0.0", "0e5", "1e-999", "\"\""] {
            assert!(!is_on(off), "{off}");
        }
    }
}
