//! Author fields of documents: told, not removed, since a document is its author's to edit.

use super::bytes::{contains, le16, le32};
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// Read from each end of a PDF: the trailer names the information dictionary.
const PDF_PART: u64 = 1 << 20;
const MOST_INDEX: u64 = 8 << 20;
const MOST_ENTRIES: usize = 50_000;
/// Properties are a few KB; what is or becomes larger is not opened.
const MOST_PACKED: u32 = 1 << 18;
const MOST_PROPERTIES: usize = 1 << 20;

/// PDF (ISO 32000): `Info` dictionary and XMP `Metadata`.
pub(super) async fn pdf(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let first = size.min(PDF_PART);
    for (from, to) in [(0, first), (size.saturating_sub(PDF_PART).max(first), size)] {
        let part = reader.read(from, usize::try_from(to - from).unwrap_or(0)).await?;
        found.names |= contains(&part, b"/Author") || contains(&part, b"dc:creator");
        found.other |= contains(&part, b"/Info") || contains(&part, b"/Metadata");
        found.place |= contains(&part, b"GPSL");
        // An archive behind it, which PDF readers do not show.
        found.hidden |= contains(&part, b"PK\x05\x06");
    }
    outcome(size, found)
}

/// Word, Excel and PowerPoint since 2007 (ECMA-376), OpenDocument (ISO/IEC 26300).
pub(super) async fn office(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let Some((at, length, count)) = central_directory(reader).await? else {
        return Err(Refusal::Malformed);
    };
    if length > MOST_INDEX || count > MOST_ENTRIES {
        return Err(Refusal::TooComplex);
    }
    let index = reader.read(at, usize::try_from(length).unwrap_or(0)).await?;
    let mut here = 0;
    while let Some(head) = index.get(here..here + 46) {
        let lengths = [28, 30, 32].map(|field| usize::from(le16(head, field).unwrap_or(0)));
        let name = index.get(here + 46..here + 46 + lengths[0]).unwrap_or_default();
        if matches!(
            name,
            b"docProps/core.xml" | b"docProps/app.xml" | b"docProps/custom.xml" | b"meta.xml"
        ) {
            let text = properties(reader, head).await;
            // What cannot be read is taken to hold something.
            found.names |= text.as_deref().is_none_or(|text| {
                ["creator", "lastModifiedBy", "initial-creator", "Company", "Manager"]
                    .iter()
                    .any(|field| has_value(text, field))
            });
            found.time |= text.is_some_and(|text| has_value(&text, "created"));
        }
        here += 46 + lengths.iter().sum::<usize>();
    }
    outcome(size, found)
}

/// OLE files: property sets cannot be told without following sector chains.
pub(super) async fn old_office(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    reader.read(0, 8).await?;
    found.names = true;
    outcome(reader.size(), found)
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
    let Some(end) = memchr::memmem::rfind(&bytes, b"PK\x05\x06") else { return Ok(None) };
    let record = bytes.get(end..).unwrap_or_default();
    Ok(le32(record, 16).zip(le32(record, 12)).zip(le16(record, 10)).and_then(
        |((at, length), count)| {
            let (at, length) = (u64::from(at), u64::from(length));
            (at + length <= size).then_some((at, length, usize::from(count)))
        },
    ))
}

/// A small text in the archive; `None` where it is not small or not readable.
async fn properties(reader: &Reader, head: &[u8]) -> Option<String> {
    let method = le16(head, 10)?;
    let packed = le32(head, 20)?;
    let at = u64::from(le32(head, 42)?);
    if packed > MOST_PACKED {
        return None;
    }
    let local = reader.read(at, 30).await.ok()?;
    let skip = 30 + u64::from(le16(&local, 26)?) + u64::from(le16(&local, 28)?);
    let bytes = reader.read(at + skip, usize::try_from(packed).ok()?).await.ok()?;
    let plain = match method {
        0 => bytes,
        8 => decompress_to_vec_with_limit(&bytes, MOST_PROPERTIES).ok()?,
        _ => return None,
    };
    String::from_utf8(plain).ok()
}

/// Whether an XML element of that name, whatever its prefix, holds text.
fn has_value(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let rest = text.get(at + name.len()..).unwrap_or_default();
        let value = rest
            .split_once('>')
            .and_then(|(tag, value)| (!tag.ends_with('/') && !tag.contains('<')).then_some(value));
        matches!(before, Some(':' | '<'))
            && value.is_some_and(|value| {
                !value.trim_start().is_empty() && !value.trim_start().starts_with('<')
            })
    })
}
