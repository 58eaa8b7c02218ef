//! Raw photographs: asked about, never rewritten, and what they tell is looked for.

use super::bytes::{be32, find, four};
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal, exif, tiff};

/// Of an embedded picture that has the camera's Exif block.
const MAX_PREVIEW: u64 = 1 << 17;

pub(super) async fn tell(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    found.camera = true;
    found.other = true;
    let head = reader.head().await;
    if matches!(
        four(&head, 0),
        Some([b'I', b'I', b'U', 0] | [b'I', b'I', b'R', _] | [b'M', b'M', b'O', b'R'])
    ) {
        tiff::note_raw(reader, 4, found).await;
    } else if head.starts_with(b"FUJIFILMCCD-RAW") {
        // A JPEG stands behind the header.
        if let Some((at, length)) = be32(&head, 84).zip(be32(&head, 88)) {
            note_preview(reader, u64::from(at), u64::from(length), found).await;
        }
    } else if let Some(at) = find(&head, b"Exif\0\0") {
        exif::note(head.get(at..).unwrap_or_default(), found);
    } else {
        // Canon's heap, Minolta, Sigma: the camera's number and the date are in all of them.
        found.serial = true;
        found.time = true;
    }
    Err(Refusal::NotRemovable)
}

async fn note_preview(reader: &Reader, at: u64, length: u64, found: &mut Findings) {
    let length = length.min(MAX_PREVIEW).min(reader.size().saturating_sub(at));
    let Ok(start) = reader.read(at, usize::try_from(length).unwrap_or(0)).await else { return };
    found.preview = true;
    if let Some(at) = find(&start, b"Exif\0\0") {
        exif::note(start.get(at..).unwrap_or_default(), found);
    }
}
