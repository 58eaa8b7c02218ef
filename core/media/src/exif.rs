//! Exif blocks (CIPA DC-008) and XMP packets: what they tell, and the one line that must stay.

use super::Findings;
use super::tiff::{self, Order};

const MARK: &[u8] = b"Exif\0\0";
/// The picture's, its preview's, the camera's own and the place's.
const MAX_DIRECTORIES: u32 = 8;

/// What a block is worth: notes it in `found`, gives its orientation (1 to 8).
pub(super) fn note(block: &[u8], found: &mut Findings) -> u8 {
    // Some writers put the JPEG marker into other containers too.
    let block = block.strip_prefix(MARK).unwrap_or(block);
    if let Some(turned) = (1..=8).find(|turned| block == only_orientation(*turned)) {
        return turned;
    }
    found.other = true;
    read(block, found).unwrap_or(1)
}

/// What a directory is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Picture,
    Preview,
    Camera,
    Place,
}

/// Goes through the directories as far as they can be read.
fn read(block: &[u8], found: &mut Findings) -> Option<u8> {
    let order = Order { is_big: block.starts_with(b"MM") };
    if !(order.is_big || block.starts_with(b"II")) || order.short(block, 2)? != 42 {
        return None;
    }
    let mut turned = 1;
    let mut left = vec![(order.long(block, 4)?, Part::Picture)];
    let mut count = 0;
    while let Some((at, part)) = left.pop() {
        count += 1;
        if count > MAX_DIRECTORIES {
            break;
        }
        let start = usize::try_from(at).ok()?.checked_add(2)?;
        let entries = usize::from(order.short(block, start - 2).unwrap_or(0));
        for index in 0..entries {
            let at = start + 12 * index;
            let Some(raw) = block.get(at..at + 12) else { break };
            let tag = order.short(raw, 0)?;
            let value = order.long(raw, 8)?;
            match (part, tag) {
                (Part::Preview, _) => found.preview = true,
                // The version of this part is there without a place.
                (Part::Place, 1..=6 | 19..=28) => found.place = true,
                (Part::Place, 7 | 29) => found.time = true,
                (Part::Place, _) => {}
                (_, 34_665) => left.push((value, Part::Camera)),
                (_, 34_853) => left.push((value, Part::Place)),
                // Browsers heed a single number of two bytes.
                (Part::Picture, 274) if order.short(raw, 2) == Some(3) => {
                    let value = u8::try_from(order.short(raw, 8)?).unwrap_or(1);
                    if order.long(raw, 4) == Some(1) && matches!(value, 1..=8) {
                        turned = value;
                    }
                }
                _ => found.tell(tiff::tell(tag)),
            }
        }
        if part == Part::Picture
            && let Some(next) = order.long(block, start + 12 * entries).filter(|next| *next != 0)
        {
            left.push((next, Part::Preview));
        }
    }
    Some(turned)
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
