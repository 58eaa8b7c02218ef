//! Choices that belong to no shield. They are stored, set and locked as options of `general`.

use super::{OptionInfo, OptionKind, Settable};

/// Stands where a shield's id stands elsewhere.
pub const GENERAL: &str = "general";

/// Every general choice.
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
