//! Numbers that look like chance and are the same in every run, for tests that damage files.

#![allow(
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "a file that tests take in"
)]

pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}
