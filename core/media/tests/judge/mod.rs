//! Whether cleaning keeps to its law for a file: what comes out shows and plays the same to readers
//! that know nothing of Mantle and holds nothing more to tell, or the file is not touched. Used by
//! the tests beside this folder and by the fuzz targets (`core/fuzz`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    reason = "tests may panic, and each user takes a part"
)]

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Delay, ImageDecoder, ImageFormat, ImageReader};
use mantle_media::{Examination, Kind, Piece, Report};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

pub fn examine(file: &[u8]) -> Report {
    let mut examination = Examination::new(file.len() as u64);
    let mut read = 0;
    while let Some(need) = examination.need() {
        let from = usize::try_from(need.offset).unwrap();
        read += need.length;
        assert!(read <= 200 * (file.len() + 4096), "reads on and on");
        examination.supply(&file[from..from + need.length]);
    }
    examination.report().unwrap().clone()
}

pub fn carry_out(report: &Report, file: &[u8]) -> Option<Vec<u8>> {
    let plan = report.plan.as_ref().ok().filter(|plan| !plan.is_unchanged())?;
    let mut made = Vec::new();
    for piece in plan.pieces() {
        match piece {
            Piece::Keep { from, to } => {
                made.extend_from_slice(&file[*from as usize..*to as usize]);
            }
            Piece::Bytes(bytes) => made.extend_from_slice(bytes),
            Piece::Zeros(length) => made.resize(made.len() + *length as usize, 0),
        }
    }
    assert_eq!(made.len() as u64, plan.new_size());
    Some(made)
}

#[derive(PartialEq)]
struct Shown {
    /// Width, height, what the pixels come to, and for how long: pixels of both sides would not fit.
    frames: Vec<(u32, u32, u64, Option<Delay>)>,
    orientation: u8,
}

fn digest(pixels: &[u8]) -> u64 {
    let mut digest = DefaultHasher::new();
    pixels.hash(&mut digest);
    digest.finish()
}

/// What a decoder of the `image` crate shows; `None` where it shows nothing.
fn shown(kind: Kind, file: &[u8]) -> Option<Shown> {
    let format = match kind {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        Kind::Gif => ImageFormat::Gif,
        Kind::WebP => ImageFormat::WebP,
        Kind::Tiff => ImageFormat::Tiff,
        _ => return None,
    };
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(2_000);
    limits.max_image_height = Some(2_000);
    limits.max_alloc = Some(64 << 20);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().ok()?;
    let orientation = decoder.orientation().map_or(1, image::metadata::Orientation::to_exif);
    let still = image::DynamicImage::from_decoder(decoder).ok()?;
    let first = (still.width(), still.height(), digest(still.as_bytes()), None);
    let animation = match kind {
        Kind::Gif => GifDecoder::new(Cursor::new(file)).ok().map(AnimationDecoder::into_frames),
        Kind::WebP => WebPDecoder::new(Cursor::new(file))
            .ok()
            .filter(WebPDecoder::has_animation)
            .map(AnimationDecoder::into_frames),
        Kind::Png => PngDecoder::new(Cursor::new(file))
            .ok()
            .filter(|decoder| decoder.is_apng().unwrap_or(false))
            .and_then(|decoder| decoder.apng().ok())
            .map(AnimationDecoder::into_frames),
        _ => None,
    };
    let mut frames = vec![first];
    for frame in animation.into_iter().flatten().map_while(Result::ok).take(20) {
        let delay = frame.delay();
        let buffer = frame.into_buffer();
        frames.push((buffer.width(), buffer.height(), digest(buffer.as_raw()), Some(delay)));
    }
    Some(Shown { frames, orientation })
}

