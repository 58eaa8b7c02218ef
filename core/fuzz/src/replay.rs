//! Replays a target's corpus as an ordinary test: each file as it is, and in a number of damaged
//! forms that are the same in every run. The tests of the crates that own the laws take this file in.
//!
//! `MANTLE_MUTATE_SECONDS` makes it go on for longer, `MANTLE_MUTATE_SEED` with other forms.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

#[path = "dice.rs"]
mod dice;

use dice::Dice;
use std::path::Path;
use std::time::{Duration, Instant};

/// With so many damaged forms of each file.
pub fn replay(target: &str, forms: usize, law: impl Fn(&[u8])) {
    let fuzz = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"));
    let folder = fuzz.join("corpus").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {}", folder.display());
    let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let words = words(&fuzz.join("dictionaries").join(format!("{target}.dict")));
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut dice = Dice(number("MANTLE_MUTATE_SEED").unwrap_or(4711));
    let mut runs = 0_u64;
    for (path, file) in paths.iter().zip(&files) {
        told(path, file, &law);
        for _ in 0..forms {
            told(path, &damaged(&mut dice, file, &files, &words), &law);
            runs += 1;
        }
    }
    let Some(seconds) = number("MANTLE_MUTATE_SECONDS") else { return };
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let at = dice.below(files.len());
        told(&paths[at], &damaged(&mut dice, &files[at], &files, &words), &law);
        runs += 1;
    }
    println!("{target}: {runs} forms");
}

/// The words of a dictionary of libFuzzer's.
fn words(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let word = |line: &str| {
        let mut word = Vec::new();
        let mut rest = line.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        while let Some(first) = rest.chars().next() {
            match rest.strip_prefix("\\x") {
                Some(digits) => {
                    word.push(u8::from_str_radix(&digits[..2], 16).unwrap());
                    rest = &digits[2..];
                }
                None => {
                    word.push(first as u8);
                    rest = &rest[1..];
                }
            }
        }
        word
    };
    text.lines().map(word).collect()
}

/// Bytes changed, put in, taken out, doubled, or taken from another file or the dictionary.
fn damaged(dice: &mut Dice, file: &[u8], files: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut damaged = file.to_vec();
    for _ in 0..=dice.below(5) {
        let at = dice.below(damaged.len() + 1);
        let end = (at + 1 + dice.below(12)).min(damaged.len());
        match dice.below(7) {
            0 if at < damaged.len() => damaged[at] ^= 1 << dice.below(8),
            1 if at < end => drop(damaged.drain(at..end)),
            2 if at < end => {
                let piece = damaged[at..end].to_vec();
                let to = dice.below(damaged.len());
                damaged.splice(to..to, piece);
            }
            3 => {
                let other = &files[dice.below(files.len())];
                let from = dice.below(other.len());
                let end = (from + dice.below(60)).min(other.len());
                damaged.splice(at..at, other[from..end].iter().copied());
            }
            4 | 5 if !words.is_empty() => {
                let word = words[dice.below(words.len())].iter().copied();
                // In place of as much, or between what is there.
                let end = if dice.below(2) == 0 { at } else { end.max(at) };
                damaged.splice(at..end, word);
            }
            _ if dice.below(4) == 0 => damaged.truncate(at),
            _ => {}
        }
    }
    damaged
}

/// Says which input broke the law.
fn told(path: &Path, input: &[u8], law: &impl Fn(&[u8])) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| law(input)));
    if let Err(panic) = outcome {
        eprintln!("{}: {}", path.display(), String::from_utf8_lossy(input));
        std::panic::resume_unwind(panic);
    }
}
