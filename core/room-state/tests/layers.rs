//! The layers of this crate use each other in one direction:
//! `msc4362 ← megolm, index ← decrypt ← model ← flow ← engine`. No flow uses another, no file is in
//! a circle, and the façade keeps nothing itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LAYERS: [&[&str]; 6] =
    [&["msc4362"], &["megolm", "index"], &["decrypt"], &["model"], &["flow"], &["engine"]];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Modules named after `crate::` in a text.
fn used(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn look(path: &Path, module: &str, wrong: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), module, wrong);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let own = layer(module).unwrap();
        for other in used(&text) {
            let is_wrong =
                layer(other).is_some_and(|there| there > own || there == own && other != module);
            if is_wrong {
                wrong.push(format!("{} uses {other}", path.display()));
            }
        }
    }
}

#[test]
fn no_layer_uses_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for module in LAYERS.into_iter().flatten() {
        for name in [format!("{module}.rs"), (*module).to_owned()] {
            let path = source.join(name);
            if path.exists() {
                look(&path, module, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_use_of_one_above_is_seen() {
    let names: Vec<&str> = used("use crate::engine::X;\nuse crate::{a};crate::flow").collect();
    assert_eq!(names, ["engine", "", "flow"]);
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below, by module: `flow::retry`; without the crate's root and without tests.
fn modules() -> BTreeMap<String, String> {
    fn walk(folder: &Path, prefix: &str, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let module =
                if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
            if path.is_dir() {
                walk(&path, &module, all);
            } else if module != "lib" {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<&str> = text
                    .lines()
                    .take_while(|line| *line != "#[cfg(test)]")
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                all.insert(module, code.join("\n"));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(&source(), "", &mut all);
    all
}

/// The paths of a text's `use` declarations, with braces taken apart, and of its other mentions.
fn paths(text: &str) -> Vec<String> {
    fn expand(prefix: &str, tree: &str, all: &mut Vec<String>) {
        let Some((head, rest)) = tree.split_once('{') else {
            all.push(format!("{prefix}{}", tree.split(" as ").next().unwrap().trim()));
            return;
        };
        let inner = rest.rsplit_once('}').unwrap().0;
        let prefix = format!("{prefix}{}", head.trim());
        let mut depth = 0;
        let parts = inner.split(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            letter == ',' && depth == 0
        });
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            expand(&prefix, part, all);
        }
    }
    let mut all = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(root) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == ':') {
                continue;
            }
            let is_declared = text[..at].ends_with("use ");
            let end = if is_declared {
                text[at..].find(';').unwrap()
            } else {
                let is_path = |letter: char| letter.is_alphanumeric() || "_:".contains(letter);
                text[at..].find(|letter| !is_path(letter)).unwrap_or(text.len() - at)
            };
            expand("", &text[at..at + end], &mut all);
        }
    }
    all
}

/// The file that a path in `module` leads to, if it is another one of the crate.
fn resolve(module: &str, path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut absolute: Vec<&str> = match parts.remove(0) {
        "crate" => Vec::new(),
        _ if path.starts_with("self") => module.split("::").collect(),
        _ => {
            let mut above: Vec<&str> = module.split("::").collect();
            above.pop();
            above
        }
    };
    absolute.extend(parts);
    while !absolute.is_empty() {
        let name = absolute.join("::");
        if modules.contains_key(&name) {
            return (name != module).then_some(name);
        }
        absolute.pop();
    }
    None
}

fn graph(modules: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let used = |module: &String, text: &String| {
        let paths = paths(text).into_iter();
        paths.filter_map(|path| resolve(module, &path, modules)).collect()
    };
    modules.iter().map(|(module, text)| (module.clone(), used(module, text))).collect()
}

/// What is left when all is taken away that uses nothing that is left.
fn circles(mut graph: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let all: BTreeSet<String> = graph.keys().cloned().collect();
        graph.retain(|_, used| used.iter().any(|module| all.contains(module)));
        if graph.len() == all.len() {
            return all.into_iter().collect();
        }
    }
}

#[test]
fn no_file_is_in_a_circle() {
    let graph = graph(&modules());
    assert!(graph["engine"].contains("flow::retry") && graph["flow::retry"].contains("model"));
    assert!(graph["flow::retry"].contains("flow::retry::waiting"), "{:?}", graph["flow::retry"]);
    // Whoever uses what is in a circle is listed too.
    assert_eq!(circles(graph), Vec::<String>::new());
}

#[test]
fn a_circle_is_seen() {
    let texts = [
        ("a", "use crate::b::{self, X};"),
        ("b", "use crate::{c::{Y, Z}, d};"),
        ("b::in_b", "use super::Of;"),
        ("c", "fn f() { crate::a::g() }"),
        ("d", "use self::of::X;"),
        ("d::of", ""),
    ];
    let modules: BTreeMap<String, String> =
        texts.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect();
    let graph = graph(&modules);
    assert_eq!(graph["b"].iter().collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(circles(graph), ["a", "b", "b::in_b", "c"]);
}

#[test]
fn no_flow_uses_another() {
    let flow = |module: &str| module.split("::").nth(1).map(str::to_owned);
    for (module, used) in graph(&modules()) {
        let own = flow(&module).filter(|_| module.starts_with("flow::"));
        for other in used.iter().filter(|other| own.is_some() && other.starts_with("flow::")) {
            assert_eq!(own, flow(other), "{module} uses {other}");
        }
    }
}

#[test]
fn the_facade_keeps_nothing_itself() {
    let facade = modules().into_iter().filter(|(module, _)| module.starts_with("engine"));
    for (module, text) in facade {
        assert!(text.lines().count() < 400, "{module} is no façade any more");
        assert!(!text.contains("sorted::"), "{module} keeps data of its own");
    }
}