/// What a HEIF file's primary item is decoded from: its data and the properties that count. A
/// reader apart from the one under test, which knows plain files only.
fn primary(file: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let be = |bytes: &[u8], at: usize, size: usize| -> Option<usize> {
        Some(bytes.get(at..at + size)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    fn split(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
        let mut list = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
            let whole = bytes.get(at..at + length).filter(|whole| whole.len() >= 8)?;
            list.push((&whole[4..8], &whole[8..]));
            at += length;
        }
        Some(list)
    }
    let top = split(file)?;
    let find = |list: &[(&[u8], &[u8])], name: &[u8]| {
        let mut found = list.iter().filter(|(other, _)| *other == name);
        let one = found.next().map(|(_, content)| content.to_vec())?;
        found.next().is_none().then_some(one)
    };
    let meta = find(&top, b"meta")?;
    let meta = split(meta.get(4..)?)?;
    let pitm = find(&meta, b"pitm")?;
    let id = if pitm[0] == 0 { be(&pitm, 4, 2)? } else { be(&pitm, 4, 4)? };
    let iloc = find(&meta, b"iloc")?;
    let version = iloc[0];
    let [offset, length] = [iloc.get(4)? >> 4, iloc[4] & 15].map(usize::from);
    let [base, index] = [iloc.get(5)? >> 4, iloc[5] & 15].map(usize::from);
    if version > 1 {
        return None;
    }
    let mut data = Vec::new();
    let mut at = 8;
    for _ in 0..be(&iloc, 6, 2)? {
        let this = be(&iloc, at, 2)?;
        at += 2;
        let method = if version == 1 { be(&iloc, at, 2)? } else { 0 };
        at += if version == 1 { 4 } else { 2 };
        let start = be(&iloc, at, base)?;
        at += base;
        let count = be(&iloc, at, 2)?;
        at += 2;
        for _ in 0..count {
            at += if version == 1 { index } else { 0 };
            let from = start.checked_add(be(&iloc, at, offset)?)?;
            let size = be(&iloc, at + offset, length)?;
            at += offset + length;
            if this == id && method == 0 {
                data.extend_from_slice(file.get(from..from.checked_add(size)?)?);
            }
        }
    }
    let iprp = find(&meta, b"iprp")?;
    let iprp = split(&iprp)?;
    let list = find(&iprp, b"ipco")?;
    let list = split(&list)?;
    let ipma = find(&iprp, b"ipma")?;
    if ipma[0] != 0 || ipma.get(3)? & 1 != 0 {
        return None;
    }
    let mut properties = Vec::new();
    let mut at = 8;
    for _ in 0..be(&ipma, 4, 4)? {
        let this = be(&ipma, at, 2)?;
        let count = be(&ipma, at + 2, 1)?;
        at += 3;
        for _ in 0..count {
            let number = be(&ipma, at, 1)? & 127;
            at += 1;
            if let Some((name, content)) = list.get(number.wrapping_sub(1))
                && this == id
                && matches!(
                    *name,
                    b"hvcC" | b"av1C" | b"ispe" | b"irot" | b"imir" | b"clap" | b"pixi"
                )
            {
                properties.push([*name, *content].concat());
            }
        }
    }
    (!data.is_empty() && !properties.is_empty()).then_some((data, properties))
}

/// Whether a decoder that forgives nothing reads it, and no segment but follows the one before.
fn is_strict_jpeg(file: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = file.get(at..at + 4) {
        if matches!(marker, 0 | 0xd0..=0xd9 | 0xff) {
            break;
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        if *marker == 0xda {
            let scan = file.get(at..).unwrap_or_default().windows(2);
            let end =
                { scan }.position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
            at += end.unwrap_or(0);
        }
    }
    let options = zune_core::options::DecoderOptions::default().set_strict_mode(true);
    file.get(at..at + 2) == Some(&[0xff, 0xd9])
        && zune_jpeg::JpegDecoder::new_with_options(Cursor::new(file), options).decode().is_ok()
}

/// Sound: what a player is handed, packet by packet, up to the first that it cannot read.
fn played(file: &[u8]) -> Option<Vec<String>> {
    // The reader takes the byte order marks of a tag's texts for frames.
    let tag = match file {
        [b'I', b'D', b'3', _, _, _, size @ ..] if size.len() > 4 => {
            10 + size[..4].iter().fold(0, |sum, byte| sum << 7 | usize::from(*byte & 0x7f))
        }
        _ => 0,
    };
    let source = MediaSourceStream::new(
        Box::new(Cursor::new(file.get(tag..)?.to_vec())),
        MediaSourceStreamOptions::default(),
    );
    let mut reader = symphonia::default::get_probe()
        .probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default())
        .ok()?;
    let mut sound: Vec<String> = reader
        .tracks()
        .iter()
        .map(|track| format!("{:?} {:?}", track.codec_params, track.time_base))
        .collect();
    while let Ok(Some(packet)) = reader.next_packet() {
        sound.push(format!("{} {:?} {:?}", packet.track_id, packet.pts, packet.data));
    }
    Some(sound)
}

/// The form and the samples of a WAV.
fn samples(file: &[u8]) -> Option<Vec<&[u8]>> {
    let mut made = Vec::new();
    let mut at = 12;
    while let Some(head) = file.get(at..at + 8) {
        let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        let mut end = (at + 8).saturating_add(length).min(file.len());
        if &head[..4] == b"data" && length == 0 {
            // Of no stated length: players read on.
            end = file.len();
        }
        if matches!(&head[..4], b"fmt " | b"data" | b"fact") {
            made.push(&head[..4]);
            made.push(&file[at + 8..end]);
        }
        at = end + (length & 1);
    }
    (!made.is_empty()).then_some(made)
}

fn is_deflated_tiff(file: &[u8]) -> bool {
    file.windows(10).any(|entry| {
        matches!(
            entry,
            [3, 1, 3, 0, 1, 0, 0, 0, 8, 0]
                | [1, 3, 0, 3, 0, 0, 0, 1, 0, 8]
                | [3, 1, 3, 0, 1, 0, 0, 0, 0xb2, 0x80]
                | [1, 3, 0, 3, 0, 0, 0, 1, 0x80, 0xb2]
        )
    })
}

/// A drawing's elements, attributes and text, without what nobody draws.
fn drawn(file: &[u8]) -> Option<String> {
    use std::fmt::Write;
    fn is_drawn(space: Option<&str>) -> bool {
        space.is_none_or(|space| {
            matches!(
                space,
                "http://www.w3.org/2000/svg"
                    | "http://www.w3.org/1999/xlink"
                    | "http://www.w3.org/1999/xhtml"
                    | "http://www.w3.org/1998/Math/MathML"
                    | "http://www.w3.org/XML/1998/namespace"
            )
        })
    }
    fn walk(node: roxmltree::Node<'_, '_>, made: &mut String) {
        if node.is_text() {
            made.push_str(node.text().unwrap_or_default());
        }
        if !node.is_element() {
            return;
        }
        let name = node.tag_name();
        write!(made, "<{name:?}").unwrap();
        if is_drawn(name.namespace()) {
            for attribute in node.attributes() {
                if is_drawn(attribute.namespace()) && !attribute.name().starts_with("data-") {
                    write!(made, " {}={:?}", attribute.name(), attribute.value()).unwrap();
                }
            }
        }
        made.push('>');
        if is_drawn(name.namespace()) && name.name() != "metadata" {
            node.children().for_each(|child| walk(child, made));
        }
        made.push_str("</>");
    }
    let text = std::str::from_utf8(file).ok()?;
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).ok()?;
    let mut made = String::new();
    walk(document.root_element(), &mut made);
    Some(made)
}

