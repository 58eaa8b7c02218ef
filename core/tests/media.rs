//! Media: every format cleaned or refused with a reason, never a trap.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use mantle_core::media::{Examination, Piece, Plan, Report};

/// Examines as the page does; counts the bytes that were asked for.
fn examine(file: &[u8]) -> (Report, u64) {
    let mut examination = Examination::new(file.len() as u64);
    let mut read = 0;
    while let Some(need) = examination.need() {
        assert!(need.length > 0 && need.offset + need.length as u64 <= file.len() as u64);
        let from = usize::try_from(need.offset).unwrap();
        read += need.length as u64;
        examination.supply(&file[from..from + need.length]);
    }
    (examination.report().unwrap().clone(), read)
}

fn carry_out(plan: &Plan, file: &[u8]) -> Vec<u8> {
    let mut made = Vec::new();
    for piece in plan.pieces() {
        match piece {
            Piece::Keep { from, to } => made.extend_from_slice(
                &file[usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap()],
            ),
            Piece::Bytes(bytes) => made.extend_from_slice(bytes),
            Piece::Zeros(length) => made.resize(made.len() + usize::try_from(*length).unwrap(), 0),
        }
    }
    assert_eq!(made.len() as u64, plan.new_size());
    made
}

#[test]
fn scratch_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/media-corpus");
    let out = folder.join("../media-cleaned");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).unwrap();
    let listing: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("corpus.json")).unwrap()).unwrap();
    for (name, expected) in listing["files"].as_object().unwrap() {
        let file = std::fs::read(folder.join(name)).unwrap();
        let (report, read) = examine(&file);
        let came = match &report.plan {
            Ok(plan) if plan.is_unchanged() => "unchanged".to_owned(),
            Ok(plan) => {
                let made = carry_out(plan, &file);
                std::fs::write(out.join(name), &made).unwrap();
                let left = memchr::memmem::find(&made, b"canary4711").is_some();
                let again = examine(&made).0;
                let stable = again.plan.as_ref().is_ok_and(|plan| carry_out(plan, &made) == made);
                format!(
                    "cleaned{}{}",
                    if left { " CANARY" } else { "" },
                    if stable { "" } else { " UNSTABLE" }
                )
            }
            Err(refusal) => serde_json::to_value(refusal).unwrap().as_str().unwrap().to_owned(),
        };
        let mark = if came == expected.as_str().unwrap() { "ok " } else { "BAD" };
        println!(
            "{mark} {name}: {came} (expected {expected}) {:?} read {read} of {}",
            report.kind,
            file.len()
        );
    }
}
