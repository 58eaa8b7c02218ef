//! MP3, FLAC and Ogg: tags go, the sound itself stays to the bit.

use super::bytes::{be32, contains, le32};
use super::plan::{Overlay, Plan};
use super::reader::{LONG_WINDOW, Reader};
use super::tells::Tell;
use super::{Findings, Refusal};

/// Of one piece of tags.
const MAX_TEXT: u64 = 1 << 18;
const MAX_TAGS: u32 = 64;

/// Length of the MPEG audio frame that `bytes` starts with (ISO/IEC 11172-3, 13818-3).
pub(super) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let head = be32(bytes, 0)?;
    if head >> 21 != 0x7ff {
        return None;
    }
    let version = (head >> 19) & 3;
    let layer = (head >> 17) & 3;
    let rate_index = usize::try_from((head >> 12) & 15).ok()?;
    let sampling = usize::try_from((head >> 10) & 3).ok()?;
    let padding = usize::try_from((head >> 9) & 1).ok()?;
    // Reserved values, and a free rate, whose frames have no stated length.
    if version == 1 || layer == 0 || matches!(rate_index, 0 | 15) || sampling == 3 {
        return None;
    }
    let is_first = version == 3;
    const RATES: [[usize; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let row = match (is_first, layer) {
        (true, 3) => 0,
        (true, 2) => 1,
        (true, _) => 2,
        (false, 3) => 3,
        (false, _) => 4,
    };
    let rate = RATES.get(row)?.get(rate_index - 1)? * 1000;
    let hertz = [44_100, 48_000, 32_000].get(sampling)?
        >> (match version {
            3 => 0,
            2 => 1,
            _ => 2,
        });
    Some(match layer {
        3 => (12 * rate / hertz + padding) * 4,
        1 if !is_first => 72 * rate / hertz + padding,
        _ => 144 * rate / hertz + padding,
    })
}

/// MP3: tags before and behind the frames go.
pub(super) async fn mp3(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut from = 0;
    let mut tags = 0;
    while let Some(length) = id3_length(reader, from).await {
        tags += 1;
        if tags > MAX_TAGS {
            return Err(Refusal::TooComplex);
        }
        note_text(reader, from, length, found).await?;
        found.text = true;
        from = from.saturating_add(length);
    }
    // Padding that tags do not count.
    while from < size {
        let (zeros, seen) = reader
            .look(from, 1 << 16, |bytes| {
                (bytes.iter().take_while(|byte| **byte == 0).count(), bytes.len())
            })
            .await?;
        from += zeros as u64;
        if zeros < seen {
            break;
        }
    }
    let start = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX).min(4);
    let first = reader.read(from, start).await?;
    if first.starts_with(b"fLaC") {
        return flac(reader, from, found).await;
    }
    if frame_length(&first).is_none() && !is_adts(&first) {
        // Another format under such tags, or nothing that plays.
        found.other = true;
        return Err(Refusal::Unsupported);
    }
    let mut to = size;
    while let Some(before) = tag_before(reader, from, to).await? {
        tags += 1;
        if tags > MAX_TAGS {
            return Err(Refusal::TooComplex);
        }
        note_text(reader, before, to - before, found).await?;
        found.text = true;
        to = before;
    }
    let mut plan = Plan::new(size);
    plan.keep(from, to);
    Ok(plan)
}

fn is_adts(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, second, ..] if second & 0xf6 == 0xf0)
}

async fn note_text(
    reader: &Reader,
    from: u64,
    length: u64,
    found: &mut Findings,
) -> Result<(), Refusal> {
    let length = length.min(MAX_TEXT).min(reader.size().saturating_sub(from));
    let text = reader.read(from, usize::try_from(length).unwrap_or(0)).await?;
    found.note_words(&text);
    note_frames(&text, found);
    // ID3v1: the artist stands at its place.
    found.names |= text.starts_with(b"TAG")
        && text.get(33..63).is_some_and(|artist| artist.iter().any(|b| !matches!(b, 0 | b' ')));
    Ok(())
}

/// What the frames of an ID3 tag are named.
pub(super) fn note_frames(text: &[u8], found: &mut Findings) {
    for (frame, tell) in FRAMES {
        if contains(text, *frame) {
            found.tell(*tell);
        }
    }
}

