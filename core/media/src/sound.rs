//! MP3, FLAC and Ogg: tags go, the sound itself stays to the bit.

use super::bytes::{be32, contains, le32};
use super::plan::Plan;
use super::reader::{LONG_WINDOW, Reader};
use super::{Findings, Refusal};

/// Of one piece of tags.
const MOST_TEXT: u64 = 1 << 18;
const MOST_TAGS: u32 = 64;

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
        if tags > MOST_TAGS {
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
    if frame_length(&first).is_none() && !first.starts_with(b"fLaC") && !is_adts(&first) {
        // Another format under such tags, or nothing that plays.
        found.other = true;
        return Err(Refusal::Unsupported);
    }
    let mut to = size;
    while let Some(before) = tag_before(reader, from, to).await? {
        tags += 1;
        if tags > MOST_TAGS {
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
    let length = length.min(MOST_TEXT).min(reader.size().saturating_sub(from));
    let text = reader.read(from, usize::try_from(length).unwrap_or(0)).await?;
    found.note_words(&text);
    for frame in [&b"TPE1"[..], b"TCOM", b"TOPE", b"TOWN", b"TCOP", b"TP1\0"] {
        found.names |= contains(&text, frame);
    }
    found.time |=
        [&b"TDRC"[..], b"TDRL", b"TYER", b"TDAT", b"TDEN"].iter().any(|f| contains(&text, f));
    found.camera |= contains(&text, b"TSSE") || contains(&text, b"TENC");
    found.preview |= contains(&text, b"APIC");
    found.serial |= contains(&text, b"UFID") || contains(&text, b"PRIV");
    Ok(())
}

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
    if let Some(foot) = tail.len().checked_sub(32).and_then(|at| tail.get(at..))
        && foot.starts_with(b"APETAGEX")
    {
        let length = u64::from(le32(foot, 12).unwrap_or(0));
        let head = if le32(foot, 20).unwrap_or(0) >> 31 == 1 { 32 } else { 0 };
        return back(length + head).map(Some).ok_or(Refusal::Malformed);
    }
    if let Some(foot) = tail.len().checked_sub(10).and_then(|at| tail.get(at..))
        && foot.starts_with(b"3DI")
    {
        let length = foot.get(6..10).unwrap_or_default();
        let length = length.iter().fold(0_u64, |sum, byte| (sum << 7) | u64::from(*byte & 0x7f));
        return back(length + 20).map(Some).ok_or(Refusal::Malformed);
    }
    if let Some(foot) = tail.len().checked_sub(15).and_then(|at| tail.get(at..))
        && foot.ends_with(b"LYRICS200")
    {
        let length =
            foot.get(..6).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        return length.and_then(|length| back(length + 15)).map(Some).ok_or(Refusal::Malformed);
    }
    Ok(None)
}

/// FLAC (RFC 9639): stream information and seek table stay.
pub(super) async fn flac(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let mut kept: Vec<(u64, u64)> = Vec::new();
    let mut at = 4;
    let mut blocks = 0;
    loop {
        blocks += 1;
        if blocks > MOST_TAGS * 64 {
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
    if kept.first().is_none_or(|(from, _)| *from != 4) {
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

/// Ogg (RFC 3533) with Opus or Vorbis: the page with the comments is written anew without any. It
/// can be where the comments have pages of their own; anything else is told.
pub(super) async fn ogg(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    let first = page(reader, 0).await?;
    let start = reader.read(first.content, 8.min(first.length())).await?;
    let is_opus = start.starts_with(b"OpusHead");
    let second = page(reader, first.end).await?;
    let sample = usize::try_from((second.end - second.content).min(MOST_TEXT)).unwrap_or(0);
    let text = reader.read(second.content, sample).await?;
    let mark: &[u8] = if is_opus { b"OpusTags" } else { b"\x03vorbis" };
    let Some(comments) = text.strip_prefix(mark) else {
        // Films, Speex, FLAC in Ogg, several streams.
        found.note_words(&text);
        found.other |= contains(&text, b"theora") || contains(&text, b"\x03vorbis");
        return if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) };
    };
    if !holds_comments(comments) {
        return Ok(Plan::unchanged(size));
    }
    found.text = true;
    found.note_words(&text);
    // One packet in one page, and Opus: Vorbis has its tables in the same pages.
    let is_whole = second.packets == 1 && !second.is_continued && second.serial == first.serial;
    if !is_opus || !is_whole || second.length() as u64 > MOST_TEXT {
        return Err(Refusal::NotRemovable);
    }
    let mut made = reader.read(first.end, 26).await?;
    let body = [mark, &[0; 8]].concat();
    made.extend([1, u8::try_from(body.len()).unwrap_or(0)]);
    made.extend(body);
    if let Some(sum) = made.get_mut(22..26) {
        sum.fill(0);
    }
    let sum = ogg_sum(&made).to_le_bytes();
    if let Some(place) = made.get_mut(22..26) {
        place.copy_from_slice(&sum);
    }
    let mut plan = Plan::new(size);
    plan.keep(0, first.end);
    plan.put(made);
    plan.keep(second.end, size);
    Ok(plan)
}

/// Whether comments, or the name of a program, are there.
fn holds_comments(comments: &[u8]) -> bool {
    let vendor = le32(comments, 0).unwrap_or(0);
    let count = usize::try_from(vendor)
        .ok()
        .and_then(|vendor| vendor.checked_add(4))
        .and_then(|at| le32(comments, at))
        .unwrap_or(0);
    vendor > 0 || count > 0
}

struct Page {
    content: u64,
    end: u64,
    serial: u32,
    /// That end in it.
    packets: usize,
    is_continued: bool,
}

impl Page {
    fn length(&self) -> usize {
        usize::try_from(self.end - self.content).unwrap_or(usize::MAX)
    }
}

async fn page(reader: &Reader, at: u64) -> Result<Page, Refusal> {
    let head = reader.read_ahead(at, 27, 1 << 16).await?;
    if !head.starts_with(b"OggS\0") {
        return Err(Refusal::Malformed);
    }
    let count = usize::from(head.get(26).copied().unwrap_or(0));
    let table = reader.read_ahead(at + 27, count, 1 << 16).await?;
    let content = at + 27 + count as u64;
    let length: u64 = table.iter().map(|length| u64::from(*length)).sum();
    let packets = table.iter().filter(|length| **length < 255).count();
    if content + length > reader.size() {
        return Err(Refusal::Truncated);
    }
    Ok(Page {
        content,
        end: content + length,
        serial: le32(&head, 14).unwrap_or(0),
        packets,
        is_continued: table.last() == Some(&255) || head.get(5).is_some_and(|flags| flags & 1 == 1),
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
    let part = size.min(MOST_TEXT);
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
    if found.any() { Err(Refusal::NotRemovable) } else { Ok(Plan::unchanged(size)) }
}
