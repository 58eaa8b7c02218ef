//! Exif blocks (CIPA DC-008) and XMP packets: what they tell, and the one line that must stay.

use super::Findings;
use exif::{Context, In, Tag};

const MARK: &[u8] = b"Exif\0\0";

/// What a block is worth: notes it in `found`, gives its orientation (1 to 8).
pub(super) fn note(block: &[u8], found: &mut Findings) -> u8 {
    // Some writers put the JPEG marker into other containers too.
    let block = block.strip_prefix(MARK).unwrap_or(block);
    if let Some(turned) = (1..=8).find(|turned| block == only_orientation(*turned)) {
        return turned;
    }
    found.other = true;
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    let read = match reader.read_raw(block.to_vec()) {
        Ok(read) => Some(read),
        Err(error) => error.distill_partial_result(|_| ()).ok(),
    };
    let Some(read) = read else { return 1 };
    for field in read.fields() {
        if field.ifd_num != In::PRIMARY {
            found.preview = true;
            continue;
        }
        match field.tag {
            Tag::Make | Tag::Model | Tag::LensMake | Tag::LensModel | Tag::Software => {
                found.camera = true;
            }
            Tag::BodySerialNumber | Tag::LensSerialNumber | Tag::ImageUniqueID | Tag::MakerNote => {
                found.serial = true;
            }
            Tag::DateTime | Tag::DateTimeOriginal | Tag::DateTimeDigitized => found.time = true,
            Tag::Artist | Tag::Copyright | Tag::CameraOwnerName => found.names = true,
            Tag::ImageDescription | Tag::UserComment => found.text = true,
            tag if tag.context() == Context::Gps => found.place = true,
            _ => {}
        }
    }
    read.get_field(Tag::Orientation, In::PRIMARY)
        .and_then(|field| field.value.get_uint(0))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// A block that holds nothing but the orientation.
pub(super) fn only_orientation(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

/// The same in the place of `block`: readers that want a JPEG's marker before it, or do not know
/// one, turn the picture as before.
pub(super) fn only_orientation_like(block: &[u8], orientation: u8) -> Vec<u8> {
    let mut made = only_orientation(orientation);
    if block.starts_with(MARK) {
        made.splice(..0, MARK.iter().copied());
    }
    made
}

/// What an XMP packet tells.
pub(super) fn note_xmp(packet: &[u8], found: &mut Findings) {
    found.text = true;
    found.note_words(packet);
}
