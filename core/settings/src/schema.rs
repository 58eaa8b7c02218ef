//! What can be set: modes, profiles, options, and the values they take.

use crate::coerce;
use crate::layer::Author;
use crate::validate;
use mantle_wire::json::{elements, quoted, string};
use mantle_wire::state_types::stays_clear;
use serde::{Deserialize, Serialize};

/// Version of the stored form that this core writes.
pub(crate) const STORED_VERSION: u64 = 1;
/// What a session is called where the user has not chosen a text.
pub const DEFAULT_DEVICE_NAME: &str = "Element";

/// What a shield does with what it finds, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    Off,
    /// Let pass, record.
    Flag,
    /// Ask each time.
    Ask,
    /// Block or rewrite.
    On,
}

impl Mode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 4] = [Self::Off, Self::Flag, Self::Ask, Self::On];
    /// Those of a shield that never asks.
    pub const PLAIN: [Self; 3] = [Self::Off, Self::Flag, Self::On];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::Ask => "ask",
            Self::On => "on",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Which defaults hold where nobody chose, weakest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What a person would not miss is on.
    #[default]
    Recommended,
    /// Everything is on.
    Strict,
}

impl Profile {
    /// All.
    pub const ALL: [Self; 2] = [Self::Recommended, Self::Strict];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::Strict => "strict",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// What of a shield can be set, as the layer above knows it.
#[derive(Debug, Clone, Copy)]
pub struct Settable {
    /// Shield id.
    pub id: &'static str,
    /// Modes it offers.
    pub modes: &'static [Mode],
    /// Its options.
    pub options: &'static [OptionInfo],
    /// Whether it has a list of allowed hosts.
    pub has_list: bool,
}

/// What an entry of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A host name, with a port where needed.
    Host,
    /// A Matrix event type.
    Type,
    /// A type of state events that may leave encrypted.
    State,
}

/// The values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
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
            Self::List(texts) => list(texts),
        }
    }
}

/// A value as a layer has it.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) value: Option<OptionValue>,
    /// Types of state that are in a list of what to encrypt, and stay readable.
    pub(crate) readable: Vec<String>,
    /// Whether the rest was understood.
    pub(crate) is_clear: bool,
}

/// A list as somebody wrote it.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) good: Vec<String>,
    /// Types of state that stay readable.
    pub(crate) readable: Vec<String>,
    /// The first text that is no entry.
    pub(crate) bad: Option<String>,
    /// Whether all but `readable` is good.
    pub(crate) is_clear: bool,
}

impl OptionInfo {
    /// Reads a value from JSON text; `None` when it is none of this option's.
    #[must_use]
    pub fn read(&self, json: &str) -> Option<OptionValue> {
        let json = json.trim();
        let text = || string(json.as_bytes());
        match self.kind {
            OptionKind::Choice(choices) => text()
                .filter(|text| choices.iter().any(|(value, _)| value == text))
                .map(OptionValue::Text),
            OptionKind::Text { max } => text()
                .map(|text| text.trim().to_owned())
                .filter(|text| text.chars().count() <= max && !text.chars().any(char::is_control))
                .map(OptionValue::Text),
            OptionKind::Number { min, max } => json
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .map(OptionValue::Number),
            OptionKind::Flag => json.parse().ok().map(OptionValue::Flag),
            OptionKind::List { .. } => {
                let list = self.read_list(json)?;
                (list.is_clear && list.readable.is_empty()).then_some(OptionValue::List(list.good))
            }
        }
    }

    /// Reads a value of a layer: a list keeps its good entries, and a policy's value may be of another
    /// type.
    pub(crate) fn read_of(&self, author: Author, json: &str) -> Reading {
        let meant = match author {
            Author::Person => None,
            Author::Organisation => self.meant(json),
        };
        let json = meant.as_deref().unwrap_or(json);
        match self.read_list(json) {
            Some(List { good, readable, is_clear, .. }) => {
                Reading { value: Some(OptionValue::List(good)), readable, is_clear }
            }
            None => {
                let value = self.read(json);
                Reading { is_clear: value.is_some(), value, readable: Vec::new() }
            }
        }
    }

