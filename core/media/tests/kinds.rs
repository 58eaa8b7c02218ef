//! Every kind of file that people send: cleaned, or told and left as it is, and never made less.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_media::{Kind, Refusal, Report};
use support::carry_out;

fn examine(file: &[u8]) -> Report {
    support::examine(file).0
}

fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/kinds");
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
fn a_first_picture_that_says_it_is_a_thumbnail_is_not_understood() {
    let mut file = vector("thumbnail.heic");
    // From which item, how many others, and which: readers differ in which of the two they show.
    let at = memchr::memmem::find(&file, b"thmb").unwrap() + 4;
    assert_eq!(file[at + 2..at + 4], [0, 1]);
    let (from, to) = ([file[at], file[at + 1]], [file[at + 4], file[at + 5]]);
    file[at..at + 2].copy_from_slice(&to);
    file[at + 4..at + 6].copy_from_slice(&from);
    assert_eq!(examine(&file).plan, Err(Refusal::Unsupported));
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

fn wav(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WAVE".to_vec();
    let format = [1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0];
    for (name, content) in [(b"fmt ", format.as_slice())].iter().chain(chunks) {
        body.extend_from_slice(*name);
        body.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [b"RIFF", u32::try_from(body.len()).unwrap().to_le_bytes().as_slice(), &body].concat()
}

#[test]
fn tags_within_tags_of_sound_files_are_told() {
    let id3 = b"ID3\x03\0\0\0\0\0\x11TPE1\0\0\0\x07\0\0\0canary";
    for (name, content) in [
        (b"LIST", b"INFOIART\x06\0\0\0canaryISFT\x04\0\0\0prog".as_slice()),
        (b"id3 ", id3.as_slice()),
        (b"ID3 ", id3.as_slice()),
    ] {
        let report = examine(&wav(&[(name, content), (b"data", &[1, 2, 3, 4])]));
        assert_eq!(report.kind, Kind::Wav);
        assert!(report.plan.is_ok());
        assert!(report.findings.names, "{name:?}: {:?}", report.findings);
        assert_eq!(report.findings.camera, name == b"LIST", "{name:?}: {:?}", report.findings);
    }
}

#[test]
fn a_name_in_the_oldest_tag_of_a_sound_file_is_told() {
    let mut frame = vec![0xff, 0xfb, 0x90, 0];
    frame.resize(417, 1);
    let tag = |artist: &[u8]| {
        let mut tag = b"TAGtitle".to_vec();
        tag.resize(33, 0);
        tag.extend_from_slice(artist);
        tag.resize(128, 0);
        [frame.as_slice(), &frame, &tag].concat()
    };
    assert!(examine(&tag(b"canary")).findings.names);
    let report = examine(&tag(b""));
    assert!(report.findings.text && !report.findings.names, "{:?}", report.findings);
}

#[test]
fn the_program_that_a_picture_names_is_told() {
    let file = vector("cut-end.png");
    // Behind the header, which is always 33 bytes long; nothing else before the pixels.
    let pixels = memchr::memmem::find(&file, b"IDAT").unwrap() - 4;
    let text = b"\0\0\0\x12tEXtSoftware\0canary123\0\0\0\0";
    let plain = examine(&[&file[..33], &file[pixels..]].concat());
    assert!(!plain.findings.camera, "{:?}", plain.findings);
    let report = examine(&[&file[..33], text, &file[pixels..]].concat());
    assert!(report.findings.camera, "{:?}", report.findings);
}

/// An Ogg page (RFC 3533) whose sum is left open, as the tests' reader does not look at it.
fn ogg_page(flags: u8, number: u8, packets: &[&[u8]]) -> Vec<u8> {
    let mut table = Vec::new();
    for packet in packets {
        table.extend(std::iter::repeat_n(255, packet.len() / 255));
        table.push(u8::try_from(packet.len() % 255).unwrap());
    }
    let mut page = [b"OggS\0".as_slice(), &[flags], &[0; 8], b"abcd", &[number, 0, 0, 0]].concat();
    page.extend([0; 4]);
    page.push(u8::try_from(table.len()).unwrap());
    [page, table, packets.concat()].concat()
}

fn comments(mark: &[u8], end: &[u8]) -> Vec<u8> {
    let comment = b"ARTIST=canary4711";
    let length = u32::try_from(comment.len()).unwrap().to_le_bytes();
    [mark, b"\x06\0\0\0writer\x01\0\0\0", &length, comment, end].concat()
}

#[test]
fn comments_of_vorbis_and_opus_become_zeros_in_their_place() {
    let setup = [b"\x05vorbis".as_slice(), &[7; 600]].concat();
    let vorbis = comments(b"\x03vorbis", &[1]);
    let opus = comments(b"OpusTags", &[]);
    let sound = ogg_page(4, 2, &[&[9; 100]]);
    for (start, second) in [
        (b"\x01vorbis stream information".as_slice(), [vorbis.as_slice(), &setup].as_slice()),
        (b"OpusHead information", &[opus.as_slice()]),
    ] {
        let head = ogg_page(2, 0, &[start]);
        let file = [head.clone(), ogg_page(0, 1, second), sound.clone()].concat();
        let report = examine(&file);
        assert_eq!(report.kind, Kind::Ogg);
        assert!(report.findings.names && report.findings.text, "{:?}", report.findings);
        let made = carry_out(report.plan.as_ref().unwrap(), &file);
        assert_eq!(made.len(), file.len());
        assert!(!holds(&made, CANARY) && !holds(&made, b"writer"));
        assert!(made.starts_with(&head) && made.ends_with(&sound));
        assert_eq!(holds(&made, &setup), second.len() == 2, "the tables of the decoder stay");
        assert!(!examine(&made).findings.any());
        // A further stream brings comments of its own, which are told.
        let two = [file.clone(), head.clone(), ogg_page(0, 1, second), sound.clone()].concat();
        let other = two.len() - file.len();
        let mut two = two;
        for at in memchr::memmem::find_iter(&two.clone(), b"abcd").filter(|at| *at > other) {
            two[at] = b'x';
        }
        assert_eq!(examine(&two).plan, Err(Refusal::NotRemovable));
    }
}

#[test]
fn comments_over_several_pages_go_from_all_of_them() {
    let picture = b"canary4711".repeat(100);
    let length = u32::try_from(picture.len() + 23).unwrap().to_le_bytes();
    let start =
        [b"OpusTags\0\0\0\0\x01\0\0\0".as_slice(), &length, b"METADATA_BLOCK_PICTURE="].concat();
    let whole = [start, picture].concat();
    let (one, rest) = whole.split_at(510);
    let mut first = ogg_page(0, 1, &[one]);
    // The packet goes on in the next page.
    first.remove(27 + 2);
    first[26] = 2;
    let head = ogg_page(2, 0, &[b"OpusHead information"]);
    let file = [head, first, ogg_page(1, 2, &[rest]), ogg_page(4, 3, &[&[9; 50]])].concat();
    let report = examine(&file);
    assert!(report.findings.preview && report.findings.text, "{:?}", report.findings);
    let made = carry_out(report.plan.as_ref().unwrap(), &file);
    assert!(!holds(&made, CANARY));
    assert_eq!(made.len(), file.len());
    assert!(!examine(&made).findings.any());
}

fn part(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&length, name.as_slice(), content].concat()
}

#[test]
fn tags_of_apple_sound_files_become_zeros_in_their_place() {
    let tag = |name: &[u8; 4], text: &[u8]| {
        part(name, &part(b"data", &[b"\0\0\0\x01\0\0\0\0".as_slice(), text].concat()))
    };
    let gapless = part(
        b"----",
        &[
            part(b"mean", b"\0\0\0\0com.apple.iTunes"),
            part(b"name", b"\0\0\0\0iTunSMPB"),
            part(b"data", b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001C0"),
        ]
        .concat(),
    );
    let list = [tag(b"\xa9nam", CANARY), tag(b"\xa9ART", CANARY), gapless.clone()].concat();
    let handler = part(b"hdlr", b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0");
    let meta = part(b"meta", &[b"\0\0\0\0".as_slice(), &handler, &part(b"ilst", &list)].concat());
    let mut dated = vec![0; 100];
    dated[4..12].fill(0xd0);
    let index = [part(b"mvhd", &dated), part(b"udta", &meta)].concat();
    let data = part(b"mdat", &[7; 64]);
    let brands = |brand: &[u8]| part(b"ftyp", &[brand, b"\0\0\0\0", brand].concat());
    let made_of = |brand: &[u8]| [brands(brand), part(b"moov", &index), data.clone()].concat();
    let file = made_of(b"M4A ");
    let report = examine(&file);
    assert_eq!(report.kind, Kind::Sound);
    assert!(report.findings.names && report.findings.time, "{:?}", report.findings);
    let made = carry_out(report.plan.as_ref().unwrap(), &file);
    assert_eq!(made.len(), file.len());
    assert!(!holds(&made, CANARY) && !holds(&made, &[0xd0; 4]));
    assert!(holds(&made, &gapless), "players skip silence by it");
    assert!(made.ends_with(&data));
    assert!(!examine(&made).findings.any(), "{:?}", examine(&made).findings);
    // Sound that lies elsewhere than in its own box is not touched.
    let place = |at: u32| {
        let places = part(b"stco", &[b"\0\0\0\0\0\0\0\x01".as_slice(), &at.to_be_bytes()].concat());
        let index = part(b"moov", &[index.as_slice(), &places].concat());
        [brands(b"M4A "), data.clone(), index, part(b"canz", &[7; 64])].concat()
    };
    assert!(examine(&place(30)).plan.is_ok());
    let elsewhere = u32::try_from(place(0).len() - 40).unwrap();
    assert_eq!(examine(&place(elsewhere)).plan, Err(Refusal::NotRemovable));
    let without = [brands(b"M4A "), part(b"moov", &index), part(b"canz", &[7; 64])].concat();
    assert_eq!(examine(&without).plan, Err(Refusal::NotRemovable));
    // A film's are told.
    assert_eq!(examine(&made_of(b"isom")).plan, Err(Refusal::NotRemovable));
}

#[test]
fn the_first_bytes_say_more_than_later_ones() {
    for (start, kind) in [
        (b"fLaC\x80\0\0\x22".as_slice(), Kind::Flac),
        (b"OggS\0", Kind::Ogg),
        (b"II*\0", Kind::Tiff),
    ] {
        for (at, mark) in [(4, b"RED1".as_slice()), (25, b"ARECOYK"), (40, b" EMF"), (128, b"DICM")]
        {
            let mut file = start.to_vec();
            file.resize(file.len().max(at), 1);
            file.truncate(at);
            file.extend_from_slice(mark);
            file.resize(200, 1);
            let whole = if at < start.len() { continue } else { file };
            assert_eq!(Kind::of(&whole, 200), kind, "{start:?} with {mark:?}");
        }
    }
}

#[test]
fn comments_of_a_lossless_file_under_another_tag_go_too() {
    let comment = b"\x06\0\0\0writer\x01\0\0\0\x11\0\0\0ARTIST=canary4711";
    let length = u8::try_from(comment.len()).unwrap();
    let file = [
        b"ID3\x03\0\0\0\0\0\0fLaC\0\0\0\x22".as_slice(),
        &[0; 34],
        &[0x84, 0, 0, length],
        comment,
        b"\xff\xf8\x69\x18sound",
    ]
    .concat();
    let report = examine(&file);
    let made = carry_out(report.plan.as_ref().unwrap(), &file);
    assert!(report.findings.names && !holds(&made, CANARY));
    assert!(made.starts_with(b"fLaC\x80") && made.ends_with(b"\xff\xf8\x69\x18sound"));
    assert!(!examine(&made).findings.any());
}

#[test]
fn sound_that_would_be_taken_for_a_picture_without_its_tag_is_asked_about() {
    let mut frame = vec![0xff, 0xfb, 0x90, 0];
    frame.resize(417, 1);
    frame[128..132].copy_from_slice(b"DICM");
    let file = [b"ID3\x03\0\0\0\0\0\0".as_slice(), &frame, &frame].concat();
    let report = examine(&file);
    assert_eq!((report.kind, report.plan), (Kind::Mp3, Err(Refusal::Unsupported)));
}

#[test]
fn a_picture_whose_data_is_not_known_is_left_as_it_is() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    for name in ["animated.webp", "lossy.webp"] {
        let file = std::fs::read(format!("{folder}/{name}")).unwrap();
        assert!(examine(&file).plan.is_ok());
        for at in memchr::memmem::find_iter(&file, b"VP8 ") {
            let mut other = file.clone();
            other[at + 3] = b'9';
            assert_eq!(examine(&other).plan, Err(Refusal::Malformed), "{name} at {at}");
        }
    }
}

#[test]
fn a_drawing_that_no_browser_reads_is_left_as_it_is() {
    let drawing = |inner: &str| {
        let text = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:e="urn:editor"><path {inner}/></svg>"#
        );
        examine(text.as_bytes()).plan
    };
    assert!(drawing(r#"e:a="1" d="M0 0""#).is_ok());
    assert_eq!(drawing(r#"e:a="1"d="M0 0""#), Err(Refusal::Malformed));
}

#[test]
fn a_drawing_that_would_be_taken_for_another_kind_is_asked_about() {
    let drawing = |mark: &str| {
        format!("<?a?><svg xmlns=\"http://wwwwww{mark}/\" e=\"\0\"><!-- canary --></svg>")
            .into_bytes()
    };
    assert_eq!(examine(&drawing("ARECOYX")).kind, Kind::Svg);
    assert!(examine(&drawing("ARECOYX")).plan.is_ok());
    // Without the instruction the mark stands at its twenty-fifth byte.
    assert_eq!(examine(&drawing("ARECOYK")).plan, Err(Refusal::Unsupported));
}

#[test]
fn sound_behind_the_stated_end_of_a_file_is_not_cut_off() {
    let mut file = wav(&[(b"LIST", b"INFOIART\x06\0\0\0canary"), (b"data", &[5; 64])]);
    file.extend([5; 8]);
    assert!(examine(&file).plan.is_ok(), "what stands behind is none of the sound");
    let at = memchr::memmem::find(&file, b"data").unwrap();
    file[at + 4] = 72;
    assert_eq!(examine(&file).plan, Err(Refusal::Malformed));
}

#[test]
fn a_tag_without_its_beginning_takes_no_sound_along() {
    let mut frame = vec![0xff, 0xfb, 0x90, 0];
    frame.resize(417, 1);
    let sound = frame.repeat(3);
    let ape = |flags: u32| {
        [b"APETAGEX\xd0\x07\0\0\x60\0\0\0\0\0\0\0".as_slice(), &flags.to_le_bytes(), &[0; 8]]
            .concat()
    };
    let lyrics = b"000096LYRICS200".as_slice();
    let id3 = b"3DI\x04\0\x10\0\0\0\x60".as_slice();
    for (head, foot) in [
        (b"APETAGEX".as_slice(), ape(0x8000_0000)),
        (b"LYRICSBEGIN", lyrics.to_vec()),
        (b"ID3", id3.to_vec()),
    ] {
        let length = match foot.len() {
            32 => 96,
            15 => 96,
            _ => 106,
        };
        let mut tag = head.to_vec();
        tag.resize(length, b'x');
        let whole = [sound.as_slice(), &tag, &foot].concat();
        let made = carry_out(&examine(&whole).plan.unwrap(), &whole);
        assert_eq!(made, sound, "{head:?}");
        let without = [sound.as_slice(), &foot].concat();
        assert_eq!(examine(&without).plan, Err(Refusal::Malformed), "{head:?}");
    }
}
