//! For tests only: what they need from outside the program. It knows none of Muster's own crates.

pub mod postgres;
