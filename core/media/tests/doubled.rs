//! What stands twice where one is meant, and what stands at or behind the end that a file states:
//! readers differ in what they make of it, so the file is not touched, or plays and shows the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::cloned_ref_to_slice_refs,
    missing_docs,
    reason = "tests may panic"
)]

mod judge;

use judge::{carry_out, check, examine};
use mantle_media::{Kind, Refusal};

const FORM: [u8; 16] = [1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0];
const ARTIST: &[u8] = b"INFOIART\x06\0\0\0canary";

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    let padding = vec![0; content.len() % 2];
    [name.as_slice(), &length, content, &padding].concat()
}

/// A RIFF that states the length of `within`, with `behind` after that.
fn riff(form: &[u8; 4], within: &[Vec<u8>], behind: &[Vec<u8>]) -> Vec<u8> {
    let body = within.concat();
    let length = (body.len() as u32 + 4).to_le_bytes();
    [b"RIFF".as_slice(), &length, form, &body, &behind.concat()].concat()
}

fn sound() -> [Vec<u8>; 3] {
    [chunk(b"fmt ", &FORM), chunk(b"LIST", ARTIST), chunk(b"data", &[5; 64])]
}

/// The file is told to name somebody, and is left as it is.
#[track_caller]
fn is_told_and_left(file: &[u8], what: &str) {
    check(file, what, true);
    let report = examine(file);
    assert!(report.findings.names, "{what}: {:?}", report.findings);
    assert!(carry_out(&report, file).is_none(), "{what} was rewritten");
}

#[test]
fn a_sound_with_one_form_and_one_piece_of_samples_is_cleaned() {
    let file = riff(b"WAVE", &sound(), &[]);
    assert_eq!(check(&file, "plain", true), (true, true));
    // What stands behind it is none of the sound.
    for behind in [vec![5; 8], vec![5; 5], chunk(b"LIST", ARTIST), vec![0; 40]] {
        let file = riff(b"WAVE", &sound(), &[behind.clone()]);
        assert_eq!(check(&file, &format!("{behind:?}"), true), (true, true));
    }
}

#[test]
fn a_sound_that_goes_on_at_the_stated_end_is_left() {
    for more in [chunk(b"data", &[6; 64]), chunk(b"fmt ", &FORM), chunk(b"fact", &[6; 4])] {
        let name = String::from_utf8_lossy(&more[..4]).into_owned();
        for before in [vec![], chunk(b"LIST", ARTIST), chunk(b"junk", b"x")] {
            let file = riff(b"WAVE", &sound(), &[before, more.clone()]);
            is_told_and_left(&file, &format!("{name} at the stated end"));
        }
        // A first one with no samples of its own.
        let [form, list, _] = sound();
        let file = riff(b"WAVE", &[form, list], &[more]);
        let report = examine(&file);
        assert!(carry_out(&report, &file).is_none(), "{name} alone behind the end");
    }
}

#[test]
fn a_sound_with_two_of_what_should_be_one_is_left_and_told() {
    let [form, list, data] = sound();
    let other = chunk(b"data", &[6; 64]);
    let wide = {
        let mut form = FORM;
        form[2] = 2;
        chunk(b"fmt ", &form)
    };
    let waves = chunk(b"LIST", &[b"wavl".as_slice(), &chunk(b"data", &[7; 8])].concat());
    for (what, parts) in [
        ("two of samples", vec![form.clone(), data.clone(), list.clone(), other.clone()]),
        ("two side by side", vec![form.clone(), list.clone(), data.clone(), other]),
        ("two forms", vec![form.clone(), wide.clone(), list.clone(), data.clone()]),
        ("a form behind", vec![form.clone(), list.clone(), data.clone(), wide]),
        ("samples before the form", vec![list.clone(), data.clone(), form.clone()]),
        ("a list of waves", vec![form.clone(), list.clone(), waves, data.clone()]),
        // The tag stands behind what is not understood.
        ("a tag at last", vec![form.clone(), data.clone(), data.clone(), list.clone()]),
        ("no samples", vec![form.clone(), list.clone()]),
    ] {
        is_told_and_left(&riff(b"WAVE", &parts, &[]), what);
    }
    // Players read samples of no stated length to the file's end.
    let mut open = chunk(b"data", &[5; 64]);
    open[4] = 0;
    is_told_and_left(&riff(b"WAVE", &[form.clone(), list.clone(), open], &[]), "no length");
    // Samples that are longer than stated would be taken for chunks.
    let mut short = chunk(b"data", &[5; 64]);
    short[4] = 32;
    is_told_and_left(&riff(b"WAVE", &[form, list, short], &[]), "a length too short");
}

