//! The layers of this crate use each other in one direction:
//! `msc4362 ← megolm, index ← decrypt ← model ← flow ← engine`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

use std::fs;
use std::path::Path;

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
