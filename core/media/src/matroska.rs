//! Matroska and WebM (RFC 9559): what they tell. Told, not removed: an index names places by offsets.

use super::plan::Plan;
use super::reader::Reader;
use super::tells::Tell;
use super::{Findings, Refusal};

/// Heads that are looked at; a long film has some thousands of clusters.
const MAX_ELEMENTS: u32 = 12_000;
const MAX_TEXT: u64 = 1 << 18;

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
/// Elements of elements that are looked into.
const CONTAINERS: [u32; 8] = [
    SEGMENT,
    0x1549_a966, // Info
    0x1254_c367, // Tags
    0x7373,      // Tag
    0x1941_a469, // Attachments
    0x61a7,      // AttachedFile
    0x1654_ae6b, // Tracks
    0xae,        // TrackEntry
];
const TAGS: &[(u32, Tell)] = &[
    (0x7ba9, Tell::Text),      // Title
    (0x4461, Tell::Time),      // DateUTC
    (0x4d80, Tell::Camera),    // MuxingApp
    (0x5741, Tell::Camera),    // WritingApp
    (0x7384, Tell::Other),     // SegmentFilename
    (0x73a4, Tell::Serial),    // SegmentUUID
    (0x536e, Tell::Text),      // Name of a track
    (0x466e, Tell::Other),     // FileName of an attachment
    (0x67c8, Tell::Other),     // SimpleTag
    (0x1043_a770, Tell::Text), // Chapters
];

pub(super) async fn tell(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut left = vec![(0, size)];
    let mut elements = 0;
    while let Some((mut at, end)) = left.pop() {
        while at < end {
            elements += 1;
            if elements > MAX_ELEMENTS {
                // Tags may stand behind all that.
                found.other = true;
                return outcome(size, found);
            }
            let length = usize::try_from(end - at).unwrap_or(12).min(12);
            let head = reader.read(at, length).await?;
            let Some((id, content, length)) = element(&head) else {
                found.hidden = true;
                break;
            };
            let content = at + content as u64;
            let Some(length) = length else {
                // Of no stated length, as browsers record: all there is belongs to it.
                if id == SEGMENT || id == CLUSTER {
                    at = content;
                    continue;
                }
                found.hidden = true;
                break;
            };
            let next = content.saturating_add(length).min(end);
            if CONTAINERS.contains(&id) {
                left.push((content, next));
            } else if let Some((_, tell)) = TAGS.iter().find(|(tag, _)| *tag == id) {
                let sample = usize::try_from((next - content).min(MAX_TEXT)).unwrap_or(0);
                let bytes = reader.read(content, sample).await?;
                if bytes.iter().any(|byte| *byte != 0) {
                    found.tell(*tell);
                    found.note_words(&bytes);
                }
            }
            at = next;
        }
    }
    outcome(size, found)
}

fn outcome(size: u64, found: &Findings) -> Result<Plan, Refusal> {
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}

/// Identifier, length of the head, and length of the content where one is stated (RFC 8794).
fn element(head: &[u8]) -> Option<(u32, usize, Option<u64>)> {
    let id_length = head.first()?.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let id = u32::try_from(number(head.get(..id_length)?)).ok()?;
    let rest = head.get(id_length..)?;
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    if size_length > 8 {
        return None;
    }
    let mask = (1_u64 << (7 * size_length)) - 1;
    let size = number(rest.get(..size_length)?) & mask;
    Some((id, id_length + size_length, (size != mask).then_some(size)))
}
