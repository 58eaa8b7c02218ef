//! Documents: who made, changed and commented them, and where; told, not removed, since a document
//! is its author's to edit.

use super::bytes::{contains, find, find_iter, last, le16, le32};
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Kind, Refusal, exif};
use miniz_oxide::inflate::{
    TINFLStatus, decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit,
};

/// A PDF is read whole up to this size; of a larger one so much of each end.
const MAX_PDF: u64 = 64 << 20;
const PDF_PART: usize = 1 << 20;
/// Dictionaries reach over the border of two parts.
const PDF_OVERLAP: usize = 16 << 10;
const MAX_INDEX: u64 = 8 << 20;
const MAX_ENTRIES: usize = 50_000;
/// What is opened of one stream or member of an archive, and of all together.
const MAX_PACKED: u32 = 4 << 20;
const MAX_MEMBER: usize = 8 << 20;
const MAX_OPENED: usize = 48 << 20;
/// What a stream of a PDF counts at least.
const MIN_STREAM: usize = 1 << 10;
/// Of pictures in documents: their first bytes have the camera's block.
const PICTURE_PART: usize = 1 << 17;
/// Of documents and pictures of kinds that are not known better.
const PART: u64 = 1 << 20;

/// PDF (ISO 32000): `Info` dictionary, XMP `Metadata`, annotations, and pictures' Exif blocks.
pub(super) async fn pdf(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let ranges = if size <= MAX_PDF {
        [(0, size), (size, size)]
    } else {
        [(0, MAX_PDF / 2), (size - MAX_PDF / 2, size)]
    };
    let mut left = MAX_OPENED;
    for (from, to) in ranges {
        let mut at = from;
        while at < to {
            let step = (to - at).min(PDF_PART as u64);
            let length = (to - at).min((PDF_PART + PDF_OVERLAP) as u64);
            let part =
                reader.read_ahead(at, usize::try_from(length).unwrap_or(0), LONG_WINDOW).await?;
            note_pdf(&part, found);
            for mark in [&b"/ObjStm"[..], b"/Type/Metadata", b"/Type /Metadata"] {
                let within = part.get(..usize::try_from(step).unwrap_or(0)).unwrap_or_default();
                let mut ends = find_iter(&part, b"endstream").peekable();
                for place in find_iter(within, mark) {
                    while ends.next_if(|end| *end < place).is_some() {}
                    let whole = ends.peek().and_then(|end| part.get(place..*end));
                    let read;
                    let bytes = if let Some(whole) = whole {
                        whole
                    } else {
                        let start = at + place as u64;
                        let most = MAX_PACKED.min(u32::try_from(left).unwrap_or(MAX_PACKED));
                        let length = usize::try_from((size - start).min(most.into())).unwrap_or(0);
                        let Ok(whole) = reader.read_ahead(start, length, LONG_WINDOW).await else {
                            found.names = true;
                            return outcome(size, found);
                        };
                        read = whole;
                        &read
                    };
                    let opened = open_stream(bytes, MAX_MEMBER.min(left), found);
                    left = left.saturating_sub(bytes.len().max(MIN_STREAM) + opened);
                    if left == 0 {
                        found.names = true;
                        return outcome(size, found);
                    }
                }
            }
            at += step;
        }
    }
    outcome(size, found)
}

/// A stream by the end of its dictionary on: objects, or XMP. Gives how many bytes were packed in it;
/// what cannot be opened is taken to name somebody.
fn open_stream(bytes: &[u8], most: usize, found: &mut Findings) -> usize {
    let head = bytes.get(..2048).unwrap_or(bytes);
    let Some(start) = find(head, b"stream") else { return 0 };
    let mut packed = bytes.get(start + 6..).unwrap_or_default();
    packed = packed.strip_prefix(b"\r").unwrap_or(packed);
    packed = packed.strip_prefix(b"\n").unwrap_or(packed);
    // XMP stands in clear.
    if packed.starts_with(b"<") {
        return 0;
    }
    let plain = decompress_to_vec_zlib_with_limit(packed, most).unwrap_or_else(|error| {
        found.names |= error.output.is_empty() || error.status != TINFLStatus::Adler32Mismatch;
        error.output
    });
    note_pdf(&plain, found);
    plain.len()
}

