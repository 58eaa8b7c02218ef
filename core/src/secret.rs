//! Text that must not appear in logs, errors or the ledger.

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

    /// Whether the secret stands anywhere in `bytes`.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(bytes, self.0.as_bytes()).is_some()
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
