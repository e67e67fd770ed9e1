//! Refusals take the same time whatever was wrong (B11): run alone, on a machine that does nothing else.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]
#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

#[path = "../server/world/mod.rs"]
mod world;

mod sign_in;
mod tickets;

use std::time::{Duration, Instant};

/// Samples of each class.
const SAMPLES: usize = 500;

/// Measures two kinds of request in turn and expects their medians within 10 % or 1 ms.
async fn alike(mut one: impl AsyncFnMut(usize), mut other: impl AsyncFnMut(usize)) {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    for n in 0..SAMPLES {
        // Neither is always the one that comes first.
        for class in if n % 2 == 0 { [0, 1] } else { [1, 0] } {
            let begun = Instant::now();
            if class == 0 {
                one(n).await
            } else {
                other(n).await
            }
            times[class].push(begun.elapsed());
        }
    }
    let [one, other] = times.map(median);
    let (small, large) = (one.min(other), one.max(other));
    let apart = large - small;
    assert!(apart <= Duration::from_millis(1) || apart * 10 <= small, "{one:?} and {other:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
