use super::*;

fn milliseconds(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
    values.into_iter().map(Duration::from_millis).collect()
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let spread = Spread::of(milliseconds((1..=100).rev()));
    assert_eq!(spread.p50_ms(), 50.0);
    assert_eq!(spread.p99_ms(), 99.0);
    assert_eq!(Spread::of(milliseconds([7])).p99_ms(), 7.0);
    assert_eq!(Spread::default().p99_ms(), 0.0);
}

#[test]
fn empty_seconds_count_in_the_mean_of_a_histogram() {
    let histogram = Histogram::of(&milliseconds([5_000, 5_100, 5_200, 8_500]));
    assert_eq!(histogram.per_second, [3, 0, 0, 1]);
    assert_eq!(histogram.peak(), 3);
    assert_eq!(histogram.mean(), 1.0);
    assert_eq!(Histogram::of(&[]).peak(), 0);
}

#[test]
fn the_median_is_the_middle_one() {
    assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
    assert_eq!(median(Vec::new()), 0.0);
}