#[test]
fn a_film_tells_what_stands_behind_its_stated_end() {
    let movie = chunk(b"LIST", &[b"movi".as_slice(), &chunk(b"00dc", &[7; 40])].concat());
    let list = chunk(b"LIST", ARTIST);
    for (what, file) in [
        ("within", riff(b"AVI ", &[movie.clone(), list.clone()], &[])),
        ("behind", riff(b"AVI ", &[movie.clone()], &[list.clone()])),
        ("second", riff(b"AVI ", &[movie.clone()], &[riff(b"AVIX", &[list.clone()], &[])])),
        ("two of pictures", riff(b"AVI ", &[movie.clone(), movie.clone(), list.clone()], &[])),
    ] {
        assert_eq!(examine(&file).kind, Kind::Avi);
        is_told_and_left(&file, what);
    }
    // Recorders write the length at last, if they come to that.
    let mut open = riff(b"AVI ", &[list, movie], &[]);
    open[4..8].fill(0);
    is_told_and_left(&open, "no stated length");
}

fn webp(parts: &[Vec<u8>]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let file = std::fs::read(format!("{folder}/lossy.webp")).unwrap();
    let at = memchr::memmem::find(&file, b"VP8 ").unwrap();
    let length = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
    let picture = file[at..at + 8 + length + length % 2].to_vec();
    let mut head = file[12..30].to_vec();
    assert!(head.starts_with(b"VP8X"));
    // Nothing but a block of details.
    head[8] = 0x08;
    riff(b"WEBP", &[[head, picture].concat(), parts.concat()], &[])
}

fn turned(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x04abc\0".to_vec();
    block.extend(b"\x01\x12\0\x03\0\0\0\x01\0");
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    chunk(b"EXIF", &block)
}

#[test]
fn a_picture_is_turned_by_the_first_of_two_blocks() {
    for (first, second) in [(1, 6), (6, 1), (6, 8), (3, 3)] {
        let file = webp(&[turned(first), turned(second)]);
        let what = format!("{first} and {second}");
        assert_eq!(check(&file, &what, true), (true, true), "{what}");
    }
}

#[test]
fn a_picture_that_does_not_announce_its_block_is_not_made_to() {
    // Some readers look for the block only where the header says that there is one.
    let mut file = webp(&[turned(6)]);
    for announced in [0, 0x08] {
        file[20] = file[20] & !0x08 | announced;
        let made = carry_out(&examine(&file), &file).unwrap();
        assert_eq!(made[20] & 0x08, announced);
    }
}

#[test]
fn a_picture_with_something_at_its_stated_end_is_cut_there() {
    let within = webp(&[turned(6)]);
    for behind in [chunk(b"VP8 ", &[7; 40]), chunk(b"EXIF", b"canary"), vec![7; 3]] {
        let file = [within.as_slice(), &behind].concat();
        assert_eq!(check(&file, "behind", true), (true, true));
    }
}

