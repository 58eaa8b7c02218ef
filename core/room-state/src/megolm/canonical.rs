//! Canonical JSON (Matrix specification, appendices): no spaces, keys in order, integers only.
//!
//! Written from the text itself: a tree of parsed values would be ten kilobytes of WASM more.

use std::cmp::Reverse;
use std::ops::Range;

use mantle_wire::json::{Cursor, exact_string, quoted};

/// The largest integer of canonical JSON.
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// How deep arrays and objects may stand in each other, as serde_json has it: what one device has
/// signed, all others must be able to read.
pub(crate) const MAX_DEPTH: usize = 127;

/// A JSON text in its canonical form, without these members of its own. `None` where it has none
/// (fractions, large numbers, halves of a pair), or is no JSON; numbers beyond a double are none.
pub(super) fn canonical(json: &str, left_out: &[&str]) -> Option<String> {
    let mut writer = Writer { json, cursor: Cursor::new(json.as_bytes()), out: String::new() };
    let has_form = writer.value(left_out, MAX_DEPTH)?;
    writer.cursor.end().ok()?;
    has_form.then_some(writer.out)
}

struct Writer<'a> {
    json: &'a str,
    cursor: Cursor<'a>,
    out: String,
}

/// A member of an object: its name, where it was written, and whether its value has a canonical form.
struct Member {
    name: String,
    at: Range<usize>,
    has_form: bool,
}

