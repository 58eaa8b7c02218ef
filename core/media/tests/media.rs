//! Media: every format cleaned or refused with a reason, never a trap.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_media::{
    Decision, Kind, Refusal, Remembered, ServerMedia, Settings, Upload, decide, links, server,
    without_name,
};
use mantle_settings::Mode;
use proptest::prelude::*;
use support::{carry_out, examine};

/// Made by web-tests/media/corpus.py; each says [`CANARY`] where a file can say something.
const SEEDS: [(&str, &[u8]); 11] = [
    ("baseline.jpg", include_bytes!("vectors/baseline.jpg")),
    ("rgb.png", include_bytes!("vectors/rgb.png")),
    ("lossy.webp", include_bytes!("vectors/lossy.webp")),
    ("animated.webp", include_bytes!("vectors/animated.webp")),
    ("picture.avif", include_bytes!("vectors/picture.avif")),
    ("picture.heic", include_bytes!("vectors/picture.heic")),
    ("iptc.tiff", include_bytes!("vectors/iptc.tiff")),
    ("still.gif", include_bytes!("vectors/still.gif")),
    ("author.docx", include_bytes!("vectors/author.docx")),
    ("author.pdf", include_bytes!("vectors/author.pdf")),
    ("place.mp4", include_bytes!("vectors/place.mp4")),
];
const CANARY: &[u8] = b"canary4711";

fn holds(file: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(file, part).is_some()
}

#[test]
fn pictures_lose_what_they_say_and_nothing_else() {
    for (name, file) in SEEDS.iter().filter(|(name, _)| !name.contains("author")) {
        let (report, _) = examine(file);
        if *name == "place.mp4" {
            assert_eq!(report.plan, Err(Refusal::NotRemovable));
            assert!(report.findings.place);
            continue;
        }
        assert!(holds(file, CANARY), "{name} proves nothing");
        let cleaned = carry_out(report.plan.as_ref().unwrap(), file);
        assert!(!holds(&cleaned, CANARY), "{name}");
        if *name != "still.gif" {
            assert!(report.findings.place, "{name}: {:?}", report.findings);
            // The colour profile stays.
            let mark: &[u8] = if name.ends_with("png") { b"iCCP" } else { b"acsp" };
            assert_eq!(holds(file, mark), holds(&cleaned, mark), "{name}");
        }
        let again = examine(&cleaned).0;
        assert_eq!(carry_out(&again.plan.unwrap(), &cleaned), cleaned, "{name} is not stable");
    }
}

#[test]
fn documents_say_who_made_them() {
    for name in ["author.docx", "author.pdf"] {
        let (_, file) = SEEDS.iter().find(|(seed, _)| *seed == name).unwrap();
        let (report, _) = examine(file);
        assert!(report.findings.names);
        assert_eq!(report.plan, Err(Refusal::NotRemovable));
    }
}

#[test]
fn a_large_file_is_read_in_windows_and_never_whole() {
    let (_, jpeg) = SEEDS[0];
    // A film behind the picture, as phones put it there.
    let mut file = jpeg.to_vec();
    file.resize(64 << 20, 7);
    let (report, read) = examine(&file);
    assert!(report.findings.hidden);
    assert!(read < 300_000, "{read}");
    assert_eq!(report.plan.unwrap().new_size(), {
        let (alone, _) = examine(jpeg);
        alone.plan.unwrap().new_size()
    });
}

#[test]
fn parts_on_the_border_of_two_windows_are_read_whole() {
    let (_, png) = SEEDS[1];
    let image = png.windows(4).position(|at| at == b"IDAT").unwrap() - 4;
    let chunk = |name: &[u8], length: u32| {
        let content = vec![7; length as usize];
        [&length.to_be_bytes(), name, &content, &[0; 4]].concat()
    };
    // Chunks of a length that lets every byte of a head fall on a border once.
    let (mut file, mut expected) = (png[..image].to_vec(), Vec::new());
    let keep_from = file.len();
    while file.len() < 30 << 20 {
        let kept = chunk(b"IDAT", 8191);
        expected.extend_from_slice(&kept);
        file.extend(kept);
        file.extend(chunk(b"tEXt", 5));
    }
    file.extend(&png[image..]);
    let (report, read) = examine(&file);
    let cleaned = carry_out(report.plan.as_ref().unwrap(), &file);
    assert!(holds(&cleaned, &expected[..1 << 20]) && cleaned.len() > expected.len());
    assert!(!holds(&cleaned[keep_from.min(cleaned.len())..], b"tEXt"));
    assert!(read < file.len() * 3 / 2, "{read} of {}", file.len());
}