#[test]
fn sound_of_apple_whose_last_piece_reaches_into_a_tag_is_left() {
    let part = |name: &[u8; 4], content: &[u8]| {
        [&(content.len() as u32 + 8).to_be_bytes(), name.as_slice(), content].concat()
    };
    let brand = part(b"ftyp", b"M4A \0\0\0\0M4A ");
    let data = part(b"mdat", &[7; 64]);
    let tag = part(b"udta", &part(b"\xa9ART", &[b"canary".as_slice(), &[7; 40]].concat()));
    let start = brand.len() + 8;
    let file = |samples: u32, runs: &[[u32; 3]], places: &[usize]| {
        let table = |rows: &[Vec<u32>]| {
            let rows: Vec<u8> = rows.iter().flatten().flat_map(|n| n.to_be_bytes()).collect();
            [&[0; 4], rows.as_slice()].concat()
        };
        let sizes = table(&[vec![8, samples]]);
        let runs = table(&[vec![runs.len() as u32], runs.iter().flatten().copied().collect()]);
        let places =
            table(&[vec![places.len() as u32], places.iter().map(|place| *place as u32).collect()]);
        let stbl = [part(b"stsz", &sizes), part(b"stsc", &runs), part(b"stco", &places)].concat();
        let index = part(b"trak", &part(b"mdia", &part(b"minf", &part(b"stbl", &stbl))));
        [brand.clone(), data.clone(), tag.clone(), part(b"moov", &index)].concat()
    };
    let cleaned = |file: &[u8]| {
        let report = examine(file);
        assert_eq!(report.kind, Kind::Sound);
        assert!(report.findings.names, "{:?}", report.findings);
        carry_out(&report, file).is_some()
    };
    assert!(cleaned(&file(8, &[[1, 4, 1]], &[start, start + 32])), "within its box");
    assert!(!cleaned(&file(9, &[[1, 4, 1], [2, 5, 1]], &[start, start + 32])), "a sample more");
    assert!(!cleaned(&file(8, &[[1, 4, 1]], &[start, start + 40])), "a piece that begins later");
    assert!(!cleaned(&file(8, &[[1, 8, 1]], &[start + 8])), "one piece");
    assert!(!cleaned(&file(8, &[[1, 4, 1]], &[start, start + 16])), "pieces that overlap");
}

#[test]
fn what_is_not_understood_is_told_all_the_same() {
    let page = |serial: &[u8; 4], flags: u8, packet: &[u8]| {
        let mut page = [b"OggS\0".as_slice(), &[flags], &[0; 8], serial, &[0; 8]].concat();
        page.extend([1, packet.len() as u8]);
        [page, packet.to_vec()].concat()
    };
    let comments = b"OpusTags\0\0\0\0\x01\0\0\0\x0d\0\0\0ARTIST=canary";
    let stream = |serial: &[u8; 4], tags: &[u8]| {
        [page(serial, 2, b"OpusHead information"), page(serial, 0, tags), page(serial, 4, &[9; 50])]
            .concat()
    };
    let silent = b"OpusTags\0\0\0\0\0\0\0\0";
    // A stream behind another, as recordings of broadcasts have them.
    let chained = [stream(b"aaaa", silent), stream(b"bbbb", comments)].concat();
    is_told_and_left(&chained, "a second stream");
    let broken = [stream(b"aaaa", silent), b"no page ARTIST=canary".to_vec()].concat();
    is_told_and_left(&broken, "no page");
    // A lossless file that breaks off in its comments.
    let cut = b"fLaC\0\0\0\x22".iter().copied().chain([0; 34]).collect::<Vec<_>>();
    let cut =
        [cut.as_slice(), b"\x84\xff\xff\xff\0\0\0\0\x01\0\0\0\x0d\0\0\0ARTIST=canary"].concat();
    is_told_and_left(&cut, "cut comments");
    // An archive without its index, of a document.
    let archive = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\x13\0\0\0[Content_Types].xml<>";
    assert_eq!(examine(archive).plan, Err(Refusal::Malformed));
    is_told_and_left(archive, "a document without an index");
}

