//! The block that cameras write (Exif): what it tells, and which way the picture is turned.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod judge;

use judge::{check, examine};
use mantle_media::Findings;

/// Tag, form, count, and the value or where it stands.
type Entry = (u16, u16, u32, u32);

/// Directories one behind the other; a value of `AT + n` is where the n-th of them stands. The first
/// is followed by `next`.
const AT: u32 = 1 << 30;

fn block(directories: &[&[Entry]], next: u32, is_big: bool) -> Vec<u8> {
    let starts: Vec<u32> = directories
        .iter()
        .scan(8, |at, entries| {
            let start = *at;
            *at += 6 + 12 * entries.len() as u32;
            Some(start)
        })
        .collect();
    let place = |value: u32| if value >= AT { starts[(value - AT) as usize] } else { value };
    let short = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut made = if is_big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    made.extend(long(8));
    for (index, entries) in directories.iter().enumerate() {
        made.extend(short(entries.len() as u16));
        for (tag, form, count, value) in *entries {
            made.extend(short(*tag));
            made.extend(short(*form));
            made.extend(long(*count));
            if *form == 3 {
                made.extend(short(*value as u16));
                made.extend([0, 0]);
            } else {
                made.extend(long(place(*value)));
            }
        }
        made.extend(long(if index == 0 { place(next) } else { 0 }));
    }
    made
}

fn picture(block: &[u8]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let file = std::fs::read(format!("{folder}/baseline.jpg")).unwrap();
    let tables = memchr::memmem::find(&file, b"\xff\xdb").unwrap();
    let length = (block.len() as u16 + 8).to_be_bytes();
    [b"\xff\xd8\xff\xe1".as_slice(), &length, b"Exif\0\0", block, &file[tables..]].concat()
}

fn found(block: &[u8]) -> Findings {
    let plain = examine(&picture(b"")).findings;
    let found = examine(&picture(block)).findings;
    assert!(found.other);
    assert!(!plain.place && !plain.camera && !plain.names && !plain.text);
    found
}

#[test]
fn a_picture_stays_turned_as_browsers_turn_it() {
    for is_big in [false, true] {
        for turned in 1..=8 {
            let file = picture(&block(&[&[(271, 2, 4, 0), (274, 3, 1, turned)]], 0, is_big));
            assert_eq!(check(&file, &format!("{turned}"), true), (true, true));
        }
        for (what, entries) in [
            ("a number of four bytes", vec![(274, 4, 1, 6)]),
            ("a number of one byte", vec![(274, 1, 1, 6)]),
            ("two numbers", vec![(274, 3, 2, 6)]),
            ("none there is", vec![(274, 3, 1, 9)]),
            ("nought", vec![(274, 3, 1, 0)]),
            ("in the camera's own part", vec![(34_665, 4, 1, AT + 1)]),
        ] {
            let inner: &[Entry] = &[(274, 3, 1, 6)];
            let file = picture(&block(&[&entries, inner], 0, is_big));
            assert_eq!(check(&file, what, true), (true, true), "{what}");
        }
        // Of the preview, and none of the picture.
        let file = picture(&block(&[&[(271, 2, 4, 0)], &[(274, 3, 1, 6)]], AT + 1, is_big));
        assert_eq!(check(&file, "of the preview", true), (true, true));
    }
}

#[test]
fn what_a_block_tells_is_by_its_tags() {
    let none = Findings { other: true, ..Findings::default() };
    let inner = |tag: u16| block(&[&[(34_665, 4, 1, AT + 1)], &[(tag, 2, 4, 0)]], 0, true);
    let first = |tag: u16| block(&[&[(tag, 2, 4, 0)]], 0, false);
    let plain = examine(&picture(b"")).findings;
    let said = |mut findings: Findings| {
        // What the picture around the block has anyway.
        findings.preview |= plain.preview;
        findings.hidden |= plain.hidden;
        findings
    };
    for (file, wanted) in [
        (first(282), none),
        (first(271), Findings { camera: true, ..none }),
        (first(272), Findings { camera: true, ..none }),
        (first(305), Findings { camera: true, ..none }),
        (first(306), Findings { time: true, ..none }),
        (first(315), Findings { names: true, ..none }),
        (first(33_432), Findings { names: true, ..none }),
        (first(270), Findings { text: true, ..none }),
        (inner(36_867), Findings { time: true, ..none }),
        (inner(36_868), Findings { time: true, ..none }),
        (inner(37_500), Findings { serial: true, ..none }),
        (inner(42_016), Findings { serial: true, ..none }),
        (inner(42_033), Findings { serial: true, ..none }),
        (inner(42_037), Findings { serial: true, ..none }),
        (inner(42_036), Findings { camera: true, ..none }),
        (inner(42_032), Findings { names: true, ..none }),
        (inner(37_510), Findings { text: true, ..none }),
        (inner(33_434), none),
    ] {
        assert_eq!(found(&file), said(wanted));
    }
    let second = block(&[&[(282, 3, 1, 1)], &[(256, 3, 1, 1)]], AT + 1, false);
    assert_eq!(found(&second), said(Findings { preview: true, ..none }));
    // The version of the place's part, which phones write without a place, says nothing.
    let place = |tags: &[u16]| {
        let inner: Vec<Entry> = tags.iter().map(|tag| (*tag, 2, 2, 0)).collect();
        found(&block(&[&[(34_853, 4, 1, AT + 1)], &inner], 0, true))
    };
    assert_eq!(place(&[0]), said(none));
    assert_eq!(place(&[]), said(none));
    assert_eq!(place(&[0, 1, 2, 3, 4]), said(Findings { place: true, ..none }));
    assert_eq!(place(&[6]), said(Findings { place: true, ..none }));
    assert_eq!(place(&[29]), said(Findings { time: true, ..none }));
}

#[test]
fn a_broken_block_is_read_as_far_as_it_goes() {
    let whole = block(
        &[&[(271, 2, 4, 0), (34_665, 4, 1, AT + 1)], &[(42_033, 2, 4, 0), (36_867, 2, 20, 9_999)]],
        0,
        true,
    );
    assert!(found(&whole).camera && found(&whole).serial && found(&whole).time);
    for length in 0..whole.len() {
        let part = &whole[..length];
        assert_eq!(found(part).camera, length >= 22, "{length}");
        check(&picture(part), "cut", false);
    }
    // Directories that lead to themselves, and to each other.
    let looped = block(&[&[(271, 2, 4, 0), (34_665, 4, 1, AT), (34_853, 4, 1, AT)]], AT, false);
    assert!(found(&looped).camera);
    for magic in [&b"XX\0*"[..], b"II\0*", b"MM*\0", b"II"] {
        assert!(!found(&[magic, &whole[4.min(whole.len())..]].concat()).camera);
    }
}
