//! Clock and randomness: the only crate that reads either.
//!
//! Everything else takes `now` and random bytes as values, so that a test can replay any history.

mod clock;
mod entropy;

pub use clock::{Clock, FakeClock};
pub use entropy::{Draw, Entropy, Seed};