/// Kinds of annotations that have an author (`T`), which fields of forms use for their own names.
const NOTES: [&[u8]; 14] = [
    b"Text",
    b"FreeText",
    b"Highlight",
    b"Underline",
    b"Squiggly",
    b"StrikeOut",
    b"Ink",
    b"Line",
    b"Square",
    b"Circle",
    b"Stamp",
    b"Caret",
    b"Polygon",
    b"FileAttachment",
];

fn note_pdf(part: &[u8], found: &mut Findings) {
    for key in [&b"/Author"[..], b"/Company", b"/Manager", b"/SourceModified"] {
        found.names |= find_iter(part, key).any(|at| {
            let value = part.get(at + key.len()..).unwrap_or_default().trim_ascii_start();
            !value.starts_with(b"()") && !value.starts_with(b"<>")
        });
    }
    // How far objects were looked through.
    let mut done = 0;
    for at in find_iter(part, b"/Subtype") {
        if at < done {
            continue;
        }
        let kind = part.get(at + 8..at + 40).unwrap_or_default().trim_ascii_start();
        let kind = kind.strip_prefix(b"/").unwrap_or_default();
        if NOTES.iter().any(|note| {
            let end = kind.get(note.len());
            kind.starts_with(note) && end.is_none_or(|byte| !byte.is_ascii_alphanumeric())
        }) {
            let from = at.saturating_sub(4096).max(done);
            let start = from + last(part.get(from..at).unwrap_or_default(), b"obj").unwrap_or(0);
            let end = part.len().min(start + (16 << 10));
            let rest = part.get(start..end).unwrap_or_default();
            let object =
                rest.get(..find(rest, b"endobj").unwrap_or(rest.len())).unwrap_or_default();
            done = start + object.len();
            found.names |=
                [&b"/T("[..], b"/T (", b"/T<", b"/T <"].iter().any(|t| contains(object, t));
        }
    }
    found.other |= contains(part, b"/Info") || contains(part, b"/Metadata");
    found.camera |= contains(part, b"/Producer") || contains(part, b"/Creator");
    found.time |= contains(part, b"/CreationDate") || contains(part, b"/ModDate");
    // An archive behind it, which PDF readers do not show.
    found.hidden |= contains(part, b"PK\x05\x06");
    found.note_paths(part);
    if let Some(at) = find(part, b"<x:xmpmeta") {
        exif::note_xmp(part.get(at..).unwrap_or_default(), found);
    }
    note_exif(part, found);
}

/// A camera's block somewhere in other data.
fn note_exif(part: &[u8], found: &mut Findings) {
    for at in find_iter(part, b"Exif\0\0").take(16) {
        let block = part.get(at..).unwrap_or_default();
        exif::note(block.get(..PICTURE_PART).unwrap_or(block), found);
    }
}

/// Names of members that no text of people or programs is looked for in: they may be very large.
const PLAIN: [&str; 5] =
    ["xl/worksheets/sheet", "xl/sharedStrings", "xl/styles", "word/styles", "word/fontTable"];

