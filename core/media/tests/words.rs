//! What a person is told of a file, word for word, for every format that people send: what was found
//! in it, no more and no less.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_media::{Decision, Report, ServerMedia, Settings, Upload, decide};

fn examine(file: &[u8]) -> Report {
    support::examine(file).0
}

fn decided(report: &Report, mode: &str, server: ServerMedia) -> Decision {
    let upload = Upload { host: "hs.example.org".into(), server, ..Upload::default() };
    let settings = format!(r#"{{"mode":"{mode}","options":{{"metadata":"remove"}}}}"#);
    decide(Settings::read(&settings), &upload, report)
}

/// The paragraphs of the question that are about the file.
fn told(report: &Report) -> String {
    match decided(report, "ask", ServerMedia::Public) {
        Decision::Ask { question, .. } => {
            let end = question.text.len() - 1;
            question.text[1..end].join(" ")
        }
        other => panic!("{other:?}"),
    }
}

fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let plain = format!("{folder}/{name}");
    std::fs::read(&plain).or_else(|_| std::fs::read(format!("{folder}/kinds/{name}"))).unwrap()
}

fn part(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&length, name.as_slice(), content].concat()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    [name.as_slice(), &length, content, &vec![0; content.len() % 2]].concat()
}

fn riff(form: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"RIFF", &[form.as_slice(), &parts.concat()].concat())
}

