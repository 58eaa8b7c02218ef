//! The law of cleaning, over damaged and combined files: what comes out shows the same pictures to
//! decoders that know nothing of Mantle, or the file is not touched. No trap, no endless reading.
//!
//! Seeds and mutations are the same in every run; `MANTLE_MUTATE_SECONDS` makes it go on for longer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Delay, ImageDecoder, ImageFormat, ImageReader};
use mantle_media::{Examination, Kind, Piece, Report};
use std::io::Cursor;
use std::time::{Duration, Instant};

fn examine(file: &[u8]) -> Report {
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

fn carry_out(report: &Report, file: &[u8]) -> Option<Vec<u8>> {
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
    frames: Vec<(u32, u32, Vec<u8>, Option<Delay>)>,
    orientation: u8,
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
    let first = (still.width(), still.height(), still.as_bytes().to_vec(), None);
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
        frames.push((buffer.width(), buffer.height(), buffer.into_raw(), Some(delay)));
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

fn check(file: &[u8], what: &str, is_sound: bool) -> (bool, bool) {
    let report = examine(file);
    let Some(made) = carry_out(&report, file) else { return (false, false) };
    let mut is_judged = false;
    if report.kind == Kind::Heif {
        if let Some(before) = primary(file) {
            is_judged = true;
            assert!(primary(&made) == Some(before), "{what}: another picture");
        }
    } else if let Some(before) = shown(report.kind, file) {
        is_judged = true;
        let after = shown(report.kind, &made);
        let is_same = after.is_some_and(|after| {
            // Later frames may come up that a decoder did not reach behind stray bytes.
            before.frames.len() <= after.frames.len()
                && before.frames.iter().zip(&after.frames).all(|(one, other)| one == other)
                // Readers differ in what they make of a broken block.
                && (!is_sound || before.orientation == after.orientation)
        });
        if !is_same {
            panic!("{what}: another picture, kept in {}", keep(file, &made));
        }
    }
    let again = examine(&made);
    if let Err(refusal) = again.plan {
        panic!("{what}: what was written is refused ({refusal}), kept in {}", keep(file, &made));
    }
    if carry_out(&again, &made).is_some_and(|same| same != made) {
        panic!("{what}: cleaned anew each time, kept in {}", keep(file, &made));
    }
    (true, is_judged)
}

/// Both sides in a folder for whoever mends it.
fn keep(before: &[u8], after: &[u8]) -> String {
    let path = std::env::temp_dir().join("mantle-law");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("before"), before).unwrap();
    std::fs::write(path.join("after"), after).unwrap();
    path.display().to_string()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"));
    let more = std::env::var_os("MANTLE_MUTATE_FOLDER").map(std::path::PathBuf::from);
    let folders = [folder.to_owned(), folder.join("kinds")].into_iter().chain(more);
    let mut seeds: Vec<_> = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.metadata().unwrap().len() < 64 << 10)
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    seeds.sort();
    seeds
}

/// Another file: bytes changed, put in, taken out, moved, or taken from another one.
/// Gives the seed too.
fn mutated<'a>(
    dice: &mut Dice,
    seeds: &'a [(String, Vec<u8>)],
) -> (&'a (String, Vec<u8>), Vec<u8>) {
    let chosen = &seeds[dice.below(seeds.len())];
    let (_, seed) = chosen;
    let mut file = seed.clone();
    for _ in 0..=dice.below(4) {
        let reach = if dice.below(3) == 0 { file.len() } else { file.len().min(1_200) };
        let at = dice.below(reach);
        match dice.below(9) {
            0 => file[at] = dice.below(256) as u8,
            1 => file[at] ^= 1 << dice.below(8),
            2 => file[at] = [0, 1, 0xff, 0x7f, 0x80][dice.below(5)],
            3 => {
                let value =
                    [0_u32, 1, 8, 0xffff_ffff, 0x7fff_ffff, file.len() as u32][dice.below(6)];
                let bytes =
                    if dice.below(2) == 0 { value.to_be_bytes() } else { value.to_le_bytes() };
                for (index, byte) in bytes.into_iter().enumerate() {
                    if let Some(place) = file.get_mut(at + index) {
                        *place = byte;
                    }
                }
            }
            4 => {
                let length = dice.below(40);
                let piece: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
                file.splice(at..at, piece);
            }
            5 => {
                let end = (at + 1 + dice.below(40)).min(file.len());
                file.drain(at..end);
            }
            6 => {
                let end = (at + 1 + dice.below(200)).min(file.len());
                let piece = file[at..end].to_vec();
                let to = dice.below(file.len());
                file.splice(to..to, piece);
            }
            7 => {
                let other = &seeds[dice.below(seeds.len())].1;
                let from = dice.below(other.len());
                let end = (from + dice.below(400)).min(other.len());
                file.splice(at..at, other[from..end].iter().copied());
            }
            _ => file.truncate(at.max(20)),
        }
        if file.is_empty() {
            file.push(0);
        }
    }
    (chosen, file)
}

#[test]
fn every_seed_keeps_its_pictures() {
    let (mut cleaned, mut judged) = (0, 0);
    for (name, file) in seeds() {
        let (is_cleaned, is_judged) = check(&file, &name, true);
        cleaned += usize::from(is_cleaned);
        judged += usize::from(is_judged);
    }
    assert!(cleaned >= 14 && judged >= 12, "{cleaned} cleaned, {judged} judged");
}

#[test]
fn damaged_files_show_the_same_or_are_not_touched() {
    let seeds = seeds();
    let seconds = std::env::var("MANTLE_MUTATE_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("MANTLE_MUTATE_SEED").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut dice = Dice(seed.unwrap_or(4711));
    let (mut runs, mut cleaned, mut judged) = (0_u64, 0_u64, 0_u64);
    while until.map_or(runs < 6_000, |until| Instant::now() < until) {
        let state = dice.0;
        let ((name, seed), file) = mutated(&mut dice, &seeds);
        // Decoders differ in what they make of a broken scan; the corpus asks libjpeg about it.
        let scan = seed.windows(2).position(|pair| pair == b"\xff\xda").unwrap_or(0);
        if seed.starts_with(b"\xff\xd8") && !file.ends_with(&seed[scan..]) {
            examine(&file);
            continue;
        }
        let (is_cleaned, is_judged) = check(&file, &format!("{name}, dice {state}"), false);
        runs += 1;
        cleaned += u64::from(is_cleaned);
        judged += u64::from(is_judged);
    }
    println!("{runs} files, {cleaned} cleaned, {judged} of them decoded before and after");
    assert!(judged > runs / 20, "{judged} of {runs} judged");
}