const FRAMES: &[(&[u8; 4], Tell)] = &[
    (b"TPE1", Tell::Names),
    (b"TCOM", Tell::Names),
    (b"TOPE", Tell::Names),
    (b"TOWN", Tell::Names),
    (b"TCOP", Tell::Names),
    (b"TP1\0", Tell::Names),
    (b"TDRC", Tell::Time),
    (b"TDRL", Tell::Time),
    (b"TYER", Tell::Time),
    (b"TDAT", Tell::Time),
    (b"TDEN", Tell::Time),
    (b"TSSE", Tell::Camera),
    (b"TENC", Tell::Camera),
    (b"APIC", Tell::Preview),
    (b"UFID", Tell::Serial),
    (b"PRIV", Tell::Serial),
];

/// Of an ID3 tag at `at` (ID3v2.4, 3.1): seven bits of each of four bytes, and head and foot.
async fn id3_length(reader: &Reader, at: u64) -> Option<u64> {
    let head = reader.read(at, 10).await.ok()?;
    let size = head.get(6..10)?;
    let is_tag = head.starts_with(b"ID3") && size.iter().all(|byte| *byte < 0x80);
    let length = size.iter().fold(0_u64, |sum, byte| (sum << 7) | u64::from(*byte));
    let foot = if head.get(5)? & 0x10 == 0 { 0 } else { 10 };
    (is_tag && at + 10 + length + foot <= reader.size()).then_some(10 + length + foot)
}

/// Start of a tag that ends at `to`: ID3v1, APEv2 with or without a head, Lyrics3, ID3v2 with a foot.
async fn tag_before(reader: &Reader, from: u64, to: u64) -> Result<Option<u64>, Refusal> {
    let length = (to - from).min(128);
    let tail = reader.read(to - length, usize::try_from(length).unwrap_or(0)).await?;
    let back = |length: u64| to.checked_sub(length).filter(|start| *start >= from);
    if tail.len() == 128 && tail.starts_with(b"TAG") {
        return Ok(back(128));
    }
    // The length that a tag's end states, and what its beginning says: else it would take sound along.
    let foot = |length: usize| tail.len().checked_sub(length).and_then(|at| tail.get(at..));
    let (length, mark): (u64, &[u8]) = if let Some(foot) = foot(32)
        && foot.starts_with(b"APETAGEX")
    {
        let length = u64::from(le32(foot, 12).unwrap_or(0));
        if le32(foot, 20).unwrap_or(0) >> 31 == 1 {
            (length + 32, b"APETAGEX")
        } else {
            (length, b"")
        }
    } else if let Some(foot) = foot(10)
        && foot.starts_with(b"3DI")
    {
        let length = foot.get(6..10).unwrap_or_default();
        let length = length.iter().fold(0_u64, |sum, byte| (sum << 7) | u64::from(*byte & 0x7f));
        (length + 20, b"ID3")
    } else if let Some(foot) = foot(15)
        && foot.ends_with(b"LYRICS200")
    {
        let length =
            foot.get(..6).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        (15 + length.unwrap_or(0_u64), b"LYRICSBEGIN")
    } else {
        return Ok(None);
    };
    let start = back(length).ok_or(Refusal::Malformed)?;
    let head = reader.read(start, mark.len()).await?;
    if length == 0 || head != mark {
        return Err(Refusal::Malformed);
    }
    // Not every player knows these two: one that does not plays on in them, perhaps the end of the last
    // frame before, or what looks like one.
    if (mark == b"ID3" || mark == b"LYRICSBEGIN") && may_play(reader, start, length).await? {
        return Err(Refusal::Malformed);
    }
    Ok(Some(start))
}

/// Whether something looks like the begin of a frame there.
async fn may_play(reader: &Reader, from: u64, length: u64) -> Result<bool, Refusal> {
    if length > MAX_TEXT {
        return Err(Refusal::TooComplex);
    }
    let bytes = reader.read(from, usize::try_from(length).unwrap_or(0)).await?;
    Ok(bytes.windows(4).any(|head| frame_length(head).is_some() || is_adts(head)))
}

