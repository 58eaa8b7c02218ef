//! Replays a target's corpus as an ordinary test: each file as it is, and in a number of damaged
//! forms that are the same in every run. The tests of the crates that own the laws take this file in.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

use std::path::Path;

/// With so many damaged forms of each file.
pub fn replay(target: &str, forms: usize, law: impl Fn(&[u8])) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {}", folder.display());
    let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut state = 4711_u64;
    let mut below = |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    for (path, file) in paths.iter().zip(&files) {
        told(path, file, &law);
        for _ in 0..forms {
            let mut damaged = file.clone();
            for _ in 0..=below(3) {
                let at = below(damaged.len() + 1);
                let end = (at + 1 + below(12)).min(damaged.len());
                match below(5) {
                    0 if at < damaged.len() => damaged[at] ^= 1 << below(8),
                    1 if at < end => drop(damaged.drain(at..end)),
                    2 if at < end => {
                        let piece = damaged[at..end].to_vec();
                        let to = below(damaged.len());
                        damaged.splice(to..to, piece);
                    }
                    3 => {
                        let other = &files[below(files.len())];
                        let from = below(other.len());
                        let end = (from + below(60)).min(other.len());
                        damaged.splice(at..at, other[from..end].iter().copied());
                    }
                    _ => damaged.truncate(at),
                }
            }
            told(path, &damaged, &law);
        }
    }
}

/// Says which input broke the law.
fn told(path: &Path, input: &[u8], law: &impl Fn(&[u8])) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| law(input)));
    if let Err(panic) = outcome {
        eprintln!("{}: {}", path.display(), String::from_utf8_lossy(input));
        std::panic::resume_unwind(panic);
    }
}
