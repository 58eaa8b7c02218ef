//! Text that must not appear in logs, errors or the ledger.

use crate::url::percent_bytes_of as percent_bytes;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// How often a text is decoded in search of a secret. Element encodes once, or a text in a text.
const MAX_LAYERS: usize = 4;

type Decoder = fn(&[u8]) -> Vec<u8>;

/// What a text may be encoded by: the letter that shows it, and what undoes it.
const DECODERS: [(u8, Decoder); 2] =
    [(b'%', |text| percent_bytes(text).collect()), (b'\\', unescaped)];

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

    /// As [`Secret::is_in`], also within percent-encoding and escapes of JSON, one in the other or
    /// several times, and in each within base64 of either alphabet, and so JSON Web Tokens, and
    /// hexadecimal digits.
    #[must_use]
    pub fn is_hidden_in(&self, bytes: &[u8]) -> bool {
        if self.is_written_in(bytes) {
            return true;
        }
        let mut text: Cow<'_, [u8]> = bytes.into();
        for _ in 0..MAX_LAYERS {
            let length = text.len();
            for (mark, decoded) in DECODERS {
                let before = text.len();
                if text.contains(&mark) {
                    text = decoded(&text).into();
                }
                // What has become no shorter is what it was.
                if text.len() < before && self.is_written_in(&text) {
                    return true;
                }
            }
            if text.len() == length {
                break;
            }
        }
        false
    }

    /// Plainly, in base64 or in hexadecimal digits.
    fn is_written_in(&self, bytes: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let is_encoded = |lower: &[u8], upper: &[u8]| {
            [lower, upper].iter().any(|text| memchr::memmem::find(bytes, text).is_some())
        };
        let hex = |digits: &[u8; 16]| -> Zeroizing<Vec<u8>> {
            let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
            Zeroizing::new(
                secret.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect(),
            )
        };
        self.is_in(bytes)
            || is_encoded(&hex(b"0123456789abcdef"), &hex(b"0123456789ABCDEF"))
            || (0..3).any(|before| {
                is_encoded(&base64(secret, before, b"+/"), &base64(secret, before, b"-_"))
            })
    }
}

/// The letters that base64 has for these bytes wherever they begin `before` bytes into a group of
/// three, without those that their neighbours also make.
fn base64(secret: &[u8], before: usize, last: &[u8; 2]) -> Zeroizing<Vec<u8>> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |index: usize| {
        LETTERS
            .get(index)
            .or_else(|| last.get(index.saturating_sub(62)))
            .copied()
            .unwrap_or_default()
    };
    let bits = |at: usize| -> usize {
        // The bits of six beginning with this one, of which all are the secret's.
        (0..6).fold(0, |value, bit| {
            let at = at.saturating_add(bit);
            let byte = secret.get(at / 8).copied().unwrap_or_default();
            value << 1 | usize::from(byte >> (7 - at % 8) & 1)
        })
    };
    // Groups begin at multiples of six bits, counted from `before` bytes ahead of the secret.
    let first = (6 - before * 8 % 6) % 6;
    let all = secret.len().saturating_mul(8);
    Zeroizing::new(
        (first..)
            .step_by(6)
            .take_while(|at| at.saturating_add(6) <= all)
            .map(bits)
            .map(letter)
            .collect(),
    )
}

/// Undoes the escapes of a JSON string that a token's letters can be written with.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'u', digits @ ..]) => {
                let code = digits.get(..4).and_then(|four| std::str::from_utf8(four).ok());
                let code = code.and_then(|four| u32::from_str_radix(four, 16).ok());
                if let Some(letter) = code.and_then(char::from_u32) {
                    out.extend(letter.encode_utf8(&mut [0; 4]).bytes());
                    rest = digits.get(4..).unwrap_or_default();
                }
            }
            (b'\\', [escaped, after @ ..]) => {
                out.push(*escaped);
                rest = after;
            }
            _ => out.push(first),
        }
    }
    out
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
        assert!(!secret.is_hidden_in(b"x=to"));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn is_found_within_other_encodings() {
        let secret = Secret::new("syt_token-123/456".into());
        for text in [
            "x syt_token-123/456 y",
            "syt%5Ftoken%2D123%2f456",
            "syt%255Ftoken-123%252F456",
            r#"{"a":"syt_token-123\/456"}"#,
            "\\u0073yt_token-123/456",
            "7379745f746f6b656e2d3132332f343536",
            "7379745F746F6B656E2D3132332F343536",
            // `syt_token-123/456`, `xsyt_token-123/456y`, `{"syt_token-123/456"}`
            "c3l0X3Rva2VuLTEyMy80NTY=",
            "eHN5dF90b2tlbi0xMjMvNDU2eQ",
            "eyJzeXRfdG9rZW4tMTIzLzQ1NiJ9",
            "a.eyJzeXRfdG9rZW4tMTIzLzQ1NiJ9.b",
            "c3l0X3Rva2VuLTEyMy80NTY%3D",
            // One within the other, and once more.
            "syt%25255Ftoken%25252D123%25252f456",
            r#"{"a":"{\"b\":\"syt_token-123\\\/456\"}"}"#,
            r#"{"a":"{\"b\":\"\\u0073yt_token-123/456\"}"}"#,
            "%5Cu0073yt_token-123%5C%2F456",
            r"\u0025\u0035Fsyt%5Ftoken%2D123%2f456",
            r"\u00257Bsyt\u00255Ftoken-123/456",
        ] {
            assert!(secret.is_hidden_in(text.as_bytes()), "{text}");
        }
        for text in ["", "syt_token-123/457", "eyJzeXRfdG9rZW4tMTIzLzUxMCJ9", "\\u", "%", "\\"] {
            assert!(!secret.is_hidden_in(text.as_bytes()), "{text}");
        }
    }
}