/// FLAC (RFC 9639) from `start` on: stream information and seek table stay.
pub(super) async fn flac(
    reader: &Reader,
    start: u64,
    found: &mut Findings,
) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut kept: Vec<(u64, u64)> = Vec::new();
    let mut at = start + 4;
    let mut blocks = 0;
    loop {
        blocks += 1;
        if blocks > MAX_TAGS * 64 {
            return Err(Refusal::TooComplex);
        }
        let head = reader.read(at, 4).await?;
        let head = be32(&head, 0).unwrap_or(0);
        let end = at + 4 + u64::from(head & 0xff_ffff);
        if end > size {
            return Err(Refusal::Truncated);
        }
        match (head >> 24) & 0x7f {
            0 | 3 => kept.push((at, end)),
            // Padding.
            1 => found.hidden |= !reader.is_zero(at + 4, end).await?,
            kind => {
                if kind == 4 && is_silent_comment(reader, at + 4, end).await? {
                    kept.push((at, end));
                } else {
                    note_text(reader, at + 4, end - at - 4, found).await?;
                    found.text |= kind == 4;
                    found.preview |= kind == 6;
                    found.other = true;
                }
            }
        }
        at = end;
        if head >> 31 == 1 {
            break;
        }
    }
    let mut plan = Plan::new(size);
    plan.put(b"fLaC".to_vec());
    let last = kept.len().saturating_sub(1);
    for (index, (from, to)) in kept.iter().enumerate() {
        let kind = reader.read(*from, 1).await?.first().copied().unwrap_or(0) & 0x7f;
        plan.put(vec![if index == last { kind | 0x80 } else { kind }]);
        plan.keep(from + 1, *to);
    }
    if kept.first().is_none_or(|(from, _)| *from != start + 4) {
        return Err(Refusal::Malformed);
    }
    let mut to = size;
    while let Some(before) = tag_before(reader, at, to).await? {
        note_text(reader, before, to - before, found).await?;
        found.text = true;
        to = before;
    }
    plan.keep(at, to);
    Ok(plan)
}

/// Comments without any, under no name of a program.
async fn is_silent_comment(reader: &Reader, from: u64, to: u64) -> Result<bool, Refusal> {
    Ok(to - from == 8 && reader.is_zero(from, to).await?)
}

/// Ogg (RFC 3533) with Opus or Vorbis: comments become zeros in their place, which readers of both
/// take for padding, and their pages get new sums. Streams of other kinds, and several in one file,
/// are told.
pub(super) async fn ogg(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let first = page(reader, 0, WINDOW).await?;
    let start = reader.read(first.content, 8.min(first.length())).await?;
    let empty: &[u8; 16] = match start.get(..7) {
        Some(b"OpusHea") => b"OpusTags\0\0\0\0\0\0\0\0",
        // A bit closes the list.
        Some(b"\x01vorbis") => b"\x03vorbis\0\0\0\0\0\0\0\0\x01",
        _ => b"................",
    };
    let mut overlay = Overlay::default();
    let mut at = first.end;
    let mut is_first = true;
    let mut is_done = false;
    while !is_done {
        let page = page(reader, at, WINDOW).await?;
        let old = reader.read_ahead(at, page.length() + page.head(), WINDOW).await?;
        let (head, content) = old.split_at_checked(page.head()).ok_or(Refusal::Truncated)?;
        let part = content.get(..page.first_packet).unwrap_or_default();
        if page.serial != first.serial
            || page.is_continued == is_first
            || is_first && part.get(..7) != empty.get(..7)
            || is_first && part.len() < empty.len()
        {
            // Films, Speex, FLAC in Ogg, several streams.
            found.note_words(content);
            found.other |= !is_first
                || contains(content, b"theora")
                || contains(content, b"\x03vorbis")
                || contains(content, b"OpusTags");
            return told(size, found);
        }
        let mut made = [head, content].concat();
        let body = made.get_mut(page.head()..page.head() + part.len()).unwrap_or_default();
        body.fill(0);
        if let (true, Some(start)) = (is_first, body.get_mut(..empty.len())) {
            start.copy_from_slice(empty);
        }
        if made != old {
            found.text = true;
            note_comments(part, found);
            made.get_mut(22..26).unwrap_or_default().fill(0);
            overlay.put(at + 22, ogg_sum(&made).to_le_bytes().to_vec());
            let skipped = if is_first { empty.len() } else { 0 };
            if is_first {
                overlay.put(page.content, empty.to_vec());
            }
            overlay.zero(page.content + skipped as u64, page.content + part.len() as u64);
        }
        is_done = page.ends_packet;
        is_first = false;
        at = page.end;
    }
    // A further stream has comments of its own; what is no page is not played.
    let mut is_alone = true;
    while at < size {
        let (to, is_own) = match page(reader, at, LONG_WINDOW).await {
            Ok(page) => (page.end, page.serial == first.serial),
            // Cut, and no player minds.
            Err(Refusal::Truncated)
                if reader.read(at, 4).await.is_ok_and(|mark| mark == b"OggS") =>
            {
                break;
            }
            Err(_) => (size, false),
        };
        if !is_own {
            is_alone = false;
            found.hidden = true;
            let length = usize::try_from((to - at).min(MAX_TEXT)).unwrap_or(0);
            let part = reader.read_ahead(at, length, LONG_WINDOW).await?;
            if to == size || contains(&part, b"OpusTags") || contains(&part, b"\x03vorbis") {
                found.note_words(&part);
            }
        }
        at = to;
    }
    if is_alone { overlay.into_plan(size, size) } else { Err(Refusal::NotRemovable) }
}

