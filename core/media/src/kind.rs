//! What a file is, by its first bytes.

use super::bmff;
use super::bytes::{be16, be32, contains, le16, le32};
use super::svg;
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
    /// JPEG XL.
    JpegXl,
    /// SVG.
    Svg,
    /// Windows bitmap.
    Bitmap,
    /// What a camera writes before it makes a picture of it.
    Raw,
    /// JPEG 2000, Photoshop and other pictures that are not cleaned.
    Picture,
    /// PDF.
    Pdf,
    /// ZIP: archives, and Office documents until their index is read.
    Zip,
    /// Office documents in a ZIP archive.
    Office,
    /// Office documents from before 2007.
    OldOffice,
    /// RTF, PostScript.
    Document,
    /// MP4 or QuickTime video.
    Video,
    /// Matroska or WebM.
    Matroska,
    /// AVI.
    Avi,
    /// Films of other kinds.
    Film,
    /// MP3.
    Mp3,
    /// FLAC.
    Flac,
    /// Ogg with Vorbis, Opus or video.
    Ogg,
    /// WAV.
    Wav,
    /// Sound files of other kinds.
    Sound,
    /// Readable text.
    Text,
    /// Something with a known or regular beginning.
    Other,
    /// Bytes without any pattern: what an encrypted attachment looks like.
    Random,
}

/// Beginnings by their place. Four bytes and more: none of them comes up in ciphertext by chance.
const MARKS: &[(usize, &[u8], Kind)] = &[
    (0, b"\x89PNG\r\n\x1a\n", Kind::Png),
    (0, b"GIF87a", Kind::Gif),
    (0, b"GIF89a", Kind::Gif),
    (0, b"II*\0", Kind::Tiff),
    (0, b"MM\0*", Kind::Tiff),
    (0, b"II+\0", Kind::Tiff),
    (0, b"MM\0+", Kind::Tiff),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", Kind::JpegXl),
    // Panasonic, Olympus, Fujifilm, Canon, Minolta, Sigma, Arri, QuickTake, Contax, RED.
    (0, b"IIU\0", Kind::Raw),
    (0, b"IIRO", Kind::Raw),
    (0, b"IIRS", Kind::Raw),
    (0, b"MMOR", Kind::Raw),
    (0, b"FUJIFILMCCD-RAW", Kind::Raw),
    (0, b"\0MRM", Kind::Raw),
    (0, b"FOVb", Kind::Raw),
    (0, b"ARRI", Kind::Raw),
    (0, b"qktk", Kind::Raw),
    (0, b"qktn", Kind::Raw),
    (0, b"8BPS", Kind::Picture),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", Kind::Picture),
    (0, b"\xff\x4f\xff\x51", Kind::Picture),
    (0, b"II\xbc\x01", Kind::Picture),
    (0, b"II\xbc\0", Kind::Picture),
    (0, b"v/1\x01", Kind::Picture),
    (0, b"gimp xcf", Kind::Picture),
    (0, b"AT&TFORM", Kind::Picture),
    (0, b"#?RADIANCE", Kind::Picture),
    (0, b"#?RGBE", Kind::Picture),
    (0, b"DDS ", Kind::Picture),
    (0, b"SIMPLE  =", Kind::Picture),
    (0, b"\x8aMNG\r\n", Kind::Picture),
    (0, b"\x8bJNG\r\n", Kind::Picture),
    (0, b"icns", Kind::Picture),
    (0, b"BPG\xfb", Kind::Picture),
    (0, b"FLIF", Kind::Picture),
    (0, b"qoif", Kind::Picture),
    (0, b"\xabKTX ", Kind::Picture),
    (0, b"Paint Shop Pro Image File", Kind::Picture),
    (0, b"\xd7\xcd\xc6\x9a", Kind::Picture),
    (0, b"PK\x03\x04", Kind::Zip),
    (0, b"PK\x05\x06", Kind::Zip),
    (0, b"PK\x07\x08", Kind::Zip),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::OldOffice),
    (0, b"{\\rtf", Kind::Document),
    (0, b"%!PS", Kind::Document),
    (0, b"\xc5\xd0\xd3\xc6", Kind::Document),
    (0, b"\x1a\x45\xdf\xa3", Kind::Matroska),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind::Film),
    (0, b"FLV\x01", Kind::Film),
    (0, b"\0\0\x01\xba", Kind::Film),
    (0, b"\0\0\x01\xb3", Kind::Film),
    (0, b".RMF", Kind::Film),
    (0, b"\x06\x0e\x2b\x34", Kind::Film),
    (0, b"YUV4MPEG2", Kind::Film),
    (0, b"DVDVIDEO", Kind::Film),
    (0, b"fLaC", Kind::Flac),
    (0, b"OggS", Kind::Ogg),
    (0, b"#!AMR", Kind::Sound),
    (0, b"MThd", Kind::Sound),
    (0, b"MAC ", Kind::Sound),
    (0, b"wvpk", Kind::Sound),
    (0, b"MPCK", Kind::Sound),
    (0, b"TTA1", Kind::Sound),
    (0, b"DSD ", Kind::Sound),
    (0, b"caff", Kind::Sound),
    (0, b".snd", Kind::Sound),
    (0, b"RF64", Kind::Sound),
    (0, b"BW64", Kind::Sound),
    (0, b"ADIF", Kind::Sound),
    // What follows has nothing to remove, but is no ciphertext.
    (0, b"\xfd7zXZ\0", Kind::Other),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::Other),
    (0, b"Rar!", Kind::Other),
    (0, b"\x28\xb5\x2f\xfd", Kind::Other),
    (0, b"BZh", Kind::Other),
    (0, b"\x1f\x8b\x08", Kind::Other),
    (0, b"wOFF", Kind::Other),
    (0, b"wOF2", Kind::Other),
    (0, b"\0\x01\0\0\0", Kind::Other),
    (0, b"OTTO", Kind::Other),
    (0, b"\0asm", Kind::Other),
    (0, b"\x7fELF", Kind::Other),
    // Behind the start, where files of the kinds above may hold anything.
    (6, b"HEAPCCDR", Kind::Raw),
    (6, b"HEAPJPGM", Kind::Raw),
    (25, b"ARECOYK", Kind::Raw),
    (4, b"RED1", Kind::Film),
    (4, b"RED2", Kind::Film),
    (128, b"DICM", Kind::Picture),
    (40, b" EMF", Kind::Picture),
];

