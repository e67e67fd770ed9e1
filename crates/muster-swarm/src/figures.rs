//! Percentiles and histograms of what was measured.

use std::time::Duration;

use serde::Serialize;

/// Durations in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The smallest value that is not below the share `at` of all of them; zero when there is none.
    pub(crate) fn percentile(&self, at: f64) -> Duration {
        let rank = (at * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).or(self.0.last()).copied().unwrap_or_default()
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        ms(self.percentile(0.50))
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        ms(self.percentile(0.99))
    }
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// How many things happened in a second.
pub(crate) fn per_second(count: usize, within: Duration) -> f64 {
    count as f64 / within.as_secs_f64().max(1e-9)
}

/// How often something happened in each second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Histogram {
    pub(crate) per_second: Vec<usize>,
}

impl Histogram {
    /// Counts moments by the second they fall into, from the first one on.
    pub(crate) fn of(moments: &[Duration]) -> Self {
        let Some(first) = moments.iter().min() else { return Self::default() };
        let mut per_second = Vec::new();
        for moment in moments {
            let second = (*moment - *first).as_secs() as usize;
            if per_second.len() <= second {
                per_second.resize(second + 1, 0);
            }
            per_second[second] += 1;
        }
        Self { per_second }
    }

    pub(crate) fn peak(&self) -> usize {
        self.per_second.iter().copied().max().unwrap_or(0)
    }

    /// Mean of all seconds from the first to the last moment.
    pub(crate) fn mean(&self) -> f64 {
        let all: usize = self.per_second.iter().sum();
        all as f64 / self.per_second.len().max(1) as f64
    }
}

/// The middle one of three or more runs.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
