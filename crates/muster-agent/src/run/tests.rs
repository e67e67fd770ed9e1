use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_channel::backoff::{Backoff, CAP, STABLE_AFTER};
use muster_client::Response;
use muster_wire::channel::close;

use super::{Pace, Round, in_words, pause};
use crate::session::End;

fn left(reason: &str, secs: u64) -> Round {
    Round::Held(
        End::Left { reason: reason.to_owned(), retry_after: Duration::from_secs(secs) },
        Duration::ZERO,
    )
}

fn refused(status: StatusCode, retry_after: Option<&'static str>) -> Round {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    Round::Refused(Box::new(Response { status, headers, body: Bytes::new() }))
}

fn check(round: &Round, failures: u32, least: Duration, most: Duration) {
    let pace = Pace::default();
    for fraction in [0.0, 0.5, 0.999] {
        let mut backoff = Backoff::default();
        for _ in 0..failures {
            backoff.ended(Duration::ZERO);
        }
        let wait = pause(round, &mut backoff, fraction, &pace);
        assert!((least..=most).contains(&wait), "{}: {wait:?}", in_words(round));
    }
}

#[test]
fn c10_a_contested_identity_does_not_flap() {
    let (five, most) = (Duration::from_secs(300), Duration::from_secs(450));
    check(&left("generation_stale", 60), 0, five, most);
    check(&left("fenced", 60), 0, five, most);
    for code in [close::GENERATION_STALE, close::FENCED] {
        check(&Round::Held(End::Closed { code }, Duration::ZERO), 0, five, most);
    }
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
    let held = Round::Held(End::Lost("x".into()), STABLE_AFTER);
    for _ in 0..9 {
        backoff.ended(Duration::ZERO);
    }
    assert!(pause(&held, &mut backoff, 0.999, &Pace::default()) < Duration::from_secs(1));
}