fn note_comments(comments: &[u8], found: &mut Findings) {
    found.note_words(comments);
    found.preview |= contains(comments, b"PICTURE") || contains(comments, b"COVERART");
}

fn told(size: u64, found: &Findings) -> Result<Plan, Refusal> {
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}

const WINDOW: usize = 1 << 16;

struct Page {
    start: u64,
    content: u64,
    end: u64,
    serial: u32,
    /// Bytes of the packet that it begins with, and whether that ends here.
    first_packet: usize,
    ends_packet: bool,
    /// Begins with the rest of a packet.
    is_continued: bool,
}

impl Page {
    fn length(&self) -> usize {
        usize::try_from(self.end - self.content).unwrap_or(usize::MAX)
    }

    fn head(&self) -> usize {
        usize::try_from(self.content - self.start).unwrap_or(usize::MAX)
    }
}

async fn page(reader: &Reader, at: u64, window: usize) -> Result<Page, Refusal> {
    let head = reader.read_ahead(at, 27, window).await?;
    if !head.starts_with(b"OggS\0") {
        return Err(Refusal::Malformed);
    }
    let count = usize::from(head.get(26).copied().unwrap_or(0));
    let table = reader.read_ahead(at + 27, count, window).await?;
    let content = at + 27 + count as u64;
    let sum = |lengths: &[u8]| lengths.iter().map(|length| usize::from(*length)).sum::<usize>();
    let length = sum(&table) as u64;
    if content + length > reader.size() {
        return Err(Refusal::Truncated);
    }
    let last = table.iter().position(|length| *length < 255);
    Ok(Page {
        start: at,
        content,
        end: content + length,
        serial: le32(&head, 14).unwrap_or(0),
        first_packet: sum(last.and_then(|last| table.get(..=last)).unwrap_or(&table)),
        ends_packet: last.is_some(),
        is_continued: head.get(5).is_some_and(|flags| flags & 1 == 1),
    })
}

/// CRC-32 as Ogg has it: not reflected, from zero.
fn ogg_sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum: u32, _| {
            if sum >> 31 == 1 { (sum << 1) ^ 0x04c1_1db7 } else { sum << 1 }
        })
    })
}

/// Other sound files and films: what their tags name.
pub(super) async fn other(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let part = size.min(MAX_TEXT);
    for from in [0, size - part] {
        let window = LONG_WINDOW.min(usize::try_from(part).unwrap_or(0));
        let text = reader.read_ahead(from, usize::try_from(part).unwrap_or(0), window).await?;
        found.note_words(&text);
        for (mark, is_name) in [
            (&b"NAME"[..], false),
            (b"ANNO", false),
            (b"AUTH", true),
            (b"(c) ", true),
            (b"APETAGEX", false),
            (b"ID3", false),
            // Title and author of a Windows Media file.
            (b"\x33\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c", true),
        ] {
            if contains(&text, mark) {
                found.names |= is_name;
                found.text |= !is_name;
            }
        }
    }
    told(size, found)
}
