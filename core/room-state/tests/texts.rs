//! No function of this crate takes two texts that a caller could take for one another: ids are types
//! (`src/ids.rs`), what has two parts names them, and one bare text may stand beside them. A text that
//! can only be written in the code, `&'static str`, is none of those.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

use std::fs;
use std::path::Path;

/// What a function takes, as far as it can be read without a compiler: the parts between commas
/// outside all brackets.
fn parameters(list: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            // The arrow of a function's type closes nothing.
            '>' if list[..at].ends_with('-') => {}
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                all.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(list[start..].trim());
    all.into_iter().filter(|part| !part.is_empty()).collect()
}

/// How many bare texts a type holds: those of a tuple are counted each.
fn texts_in(of: &str) -> usize {
    let of = of.trim();
    if let Some(tuple) = of.trim_start_matches('&').strip_prefix('(') {
        let inside = tuple.strip_suffix(')').unwrap_or(tuple);
        return parameters(inside).into_iter().map(texts_in).sum();
    }
    if let Some(inside) = of.strip_prefix("Option<") {
        return texts_in(inside.strip_suffix('>').unwrap_or(inside));
    }
    let mut of = of;
    if let Some(borrowed) = of.strip_prefix('&') {
        of = borrowed.trim_start();
        if let Some(named) = of.strip_prefix('\'') {
            let (lifetime, rest) = named.split_once(' ').unwrap_or((named, ""));
            if lifetime == "static" {
                return 0;
            }
            of = rest;
        }
        of = of.strip_prefix("mut ").unwrap_or(of);
    }
    usize::from(matches!(of, "str" | "String"))
}

/// Functions that take more than one bare text, by name.
fn swappable(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        let after = &code[at + 3..];
        let name_end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let name = &after[..name_end.unwrap_or(after.len())];
        if name.is_empty() || before.is_some_and(|letter| !letter.is_whitespace()) {
            continue;
        }
        // What is generic stands before the list; a bound may be a function's type.
        let mut rest = &after[name.len()..];
        if rest.starts_with('<') {
            let mut depth = 0_usize;
            let end = rest.char_indices().find(|(at, letter)| {
                match letter {
                    '<' => depth += 1,
                    '>' if !rest[..*at].ends_with('-') => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            rest = &rest[end.unwrap().0 + 1..];
        }
        let Some(list) = rest.strip_prefix('(') else { continue };
        let mut depth = 1_usize;
        let end = list.char_indices().find(|(_, letter)| {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let list = &list[..end.unwrap().0];
        let types = parameters(list).into_iter().filter_map(|part| {
            // The pattern may be a tuple or a struct with colons of its own.
            let mut depth = 0_usize;
            let colon = part.char_indices().find(|(at, letter)| {
                match letter {
                    '(' | '{' | '[' => depth += 1,
                    ')' | '}' | ']' => depth -= 1,
                    _ => {}
                }
                *letter == ':' && depth == 0 && !part[at + 1..].starts_with(':')
            });
            colon.map(|(at, _)| &part[at + 1..])
        });
        if types.map(texts_in).sum::<usize>() > 1 {
            all.push(name.to_owned());
        }
    }
    all
}

/// Of all files below, with the file; without tests and comments.
fn look(path: &Path, found: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let code: Vec<&str> = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let names = swappable(&code.join("\n"));
        found.extend(names.into_iter().map(|name| format!("{}: {name}", path.display())));
    }
}

#[test]
fn no_function_takes_two_texts_that_could_be_swapped() {
    let mut found = Vec::new();
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn two_texts_are_seen_however_they_are_taken() {
    for (code, is_seen) in [
        ("pub fn a(one: &str, two: &str) {}", true),
        ("fn a(&self, one: &'a str, two: String,) -> u8 {}", true),
        ("fn a<'a, F: Fn(u8) -> u8>(\n    one: Option<&str>,\n    two: &String,\n) {}", true),
        ("const fn a(model: &Model, (one, two): (&str, &str)) {}", true),
        ("fn a(A { b, c }: A<'_>, (one, n): (&str, u32), two: &mut String) {}", true),
        ("fn a(key: &(String, String)) {}", true),
        ("fn a(room: RoomId<'_>, (event_type, key): (EventType<'_>, &str), n: u32) {}", false),
        ("fn a(text: &str, key: &'static str, path: &[&str], all: &[String]) {}", false),
        (
            "fn a(text: &str, f: impl Fn(&str, &str) -> Option<String>, m: Map<String, String>) {}",
            false,
        ),
        ("fn a() { b(|one: &str, two: &str| ()) }", false),
    ] {
        assert_eq!(!swappable(code).is_empty(), is_seen, "{code}");
    }
}