/// The boxes of a JPEG XL file that hold its picture.
fn codestream(file: &[u8]) -> Option<Vec<u8>> {
    let mut made = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let short = u32::from_be_bytes(file.get(at..at + 4)?.try_into().ok()?);
        let (head, length) = match short {
            0 => (8, file.len() - at),
            1 => (16, u64::from_be_bytes(file.get(at + 8..at + 16)?.try_into().ok()?) as usize),
            length => (8, length as usize),
        };
        let whole = file.get(at..at.checked_add(length)?).filter(|whole| whole.len() >= head)?;
        if matches!(&whole[4..8], b"jxlc" | b"jxlp" | b"jxll") {
            made.extend_from_slice(&whole[4..8]);
            made.extend_from_slice(&whole[head..]);
        }
        at += length;
    }
    Some(made)
}

/// By its first bytes.
pub fn kind(file: &[u8]) -> Kind {
    Kind::of(&file[..file.len().min(64 << 10)], file.len() as u64)
}

/// Whether the file was cleaned, and whether a reader could judge that.
pub fn check(file: &[u8], what: &str, is_sound: bool) -> (bool, bool) {
    let report = examine(file);
    let Some(made) = carry_out(&report, file) else { return (false, false) };
    assert!(report.findings.any(), "{what}: changed without a reason");
    let fail = |why: &str| -> ! { panic!("{what}: {why}, kept in {}", keep(file, &made)) };
    let mut is_judged = true;
    let is_same = match report.kind {
        Kind::Heif => primary(file).map(|before| primary(&made) == Some(before)),
        Kind::Svg => drawn(file).map(|before| drawn(&made) == Some(before)),
        Kind::JpegXl => codestream(file).map(|before| codestream(&made) == Some(before)),
        Kind::Wav => samples(file).map(|before| samples(&made) == Some(before)),
        Kind::Mp3 | Kind::Flac | Kind::Ogg | Kind::Sound => {
            played(file).map(|before| {
                let after = played(&made).unwrap_or_default();
                // A cut frame before a tag is filled up with the tag's bytes.
                let end = if is_sound { before.len() } else { before.len().saturating_sub(1) };
                after.len() <= before.len() && after.get(..end) == before.get(..end)
            })
        }
        // The decoder reads on behind a broken strip.
        Kind::Tiff if !is_sound && is_deflated_tiff(file) => None,
        // Decoders differ in what they make of a broken scan; the corpus asks libjpeg about it.
        Kind::Jpeg if !is_sound && !is_strict_jpeg(file) => None,
        Kind::Jpeg | Kind::Png | Kind::Gif | Kind::WebP | Kind::Tiff => {
            shown(report.kind, file).map(|before| {
                shown(report.kind, &made).is_some_and(|after| {
                    // Later frames may come up that a decoder did not reach behind stray bytes.
                    before.frames.len() <= after.frames.len()
                        && before.frames.iter().zip(&after.frames).all(|(one, other)| one == other)
                        // Readers differ in what they make of a broken block.
                        && (!is_sound || before.orientation == after.orientation)
                })
            })
        }
        _ => fail("of a kind that is told, never changed"),
    };
    if is_same.is_none() {
        is_judged = false;
    }
    if is_same == Some(false) {
        fail("another picture or sound");
    }
    let again = examine(&made);
    if let Err(refusal) = again.plan {
        fail(&format!("what was written is refused ({refusal})"));
    }
    if carry_out(&again, &made).is_some_and(|same| same != made) {
        fail("cleaned anew each time");
    }
    if again.findings.any() {
        fail(&format!("what was written still tells {:?}", again.findings));
    }
    if let Some(left) = exif_left(&made) {
        fail(&format!("another reader still finds {left}"));
    }
    (true, is_judged)
}

/// What a reader of Exif blocks finds in a cleaned file that no picture needs.
fn exif_left(file: &[u8]) -> Option<String> {
    use exif::Tag;
    let found = exif::Reader::new()
        .continue_on_error(true)
        .read_from_container(&mut Cursor::new(file))
        .or_else(|error| error.distill_partial_result(|_| {}))
        .ok()?;
    let telling = [
        Tag::Make,
        Tag::Model,
        Tag::Software,
        Tag::DateTime,
        Tag::DateTimeOriginal,
        Tag::Artist,
        Tag::Copyright,
        Tag::ImageDescription,
        Tag::GPSLatitude,
        Tag::GPSLongitude,
        Tag::BodySerialNumber,
        Tag::CameraOwnerName,
        Tag::MakerNote,
        Tag::UserComment,
    ];
    found.fields().find(|field| telling.contains(&field.tag)).map(|field| field.tag.to_string())
}

/// Both sides in a folder for whoever mends it.
pub fn keep(before: &[u8], after: &[u8]) -> String {
    let path = std::env::temp_dir().join("mantle-law");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("before"), before).unwrap();
    std::fs::write(path.join("after"), after).unwrap();
    path.display().to_string()
}
