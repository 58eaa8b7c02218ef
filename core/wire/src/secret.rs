//! Text that must not appear in logs, errors or the ledger.

use serde::{Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// A secret text: printed as dots, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for where it belongs: an Olm channel, the page's own key store.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the secret stands anywhere in `bytes`.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(bytes, self.0.as_bytes()).is_some()
    }
}

/// Only for state that stays in the page, never for logs or the ledger.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_but_never_printed() {
        let secret = Secret::new("tok".into());
        assert!(secret.is_in(b"x=tok&y"));
        assert!(!secret.is_in(b"x=to"));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