/// Kinds within containers that name them: four bytes at the start, four at the eighth.
const FORMS: &[(&[u8], &[u8], Kind)] = &[
    (b"RIFF", b"WEBP", Kind::WebP),
    (b"RIFF", b"AVI ", Kind::Avi),
    (b"RIFF", b"WAVE", Kind::Wav),
    (b"RIFF", b"RMID", Kind::Sound),
    (b"RIFF", b"ACON", Kind::Picture),
    (b"FORM", b"AIFF", Kind::Sound),
    (b"FORM", b"AIFC", Kind::Sound),
    (b"FORM", b"8SVX", Kind::Sound),
    (b"FORM", b"ILBM", Kind::Picture),
    (b"RIFF", b"", Kind::Other),
    (b"FORM", b"", Kind::Other),
];

impl Kind {
    /// Of a file of `size` bytes that starts with `head`.
    #[must_use]
    pub fn of(head: &[u8], size: u64) -> Self {
        let has =
            |at: usize, mark: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(mark));
        if is_text(head, size) {
            // "caffeine" is no sound file: what has no byte that text lacks is read as text.
            return by_text(head);
        }
        if has(0, b"\xff\xd8\xff") {
            return Self::Jpeg;
        }
        if let Some((_, _, kind)) =
            FORMS.iter().find(|(form, name, _)| has(0, form) && has(8, name))
        {
            return *kind;
        }
        if let Some((_, _, kind)) = MARKS.iter().find(|(at, mark, _)| has(*at, mark)) {
            return *kind;
        }
        if is_pdf(head) {
            return Self::Pdf;
        }
        if let Some(kind) = bmff::kind(head, size).or_else(|| weakly_marked(head)) {
            return kind;
        }
        if svg::is_svg(head) {
            return Self::Svg;
        }
        // Without a mark: so even a mix of bytes that it must be ciphertext, or anything else.
        let sample = sample_of(head);
        if is_even(sample) && !contains(sample, &[0; 6]) { Self::Random } else { Self::Other }
    }

    /// Whether it is a picture, which is not sent with details in it unasked.
    #[must_use]
    pub fn is_picture(self) -> bool {
        matches!(
            self,
            Self::Jpeg
                | Self::Png
                | Self::Gif
                | Self::WebP
                | Self::Heif
                | Self::Tiff
                | Self::JpegXl
                | Self::Svg
                | Self::Bitmap
                | Self::Raw
                | Self::Picture
        )
    }

    /// Whether nothing is known of what it may hold.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::Text | Self::Other | Self::Random)
    }

    /// For a sentence: "this picture".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Video | Self::Matroska | Self::Avi | Self::Film => "film",
            Self::Mp3 | Self::Flac | Self::Ogg | Self::Wav | Self::Sound => "sound file",
            Self::Pdf | Self::Office | Self::OldOffice | Self::Document => "document",
            Self::Raw => "raw photograph",
            kind if kind.is_picture() => "picture",
            _ => "file",
        }
    }
}

