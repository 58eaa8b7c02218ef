//! RIFF (AVI, WAV): films tell what they hold; sounds are put together again without it.

use super::bytes::{contains, four, le32};
use super::plan::Plan;
use super::reader::Reader;
use super::sound::note_frames;
use super::tells::Tell;
use super::{Findings, Refusal};

const MAX_CHUNKS: u32 = 100_000;
const MAX_TEXT: u64 = 1 << 18;
const WINDOW: usize = 1 << 16;

/// Needed to show a film; `LIST`s by their own names.
const FILM: &[&[u8; 4]] = &[
    b"avih", b"strh", b"strf", b"idx1", b"indx", b"ix00", b"ix01", b"dmlh", b"vprp", b"fmt ",
    b"data", b"fact", b"movi",
];
const LISTS: &[&[u8; 4]] = &[b"hdrl", b"strl", b"odml", b"INFO", b"exif", b"ncdt", b"hydt"];
/// Needed to play a sound, with the marks and loops of samples.
const SOUND: &[&[u8; 4]] = &[b"fmt ", b"fact", b"data", b"cue ", b"smpl", b"inst", b"plst"];

const TAGS: &[(&[u8; 4], Tell)] = &[
    (b"IART", Tell::Names),
    (b"ICOP", Tell::Names),
    (b"IENG", Tell::Names),
    (b"ITCH", Tell::Names),
    (b"IWRI", Tell::Names),
    (b"ICMS", Tell::Names),
    (b"bext", Tell::Names),
    (b"ICRD", Tell::Time),
    (b"IDIT", Tell::Time),
    (b"ISFT", Tell::Camera),
    (b"ISRF", Tell::Camera),
    (b"strd", Tell::Camera),
    (b"ncdt", Tell::Camera),
    (b"hydt", Tell::Camera),
    (b"emdl", Tell::Camera),
    (b"ecor", Tell::Camera),
    (b"IGPS", Tell::Place),
    (b"ICNT", Tell::Place),
    (b"iXML", Tell::Serial),
    (b"IUMD", Tell::Serial),
    (b"INAM", Tell::Text),
    (b"ICMT", Tell::Text),
    (b"ISBJ", Tell::Text),
    (b"IKEY", Tell::Text),
    (b"strn", Tell::Text),
    (b"_PMX", Tell::Text),
    (b"id3 ", Tell::Text),
    (b"ID3 ", Tell::Text),
];

/// Notes what chunks say that are not needed.
async fn note(
    reader: &Reader,
    name: &[u8; 4],
    content: (u64, u64),
    found: &mut Findings,
) -> Result<(), Refusal> {
    let length = usize::try_from((content.1 - content.0).min(MAX_TEXT)).unwrap_or(0);
    let bytes = reader.read_ahead(content.0, length, WINDOW).await?;
    if bytes.iter().all(|byte| matches!(byte, 0 | 0xff)) {
        return Ok(());
    }
    let is_list = name == b"LIST";
    let mut is_known = false;
    for (tag, tell) in TAGS {
        if *tag == name || is_list && contains(&bytes, *tag) {
            is_known = true;
            found.tell(*tell);
        }
    }
    found.other |= !is_known;
    found.note_words(&bytes);
    if name.eq_ignore_ascii_case(b"id3 ") {
        note_frames(&bytes, found);
    }
    Ok(())
}

/// AVI: told, not removed, since an index counts bytes.
pub(super) async fn film(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut left = vec![(0, size)];
    let mut chunks = 0;
    while let Some((mut at, end)) = left.pop() {
        while at + 8 <= end {
            chunks += 1;
            if chunks > MAX_CHUNKS {
                return Err(Refusal::TooComplex);
            }
            let length = usize::try_from(end - at).unwrap_or(12).min(12);
            let head = reader.read(at, length).await?;
            let (name, mut content, mut next) = chunk(&head, at, end);
            // Recorders write the length at last.
            if &name == b"RIFF" && content.0 == content.1 {
                (content.1, next) = (end, end);
            }
            // A long film is several RIFFs.
            let form = four(&head, 8).unwrap_or_default();
            let is_list = &name == b"LIST" && LISTS.contains(&&form);
            if is_list || &name == b"RIFF" {
                left.push((content.0 + 4, content.1));
                if matches!(&form, b"exif" | b"ncdt" | b"hydt") {
                    found.camera = true;
                }
            } else if !(FILM.contains(&&name) || &name == b"LIST" && &form == b"movi") {
                note(reader, &name, content, found).await?;
            }
            at = next;
        }
    }
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}

/// Name, range of the content, and where the next chunk starts; what is cut ends with the file.
fn chunk(head: &[u8], at: u64, end: u64) -> ([u8; 4], (u64, u64), u64) {
    let name = four(head, 0).unwrap_or_default();
    let length = u64::from(le32(head, 4).unwrap_or(0));
    let content = ((at + 8).min(end), (at + 8 + length).min(end));
    (name, content, content.1 + (length & 1))
}

/// WAV: form and samples stay. Players differ in which of two they take, and in whether they read on
/// behind the stated end: a file with one of these is left as it is.
pub(super) async fn sound(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let head = reader.read(0, 12).await?;
    // Recorders that write to a pipe state no length, or the largest one.
    let stated = u64::from(le32(&head, 4).unwrap_or(0)) + 8;
    let end = if stated <= 12 || stated > size { size } else { stated };
    found.hidden |= end + 1 < size;
    let mut body = Plan::new(size);
    let mut at = 12;
    let mut chunks = 0;
    let mut has = (false, false);
    let mut is_odd = false;
    while at + 8 <= size {
        chunks += 1;
        if chunks > MAX_CHUNKS {
            return Err(Refusal::TooComplex);
        }
        let length = usize::try_from(size - at).unwrap_or(12).min(12);
        let head = reader.read_ahead(at, length, 4096).await?;
        let is_behind = at >= end;
        let (name, content, next) = chunk(&head, at, if is_behind { size } else { end });
        let is_sound = SOUND.contains(&&name);
        let length = u64::from(le32(&head, 4).unwrap_or(0));
        is_odd |= if is_behind {
            is_sound
        } else {
            end < size && at + 8 + length > end
                // What is longer than it says looks like chunks.
                || !name.iter().all(|byte| matches!(byte, b' '..=b'~'))
                || &name == b"fmt " && has.0
                || &name == b"data" && (has != (true, false) || length == 0)
                || four(&head, 8) == Some(*b"wavl")
        };
        has.0 |= &name == b"fmt ";
        has.1 |= &name == b"data";
        if is_sound && !is_behind {
            body.keep(at, next.min(end));
        } else {
            note(reader, &name, content, found).await?;
        }
        at = next;
    }
    if is_odd || has != (true, true) {
        return Err(Refusal::Malformed);
    }
    if stated != end {
        // Of no stated length: readers go by the file's end, as long as it stays as it is.
        return if found.any() { Err(Refusal::Unsupported) } else { Ok(Plan::unchanged(size)) };
    }
    let length = u32::try_from(4 + body.new_size()).map_err(|_| Refusal::Malformed)?;
    let mut plan = Plan::new(size);
    plan.put([b"RIFF".as_slice(), &length.to_le_bytes(), b"WAVE"].concat());
    plan.append(body);
    Ok(plan)
}