/// A directory of a camera's maker and model, its number, and a place; `magic` as its maker has it.
fn directory(magic: &[u8]) -> Vec<u8> {
    let entry = |tag: u16, form: u16, value: u32| {
        let count = if form == 2 { 4_u32 } else { 1 };
        [&tag.to_le_bytes()[..], &form.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    let name = u32::from_le_bytes(*b"abc\0");
    let entries = [
        entry(271, 2, name),
        entry(272, 2, name),
        entry(34_853, 4, 78),
        entry(42_033, 2, name),
        entry(330, 4, 78),
    ];
    let inner = [b"\x01\0".as_slice(), &entry(1, 2, u32::from_le_bytes(*b"N\0\0\0")), &[0; 4]];
    [magic, b"\x08\0\0\0\x05\0", &entries.concat(), &[0; 4], &[0; 4], &inner.concat()].concat()
}

fn exif() -> Vec<u8> {
    let block = directory(b"II*\0");
    [b"Exif\0\0".as_slice(), &block].concat()
}

const XMP: &[u8] = b"<x:xmpmeta exif:GPSLatitude='1' dc:creator='canary'/>";

fn tagged(frames: &[&[u8; 4]]) -> Vec<u8> {
    let frames: Vec<u8> = frames
        .iter()
        .flat_map(|name| [name.as_slice(), b"\0\0\0\x07\0\0\0canary"].concat())
        .collect();
    let mut frame = vec![0xff, 0xfb, 0x90, 0];
    frame.resize(417, 1);
    let length = u8::try_from(frames.len()).unwrap();
    [b"ID3\x03\0\0\0\0\0".as_slice(), &[length], &frames, &frame, &frame].concat()
}

fn ogg(comment: &[u8]) -> Vec<u8> {
    let page = |flags: u8, packet: &[u8]| {
        let mut page = [b"OggS\0".as_slice(), &[flags], &[0; 8], b"abcd", &[0; 8]].concat();
        page.extend([1, u8::try_from(packet.len()).unwrap()]);
        [page, packet.to_vec()].concat()
    };
    let length = u32::try_from(comment.len()).unwrap().to_le_bytes();
    let tags = [b"OpusTags\0\0\0\0\x01\0\0\0".as_slice(), &length, comment].concat();
    [page(2, b"OpusHead information"), page(0, &tags), page(4, &[9; 50])].concat()
}

fn m4a() -> Vec<u8> {
    let data = part(b"data", b"\0\0\0\x01\0\0\0\0canary");
    let list = [part(b"\xa9ART", &data), part(b"covr", &data)].concat();
    let handler = part(b"hdlr", b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0");
    let meta = part(b"meta", &[b"\0\0\0\0".as_slice(), &handler, &part(b"ilst", &list)].concat());
    let brand = part(b"ftyp", b"M4A \0\0\0\0M4A ");
    [brand, part(b"moov", &part(b"udta", &meta)), part(b"mdat", &[7; 64])].concat()
}

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &[0x80 | u8::try_from(content.len()).unwrap()], content].concat()
}

fn webm() -> Vec<u8> {
    let info = [element(b"\x57\x41", b"Lavf"), element(b"\x44\x61", &[1; 8])].concat();
    let segment = element(b"\x15\x49\xa9\x66", &info);
    let head = element(b"\x1a\x45\xdf\xa3", &element(b"\x42\x82", b"webm"));
    [head, element(b"\x18\x53\x80\x67", &segment)].concat()
}

fn heads() -> Vec<(&'static str, Vec<u8>)> {
    let jpeg = {
        let exif = exif();
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        [b"\xff\xd8\xff\xe1".as_slice(), &length, &exif, b"\xff\xd9"].concat()
    };
    let mut raf = b"FUJIFILMCCD-RAW ".to_vec();
    raf.resize(84, 0);
    raf.extend([148_u32, u32::try_from(jpeg.len()).unwrap()].map(u32::to_be_bytes).concat());
    raf.resize(148, 0);
    raf.extend(jpeg);
    let padded = |start: &[u8]| [start, &[0; 200]].concat();
    vec![
        ("raf", raf),
        ("nef, arw, pef, srw, 3fr", directory(b"II*\0")),
        ("rw2", directory(b"IIU\0")),
        ("orf", directory(b"IIRO")),
        ("cr3", [part(b"ftyp", b"crx \0\0\0\x01crx isom"), exif()].concat()),
        ("crw", padded(b"II\x1a\0\0\0HEAPCCDR")),
        ("mrw", padded(b"\0MRM\0\0\0\x40")),
        ("x3f", padded(b"FOVb\x03\0\x02\0")),
    ]
}

#[test]
fn every_format_is_told_in_its_own_words() {
    let photo = "says where it was made, when it was made, which device or program made it and who made or changed it. It holds serial or other unique numbers, titles or comments";
    let jpeg = "says where it was made, when it was made, which device or program made it and who made or changed it. It holds serial or other unique numbers, titles or comments, a second, smaller picture and technical details.";
    let stuck = "Mantle cannot remove hidden details from a picture of this kind. This picture";
    let jxl = {
        let sign = b"\0\0\0\x0cJXL \r\n\x87\n".to_vec();
        let block = [b"\0\0\0\0".as_slice(), &exif()[6..]].concat();
        [sign, part(b"ftyp", b"jxl \0\0\0\0jxl "), part(b"Exif", &block), part(b"jxlc", &[7; 40])]
            .concat()
    };
    let psd = {
        let resource = [b"8BIM\x04\x24\0\0\0\0\0\x36".as_slice(), XMP, b"\0"].concat();
        [b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x01\0\x08\0\x03".as_slice(), &resource]
            .concat()
    };
    let jp2 = [b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(), part(b"xml ", XMP)].concat();
    let svg = |inner: &str| {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{inner}</svg>").into_bytes()
    };
    let place = part(b"\xa9xyz", b"\0\x12\x15\xc7+51.5-000.1/");
    let mov = [part(b"moov", &part(b"udta", &place)), part(b"mdat", &[7; 20])].concat();
    let gp = {
        let tags = [part(b"auth", b"\0\0\0\0\x15\xc7canary"), part(b"titl", b"\0\0\0\0\x15\xc7x")];
        let brand = part(b"ftyp", b"3gp4\0\0\0\0isom3gp4");
        [brand, part(b"moov", &part(b"udta", &tags.concat()))].concat()
    };
    let form = chunk(b"fmt ", &[1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0]);
    let list = chunk(b"LIST", b"INFOIART\x06\0\0\0canaryISFT\x04\0\0\0prog");
    let movie = chunk(b"LIST", b"movi00dc\x04\0\0\0abcd");
    let pdf = b"%PDF-1.4\n1 0 obj<</Producer(x)/CreationDate(D:2026)>>endobj\n%%EOF";
    let rtf = b"{\\rtf1{\\info{\\author canary}}x}";
    for (format, file, wanted) in [
        ("jpeg", vector("baseline.jpg"), format!("This picture {jpeg}")),
        ("png", vector("rgb.png"), format!("This picture {photo} and technical details.")),
        ("webp", vector("lossy.webp"), format!("This picture {photo} and technical details.")),
        (
            "animated webp",
            vector("animated.webp"),
            format!("This picture {photo} and technical details."),
        ),
        ("avif", vector("picture.avif"), format!("This picture {photo} and technical details.")),
        ("heic", vector("picture.heic"), format!("This picture {photo} and technical details.")),
        (
            "gif",
            vector("still.gif"),
            "This picture holds titles or comments and technical details.".to_owned(),
        ),
        (
            "tiff",
            vector("iptc.tiff"),
            "This picture says where it was made, when it was made, which device or program made it and who made or changed it. It holds titles or comments and technical details.".to_owned(),
        ),
        (
            "jpeg xl",
            jxl,
            "This picture says where it was made and which device or program made it. It holds serial or other unique numbers, a second, smaller picture and technical details.".to_owned(),
        ),
        (
            "jpeg 2000",
            jp2,
            format!("{stuck} says where it was made and who made or changed it. It holds titles or comments."),
        ),
        (
            "psd",
            psd,
            format!("{stuck} says where it was made and who made or changed it. It holds titles or comments."),
        ),
        (
            "svg",
            svg(concat!("<!-- dc:creator /", "home/canary/ -->")),
            "This picture says who made or changed it. It holds names of folders on a computer and technical details.".to_owned(),
        ),
        (
            "svg with a link",
            svg("<image href=\"file:///home/canary/a.png\"/>"),
            format!("{stuck} holds names of folders on a computer."),
        ),
        ("svg with nothing", svg("<path d=\"M0 0\"/>"), String::new()),
        (
            "pdf",
            pdf.to_vec(),
            "This document says when it was made and which device or program made it.".to_owned(),
        ),
        (
            "pdf with an annotation",
            vector("annotation.pdf"),
            "This document says who made or changed it.".to_owned(),
        ),
        (
            "word",
            vector("author.docx"),
            "This document says who made or changed it.".to_owned(),
        ),
        (
            "excel",
            vector("path.xlsx"),
            "This document says who made or changed it. It holds names of folders on a computer.".to_owned(),
        ),
        (
            "open document with tracked changes",
            vector("tracked.odt"),
            "This document says when it was made, which device or program made it and who made or changed it.".to_owned(),
        ),
        (
            "office before 2007",
            [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[0; 600]].concat(),
            "This document says who made or changed it.".to_owned(),
        ),
        ("rtf", rtf.to_vec(), "This document says who made or changed it.".to_owned()),
        (
            "document with a picture",
            [pdf.as_slice(), &exif()].concat(),
            "This document says where a picture in it was made, when it was made and which device or program made it. It holds serial or other unique numbers, a cover or preview picture and technical details.".to_owned(),
        ),
        ("mp4", vector("place.mp4"), "This film says where it was made.".to_owned()),
        (
            "mp4 with XMP",
            vector("xmp.mp4"),
            "This film says where it was made, when it was made and who made or changed it. It holds titles or comments.".to_owned(),
        ),
        ("mov without brands", mov, "This film says where it was made.".to_owned()),
        (
            "3gp",
            gp,
            "This film says who made or changed it. It holds titles or comments.".to_owned(),
        ),
        (
            "matroska",
            vector("title.mkv"),
            "This film says where it was made and which device or program made it. It holds serial or other unique numbers, titles or comments and technical details.".to_owned(),
        ),
        (
            "webm",
            webm(),
            "This film says when it was made and which device or program made it.".to_owned(),
        ),
        (
            "avi",
            riff(b"AVI ", &[list.clone(), movie]),
            "This film says which device or program made it and who made or changed it.".to_owned(),
        ),
        (
            "mp3",
            tagged(&[b"TPE1", b"TDRC", b"APIC"]),
            "This sound file says when it was made and who made or changed it. It holds titles or comments and a cover or preview picture.".to_owned(),
        ),
        (
            "m4a",
            m4a(),
            "This sound file says who made or changed it. It holds a cover or preview picture.".to_owned(),
        ),
        (
            "ogg",
            ogg(b"LOCATION=canary"),
            "This sound file says where it was made. It holds titles or comments.".to_owned(),
        ),
        (
            "wav",
            riff(b"WAVE", &[form.clone(), list, chunk(b"data", &[5; 8])]),
            "This sound file says which device or program made it and who made or changed it.".to_owned(),
        ),
        ("wav with nothing", riff(b"WAVE", &[form, chunk(b"data", &[5; 8])]), String::new()),
        ("zip", vec![b'P', b'K', 5, 6].into_iter().chain([0; 18]).collect(), String::new()),
        ("text", b"Just some words.".to_vec(), String::new()),
    ] {
        assert_eq!(told(&examine(&file)), wanted, "{format}");
    }
}

#[test]
fn raws_of_all_makers_are_told_to_name_their_camera() {
    let stuck = "Mantle cannot remove hidden details from a raw photograph of this kind. This raw photograph says ";
    let shown = "where it was made and which device or program made it. It holds serial or other unique numbers, a second, smaller picture and technical details.";
    let closed = "when it was made and which device or program made it. It holds serial or other unique numbers and technical details.";
    for (format, file) in heads() {
        let wanted = match format {
            "crw" | "mrw" | "x3f" => closed,
            _ => shown,
        };
        assert_eq!(told(&examine(&file)), format!("{stuck}{wanted}"), "{format}");
    }
}

#[test]
fn what_is_sent_unasked_is_told_with_what_to_do() {
    let end = " Mantle sent it as it is. Delete the message if others should not know.";
    let sentence = |report: &Report| match decided(report, "ask", ServerMedia::Closed) {
        Decision::Send { sentence, .. } => sentence,
        other => panic!("{other:?}"),
    };
    for name in ["xmp.mp4", "path.xlsx", "tracked.odt", "annotation.pdf", "title.mkv", "place.mp4"]
    {
        let report = examine(&vector(name));
        assert_eq!(sentence(&report), Some(told(&report) + end), "{name}");
    }
    // A broken sound or archive is told what could be read of it.
    let broken = [b"fLaC\x84\xff\xff\xff\0\0\0\0".as_slice(), b"ARTIST=canary"].concat();
    let said = "This sound file says who made or changed it.";
    assert_eq!(sentence(&examine(&broken)), Some(format!("{said}{end}")));
    // What was cleaned, and what holds neither place, device nor author, needs no notice.
    assert_eq!(sentence(&examine(&tagged(&[b"TPE1"]))), None);
    let dated = part(b"moov", &part(b"udta", &part(b"\xa9day", b"\0\x04\x15\xc72026")));
    assert_eq!(sentence(&examine(&dated)), None);
}

#[test]
fn the_reason_why_a_picture_cannot_be_cleaned_is_a_sentence() {
    let jpeg = vector("baseline.jpg");
    let stuck = "Mantle could not remove hidden details from it: ";
    for (file, wanted) in [
        (jpeg[..60].to_vec(), "the file breaks off in the middle."),
        (
            b"\xff\xd8\xff\xe1\0\0".iter().copied().chain([7; 90]).collect(),
            "the file is damaged or made to confuse programs that read it.",
        ),
        (vector("mini.avif"), "Mantle does not know this variant of the format."),
        (
            b"\xff\xd8".iter().chain(b"\xff\xeb\0\x04ab".repeat(60_000).iter()).copied().collect(),
            "the file has far more parts than a real one.",
        ),
    ] {
        let said = told(&examine(&file));
        assert!(said.starts_with(&format!("{stuck}{wanted}")), "{said}");
    }
}

/// What the page says in other languages, it finds by these words.
#[test]
fn every_part_is_known_to_the_tables_of_other_languages() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../extension/page/texts/sentences.json");
    let table: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let known: Vec<&str> = table.as_object().unwrap().values().filter_map(|v| v.as_str()).collect();
    for part in [
        "where it was made",
        "where a picture in it was made",
        "when it was made",
        "which device or program made it",
        "who made or changed it",
        "serial or other unique numbers",
        "names of folders on a computer",
        "titles or comments",
        "a second, smaller picture",
        "a cover or preview picture",
        "hidden data",
        "technical details",
        "$1 Mantle sent it as it is. Delete the message if others should not know.",
    ] {
        assert!(known.contains(&part), "{part}");
    }
}
