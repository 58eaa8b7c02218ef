//! What every test of files does: examines one as the page does, and carries out what is planned.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests may panic, and none uses all of it"
)]

use mantle_media::{Examination, Piece, Plan, Report};

/// Examines as the page does; counts the bytes that were asked for.
pub fn examine(file: &[u8]) -> (Report, usize) {
    let mut examination = Examination::new(file.len() as u64);
    let mut read = 0;
    while let Some(need) = examination.need() {
        assert!(need.length > 0 && need.offset + need.length as u64 <= file.len() as u64);
        let from = usize::try_from(need.offset).unwrap();
        read += need.length;
        examination.supply(&file[from..from + need.length]);
    }
    (examination.report().unwrap().clone(), read)
}

pub fn carry_out(plan: &Plan, file: &[u8]) -> Vec<u8> {
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
