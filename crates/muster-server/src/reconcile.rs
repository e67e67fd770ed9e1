//! Background work: reconcilers without input, on a timer plus a nudge, one file each.

mod sealer;

pub use sealer::sealer;
