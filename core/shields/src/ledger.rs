//! What was decided, aggregated and bounded. Never ids, tokens, names or bodies.

use crate::verdict::Action;
use serde::Serialize;

/// Rows with a host of their own until the next drain.
const MAX_ROWS: usize = 256;
/// Stands for every further host.
const OTHER_HOSTS: &str = "(other hosts)";

/// One kind of decision and how often it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "RecordEffect"))]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Milliseconds since the epoch, of the drain.
    pub time: u64,
    /// Shield id, or `router` for unknown endpoints.
    pub shield: &'static str,
    /// What was done.
    pub action: Action,
    /// Host, with port where it is not the scheme's own.
    pub host: String,
    /// Endpoint template: parameters stand as `{}`.
    pub endpoint: &'static str,
    /// How often since the last drain.
    pub count: u32,
}

/// Collects records between two drains.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Vec<Record>,
}

impl Ledger {
    /// Counts one decision.
    pub fn add(
        &mut self,
        shield: &'static str,
        action: Action,
        host: &str,
        endpoint: &'static str,
    ) {
        let full = self.rows.len() >= MAX_ROWS && host != OTHER_HOSTS;
        let known = self.rows.iter_mut().find(|row| {
            row.shield == shield
                && row.action == action
                && row.host == host
                && row.endpoint == endpoint
        });
        match known {
            Some(row) => row.count = row.count.saturating_add(1),
            None if full => self.add(shield, action, OTHER_HOSTS, endpoint),
            None => self.rows.push(Record {
                time: 0,
                shield,
                action,
                host: host.to_owned(),
                endpoint,
                count: 1,
            }),
        }
    }

    /// Whether anything was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Hands the rows over, stamped with `now` (milliseconds since the epoch).
    pub fn drain(&mut self, now: u64) -> Vec<Record> {
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            row.time = now;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_counted() {
        let mut ledger = Ledger::default();
        ledger.add("identity", Action::Blocked, "vector.im", "identity");
        ledger.add("identity", Action::Blocked, "vector.im", "identity");
        ledger.add("identity", Action::Blocked, "matrix.org", "identity");
        let rows = ledger.drain(7);
        assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [2, 1]);
        assert!(rows.iter().all(|row| row.time == 7));
        assert!(ledger.is_empty());
    }

    #[test]
    fn the_number_of_rows_is_bounded() {
        let mut ledger = Ledger::default();
        for host in 0..1000 {
            ledger.add("identity", Action::Blocked, &host.to_string(), "identity");
        }
        let rows = ledger.drain(0);
        assert_eq!(rows.len(), MAX_ROWS + 1);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u32>(), 1000);
    }
}
