//! Every kind of file that people send: cleaned, or told and left as it is, and never made less.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

use mantle_core::media::{Examination, Kind, Piece, Plan, Refusal, Report};

fn examine(file: &[u8]) -> Report {
    let mut examination = Examination::new(file.len() as u64);
    while let Some(need) = examination.need() {
        let from = usize::try_from(need.offset).unwrap();
        examination.supply(&file[from..from + need.length]);
    }
    examination.report().unwrap().clone()
}

fn carry_out(plan: &Plan, file: &[u8]) -> Vec<u8> {
    let mut made = Vec::new();
    for piece in plan.pieces() {
        match piece {
            Piece::Keep { from, to } => made.extend_from_slice(
                &file[usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap()],
            ),
            Piece::Bytes(bytes) => made.extend_from_slice(bytes),
            Piece::Zeros(length) => made.resize(made.len() + usize::try_from(*length).unwrap(), 0),
        }
    }
    made
}

fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/media/kinds");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

const CANARY: &[u8] = b"canary4711";

fn holds(file: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(file, part).is_some()
}

/// The file after cleaning, which must have changed it.
fn cleaned(name: &str) -> Vec<u8> {
    let file = vector(name);
    let report = examine(&file);
    let plan = report.plan.as_ref().unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert!(report.findings.any(), "{name}: nothing found");
    let made = carry_out(plan, &file);
    assert!(!holds(&made, CANARY), "{name} still says it");
    let again = examine(&made);
    assert_eq!(carry_out(&again.plan.unwrap(), &made), made, "{name} is not stable");
    assert!(!again.findings.any(), "{name}: {:?} found once more", again.findings);
    made
}

#[test]
fn a_raw_photograph_is_never_made_less() {
    let file = vector("subdirectory.nef");
    let report = examine(&file);
    assert_eq!(report.kind, Kind::Raw);
    assert!(report.plan.is_err(), "the picture lies where the first directory does not say");
    assert!(report.findings.camera);
}

#[test]
fn raws_of_other_makers_are_pictures_that_cannot_be_cleaned() {
    for name in ["raw.rw2", "raw.orf"] {
        let report = examine(&vector(name));
        assert_eq!(report.kind, Kind::Raw, "{name}");
        assert_eq!(report.plan, Err(Refusal::NotRemovable), "{name}");
        assert!(report.findings.camera && report.findings.place, "{name}: {:?}", report.findings);
    }
}

#[test]
fn heif_keeps_what_is_on_its_list() {
    let thumbnail = vector("thumbnail.heic");
    let made = cleaned("thumbnail.heic");
    let find = |file: &[u8], part: &[u8]| memchr::memmem::find_iter(file, part).count();
    assert_eq!(find(&thumbnail, b"infe"), 3);
    assert_eq!(find(&thumbnail, b"hvc1"), 2);
    // The picture, and a hint which way it is turned.
    assert_eq!((find(&made, b"infe"), find(&made, b"hvc1")), (2, 1));
    for name in ["time-property.heic", "item-name.heic", "handler-name.heic"] {
        let made = cleaned(name);
        assert!(!holds(&made, b"itai"), "{name}");
    }
}

#[test]
fn a_picture_with_a_small_header_is_known() {
    let report = examine(&vector("mini.avif"));
    assert_eq!(report.kind, Kind::Heif);
    assert_eq!(report.plan, Err(Refusal::Unsupported));
}

#[test]
fn films_tell_what_their_tags_hold() {
    let report = examine(&vector("xmp.mp4"));
    assert!(report.findings.place && report.findings.names, "{:?}", report.findings);
    assert_eq!(report.plan, Err(Refusal::NotRemovable));
    let report = examine(&vector("title.mkv"));
    assert!(report.findings.place && report.findings.text, "{:?}", report.findings);
    assert_eq!(report.kind, Kind::Matroska);
    assert_eq!(report.plan, Err(Refusal::NotRemovable));
}

#[test]
fn documents_tell_people_and_folders() {
    let workbook = examine(&vector("path.xlsx"));
    assert!(workbook.findings.path && workbook.findings.names, "{:?}", workbook.findings);
    for name in ["tracked.odt", "annotation.pdf"] {
        let report = examine(&vector(name));
        assert!(report.findings.names, "{name}: {:?}", report.findings);
        assert_eq!(report.plan, Err(Refusal::NotRemovable), "{name}");
    }
}

#[test]
fn what_every_browser_shows_is_cleaned() {
    let jpeg = cleaned("stray-bytes.jpg");
    assert!(jpeg.windows(2).filter(|pair| pair == b"\xff\xda").count() == 1);
    let png = cleaned("cut-end.png");
    assert!(png.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    let gif = cleaned("stray-zero.gif");
    let frames = |file: &[u8]| memchr::memmem::find_iter(file, b"\x21\xf9\x04").count();
    assert_eq!(frames(&gif), frames(&vector("stray-zero.gif")));
}

#[test]
fn a_colour_profile_keeps_its_curves_and_no_text() {
    let file = vector("display-profile.jpg");
    let made = cleaned("display-profile.jpg");
    for curve in [&b"rTRC"[..], b"para", b"rXYZ", b"chad"] {
        assert_eq!(holds(&file, curve), holds(&made, curve));
    }
}