    /// What a policy's value can only mean, as JSON text of this option's type.
    fn meant(&self, json: &str) -> Option<String> {
        match self.kind {
            OptionKind::Choice(choices) => {
                coerce::name(json, choices.iter().map(|(value, _)| *value)).map(quoted)
            }
            OptionKind::Text { .. } => coerce::line(json).as_deref().map(quoted),
            OptionKind::Number { .. } => coerce::number(json).map(|number| number.to_string()),
            OptionKind::Flag => coerce::truth(json).map(|flag| flag.to_string()),
            OptionKind::List { item, .. } => {
                // Event types may have commas in them.
                let separators: &[char] = if item == Item::Host { &[',', ';'] } else { &[] };
                let entries = coerce::entries(json, separators)?;
                Some(format!("[{}]", entries.join(",")))
            }
        }
    }

    /// A list as somebody wrote it; `None` where it is none.
    pub(crate) fn read_list(&self, json: &str) -> Option<List> {
        let OptionKind::List { max, item } = self.kind else { return None };
        let entries = json.trim_start().starts_with('[').then(|| elements(json).ok())??;
        let mut list = List { is_clear: true, ..List::default() };
        for entry in entries {
            let text = string(entry.trim().as_bytes());
            let read = text.as_deref().and_then(|text| match item {
                Item::Host => validate::host(text),
                Item::Type => validate::event_type(text),
                Item::State => validate::state_type(text),
            });
            match read {
                Some(kind) if item == Item::State && stays_clear(&kind) => {
                    if !list.readable.contains(&kind) {
                        list.readable.push(kind);
                    }
                }
                Some(read) => list.good.push(read),
                None => {
                    list.is_clear = false;
                    list.bad = list.bad.or(text);
                }
            }
        }
        list.is_clear &= list.good.len() <= max;
        list.good.truncate(max);
        Some(list)
    }

    /// The value where nobody chose.
    #[must_use]
    pub fn default_value(&self) -> OptionValue {
        self.read(self.default).unwrap_or(OptionValue::Flag(false))
    }
}

/// Stands where a shield's id stands elsewhere.
pub const GENERAL: &str = "general";

/// Choices that belong to no shield. They are stored, set and locked as options of [`GENERAL`].
pub const GENERAL_OPTIONS: [OptionInfo; 2] = [
    OptionInfo {
        key: "ledgerDays",
        title: "Days the counts are kept",
        kind: OptionKind::Number { min: 0, max: 3650 },
        default: "90",
        why: "Long enough to see a pattern; the counts never leave your browser.",
    },
    OptionInfo {
        key: "consent",
        title: "What Mantle does was explained and agreed to",
        kind: OptionKind::Flag,
        default: "false",
        why: "Everyone is told once; an organisation may agree for its users.",
    },
];

/// What of it can be set.
#[must_use]
pub fn general() -> Settable {
    Settable { id: GENERAL, modes: &[], options: &GENERAL_OPTIONS, has_list: false }
}

/// As JSON text.
pub(crate) fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn option(kind: OptionKind) -> OptionInfo {
        OptionInfo { key: "k", title: "K", kind, default: "null", why: "test" }
    }

    #[test]
    fn each_kind_takes_its_own_values_only() {
        let cases: [(OptionKind, &[&str], &[&str]); 7] = [
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
            (
                OptionKind::List { max: 2, item: Item::State },
                &[r#"["m.room.avatar"]"#, r#"["m.room.name","a.b"]"#],
                &[r#"["m.room.member"]"#, r#"["a:b"]"#, r#"["a b"]"#, r#"["a","b","c"]"#, "[1]"],
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
