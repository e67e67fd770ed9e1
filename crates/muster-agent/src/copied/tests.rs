use std::time::Duration;

use muster_wire::claim::CopyCause;

use super::{FENCED_FOR, FENCES_WAITED_OUT, Fences, Weighed, Word};

/// Words with the second each comes at, a welcome in between as `None`.
#[track_caller]
fn check(words: &[(u64, Option<Word>)], expected: &[Weighed]) {
    let mut fences = Fences::default();
    let mut verdicts = Vec::new();
    for (second, word) in words {
        match word {
            Some(word) => verdicts.push(fences.weigh(*word, Duration::from_secs(*second))),
            None => fences = Fences::default(),
        }
    }
    assert_eq!(verdicts, expected);
}

const FENCED: Option<Word> = Some(Word::Fenced);
const STALE: Option<Word> = Some(Word::Stale);

fn back(seconds: u64) -> Weighed {
    Weighed::ComeBack(Duration::from_secs(seconds))
}

#[test]
fn c10_an_older_state_forks_at_once() {
    check(&[(0, STALE)], &[Weighed::Fork(CopyCause::GenerationStale)]);
    check(&[(0, FENCED), (5, STALE)], &[back(5), Weighed::Fork(CopyCause::GenerationStale)]);
}

#[test]
fn c11_an_agents_own_last_connection_is_waited_out() {
    check(&[(0, FENCED)], &[back(5)]);
    check(&[(0, FENCED), (6, FENCED)], &[back(5), back(10)]);
    // Each loss of a welcomed channel begins anew: a bad line never adds up to a copy.
    let bad_line =
        [(0, FENCED), (6, FENCED), (18, None), (40, FENCED), (46, FENCED), (58, None), (400, FENCED)];
    check(&bad_line, &[back(5), back(10), back(5), back(10), back(5)]);
}

#[test]
fn c10_somebody_who_goes_on_answering_is_another_machine() {
    let fork = Weighed::Fork(CopyCause::Fenced);
    check(&[(0, FENCED), (6, FENCED), (18, FENCED)], &[back(5), back(10), fork]);
    let later = FENCED_FOR.as_secs();
    check(&[(0, FENCED), (later - 1, FENCED)], &[back(5), back(10)]);
    check(&[(0, FENCED), (later, FENCED)], &[back(5), fork]);
}

#[test]
fn c10_waiting_out_ends_within_the_time_a_server_believes_in_a_silent_peer() {
    let mut fences = Fences::default();
    let mut at = Duration::ZERO;
    for _ in 0..FENCES_WAITED_OUT {
        let Weighed::ComeBack(after) = fences.weigh(Word::Fenced, at) else { panic!("too soon") };
        // The longest jitter, and a connection that takes its time.
        at += after.mul_f64(1.25) + Duration::from_secs(20);
    }
    assert!(at < FENCED_FOR, "{at:?}");
}
