//! What a file is, by its first bytes.

use super::bytes::{be32, contains, four};
use serde::Serialize;

/// Kinds that matter for what they give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// JPEG.
    Jpeg,
    /// PNG, animated ones included.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    WebP,
    /// HEIC, AVIF and other HEIF pictures.
    Heif,
    /// TIFF.
    Tiff,
    /// PDF.
    Pdf,
    /// ZIP: Office documents and archives.
    Zip,
    /// Office documents from before 2007.
    OldOffice,
    /// MP4 or QuickTime video.
    Video,
    /// Readable text.
    Text,
    /// Something with a known or regular beginning.
    Other,
    /// Bytes without any pattern: what an encrypted attachment looks like.
    Random,
}

/// Beginnings of other common files; they have nothing to remove, but are no ciphertext.
const KNOWN: [&[u8]; 20] = [
    b"OggS",
    b"ID3",
    b"fLaC",
    b"RIFF",
    b"\x1a\x45\xdf\xa3",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!",
    b"\x28\xb5\x2f\xfd",
    b"BM",
    b"wOFF",
    b"wOF2",
    b"\0\x01\0\0\0",
    b"OTTO",
    b"\0asm",
    b"\x7fELF",
    b"\xff\xf1",
    b"\xff\xfb",
];

impl Kind {
    /// Of a file of `size` bytes that starts with `head`.
    #[must_use]
    pub fn of(head: &[u8], size: u64) -> Self {
        let starts = |magic: &[u8]| head.starts_with(magic);
        if starts(b"\xff\xd8\xff") {
            Self::Jpeg
        } else if starts(b"\x89PNG\r\n\x1a\n") {
            Self::Png
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Self::Gif
        } else if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Self::WebP
        } else if starts(b"II*\0") || starts(b"MM\0*") || starts(b"II+\0") || starts(b"MM\0+") {
            Self::Tiff
        } else if head.get(..1024).unwrap_or(head).windows(5).any(|part| part == b"%PDF-") {
            Self::Pdf
        } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
            Self::Zip
        } else if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            Self::OldOffice
        } else if let Some(kind) = by_brand(head) {
            kind
        } else if KNOWN.iter().any(|magic| starts(magic)) {
            Self::Other
        } else {
            unmarked(head, size)
        }
    }

    /// Whether Mantle can take metadata out of it.
    #[must_use]
    pub fn is_cleanable(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::WebP | Self::Heif | Self::Tiff)
    }

    /// For a sentence: "this picture".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Pdf | Self::OldOffice => "document",
            kind if kind.is_cleanable() => "picture",
            _ => "file",
        }
    }
}

/// ISO base media files name their kind in the `ftyp` box (ISO/IEC 14496-12, 23008-12).
fn by_brand(head: &[u8]) -> Option<Kind> {
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = usize::try_from(be32(head, 0)?).ok()?.clamp(16, 256);
    let is_picture = (8..length).step_by(4).filter(|at| *at != 12).any(|at| {
        four(head, at).is_some_and(|brand| {
            matches!(
                &brand,
                b"heic"
                    | b"heix"
                    | b"heim"
                    | b"heis"
                    | b"hevc"
                    | b"hevx"
                    | b"mif1"
                    | b"mif2"
                    | b"msf1"
                    | b"avif"
                    | b"avis"
                    | b"miaf"
            )
        })
    });
    Some(if is_picture { Kind::Heif } else { Kind::Video })
}

/// Without a mark: text, or so even a mix of bytes that it must be ciphertext.
fn unmarked(head: &[u8], size: u64) -> Kind {
    let sample = head.get(..4096).unwrap_or(head);
    let text = match std::str::from_utf8(sample) {
        Ok(text) => Some(text),
        // A character cut by the sample's end.
        Err(error) if error.error_len().is_none() && size > sample.len() as u64 => {
            sample.get(..error.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok())
        }
        Err(_) => None,
    };
    let is_text = text.is_some_and(|text| {
        !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
    });
    if is_text && !sample.is_empty() {
        return Kind::Text;
    }
    if is_even(sample) && !contains(sample, &[0; 6]) { Kind::Random } else { Kind::Other }
}

/// Chi-squared over the high nibbles and over the low ones. For ciphertext (AES-CTR) each sum has
/// 15 degrees of freedom: above 50 about once in 80 000 files. Plain formats are far above it.
fn is_even(sample: &[u8]) -> bool {
    // Too short to tell: the caller's other signs decide.
    if sample.len() < 64 {
        return true;
    }
    let mut counts = [[0u32; 16]; 2];
    for byte in sample {
        for (half, nibble) in counts.iter_mut().zip([byte >> 4, byte & 15]) {
            if let Some(count) = half.get_mut(usize::from(nibble)) {
                *count += 1;
            }
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let expected = sample.len() as f64 / 16.0;
    counts.iter().all(|half| {
        let sum: f64 = half.iter().map(|count| (f64::from(*count) - expected).powi(2)).sum();
        sum / expected <= 50.0
    })
}