/// A grey picture without compression, eight pixels wide, and a program's name behind its pixels.
fn tiff(height: u32, rows: u32, strips: &[u32], compression: u32, kind: u32) -> Vec<u8> {
    let entries = |at: u32| {
        let pixels = at + 4 * 2 * strips.len() as u32;
        let end = pixels + strips.iter().sum::<u32>();
        let many = strips.len() as u32;
        let inline = |table: u32, alone: u32| if many > 1 { table } else { alone };
        [
            [256, 4, 1, 8],
            [257, 4, 1, height],
            [258, 3, 1, 8],
            [259, 3, 1, compression],
            [262, 3, 1, kind],
            [273, 4, many, inline(at, pixels)],
            [277, 3, 1, 1],
            [278, 4, 1, rows],
            [279, 4, many, inline(at + 4 * many, strips[0])],
            [305, 2, 200, end],
        ]
    };
    let at = 8 + 2 + 10 * 12 + 4;
    let mut file = b"II*\0\x08\0\0\0\x0a\0".to_vec();
    for [tag, form, count, value] in entries(at) {
        file.extend((tag as u16).to_le_bytes());
        file.extend((form as u16).to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    let mut place = at + 8 * strips.len() as u32;
    for length in strips {
        file.extend(place.to_le_bytes());
        place += length;
    }
    strips.iter().for_each(|length| file.extend(length.to_le_bytes()));
    file.extend((0..strips.iter().sum::<u32>()).map(|index| index as u8 | 1));
    file.extend(b"canary".repeat(34).iter().take(200));
    file
}

#[test]
fn a_picture_whose_pixels_end_before_its_rows_is_left() {
    let is_cleaned = |file: &[u8], what: &str| {
        let report = examine(file);
        assert_eq!(report.kind, Kind::Tiff);
        assert!(report.findings.camera, "{what}: {:?}", report.findings);
        check(file, what, true).0
    };
    assert!(is_cleaned(&tiff(8, 8, &[64], 1, 1), "one strip"));
    assert!(is_cleaned(&tiff(8, 8, &[70], 1, 1), "padded"));
    assert!(is_cleaned(&tiff(8, 5, &[40, 24], 1, 1), "two strips"));
    assert!(is_cleaned(&tiff(8, u32::MAX, &[64], 1, 1), "all rows in one"));
    // Readers go on into what stands behind.
    assert!(!is_cleaned(&tiff(8, 8, &[60], 1, 1), "one strip too short"));
    assert!(!is_cleaned(&tiff(9, 9, &[64], 1, 1), "a row more"));
    assert!(!is_cleaned(&tiff(8, 5, &[24, 40], 1, 1), "the first too short"));
    assert!(!is_cleaned(&tiff(8, 5, &[40, 20], 1, 1), "the last too short"));
    assert!(!is_cleaned(&tiff(u32::MAX, u32::MAX, &[64], 1, 1), "far too short"));
}

#[test]
fn a_picture_whose_colour_profile_reaches_into_its_pixels_is_left() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let file = std::fs::read(format!("{folder}/iptc.tiff")).unwrap();
    assert_eq!(check(&file, "as it was", true), (true, true));
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let entry = |tag: u16| {
        let directory = number(4) as usize;
        (0..60)
            .map(|index| directory + 2 + 12 * index)
            .find(|at| file[*at..*at + 2] == tag.to_le_bytes())
            .unwrap()
    };
    // Both are put behind the file, one after the other.
    let mut moved = file.clone();
    let mut put_behind = |tag: u16, length: usize| {
        let at = entry(tag) + 8;
        let from = number(at) as usize;
        let place = (moved.len() as u32).to_le_bytes();
        moved.extend_from_slice(&file[from..from + length]);
        moved[from..from + length].fill(0);
        moved[at..at + 4].copy_from_slice(&place);
    };
    let profile = entry(34_675);
    let length = number(profile + 4);
    put_behind(34_675, length as usize);
    put_behind(273, number(entry(279) + 8) as usize);
    assert!(check(&moved, "one after the other", true).0);
    moved[profile + 4..profile + 8].copy_from_slice(&(length + 32).to_le_bytes());
    assert!(!check(&moved, "reaches into them", true).0);
}
