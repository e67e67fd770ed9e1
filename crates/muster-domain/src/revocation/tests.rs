use super::*;

const SEC: Duration = Duration::from_secs(1);

#[test]
fn a_log_that_cannot_be_read_first_stops_what_is_new_and_then_what_is_open() {
    for (secs, expected) in [
        (0, Sight::Clear),
        (4, Sight::Clear),
        (5, Sight::Dim),
        (29, Sight::Dim),
        (30, Sight::Blind),
        (86_400, Sight::Blind),
    ] {
        assert_eq!(Sight::after(SEC * secs), expected, "{secs}");
    }
}

#[test]
fn what_was_read_without_gaps_is_never_read_again() {
    let mut tail = Tail::begin(0);
    assert_eq!(tail.take([1, 2, 3], SEC), [1, 2, 3]);
    assert_eq!(tail.after(), 3);
    assert_eq!(tail.take([4], SEC * 2), [4]);
    assert_eq!((tail.after(), tail.seen.len()), (4, 0));
}

#[test]
fn a_smaller_number_that_comes_later_is_taken_once() {
    let mut tail = Tail::begin(0);
    assert_eq!(tail.take([1, 3, 5], SEC), [1, 3, 5]);
    assert_eq!(tail.after(), 1, "2 and 4 may still come");
    assert_eq!(tail.take([3, 4, 5], SEC * 2), [4]);
    assert_eq!(tail.take([2, 3, 4, 5], SEC * 3), [2]);
    assert_eq!(tail.after(), 5);
}

#[test]
fn a_number_that_never_comes_is_waited_for_no_longer_than_a_transaction_lasts() {
    let mut tail = Tail::begin(0);
    tail.take([2], SEC);
    tail.take([2, 5], SEC * 50);
    assert_eq!(tail.after(), 0);
    assert_eq!(tail.take([1, 2, 5], SEC * 60), [1], "59 seconds late is not too late");
    tail.take([5], SEC * 61);
    assert_eq!(tail.after(), 2);
    assert_eq!(tail.take([4, 5], SEC * 109), [4]);
    tail.take([4, 5], SEC * 110);
    assert_eq!((tail.after(), tail.marks.len()), (5, 0));
}

#[test]
fn who_starts_looks_back() {
    assert_eq!(Tail::begin(5).after(), 0);
    assert_eq!(Tail::begin(5_000).after(), 4_000);
}

/// Whatever the order in which rows of up to a minute's transactions are committed: each is taken exactly once.
#[test]
fn every_row_is_taken_exactly_once_in_every_order_of_commits() {
    for seed in 0_u64..500 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = |bound: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % bound
        };
        // Numbered one per second; committed up to 59 seconds later, or never.
        let rows: Vec<(i64, u64)> = (1..=200)
            .map(|number| (number, if draw(5) == 0 { u64::MAX } else { number as u64 + draw(59) }))
            .collect();
        let (mut tail, mut taken) = (Tail::begin(0), Vec::new());
        for second in 0..400 {
            let after = tail.after();
            let visible = rows.iter().filter(|(number, at)| *number > after && *at <= second);
            taken.extend(tail.take(visible.map(|(number, _)| *number), SEC * second as u32));
        }
        taken.sort_unstable();
        let committed: Vec<i64> = rows.iter().filter(|(_, at)| *at != u64::MAX).map(|(n, _)| *n).collect();
        assert_eq!(taken, committed, "seed {seed}");
    }
}