/// Marks of two or three bytes, which ciphertext has by chance: believed with what follows only.
fn weakly_marked(head: &[u8]) -> Option<Kind> {
    if head.starts_with(b"BM") {
        let is_header = matches!(le32(head, 14)?, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124);
        return (is_header && le32(head, 6)? == 0).then_some(Kind::Bitmap);
    }
    if head.starts_with(b"ID3") {
        let is_tag =
            matches!(head.get(3)?, 2..=4) && head.get(6..10)?.iter().all(|byte| *byte < 0x80);
        return is_tag.then_some(Kind::Mp3);
    }
    // Icons and cursors: the first picture stands behind their list.
    if matches!(head.get(..4)?, [0, 0, 1 | 2, 0]) && head.get(9) == Some(&0) {
        let count = u32::from(le16(head, 4)?);
        return (count > 0 && le32(head, 18)? == 6 + 16 * count).then_some(Kind::Picture);
    }
    if head.starts_with(b"MP+") {
        return Some(Kind::Sound);
    }
    if let Some(length) = super::sound::frame_length(head) {
        // The next one must be there too, unless the file ends.
        let next = head.get(length..)?;
        return (next.is_empty() || super::sound::frame_length(next).is_some())
            .then_some(Kind::Mp3);
    }
    // AAC in frames of its own.
    if be16(head, 0)? & 0xfff6 == 0xfff0 {
        let length = usize::try_from((be32(head, 2)? >> 5) & 0x1fff).ok()?;
        let is_next = be16(head, length).is_some_and(|next| next & 0xfff6 == 0xfff0);
        return (length > 7 && is_next).then_some(Kind::Sound);
    }
    // Packets of films from camcorders and television, with and without a time before each.
    for (first, step) in [(0, 188), (4, 192)] {
        if [0, 1, 2, 3].iter().all(|packet| head.get(first + packet * step) == Some(&0x47)) {
            return Some(Kind::Film);
        }
    }
    if head.starts_with(b"\xff\x0a") && !is_even(sample_of(head)) {
        return Some(Kind::JpegXl);
    }
    // PCX: version, encoding and bits as its writers use them.
    if matches!(head.get(..4)?, [10, 0 | 2..=5, 1, 1 | 2 | 4 | 8]) && le16(head, 66)? < 1 << 14 {
        return Some(Kind::Picture);
    }
    if is_netpbm(head) {
        return Some(Kind::Picture);
    }
    // Phase One: "Raw" as a number behind the byte order.
    if head.starts_with(b"IIII") && head.get(5..8) == Some(b"waR")
        || head.starts_with(b"MMMM") && head.get(4..7) == Some(b"Raw")
    {
        return Some(Kind::Raw);
    }
    None
}

fn sample_of(head: &[u8]) -> &[u8] {
    head.get(..4096).unwrap_or(head)
}

/// PDF readers look for its mark in the first kilobyte.
fn is_pdf(head: &[u8]) -> bool {
    contains(head.get(..1024).unwrap_or(head), b"%PDF-")
}

/// Whether the beginning is text from its first byte on.
fn is_text(head: &[u8], size: u64) -> bool {
    let sample = sample_of(head);
    let text = match std::str::from_utf8(sample) {
        Ok(text) => Some(text),
        // A character cut by the sample's end.
        Err(error) if error.error_len().is_none() && size > sample.len() as u64 => {
            sample.get(..error.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok())
        }
        Err(_) => None,
    };
    !sample.is_empty()
        && text.is_some_and(|text| {
            !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
        })
}

/// Formats whose files may be nothing but text.
fn by_text(head: &[u8]) -> Kind {
    let starts = |mark: &[u8]| head.starts_with(mark);
    if is_pdf(head) {
        Kind::Pdf
    } else if svg::is_svg(head) {
        Kind::Svg
    } else if starts(b"{\\rtf") || starts(b"%!PS") {
        Kind::Document
    } else if starts(b"SIMPLE  =") || starts(b"#?RADIANCE") || is_netpbm(head) {
        Kind::Picture
    } else {
        Kind::Text
    }
}

/// A letter, a digit, and then numbers or a comment.
fn is_netpbm(head: &[u8]) -> bool {
    matches!(head.get(..3), Some([b'P', b'1'..=b'7', b'\n' | b' ' | b'\r' | b'\t']))
        && matches!(head.get(3), Some(b'0'..=b'9' | b'#' | b'W'))
        && head.get(4..12).is_some_and(<[u8]>::is_ascii)
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
