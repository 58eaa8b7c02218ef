//! Choices beside a shield's mode: what they are, and which values they take.

use super::valid_host;
use mantle_wire::json::{elements, quoted};
use serde::Serialize;

/// Longest Matrix event type (Client-Server API, 'Size limits').
const LONGEST_TYPE: usize = 255;

/// What an entry of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A host name, with a port where needed.
    Host,
    /// A Matrix event type.
    Type,
}

/// The values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionKind {
    /// One of these: value as stored, label for people.
    Choice(&'static [(&'static str, &'static str)]),
    /// One line.
    Text {
        /// In characters.
        max: usize,
    },
    /// A whole number.
    Number {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Yes or no.
    Flag,
    /// Several texts.
    List {
        /// Most entries.
        max: usize,
        /// What each is.
        item: Item,
    },
}

/// One option of a shield.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OptionInfo {
    /// As stored, in camelCase.
    pub key: &'static str,
    /// For people.
    pub title: &'static str,
    /// Its values.
    pub kind: OptionKind,
    /// Where nobody chose: JSON text.
    pub default: &'static str,
    /// One line: why that default.
    pub why: &'static str,
}

/// A value an option has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// Of a choice or a text.
    Text(String),
    /// Of a number.
    Number(i64),
    /// Of a flag.
    Flag(bool),
    /// Of a list.
    List(Vec<String>),
}

impl OptionValue {
    /// As JSON text.
    #[must_use]
    pub fn json(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(texts) => super::list(texts),
        }
    }
}

impl OptionInfo {
    /// Reads a value from JSON text; `None` when it is none of this option's.
    #[must_use]
    pub fn read(&self, json: &str) -> Option<OptionValue> {
        let text = || serde_json::from_str::<String>(json).ok();
        match self.kind {
            OptionKind::Choice(choices) => text()
                .filter(|text| choices.iter().any(|(value, _)| value == text))
                .map(OptionValue::Text),
            OptionKind::Text { max } => text()
                .map(|text| text.trim().to_owned())
                .filter(|text| text.chars().count() <= max && !text.chars().any(char::is_control))
                .map(OptionValue::Text),
            OptionKind::Number { min, max } => serde_json::from_str(json)
                .ok()
                .filter(|number| (min..=max).contains(number))
                .map(OptionValue::Number),
            OptionKind::Flag => serde_json::from_str(json).ok().map(OptionValue::Flag),
            OptionKind::List { max, item } => {
                let entries = json.starts_with('[').then(|| elements(json).ok())??;
                let texts: Option<Vec<_>> = entries
                    .into_iter()
                    .map(|entry| valid_item(item, &serde_json::from_str::<String>(entry).ok()?))
                    .collect();
                texts.filter(|texts| texts.len() <= max).map(OptionValue::List)
            }
        }
    }

    /// The value where nobody chose.
    #[must_use]
    pub fn default_value(&self) -> OptionValue {
        self.read(self.default).unwrap_or(OptionValue::Flag(false))
    }
}

fn valid_item(item: Item, text: &str) -> Option<String> {
    let text = text.trim();
    match item {
        Item::Host => valid_host(text),
        Item::Type => {
            let is_plain = !text.is_empty()
                && text.len() <= LONGEST_TYPE
                && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control());
            is_plain.then(|| text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn option(kind: OptionKind) -> OptionInfo {
        OptionInfo { key: "k", title: "K", kind, default: "null", why: "test" }
    }

    #[test]
    fn each_kind_takes_its_own_values_only() {
        let cases: [(OptionKind, &[&str], &[&str]); 6] = [
            (
                OptionKind::Choice(&[("on", "On"), ("ask", "Ask")]),
                &[r#""on""#],
                &[r#""x""#, "true"],
            ),
            (
                OptionKind::Text { max: 3 },
                &[r#""abc""#, r#"" ü ""#],
                &[r#""abcd""#, "1", r#""a\nb""#],
            ),
            (OptionKind::Number { min: 1, max: 5 }, &["1", "5"], &["0", "6", "1.5", r#""1""#]),
            (OptionKind::Flag, &["true", "false"], &["0", "null", r#""true""#]),
            (
                OptionKind::List { max: 2, item: Item::Host },
                &["[]", r#"["A.example:1"]"#],
                &[r#"["a/b"]"#, r#"["a","b","c"]"#, "{}", r#""a""#],
            ),
            (
                OptionKind::List { max: 1, item: Item::Type },
                &[r#"["m.room.avatar"]"#],
                &[r#"["a b"]"#, r#"[""]"#, "[1]"],
            ),
        ];
        for (kind, good, bad) in cases {
            for json in good {
                assert!(option(kind).read(json).is_some(), "{kind:?} {json}");
            }
            for json in bad {
                assert_eq!(option(kind).read(json), None, "{kind:?} {json}");
            }
        }
    }
}