/// Word, Excel and PowerPoint since 2007 (ECMA-376), OpenDocument (ISO/IEC 26300), EPUB; archives
/// of other things say nothing here.
pub(super) async fn office(
    reader: &Reader,
    kind: &mut Kind,
    found: &mut Findings,
) -> Result<Plan, Refusal> {
    let size = reader.size();
    let Some((at, length, count)) = central_directory(reader).await? else {
        return Err(Refusal::Malformed);
    };
    if length > MAX_INDEX || count > MAX_ENTRIES {
        return Err(Refusal::TooComplex);
    }
    let index = reader.read(at, usize::try_from(length).unwrap_or(0)).await?;
    let members = members(&index);
    let is_document = members.iter().any(|(name, _)| {
        matches!(name.as_str(), "[Content_Types].xml" | "mimetype" | "meta.xml")
            || name.starts_with("Metadata/")
    });
    if !is_document {
        return outcome(size, found);
    }
    *kind = Kind::Office;
    let mut left = MAX_OPENED;
    for (name, head) in members {
        let lower = name.to_ascii_lowercase();
        let is = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
        if lower.contains("thumbnail") || lower.starts_with("preview") || lower.contains("/preview")
        {
            found.preview = true;
        } else if is(&[".xml", ".rels", ".opf", ".plist"])
            && !PLAIN.iter().any(|p| name.starts_with(p))
        {
            let is_about = lower.starts_with("docprops/") || lower.contains("meta.xml");
            match open(reader, head, MAX_MEMBER.min(left)).await {
                Some((text, is_whole)) => {
                    left -= text.len();
                    note_xml(&text, found);
                    found.other |= lower == "docprops/custom.xml" && contains(&text, b"<property");
                    found.names |= is_about && !is_whole;
                    found.other |= !is_whole;
                }
                // What cannot be read is taken to hold something.
                None => {
                    found.names |= is_about;
                    found.other = true;
                }
            }
        } else if is(&[".jpg", ".jpeg", ".tif", ".tiff", ".heic", ".png", ".webp", ".mp4", ".mov"])
            && let Some((start, _)) = open(reader, head, PICTURE_PART.min(left)).await
        {
            left -= start.len();
            note_exif(&start, found);
            if contains(&start, b"<x:xmpmeta") {
                exif::note_xmp(&start, found);
            }
        }
    }
    outcome(size, found)
}

/// OLE files: property sets cannot be told without following sector chains.
pub(super) async fn old_office(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    reader.read(0, 8).await?;
    found.names = true;
    outcome(reader.size(), found)
}

/// RTF, PostScript, and pictures that are not cleaned: what their beginnings and ends say.
pub(super) async fn any(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let part = size.min(PART);
    for from in [0, size - part] {
        let text = reader.read(from, usize::try_from(part).unwrap_or(0)).await?;
        for mark in [
            &b"\\author "[..],
            b"\\operator ",
            b"\\company ",
            b"\\manager ",
            b"%%For:",
            b"%%Author:",
            // An archive that cannot be opened, of a document.
            b"[Content_Types].xml",
            b"mimetypeapplication/",
        ] {
            found.names |= contains(&text, mark);
        }
        found.time |= contains(&text, b"\\creatim") || contains(&text, b"%%CreationDate:");
        found.camera |= contains(&text, b"%%Creator:") || contains(&text, b"{\\*\\generator");
        found.note_words(&text);
        note_exif(&text, found);
        found.text |= contains(&text, b"<x:xmpmeta");
    }
    outcome(size, found)
}

fn outcome(size: u64, found: &Findings) -> Result<Plan, Refusal> {
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}

/// Start and length of a ZIP's index and the number of its entries (APPNOTE 4.3.16).
async fn central_directory(reader: &Reader) -> Result<Option<(u64, u64, usize)>, Refusal> {
    let size = reader.size();
    let tail = usize::try_from(size.min(22 + 65_535)).unwrap_or(0);
    let start = size - tail as u64;
    let bytes = reader.read_ahead(start, tail, tail).await?;
    let Some(end) = last(&bytes, b"PK\x05\x06") else { return Ok(None) };
    let record = bytes.get(end..).unwrap_or_default();
    Ok(le32(record, 16).zip(le32(record, 12)).zip(le16(record, 10)).and_then(
        |((at, length), count)| {
            let (at, length) = (u64::from(at), u64::from(length));
            (at + length <= size).then_some((at, length, usize::from(count)))
        },
    ))
}

