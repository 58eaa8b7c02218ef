//! JPEG XL (ISO/IEC 18181-2): the boxes with the picture stay. Its orientation and colours stand in
//! the picture's own data; a stream without boxes has nothing else.

use super::bmff::top_boxes;
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal, exif};

const MAX_EXIF: u64 = 1 << 20;

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    if reader.read(0, 2).await? == b"\xff\x0a" {
        return Ok(Plan::unchanged(size));
    }
    let mut plan = Plan::new(size);
    let mut has_picture = false;
    let boxes = top_boxes(reader).await?;
    for (index, part) in boxes.iter().enumerate() {
        match &part.name {
            b"JXL " | b"ftyp" if index < 2 => plan.keep(part.start, part.end),
            b"jxll" => plan.keep(part.start, part.end),
            // An index counts bytes of the picture's data, which stays whole.
            b"jxlc" | b"jxlp" | b"jxli" => {
                has_picture |= &part.name != b"jxli";
                plan.keep(part.start, part.end);
            }
            b"Exif" if part.end - part.content <= MAX_EXIF => {
                let length = usize::try_from(part.end - part.content).unwrap_or(0);
                let block = reader.read(part.content, length).await?;
                exif::note(block.get(4..).unwrap_or_default(), found);
            }
            b"xml " => {
                let length = (part.end - part.content).min(1 << 16);
                let text = reader.read(part.content, usize::try_from(length).unwrap_or(0)).await?;
                exif::note_xmp(&text, found);
            }
            // A second picture for screens with more light.
            b"jhgm" => found.preview = true,
            // Packed metadata, what a JPEG before it had, provenance, and all that is not known.
            _ => found.other = true,
        }
    }
    if !has_picture {
        return Err(Refusal::Malformed);
    }
    Ok(plan)
}
