use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_channel::backoff::{Backoff, CAP, STABLE_AFTER};
use muster_client::Response;
use muster_wire::channel::close;

use super::{Round, in_words, pause};
use crate::copied::Word;
use crate::session::{End, Ended};

fn ended(end: End) -> Round {
    Round::Held(Ended::before_the_welcome(end))
}

fn left(reason: &str, secs: u64) -> Round {
    ended(End::Left { reason: reason.to_owned(), retry_after: Duration::from_secs(secs) })
}

/// A channel that was proved for long and ended so, of a fleet with this window.
fn after_work(end: End, window: Option<u64>) -> Round {
    let window = window.map(Duration::from_secs);
    let held_for = STABLE_AFTER;
    Round::Held(Ended { held_for, welcomed: true, window, ..Ended::before_the_welcome(end) })
}

fn refused(status: StatusCode, retry_after: Option<&'static str>) -> Round {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    Round::Refused(Box::new(Response { status, headers, body: Bytes::new() }))
}

fn check(round: &Round, failures: u32, least: Duration, most: Duration) {
    for fraction in [0.0, 0.5, 0.999] {
        let mut backoff = Backoff::default();
        for _ in 0..failures {
            backoff.ended(Duration::ZERO);
        }
        let wait = pause(round, &mut backoff, fraction);
        assert!((least..=most).contains(&wait), "{}: {wait:?}", in_words(round));
    }
}

#[test]
fn c10_the_word_that_a_state_is_a_copy_is_heard_in_both_forms() {
    assert_eq!(left("generation_stale", 60).word(), Some(Word::Stale));
    assert_eq!(left("fenced", 60).word(), Some(Word::Fenced));
    assert_eq!(ended(End::Closed { code: close::GENERATION_STALE }).word(), Some(Word::Stale));
    assert_eq!(ended(End::Closed { code: close::FENCED }).word(), Some(Word::Fenced));
    for other in [left("restart", 1), left("held", 1), left("superseded", 1), Round::Unreachable("x".into())]
    {
        assert_eq!(other.word(), None, "{}", in_words(&other));
    }
    assert_eq!(ended(End::Closed { code: close::HELD }).word(), None, "a held host keeps its key");
}

#[test]
fn c10_a_held_host_waits_without_flapping_and_says_who_can_help() {
    let secs = Duration::from_secs;
    for failures in [0, 40] {
        check(&left("held", 20), failures, secs(20), secs(40));
        check(&ended(End::Closed { code: close::HELD }), failures, secs(30), secs(60));
    }
    for round in [left("held", 20), ended(End::Closed { code: close::HELD })] {
        assert!(in_words(&round).contains("the key is kept, ask the operator"), "{}", in_words(&round));
    }
}

#[test]
fn c14_a_lost_channel_comes_back_within_the_window_of_its_fleet() {
    let secs = Duration::from_secs;
    let wait = |round: &Round, fraction| pause(round, &mut Backoff::default(), fraction);
    let lost = || End::Lost("x".into());
    assert_eq!(wait(&after_work(lost(), Some(60)), 0.5), secs(30));
    assert_eq!(wait(&after_work(End::Closed { code: 1006 }, Some(60)), 0.5), secs(30));
    assert_eq!(wait(&after_work(End::Closed { code: close::RESTART }, Some(60)), 0.5), secs(30));
    assert_eq!(wait(&after_work(lost(), Some(1)), 0.5), secs(1) / 2);
    assert_eq!(wait(&after_work(lost(), None), 0.5), secs(1) / 2, "an older server gives no window");
    assert!(wait(&after_work(lost(), Some(u32::MAX.into())), 0.999) <= secs(600), "nobody is stranded");
    let hinted = End::Left { reason: "restart".into(), retry_after: secs(4) };
    assert_eq!(wait(&after_work(hinted, Some(600)), 0.5), secs(6), "a hint comes first");
    assert!(wait(&ended(lost()), 0.999) <= secs(2), "before a welcome there is no window");
    // The second try is a usual one.
    let mut backoff = Backoff::default();
    pause(&after_work(lost(), Some(600)), &mut backoff, 0.5);
    assert!(pause(&Round::Unreachable("x".into()), &mut backoff, 0.999) <= secs(2));
}

#[test]
fn c14_hints_are_waited_out_and_the_window_grows_without_a_clamp() {
    let secs = Duration::from_secs;
    for failures in [0, 40] {
        check(&left("restart", 7), failures, secs(7), secs(14));
        check(&refused(StatusCode::SERVICE_UNAVAILABLE, Some("20")), failures, secs(20), secs(40));
        check(&refused(StatusCode::FORBIDDEN, None), failures, secs(30), secs(60));
    }
    check(&refused(StatusCode::UNAUTHORIZED, None), 40, Duration::ZERO, CAP);
    check(&Round::Unreachable("x".into()), 40, Duration::ZERO, CAP);
    let mut backoff = Backoff::default();
    let held = after_work(End::Lost("x".into()), None);
    for _ in 0..9 {
        backoff.ended(Duration::ZERO);
    }
    assert!(pause(&held, &mut backoff, 0.999) < Duration::from_secs(1));
}