/// Names and heads of an index's entries.
fn members(index: &[u8]) -> Vec<(String, &[u8])> {
    let mut members = Vec::new();
    let mut here = 0;
    while let Some(head) = index.get(here..here + 46) {
        let lengths = [28, 30, 32].map(|field| usize::from(le16(head, field).unwrap_or(0)));
        let name = index.get(here + 46..here + 46 + lengths[0]).unwrap_or_default();
        members.push((String::from_utf8_lossy(name).into_owned(), head));
        here += 46 + lengths.iter().sum::<usize>();
    }
    members
}

/// The first `most` bytes of a member, and whether that is all of it; `None` where it is too large to open or not readable.
async fn open(reader: &Reader, head: &[u8], most: usize) -> Option<(Vec<u8>, bool)> {
    let method = le16(head, 10)?;
    let packed = le32(head, 20)?;
    let at = u64::from(le32(head, 42)?);
    if packed > MAX_PACKED && most > PICTURE_PART || most == 0 {
        return None;
    }
    let local = reader.read(at, 30).await.ok()?;
    let start = at + 30 + u64::from(le16(&local, 26)?) + u64::from(le16(&local, 28)?);
    let packed = usize::try_from(packed).ok()?;
    let bytes = reader.read(start, packed.min(most)).await.ok()?;
    match method {
        0 => Some((bytes, packed <= most)),
        8 => match decompress_to_vec_with_limit(&bytes, most) {
            Ok(plain) => Some((plain, true)),
            Err(error) => Some((error.output, false)).filter(|(output, _)| !output.is_empty()),
        },
        _ => None,
    }
}

/// Elements whose text names somebody, and attributes whose value does.
const NAMES: [&str; 9] = [
    "creator",
    "lastModifiedBy",
    "initial-creator",
    "printed-by",
    "Company",
    "Manager",
    "author",
    "full-name",
    "sender-initials",
];
const NAMED: [&str; 10] = [
    "w:author=\"",
    "author=\"",
    "w15:author=\"",
    "displayName=\"",
    "userName=\"",
    "userId=\"",
    "<p:cmAuthor ",
    "w:initials=\"",
    "office:author=\"",
    "p188:author ",
];

fn note_xml(text: &[u8], found: &mut Findings) {
    let text = String::from_utf8_lossy(text);
    found.names |= NAMES.iter().any(|name| has_value(&text, name));
    found.names |= NAMED.iter().any(|name| {
        text.match_indices(name).any(|(at, _)| {
            let value = text.get(at + name.len()..).unwrap_or_default();
            !value.starts_with('"')
        })
    });
    found.time |=
        ["created", "modified", "creation-date", "date"].iter().any(|name| has_value(&text, name));
    found.camera |= ["Application", "generator"].iter().any(|name| has_value(&text, name));
    found.path |= text.contains("absPath ");
    found.other |= text.contains("PrinterName");
    found.note_paths(text.as_bytes());
}

/// Whether an XML element of that name, whatever its prefix, holds text.
fn has_value(text: &str, name: &str) -> bool {
    // The next bracket, looked for once for all names before it, and whether text follows it.
    let (mut bracket, mut is_followed) = (0, false);
    text.match_indices(name).any(|(at, _)| {
        let end = at + name.len();
        let rest = text.get(end..).unwrap_or_default();
        if bracket < end {
            let length = rest.find(['<', '>']).unwrap_or(rest.len());
            bracket = end + length;
            is_followed = rest
                .get(length..)
                .and_then(|rest| rest.strip_prefix('>'))
                .and_then(|value| value.trim_start().chars().next())
                .is_some_and(|first| first != '<');
        }
        is_followed
            && rest.starts_with(|c: char| c == '>' || c.is_ascii_whitespace())
            && text.get(..at).is_some_and(|before| before.ends_with([':', '<']))
            && !text.get(..bracket).unwrap_or_default().ends_with('/')
    })
}
