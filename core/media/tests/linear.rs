//! Work over foreign bytes is linear: files made to be slow take no longer than their length, and
//! what is opened of one has a bound over all its parts.
//!
//! Each would take hours if a part of it were gone over once for each other part; the runner ends a
//! test after two minutes.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_media::{Kind, Refusal};
use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use support::examine;

fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    [b"%PDF-1.7\n".as_slice(), &objects.concat(), b"\ntrailer<</Root 1 0 R>>\n%%EOF"].concat()
}

fn stream(plain: &[u8]) -> Vec<u8> {
    let packed = compress_to_vec_zlib(plain, 6);
    let head = b"7 0 obj<</Type/ObjStm/Filter/FlateDecode>>stream\n".as_slice();
    [head, &packed, b"\nendstream endobj\n"].concat()
}

/// One archive member: its name, its packed bytes, and what its entry says of their number.
fn archive(members: &[(String, &[u8], u32)], shared: bool) -> Vec<u8> {
    let (mut file, mut index) = (Vec::new(), Vec::new());
    let mut at = 0;
    for (place, (name, packed, stated)) in members.iter().enumerate() {
        if !shared || place < 2 {
            at = file.len() as u32;
            file.extend(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0");
            file.extend([0; 8]);
            file.extend((name.len() as u16).to_le_bytes());
            file.extend([0, 0]);
            file.extend(name.as_bytes());
            file.extend(*packed);
        }
        index.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0");
        index.extend(stated.to_le_bytes());
        index.extend([0; 4]);
        index.extend((name.len() as u16).to_le_bytes());
        index.extend([0; 12]);
        index.extend(at.to_le_bytes());
        index.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&index);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((members.len().min(60_000) as u16).to_le_bytes().repeat(2));
    file.extend((index.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

#[test]
fn all_streams_of_a_pdf_together_are_opened_up_to_a_bound() {
    const MIB: usize = 1 << 20;
    let author = stream(b"<</Author(canary)>>");
    let filler = stream(&b" ".repeat(MIB));
    let with = |count: usize, last: &[u8]| {
        let mut objects = vec![filler.clone(); count];
        objects.push(last.to_vec());
        examine(&pdf(&objects)).0
    };
    // Below the bound all is opened, and only what is there is told.
    for count in [0, 47] {
        assert!(!with(count, b"").findings.any(), "{count}");
        assert!(with(count, &author).findings.names, "{count}");
    }
    // Behind it nothing is opened, and what is not is taken to name somebody.
    for count in [49, 60] {
        let report = with(count, &stream(b"<<>>"));
        assert!(report.findings.names, "{count}: {:?}", report.findings);
        assert_eq!(report.plan, Err(Refusal::NotRemovable));
    }
    // Many small ones are all opened.
    let small = vec![stream(b"<</Length 3>>"); 2_000];
    assert!(!examine(&pdf(&small)).0.findings.any());
    assert!(examine(&pdf(&[small, vec![author]].concat())).0.findings.names);
}

#[test]
fn streams_that_grow_a_thousandfold_take_their_bound_and_no_more() {
    let bomb = stream(&b" ".repeat(8 << 20));
    let file = pdf(&vec![bomb; 1_000]);
    let (report, read) = examine(&file);
    assert_eq!(report.kind, Kind::Pdf);
    assert!(report.findings.names);
    assert!(read < 4 * file.len() + (64 << 20), "{read} read of {}", file.len());
}

#[test]
fn streams_without_an_end_are_not_read_each_to_the_end() {
    let mut file = pdf(&vec![b"<</Type/ObjStm>>stream x\n".to_vec(); 15_000]);
    file.resize(3 << 20, b' ');
    let (report, read) = examine(&file);
    assert!(report.findings.names);
    assert!(read < 10 * file.len(), "{read} read of {}", file.len());
}

#[test]
fn what_is_not_read_for_its_length_is_told() {
    let packed = compress_to_vec_zlib(b"<<>>", 6);
    let object = [b"<</Type/ObjStm>>stream\n".as_slice(), &packed].concat();
    let mut file = pdf(&vec![object; 1_000]);
    file.resize(3 << 20, b' ');
    let report = examine(&file).0;
    assert!(report.findings.names, "{:?}", report.plan);
    assert_eq!(report.plan, Err(Refusal::NotRemovable));
}

#[test]
fn annotations_without_objects_are_gone_over_once() {
    let notes = b"/Subtype/Text ".repeat(150_000);
    for file in [pdf(&[notes.clone()]), pdf(&[stream(&notes)])] {
        assert!(!examine(&file).0.findings.names);
    }
    let authors = b"/Author   ".repeat(150_000);
    examine(&pdf(&[authors]));
    let blank = [b"/Author".as_slice(), &b" ".repeat(1 << 20)].concat();
    examine(&pdf(&[blank]));
}

#[test]
fn the_author_of_an_annotation_is_found_among_many_others() {
    let plain = b"1 0 obj<</Type/Annot/Subtype/Text/Contents(x)>>endobj\n".repeat(3_000);
    let named = b"1 0 obj<</Type/Annot/T(canary)/Subtype/Text>>endobj\n".to_vec();
    assert!(!examine(&pdf(&[plain.clone()])).0.findings.names);
    for objects in [
        [plain.clone(), named.clone()],
        [named.clone(), plain.clone()],
        [plain.clone(), b"<</Subtype/Text/T(canary)>>".to_vec()],
        // A name behind the annotation in the same object, and one before it.
        [plain, b"1 0 obj[<</Subtype/Text>><</Subtype/Ink/T(canary)>>]endobj".to_vec()],
    ] {
        assert!(examine(&pdf(&objects)).0.findings.names);
    }
}

#[test]
fn names_in_a_document_without_ends_of_tags_are_gone_over_once() {
    for word in [&b":creator "[..], b"<creator ", b"author=\"\"", b":creator><", b"<date>  "] {
        let half = word.repeat((1 << 19) / word.len());
        let text = [half.as_slice(), b">", &b" ".repeat(1 << 19)].concat();
        let packed = compress_to_vec(&text, 6);
        let file = archive(
            &[
                ("[Content_Types].xml".into(), &compress_to_vec(b"<x/>", 6), 0),
                ("word/document.xml".into(), &packed, packed.len() as u32),
            ],
            false,
        );
        let (report, _) = examine(&file);
        assert_eq!(report.kind, Kind::Office);
        assert!(!report.findings.names, "{:?}", report.findings);
    }
}

#[test]
fn members_that_share_their_bytes_are_not_each_read() {
    // One byte of text, and as many packed bytes as are ever read.
    let mut packed = compress_to_vec(b"x", 6);
    packed.resize(4 << 20, 0);
    let mut members: Vec<_> = (0..30_000)
        .map(|number| (format!("word/a{number}.xml"), packed.as_slice(), 4 << 20))
        .collect();
    members[0] = ("[Content_Types].xml".into(), &[], 0);
    let file = archive(&members, true);
    let (report, read) = examine(&file);
    assert_eq!(report.kind, Kind::Office);
    assert!(report.findings.other);
    assert!(read < 40 * file.len(), "{read} read of {}", file.len());
}

#[test]
fn a_drawing_of_many_namespaces_is_gone_over_once() {
    use std::fmt::Write;
    let mut text = "<svg xmlns=\"http://www.w3.org/2000/svg\"".to_owned();
    for number in 0..300_000 {
        write!(text, " xmlns:n{number}=\"urn:x\"").unwrap();
    }
    text.push_str("/>");
    assert_eq!(examine(text.as_bytes()).0.plan, Err(Refusal::TooComplex));
}

#[test]
fn a_sound_of_many_areas_and_pieces_is_gone_over_once() {
    let part = |name: &[u8; 4], content: &[u8]| {
        [&(content.len() as u32 + 8).to_be_bytes(), name.as_slice(), content].concat()
    };
    let areas = part(b"mdat", b"12345678").repeat(15_000);
    let places: Vec<u8> = (0..300_000_u32).flat_map(|_| 28_u32.to_be_bytes()).collect();
    let places = [b"\0\0\0\0\0\x04\x93\xe0".as_slice(), &places].concat();
    let mut dated = vec![0; 100];
    dated[4..12].fill(0xd0);
    let index = part(b"stbl", &[part(b"stco", &places), part(b"mvhd", &dated)].concat());
    let file = [part(b"ftyp", b"M4A \0\0\0\0M4A "), areas, index].concat();
    assert!(examine(&file).0.plan.is_ok());
}

#[test]
fn a_picture_whose_tags_share_a_value_is_gone_over_once() {
    let entry = |tag: u16, form: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &form.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    // 60,000 packets of 60 KB, all the same one.
    let mut entries =
        vec![entry(256, 3, 1, 1), entry(257, 3, 1, 1), entry(273, 4, 1, 8), entry(279, 4, 1, 1)];
    let start = 8 + 2 + 12 * 60_004 + 4;
    entries.extend((0..60_000).map(|_| entry(700, 1, 60_000, start)));
    let head = [b"II*\0\x08\0\0\0".as_slice(), &(entries.len() as u16).to_le_bytes()].concat();
    let file = [head, entries.concat(), vec![0; 4], vec![b'x'; 60_000]].concat();
    let (report, read) = examine(&file);
    assert_eq!(report.kind, Kind::Tiff);
    assert!(report.plan.is_err());
    assert!(read < 40 * file.len(), "{read} read of {}", file.len());
}