/// Each gives whether what it wrote has a canonical form, since that of what does not count may be
/// anything; `None` for what is no JSON.
impl Writer<'_> {
    fn value(&mut self, left_out: &[&str], depth: usize) -> Option<bool> {
        match self.cursor.peek()? {
            b'{' => self.object(left_out, depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            first => {
                let range = self.cursor.value().ok()?;
                match first {
                    b'"' => self.string(range).map(|_| true),
                    b't' | b'f' | b'n' => {
                        self.out.push_str(self.json.get(range)?);
                        Some(true)
                    }
                    _ => self.number(range),
                }
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<bool> {
        self.out.push('[');
        let mut has_form = true;
        let mut has_next = self.cursor.first_element().ok()?;
        while has_next {
            has_form &= self.value(&[], depth)?;
            has_next = self.cursor.next_element().ok()?;
            if has_next {
                self.out.push(',');
            }
        }
        self.out.push(']');
        Some(has_form)
    }

    /// Its members are written as they come, and put in order at its end.
    fn object(&mut self, left_out: &[&str], depth: usize) -> Option<bool> {
        self.out.push('{');
        let start = self.out.len();
        let mut members: Vec<Member> = Vec::new();
        let mut next = self.cursor.first_key().ok()?;
        while let Some(key) = next {
            let at = self.out.len();
            let name = self.string(key.at..key.at + key.raw.len() + 2)?;
            self.out.push(':');
            let has_form = self.value(&[], depth)?;
            members.push(Member { name, at: at..self.out.len(), has_form });
            next = self.cursor.next_key().ok()?;
        }
        // Of members with one key the last counts.
        members.sort_unstable_by(|one, other| {
            (&one.name, Reverse(one.at.start)).cmp(&(&other.name, Reverse(other.at.start)))
        });
        members.dedup_by(|later, first| later.name == first.name);
        members.retain(|member| !left_out.contains(&member.name.as_str()));
        let texts: Vec<&str> =
            members.iter().filter_map(|member| self.out.get(member.at.clone())).collect();
        let texts = texts.join(",");
        self.out.truncate(start);
        self.out.push_str(&texts);
        self.out.push('}');
        Some(members.iter().all(|member| member.has_form))
    }

    /// What it says.
    fn string(&mut self, range: Range<usize>) -> Option<String> {
        let text = exact_string(self.json.get(range)?)?;
        self.out.push_str(&quoted(&text));
        Some(text)
    }

    fn number(&mut self, range: Range<usize>) -> Option<bool> {
        let number = self.json.get(range)?;
        self.out.push_str(number);
        let has_form = number != "-0"
            && number.parse::<i64>().is_ok_and(|number| number.unsigned_abs() <= MAX_INTEGER);
        // What no double is as large as is no JSON to serde_json, also where it does not count.
        if !has_form {
            serde_json::from_str::<f64>(number).ok()?;
        }
        Some(has_form)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn it_is_that_of_the_specification() {
        for (json, expected) in [
            ("{}", Some("{}")),
            (r#"{"one": 1, "two": "Two"}"#, Some(r#"{"one":1,"two":"Two"}"#)),
            (r#"{"b":"2","a":"1"}"#, Some(r#"{"a":"1","b":"2"}"#)),
            (
                r#"{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}"#,
                Some(
                    r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
                ),
            ),
            (r#"{"a":"日本語"}"#, Some(r#"{"a":"日本語"}"#)),
            (r#"{"本":2,"日":1}"#, Some(r#"{"日":1,"本":2}"#)),
            (r#"{"a":"\u65E5"}"#, Some(r#"{"a":"日"}"#)),
            (r#"{"a":null}"#, Some(r#"{"a":null}"#)),
            (r#"{"a":"\u007f\u000b\/\n\""}"#, Some("{\"a\":\"\u{7f}\\u000b/\\n\\\"\"}")),
            (r#"{"a":9007199254740991}"#, Some(r#"{"a":9007199254740991}"#)),
            (r#"{"a":-9007199254740991}"#, Some(r#"{"a":-9007199254740991}"#)),
            (r#"{"a":9007199254740992}"#, None),
            (r#"{"a":18446744073709551615}"#, None),
            (r#"{"a":1.5}"#, None),
            (r#"{"a":1e3}"#, None),
            (r#"{"a":-0}"#, None),
            (r#"{"a":"\ud800"}"#, None),
            (r#"{"\ud800":1}"#, None),
            (r#"{"a":{"b":1,"b":2,"a":3},"a":[ ]}"#, Some(r#"{"a":[]}"#)),
            (r#"{"a":1.5,"a":1}"#, Some(r#"{"a":1}"#)),
            (r#"{"a":1,"a":1.5}"#, None),
            (r#"{"b":{"b":1,"\u0062":2,"a":3}}"#, Some(r#"{"b":{"a":3,"b":2}}"#)),
            ("{", None),
            ("{}x", None),
            (" ", None),
        ] {
            assert_eq!(canonical(json, &[]).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn members_of_its_own_are_left_out_and_no_others() {
        let json = r#"{"z":{"unsigned":1},"unsigned":2.5,"signatures":{},"a":[{"signatures":3}]}"#;
        assert_eq!(
            canonical(json, &["signatures", "unsigned"]).as_deref(),
            Some(r#"{"a":[{"signatures":3}],"z":{"unsigned":1}}"#)
        );
    }

    /// By way of parsed values, as the devices that signed before read it.
    fn by_values(json: &str) -> Option<String> {
        fn write(value: &Value) -> Option<String> {
            Some(match value {
                Value::Number(number) => {
                    let number = number.as_i64()?;
                    (number.unsigned_abs() <= MAX_INTEGER).then(|| number.to_string())?
                }
                Value::Array(elements) => {
                    let elements: Option<Vec<String>> = elements.iter().map(write).collect();
                    format!("[{}]", elements?.join(","))
                }
                Value::Object(members) => {
                    // In order, as serde_json keeps them.
                    let members: Option<Vec<String>> = members
                        .iter()
                        .map(|(key, value)| Some(format!("{}:{}", quoted(key), write(value)?)))
                        .collect();
                    format!("{{{}}}", members?.join(","))
                }
                other => other.to_string(),
            })
        }
        write(&serde_json::from_str(json).ok()?)
    }

    /// Of 400 digits: no double is as large.
    const HUGE_INTEGER: &str = concat!(
        "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
    );

    #[test]
    fn a_number_beyond_a_double_is_refused_wherever_it_stands() {
        for number in ["1e309", "-1e999", "1.5e99999999999", HUGE_INTEGER] {
            for json in [
                format!(r#"{{"a":{number}}}"#),
                format!(r#"{{"a":{number},"a":1}}"#),
                format!(r#"{{"unsigned":{{"b":[{number}]}},"a":1}}"#),
            ] {
                assert_eq!(canonical(&json, &["unsigned"]), None, "{json}");
            }
        }
        assert_eq!(
            canonical(r#"{"unsigned":[1e308,1e-999,0e999],"a":1}"#, &["unsigned"]).as_deref(),
            Some(r#"{"a":1}"#)
        );
    }

    /// JSON texts, with spaces, odd numbers, escapes and keys that stand twice.
    fn text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(vec![
                "null",
                "true",
                "false",
                "0",
                "-0",
                "-1",
                "1.0",
                "1e2",
                "0.5",
                "\"\"",
                "\"\\u0000\"",
                "9007199254740991",
                "-9007199254740992",
                "9223372036854775808",
                "1e308",
                "1e309",
                "-1e999",
                "0e999",
                "1e-999",
                HUGE_INTEGER,
                "01",
                "\"\\ud83d\"",
                "\"\\ud83d\\ude00\"",
                "\"\\u00e9\"",
                "tru",
                "{",
                "\"\\x\"",
                "\"a\tb\"",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,6}".prop_map(|text| quoted(&text)),
            any::<i64>().prop_map(|number| number.to_string()),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop_oneof![
                prop::sample::select(vec!["\"a\"", "\"\\u0061\"", "\"b\"", "\"\"", "\"\\ud800\""])
                    .prop_map(str::to_owned),
                "\\PC{0,3}".prop_map(|text| quoted(&text)),
            ];
            let member = (key, " {0,2}", inner.clone())
                .prop_map(|(key, space, value)| format!("{key}{space}:{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..6)
                    .prop_map(|elements| format!("[ {} ]", elements.join(" , "))),
                prop::collection::vec(member, 0..6)
                    .prop_map(|members| format!("{{{}\n}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_parsed_values_give(json in text()) {
            prop_assert_eq!(canonical(&json, &[]), by_values(&json));
        }

        #[test]
        fn its_own_form_stays_as_it_is(json in text()) {
            if let Some(once) = canonical(&json, &[]) {
                prop_assert_eq!(canonical(&once, &[]), Some(once));
            }
        }
    }

    #[test]
    fn it_is_as_deep_as_parsed_values() {
        for depth in [1, MAX_DEPTH, MAX_DEPTH + 1, 100_000] {
            for (open, inside, close) in [("[", "1", "]"), (r#"{"a":"#, "[]", "}")] {
                let json = format!("{}{inside}{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(canonical(&json, &[]), by_values(&json), "{depth} {open}");
            }
        }
    }
}
