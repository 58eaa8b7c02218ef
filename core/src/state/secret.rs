//! Text that must not be printed and does not stay in memory.

use std::fmt;

use zeroize::Zeroizing;

/// Key material as text (a session key, or JSON that holds one). Zeroized when dropped.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. The only places it may go are an Olm channel and the page's own key store.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}
