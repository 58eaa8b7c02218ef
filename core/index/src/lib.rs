//! Where state events stand in a response of any size, without parsing it. A crate of its own, since
//! every byte of a response goes through it: it is compiled for speed, what judges events for size.

pub mod sparse;
pub mod structural;
