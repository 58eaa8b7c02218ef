//! The law of cleaning, over damaged and combined files: what comes out shows the same pictures to
//! decoders that know nothing of Mantle, or the file is not touched. No trap, no endless reading.
//!
//! Seeds and mutations are the same in every run; `MANTLE_MUTATE_SECONDS` makes it go on for longer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "tests may panic"
)]

#[path = "../../fuzz/src/dice.rs"]
mod dice;
mod judge;

use dice::Dice;
use judge::check;
use std::time::{Duration, Instant};

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"));
    let more = std::env::var_os("MANTLE_MUTATE_FOLDER").map(std::path::PathBuf::from);
    let folders = [folder.to_owned(), folder.join("kinds")].into_iter().chain(more);
    let mut seeds: Vec<_> = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.metadata().unwrap().len() < 64 << 10)
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    seeds.sort();
    seeds
}

/// Another file: bytes changed, put in, taken out, moved, or taken from another one.
/// Gives the seed too.
fn mutated<'a>(
    dice: &mut Dice,
    seeds: &'a [(String, Vec<u8>)],
) -> (&'a (String, Vec<u8>), Vec<u8>) {
    let chosen = &seeds[dice.below(seeds.len())];
    let (_, seed) = chosen;
    let mut file = seed.clone();
    for _ in 0..=dice.below(4) {
        let reach = if dice.below(3) == 0 { file.len() } else { file.len().min(1_200) };
        let at = dice.below(reach);
        match dice.below(9) {
            0 => file[at] = dice.below(256) as u8,
            1 => file[at] ^= 1 << dice.below(8),
            2 => file[at] = [0, 1, 0xff, 0x7f, 0x80][dice.below(5)],
            3 => {
                let value =
                    [0_u32, 1, 8, 0xffff_ffff, 0x7fff_ffff, file.len() as u32][dice.below(6)];
                let bytes =
                    if dice.below(2) == 0 { value.to_be_bytes() } else { value.to_le_bytes() };
                for (index, byte) in bytes.into_iter().enumerate() {
                    if let Some(place) = file.get_mut(at + index) {
                        *place = byte;
                    }
                }
            }
            4 => {
                let length = dice.below(40);
                let piece: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
                file.splice(at..at, piece);
            }
            5 => {
                let end = (at + 1 + dice.below(40)).min(file.len());
                file.drain(at..end);
            }
            6 => {
                let end = (at + 1 + dice.below(200)).min(file.len());
                let piece = file[at..end].to_vec();
                let to = dice.below(file.len());
                file.splice(to..to, piece);
            }
            7 => {
                let other = &seeds[dice.below(seeds.len())].1;
                let from = dice.below(other.len());
                let end = (from + dice.below(400)).min(other.len());
                file.splice(at..at, other[from..end].iter().copied());
            }
            _ => file.truncate(at.max(20)),
        }
        if file.is_empty() {
            file.push(0);
        }
    }
    (chosen, file)
}

/// What the fuzz targets found, each once mended.
#[test]
fn what_was_found_keeps_to_the_law() {
    let fuzz = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz"));
    let folder = fuzz.join("corpus");
    let mut files = 0;
    for target in std::fs::read_dir(&folder).unwrap() {
        let target = target.unwrap().path();
        // Other crates replay their own.
        let name = target.file_name().unwrap().to_string_lossy().into_owned();
        let source = fuzz.join("fuzz_targets").join(format!("{name}.rs"));
        if !std::fs::read_to_string(source).unwrap().contains("mantle_fuzz::law!") {
            continue;
        }
        for entry in std::fs::read_dir(&target).unwrap() {
            let path = entry.unwrap().path();
            check(&std::fs::read(&path).unwrap(), &path.display().to_string(), false);
            files += 1;
        }
    }
    assert!(files > 0, "nothing in {}", folder.display());
}

#[test]
fn every_seed_keeps_its_pictures() {
    let (mut cleaned, mut judged) = (0, 0);
    for (name, file) in seeds() {
        let (is_cleaned, is_judged) = check(&file, &name, true);
        cleaned += usize::from(is_cleaned);
        judged += usize::from(is_judged);
    }
    assert!(cleaned >= 14 && judged >= 12, "{cleaned} cleaned, {judged} judged");
}

/// Files that other projects test with, where `scripts/setup` fetched them.
#[test]
fn samples_of_other_projects_keep_to_the_law() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/samples"));
    if !folder.is_dir() {
        println!("no samples: scripts/setup fetches them");
        return;
    }
    let mut folders = vec![folder.canonicalize().unwrap()];
    let (mut files, mut cleaned, mut judged) = (0, 0, 0);
    let mut broken = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = std::fs::read(&path).unwrap();
            if file.len() > 4 << 20 || judge::kind(&file).is_unknown() {
                continue;
            }
            let what = path.display().to_string();
            let outcome = std::panic::catch_unwind(|| check(&file, &what, true));
            let Ok((is_cleaned, is_judged)) = outcome else {
                broken.push(what);
                continue;
            };
            files += 1;
            cleaned += usize::from(is_cleaned);
            judged += usize::from(is_judged);
        }
    }
    println!("{files} files, {cleaned} cleaned, {judged} of them decoded before and after");
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(files > 60 && judged > 60, "{files} files, {judged} judged");
}

#[test]
fn damaged_files_show_the_same_or_are_not_touched() {
    let seeds = seeds();
    let seconds = std::env::var("MANTLE_MUTATE_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = std::env::var("MANTLE_MUTATE_SEED").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut dice = Dice(seed.unwrap_or(4711));
    let (mut runs, mut cleaned, mut judged) = (0_u64, 0_u64, 0_u64);
    while until.map_or(runs < 6_000, |until| Instant::now() < until) {
        let state = dice.0;
        let ((name, _), file) = mutated(&mut dice, &seeds);
        let (is_cleaned, is_judged) = check(&file, &format!("{name}, dice {state}"), false);
        runs += 1;
        cleaned += u64::from(is_cleaned);
        judged += u64::from(is_judged);
    }
    println!("{runs} files, {cleaned} cleaned, {judged} of them decoded before and after");
    assert!(judged > runs / 20, "{judged} of {runs} judged");
}
