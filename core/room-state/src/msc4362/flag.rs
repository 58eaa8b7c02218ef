//! The room's flag in `m.room.encryption`.

/// Whether a value of the flag, JSON, turns it on. matrix-js-sdk asks for no type and takes whatever
/// JavaScript calls true; what it encrypts there must not leave in clear here.
pub(crate) fn is_on(value: &str) -> bool {
    match value {
        "false" | "null" | "\"\"" => false,
        _ if value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            !is_zero(value)
        }
        _ => true,
    }
}

/// The digits of half the least number above zero that JavaScript knows, and the power of ten of the
/// first: up to there a number is read as zero.
const HALF_OF_LEAST: (&str, i64) = ("24703282292062327208828", -324);

/// Whether JavaScript reads a number of JSON as zero. By its text: the tables that read and round one
/// exactly are fifteen kilobytes of WASM.
fn is_zero(number: &str) -> bool {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return true;
    }
    // What is too long to be read is so large, or so small, that no digits make up for it.
    let exponent = exponent
        .trim_start_matches('+')
        .parse::<i64>()
        .unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let before = i64::try_from(whole.len()).unwrap_or(i64::MAX / 4);
    let zeros = i64::try_from(digits.len() - significant.len()).unwrap_or(i64::MAX / 4);
    let power = exponent.saturating_add(before - 1 - zeros);
    let (least, least_power) = HALF_OF_LEAST;
    power < least_power || power == least_power && significant.trim_end_matches('0') <= least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_on_where_javascript_says_so() {
        for on in [
            "true",
            "1",
            "-1",
            "0.5",
            "1e999",
            "5e-324",
            "\"false\"",
            "\"0\"",
            "{}",
            "[]",
            "1e99999999999999999999",
            "2.5e-324",
            "24703282292062327209e-343",
            "0.00025e-320",
            "-0.1E+5",
            "10",
        ] {
            assert!(is_on(on), "{on}");
        }
        for off in [
            "false",
            "null",
            "0",
            "-0",
            "0.0",
            "0e5",
            "1e-999",
            "\"\"",
            "1e-99999999999999999999",
            "2.4e-324",
            "2470e-327",
            "0.0000E+999",
            "0e99999999999999999999",
        ] {
            assert!(!is_on(off), "{off}");
        }
        let long = "0".repeat(400);
        assert!(is_on(&format!("0.{long}1e401")) && is_on(&format!("1{long}e-723")));
        assert!(!is_on(&format!("0.{long}1")) && !is_on(&format!("1{long}e-725")));
    }

    proptest! {
        #[test]
        fn numbers_are_zero_where_they_round_to_it(
            whole in "0|[1-9][0-9]{0,25}",
            fraction in prop::option::of("0{0,5}[0-9]{1,25}"),
            exponent in prop::option::of(prop_oneof![-360..-290_i32, -5..5_i32, any::<i32>()]),
        ) {
            let fraction = fraction.map_or_else(String::new, |fraction| format!(".{fraction}"));
            let exponent = exponent.map_or_else(String::new, |exponent| format!("e{exponent}"));
            let number = format!("{whole}{fraction}{exponent}");
            prop_assert_eq!(is_on(&number), number.parse::<f64>().unwrap() != 0.0, "{}", number);
        }
    }
}
