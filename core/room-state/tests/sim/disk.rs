//! The store of a browser profile: as the extension's, with its limits, and with what goes wrong.

use std::collections::{BTreeMap, BTreeSet};

/// In UTF-16 units (`extension/protocol/requests.ts`).
const MAX_VALUE_LENGTH: usize = 1_000_000;
const MAX_KEY_LENGTH: usize = 500;

/// What happens to the next writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// So many writes fail, and nothing is written.
    Fails(u32),
    /// So many writes are said to have failed, and are there.
    SaysItFails(u32),
    /// Every write of something new or longer fails.
    Full,
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub entries: BTreeMap<String, String>,
    pub fault: Fault,
    /// Steps a write takes.
    pub slowness: usize,
    /// When something went wrong last: what is refused soon after is no wonder.
    pub failed_at: Option<u64>,
    /// The entries that could not be written for what they are.
    pub misfits: BTreeSet<String>,
}

impl Disk {
    pub fn put(&mut self, now: u64, key: &str, value: Option<&str>) -> Result<(), &'static str> {
        let length = |text: &str| text.encode_utf16().count();
        if length(key) > MAX_KEY_LENGTH
            || value.is_some_and(|value| length(value) > MAX_VALUE_LENGTH)
        {
            let start: String = key.chars().take(30).collect();
            self.misfits.insert(format!("{start} ({} long)", value.map_or(0, length)));
            return Err("Mantle keeps at most 1 MB in one piece.");
        }
        let is_written_in_any_case = matches!(self.fault, Fault::SaysItFails(_));
        let before = self.entries.get(key).map_or(0, String::len);
        let outcome = match self.fault {
            Fault::Fails(left) | Fault::SaysItFails(left) => {
                let left = left.saturating_sub(1);
                self.fault = match self.fault {
                    _ if left == 0 => Fault::None,
                    Fault::Fails(_) => Fault::Fails(left),
                    _ => Fault::SaysItFails(left),
                };
                Err("The disk has a fault.")
            }
            Fault::Full if value.is_some_and(|value| value.len() > before) => {
                Err("The disk is full.")
            }
            Fault::None | Fault::Full => Ok(()),
        };
        if outcome.is_err() {
            self.failed_at = Some(now);
        }
        if outcome.is_ok() || is_written_in_any_case {
            match value {
                Some(value) => drop(self.entries.insert(key.to_owned(), value.to_owned())),
                None => drop(self.entries.remove(key)),
            }
        }
        outcome
    }

    /// As a JSON object.
    pub fn load(&self) -> String {
        serde_json::to_string(&self.entries).unwrap()
    }
}