#[test]
fn ciphertext_is_told_from_files_and_text() {
    // An LCG's high bytes are as even as ciphertext's.
    let mut state = 1_u64;
    let random: Vec<u8> = (0..5000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    assert_eq!(examine(&random).0.kind, Kind::Random);
    assert_eq!(examine(&random[..200]).0.kind, Kind::Random);
    assert_eq!(examine("Grüße\n".repeat(900).as_bytes()).0.kind, Kind::Text);
    assert_eq!(examine(&[0; 4000]).0.kind, Kind::Other);
    let wav: Vec<u8> = (0..4000_i32).flat_map(|n| ((n % 100) as i16).to_le_bytes()).collect();
    assert_eq!(examine(&wav).0.kind, Kind::Other);
    for (name, file) in SEEDS {
        assert_ne!(examine(file).0.kind, Kind::Random, "{name}");
    }
}

fn upload() -> Upload {
    Upload {
        host: "hs.example.org".to_owned(),
        content_type: "image/jpeg".to_owned(),
        has_name: true,
        tried: "2026-01-02".to_owned(),
        ..Upload::default()
    }
}

fn settings(mode: &str) -> Settings {
    Settings::read(&format!(r#"{{"mode":"{mode}","options":{{"metadata":"remove"}}}}"#))
}

#[test]
fn the_decision_depends_on_server_file_and_person() {
    let (jpeg, _) = examine(SEEDS[0].1);
    let (text, _) = examine(b"just a text");
    let (broken, _) = examine(&SEEDS[0].1[..60]);
    let sent = |clean, without_name, flagged| Decision::Send {
        clean,
        without_name,
        flagged,
        sentence: None,
    };
    let closed = Upload { server: ServerMedia::Closed, ..upload() };
    let public = Upload { server: ServerMedia::Public, ..upload() };

    assert_eq!(decide(settings("ask"), &closed, &jpeg), sent(true, true, false));
    let note = Upload { content_type: "text/plain".to_owned(), ..closed.clone() };
    assert_eq!(decide(settings("on"), &note, &text), sent(false, true, false));
    // What is sent as a picture and is none that Mantle knows is not sent unasked.
    assert!(matches!(decide(settings("on"), &closed, &text), Decision::Refuse { .. }));
    assert!(matches!(decide(settings("ask"), &closed, &text), Decision::Ask { .. }));
    assert_eq!(decide(settings("flag"), &public, &jpeg), sent(false, false, true));
    assert_eq!(decide(settings("off"), &public, &jpeg), sent(false, false, false));
    for upload in [&public, &upload()] {
        assert!(matches!(decide(settings("ask"), upload, &text), Decision::Ask { .. }));
        assert!(matches!(decide(settings("on"), upload, &text), Decision::Refuse { .. }));
    }
    // What should be cleaned and cannot be is asked about anywhere.
    assert!(matches!(decide(settings("ask"), &closed, &broken), Decision::Ask { .. }));
    let before = Upload { remembered: Some(Remembered::Clean), ..public.clone() };
    assert_eq!(decide(settings("ask"), &before, &jpeg), sent(true, true, true));
    assert!(matches!(decide(settings("ask"), &before, &broken), Decision::Ask { .. }));
    let before = Upload { remembered: Some(Remembered::Send), ..public };
    assert_eq!(decide(settings("ask"), &before, &jpeg), sent(false, true, true));
    // Unreadable settings are the strictest.
    assert!(matches!(decide(Settings::read("?"), &before, &text), Decision::Send { .. }));
    assert!(matches!(decide(Settings::read("?"), &upload(), &text), Decision::Refuse { .. }));
}

#[test]
fn servers_are_believed_for_what_they_do() {
    assert!(server::promises(r#"{"versions":["v1.2","v1.11"]}"#));
    assert!(server::promises(
        r#"{"versions":["r0.6.1"],"unstable_features":{"org.matrix.msc3916.stable":true}}"#
    ));
    assert!(!server::promises(r#"{"versions":["v1.2","v1.10"],"unstable_features":{}}"#));
    assert!(!server::promises("nonsense"));
    assert_eq!(server::outcome(&[404, 404]), ServerMedia::Closed);
    assert_eq!(server::outcome(&[404, 200]), ServerMedia::Public);
    for statuses in [&[][..], &[0, 404], &[429, 404], &[500]] {
        assert_eq!(server::outcome(statuses), ServerMedia::Unknown);
    }
    let tried = server::Tried {
        media: ServerMedia::Closed,
        promises: true,
        versions: server::fingerprint("a"),
        time: 1_000,
    };
    assert!(tried.is_fresh(2_000, &server::fingerprint("a")));
    assert!(!tried.is_fresh(2_000, &server::fingerprint("b")));
    assert!(!tried.is_fresh(1_000 + 31 * 24 * 3_600_000, &server::fingerprint("a")));
    assert!(!tried.is_fresh(0, &server::fingerprint("a")), "a clock set back");
    let stored = serde_json::to_string(&tried).unwrap();
    assert_eq!(server::Tried::read(&stored), Some(tried));
    for broken in [
        "",
        "[]",
        r#"{"media":"closed","promises":true,"versions":"a"}"#,
        r#"{"media":"closed","promises":1,"versions":"a","time":1}"#,
        r#"{"media":"closed","promises":true,"versions":"a","time":-1}"#,
        r#"{"media":3,"promises":true,"versions":"a","time":1}"#,
        r#"{"media":"closed","promises":true,"versions":"a","time":1"#,
    ] {
        assert_eq!(server::Tried::read(broken), None, "{broken}");
    }
}

#[test]
fn what_an_upload_is_said_to_be_is_read_field_by_field() {
    let text = r#"{"host":"hs.example.org","contentType":"image/\u006apeg","hasName":true,
        "hasRoom":true,"server":"closed","promises":true,"tried":"2026-01-02","remembered":"clean",
        "other":[1]}"#;
    let whole = Upload {
        has_room: true,
        server: ServerMedia::Closed,
        promises: true,
        remembered: Some(Remembered::Clean),
        ..upload()
    };
    assert_eq!(Upload::read(text), whole);
    // What is of another kind is as if it were not there.
    let odd = r#"{"host":"hs.example.org","contentType":1,"hasName":"true","server":"open","remembered":null}"#;
    let host = Upload { host: "hs.example.org".to_owned(), ..Upload::default() };
    assert_eq!(Upload::read(odd), host);
    assert_eq!(Upload::read("{"), Upload::default());
}

#[test]
fn links_to_open_media_are_found_and_replaced() {
    let text = r#"{"body":"see https://a.example/p/_matrix/media/v3/download/b.example/iD_-9/cat.jpg?x=1, (http://c.example/_matrix/media/r0/thumbnail/d.example:8448/x) and https://a.example/_matrix/client/v1/media/download/b/c","formatted_body":"<a href=\"https://a.example/_matrix/media/r0/download/b.example/z\">z</a>"}"#;
    let found = links::find(text);
    let media: Vec<_> = found.iter().map(|link| (link.host(), link.media.as_str())).collect();
    assert_eq!(
        media,
        [
            ("a.example", "b.example/iD_-9"),
            ("c.example", "d.example:8448/x"),
            ("a.example", "b.example/z")
        ]
    );
    let replaced = links::replace(text, links::Link::mxc);
    assert!(
        replaced.contains("see mxc://b.example/iD_-9, (mxc://d.example:8448/x) and"),
        "{replaced}"
    );
    assert!(replaced.contains(r#"href=\"mxc://b.example/z\""#));
    assert!(serde_json::from_str::<serde_json::Value>(&replaced).is_ok());
    let replaced = links::replace(text, links::Link::authenticated);
    // The file's name and what a thumbnail needs stay.
    assert!(replaced.contains(
        "https://a.example/p/_matrix/client/v1/media/download/b.example/iD_-9/cat.jpg?x=1,"
    ));
    for none in [
        "/_matrix/media/v3/download/a/b",
        "https://x/_matrix/media/v3/upload",
        "https://x/_matrix/media/v3/download/a",
    ] {
        assert_eq!(links::find(none), []);
    }
}

#[test]
fn text_around_links_is_never_lost() {
    let open =
        |host: &str, id: &str| format!("https://{host}/_matrix/media/v3/download/a.example/{id}");
    let (one, two) = (open("a.example", "abc"), open("b.example", "def"));
    for (text, expected) in [
        (format!("{one},{two}"), "mxc://a.example/abc,mxc://a.example/def"),
        (format!("{one};{two}!"), "mxc://a.example/abc;mxc://a.example/def!"),
        (format!("{one}?u={two}."), "mxc://a.example/abcmxc://a.example/def."),
        (format!("{one},and so on"), "mxc://a.example/abc,and so on"),
        (
            format!("`{one}`, *{one}* {one}|{two}"),
            "`mxc://a.example/abc`, *mxc://a.example/abc* mxc://a.example/abc|mxc://a.example/def",
        ),
        (format!("看{one}。好"), "看mxc://a.example/abc。好"),
        (format!("{one}/cat.jpg。好"), "mxc://a.example/abc。好"),
        (format!("{one}..."), "mxc://a.example/abc..."),
        (format!("HTTPS{}", one.strip_prefix("https").unwrap()), "mxc://a.example/abc"),
        (format!("x{one}"), "xmxc://a.example/abc"),
    ] {
        assert_eq!(links::replace(&text, links::Link::mxc), expected, "{text}");
    }
    // Work is linear, whatever the text is made of.
    for part in ["/_matrix/media/", "https://h/_matrix/media/v3/download/a/", "://"] {
        let long = part.repeat(20_000);
        assert_eq!(links::replace(&long, |_| String::new()), long);
    }
    let small = "https://h/_matrix/media/v3/thumbnail/a.example/abc?width=32&height=32&method=crop";
    assert_eq!(
        links::replace(small, links::Link::authenticated),
        "https://h/_matrix/client/v1/media/thumbnail/a.example/abc?width=32&height=32&method=crop"
    );
}

#[test]
fn links_are_decided_by_mode_and_place() {
    use links::{LinkDecision, decide};
    let at = |host: &str| format!("https://{host}/_matrix/media/v3/download/s.example/x");
    let text = format!("{} {} {}", at("a.example"), at("b.example"), at("a.example"));
    assert_eq!(decide(Mode::Off, &text, false), LinkDecision::Pass);
    assert_eq!(decide(Mode::Flag, &text, false), LinkDecision::Flag);
    assert!(matches!(decide(Mode::On, &text, false), LinkDecision::Replace { .. }));
    for (is_copied, ids) in [
        (false, &["mxc", "authenticated", "send", "cancel"][..]),
        (true, &["mxc", "authenticated", "send"]),
    ] {
        let LinkDecision::Ask { question } = decide(Mode::Ask, &text, is_copied) else {
            panic!("not asked");
        };
        assert!(question.text[0].contains("from a.example, b.example without signing in"));
        let found: Vec<_> = question.choices.iter().map(|choice| choice.id).collect();
        assert_eq!(found, ids);
    }
    for mode in Mode::ALL {
        assert_eq!(
            decide(mode, "https://a.example/_matrix/client/v1/media/download/b/c", true),
            LinkDecision::Pass
        );
    }
}

#[test]
fn names_go_out_of_the_request() {
    let name = "https://h/_matrix/media/v3/upload";
    assert_eq!(without_name(name), None);
    assert_eq!(without_name(&format!("{name}?user_id=%40a")), None);
    assert_eq!(without_name(&format!("{name}?filename=a%2520b.jpg")).as_deref(), Some(name));
    assert_eq!(
        without_name(&format!("{name}?a=1&file%6eame=x&b=2&filename=y#z")).unwrap(),
        format!("{name}?a=1&b=2#z")
    );
}

proptest! {
    /// All but the links themselves comes out as it was, in order.
    #[test]
    fn what_is_no_link_stays(
        parts in proptest::collection::vec((
            "[ -~äß。\\n]{0,12}",
            "https?://[a-z]{1,5}/_matrix/media/(v3|r0)/(download|thumbnail)/[a-z.]{1,6}/[A-Za-z0-9_-]{1,9}(/[a-z.,%]{0,6})?([?][a-z=&,]{0,6})?",
        ), 0..5),
    ) {
        let text: String = parts.iter().map(|(before, link)| format!("{before}{link}")).collect();
        let found = links::find(&text);
        let mut at = 0;
        let mut expected = String::new();
        for link in &found {
            prop_assert!(link.range.start >= at);
            prop_assert!(!link.tail.contains("://"));
            expected.push_str(&text[at..link.range.start]);
            expected.push('@');
            at = link.range.end;
        }
        expected.push_str(&text[at..]);
        prop_assert_eq!(links::replace(&text, |_| "@".to_owned()), expected);
        // Every link is found, whatever stands before it.
        for (_, link) in &parts {
            let id = link.split('/').nth(8).unwrap().split('?').next().unwrap();
            prop_assert!(found.iter().any(|link| link.media.contains(id)), "{} in {}", id, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Whatever is done to a file: an end, a plan within the file, and no trap.
    #[test]
    fn damaged_files_are_cleaned_or_refused(
        seed in 0..SEEDS.len(),
        cut in any::<proptest::sample::Index>(),
        is_cut in any::<bool>(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..12),
        insert in proptest::collection::vec(any::<u8>(), 0..9),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut file = SEEDS[seed].1.to_vec();
        for (place, byte) in edits {
            let place = place.index(file.len().min(1500));
            file[place] = byte;
        }
        let place = at.index(file.len());
        file.splice(place..place, insert);
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        let (report, read) = examine(&file);
        prop_assert!(read <= 64 * (file.len() + 4096));
        if let Ok(plan) = &report.plan {
            carry_out(plan, &file);
        }
    }

    /// The same for anything that starts like a picture.
    #[test]
    fn noise_is_cleaned_or_refused(
        seed in 0..SEEDS.len(),
        keep in 1..64_usize,
        noise in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let head = SEEDS[seed].1;
        let file = [&head[..keep.min(head.len())], &noise].concat();
        let (report, _) = examine(&file);
        if let Ok(plan) = &report.plan {
            carry_out(plan, &file);
        }
    }
}
