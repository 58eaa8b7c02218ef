//! What the fuzz targets have in common. `scripts/fuzz` runs them.

#[path = "../../media/tests/judge/mod.rs"]
pub mod judge;

#[path = "../../check-up/tests/laws/mod.rs"]
pub mod check_up;
#[path = "../../json/tests/laws/mod.rs"]
pub mod json;
#[path = "../../room-state/tests/laws/mod.rs"]
pub mod room_state;
#[path = "../../shields/tests/laws/mod.rs"]
pub mod shields;
#[path = "../../wire/tests/laws/mod.rs"]
pub mod wire;

pub use mantle_media::Kind;

/// A target for files of these kinds; others are not kept in its corpus.
#[macro_export]
macro_rules! law {
    ($kinds:pat) => {
        #[allow(unused_imports, reason = "the target for files of any kind names none")]
        use $crate::Kind;
        libfuzzer_sys::fuzz_target!(|file: &[u8]| -> libfuzzer_sys::Corpus {
            if matches!($crate::judge::kind(file), $kinds) {
                $crate::judge::check(file, "", false);
                libfuzzer_sys::Corpus::Keep
            } else {
                libfuzzer_sys::Corpus::Reject
            }
        });
    };
}

/// Links to open media: all text around them stays as it is.
pub fn links(text: &str) {
    let links = mantle_media::links::find(text);
    let mut at = 0;
    for link in &links {
        assert!(at <= link.range.start && link.range.end <= text.len(), "{:?}", link.range);
        assert!(link.range.len() <= 4_096, "a link of {} bytes", link.range.len());
        at = link.range.end;
        let (mxc, signed_in) = (link.mxc(), link.authenticated());
        assert!(mxc.starts_with("mxc://") && signed_in.contains("/_matrix/client/v1/media/"));
    }
    let replaced = mantle_media::links::replace(text, |_| "\0".to_owned());
    let around: Vec<&str> = links
        .iter()
        .map(|link| link.range.start)
        .chain([text.len()])
        .zip([0].into_iter().chain(links.iter().map(|link| link.range.end)))
        .map(|(to, from)| &text[from..to])
        .collect();
    assert_eq!(replaced, around.join("\0"));
    // What was made safe has no link left.
    let safe = mantle_media::links::replace(text, mantle_media::links::Link::mxc);
    assert!(mantle_media::links::find(&safe).is_empty(), "{safe}");
}
