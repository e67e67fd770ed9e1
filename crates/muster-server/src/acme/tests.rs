use muster_acme::{Allowed, Directory, LETS_ENCRYPT};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn acme() -> Acme {
    let options = AcmeOptions {
        names: vec!["muster.example".to_owned()],
        contact: None,
        directory: LETS_ENCRYPT.to_owned(),
        ca_file: None,
        pace: AcmePace::default(),
    };
    let directory = Directory::new(LETS_ENCRYPT, Vec::new(), Allowed::public_only()).expect("made");
    Acme::new(options, PathBuf::from("/nowhere"), directory)
}

#[test]
fn a_name_is_one_that_a_listener_can_prove() {
    assert_eq!(parse_name("Muster.Example"), Ok("muster.example".to_owned()));
    assert_eq!(parse_name("localhost"), Ok("localhost".to_owned()));
    let long = format!("{}.example", "a".repeat(64));
    for bad in [
        "",
        ".",
        "a..b",
        "a.b.",
        "*.example",
        "10.0.0.1",
        "::1",
        "a:443",
        "a b",
        "a_b.example",
        "-a.example",
        "https://a",
        "a\n",
        &long,
    ] {
        assert_eq!(parse_name(bad), Err(NameError), "{bad:?}");
    }
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_lifetime_is_left() {
    let at = Timestamp::from_millis;
    assert_eq!(renew_at(at(1_000), at(10_000)), at(7_000));
    // Ninety days: thirty are left.
    let day = 86_400_000;
    assert_eq!(
        renew_at(NOW, NOW.plus(Duration::from_millis(90 * day))),
        NOW.plus(Duration::from_millis(60 * day))
    );
    assert_eq!(renew_at(at(5), at(1)), at(1), "dates that make no sense are due at their end");
}

#[test]
fn each_failure_doubles_the_wait_up_to_the_most_and_chance_spreads_it() {
    let pace = AcmePace::default();
    assert_eq!(wait(1, pace, 0.5), 5 * MINUTE);
    assert_eq!(wait(3, pace, 0.5), 20 * MINUTE);
    assert_eq!(wait(u32::MAX, pace, 0.5), 360 * MINUTE);
    assert_eq!(
        (wait(1, pace, 0.0), wait(1, pace, 1.0)),
        (pace.retry_after.mul_f64(0.75), pace.retry_after.mul_f64(1.25))
    );
}

#[test]
fn nobody_tries_before_it_is_time_and_a_person_does_not_overrule_the_directory() {
    let acme = acme();
    assert!(acme.may_try(NOW) && acme.is_due(None, NOW));
    assert_eq!(acme.failed("down".to_owned(), None, 0.5, NOW), 5 * MINUTE);
    assert!(!acme.may_try(NOW.plus(4 * MINUTE)) && acme.may_try(NOW.plus(5 * MINUTE)));
    acme.try_again();
    assert!(acme.may_try(NOW));

    let hour = 60 * MINUTE;
    assert_eq!(acme.failed("too many".to_owned(), Some(hour), 0.5, NOW), hour);
    acme.try_again();
    assert!(!acme.may_try(NOW.plus(59 * MINUTE)) && acme.may_try(NOW.plus(hour)));
    let status = acme.status(None);
    assert_eq!((status.failures, status.problem.as_deref(), status.temporary), (2, Some("too many"), true));
    assert_eq!((status.tried_at, status.next_try_at), (Some(NOW), Some(NOW.plus(hour))));
    // Whatever it says, the server looks once a day.
    assert_eq!(acme.failed("for ever".to_owned(), Some(Duration::MAX), 0.5, NOW), 24 * hour);

    acme.succeeded(Some(NOW));
    let status = acme.status(Some((NOW, NOW.plus(3 * hour))));
    assert_eq!((status.failures, status.problem, status.next_try_at), (0, None, None));
    assert_eq!((status.renew_at, status.temporary), (Some(NOW.plus(2 * hour)), false));
}
