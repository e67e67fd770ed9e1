use muster_wire::bounds::Few;
use muster_wire::notification::TimeZoneName;
use uuid::Uuid;

use super::*;

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(instant.as_millisecond())
}

fn hours(from: &str, to: &str, zone: &str, days: &[Day]) -> QuietHours {
    QuietHours {
        from: TimeOfDay::parse(from).unwrap(),
        to: TimeOfDay::parse(to).unwrap(),
        time_zone: TimeZoneName::parse(zone).unwrap(),
        days: days.iter().copied().collect::<Few<Day, 7>>(),
        urgent_breaks_quiet: true,
    }
}

#[test]
fn quiet_hours_cross_midnight_and_changes_of_the_clocks() {
    let night = |zone| hours("22:00", "07:00", zone, &[]);
    let weekend = hours("20:00", "08:00", "UTC", &[Day::Friday, Day::Saturday]);
    let lunch = hours("12:00", "13:00", "UTC", &[]);
    let berlin = || night("Europe/Berlin");
    let skipped = hours("01:00", "02:30", "Europe/Berlin", &[]);
    let table = [
        ("the minute before", night("UTC"), "2026-01-10T21:59:59.999Z", None),
        ("the first moment", night("UTC"), "2026-01-10T22:00:00Z", Some("2026-01-11T07:00:00Z")),
        ("after midnight", night("UTC"), "2026-01-11T03:00:00Z", Some("2026-01-11T07:00:00Z")),
        ("the last moment", night("UTC"), "2026-01-11T06:59:59.999Z", Some("2026-01-11T07:00:00Z")),
        ("over", night("UTC"), "2026-01-11T07:00:00Z", None),
        ("within a day", lunch.clone(), "2026-01-11T12:30:00Z", Some("2026-01-11T13:00:00Z")),
        ("within a day, over", lunch, "2026-01-11T13:00:00Z", None),
        // 2026-01-09 is a Friday.
        ("a day that is named", weekend.clone(), "2026-01-09T21:00:00Z", Some("2026-01-10T08:00:00Z")),
        ("the morning after it", weekend.clone(), "2026-01-11T07:00:00Z", Some("2026-01-11T08:00:00Z")),
        ("a day that is not", weekend.clone(), "2026-01-11T21:00:00Z", None),
        ("the morning after that", weekend, "2026-01-12T07:00:00Z", None),
        ("winter time", berlin(), "2026-01-10T21:30:00Z", Some("2026-01-11T06:00:00Z")),
        ("summer time", berlin(), "2026-07-10T20:30:00Z", Some("2026-07-11T05:00:00Z")),
        // The night has an hour less: 2026-03-29, and one more: 2026-10-25.
        ("into summer", berlin(), "2026-03-28T21:30:00Z", Some("2026-03-29T05:00:00Z")),
        ("into winter", berlin(), "2026-10-24T20:30:00Z", Some("2026-10-25T06:00:00Z")),
        ("west", night("America/Los_Angeles"), "2026-01-11T07:00:00Z", Some("2026-01-11T15:00:00Z")),
        ("east, half hours", night("Asia/Kolkata"), "2026-01-10T16:30:00Z", Some("2026-01-11T01:30:00Z")),
        ("an end that does not exist", skipped.clone(), "2026-03-29T00:30:00Z", Some("2026-03-29T01:30:00Z")),
        ("an end that comes twice", skipped.clone(), "2026-10-24T23:30:00Z", Some("2026-10-25T00:30:00Z")),
        ("its second time", skipped, "2026-10-25T01:15:00Z", None),
        ("an unknown zone", hours("00:00", "23:59", "Mars/Olympus", &[]), "2026-01-10T12:00:00Z", None),
    ];
    for (name, hours, now, expected) in table {
        assert_eq!(quiet_until(at(now), &hours), expected.map(at), "{name}");
    }
}

#[test]
fn hours_that_cannot_hold_are_refused() {
    assert_eq!(check(&hours("22:00", "07:00", "Europe/Berlin", &[])), Ok(()));
    assert_eq!(check(&hours("22:00", "07:00", "Mars/Olympus", &[])), Err(("time_zone", "unknown_time_zone")));
    assert_eq!(check(&hours("07:00", "07:00", "UTC", &[])), Err(("to", "same_as_from")));
}

#[test]
fn the_end_is_never_in_the_past_and_never_more_than_a_day_away() {
    let zones = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "UTC"];
    let day = Duration::from_secs(25 * 3600);
    for zone in zones {
        let hours = hours("23:15", "03:05", zone, &[]);
        let mut now = at("2011-12-20T00:00:00Z");
        while now < at("2012-04-20T00:00:00Z") {
            if let Some(end) = quiet_until(now, &hours) {
                assert!(end > now && end <= now.plus(day), "{zone} {now:?}");
                assert_eq!(quiet_until(end, &hours), None, "{zone}: it ends when it says");
            }
            now = now.plus(Duration::from_secs(29 * 60));
        }
    }
}

#[test]
fn an_event_is_due_after_its_window_or_its_night() {
    let night = hours("22:00", "07:00", "UTC", &[]);
    let deaf = QuietHours { urgent_breaks_quiet: false, ..night.clone() };
    let (day, late, morning) =
        (at("2026-01-10T12:00:00Z"), at("2026-01-10T23:00:00Z"), at("2026-01-11T07:00:00Z"));
    let minute = Duration::from_secs(60);
    let plain = Happening::HostEnrolled;
    let urgent = Happening::CloneSuspected;
    let table = [
        ("at once", day, plain, None, Duration::ZERO, day),
        ("gathered", day, plain, Some(&night), minute, day.plus(minute)),
        ("urgent is not gathered", day, urgent, Some(&deaf), minute, day),
        ("quiet", late, plain, Some(&night), minute, morning),
        ("urgent breaks through", late, urgent, Some(&night), minute, late),
        ("urgent may not", late, urgent, Some(&deaf), minute, morning),
    ];
    for (name, now, what, hours, group_for, expected) in table {
        assert_eq!(due_at(now, what, hours, group_for), expected, "{name}");
    }
}

const NOW: &str = "2026-01-10T12:00:00Z";

fn one(id: u128, due_in_secs: i64, attempts: u64, what: Happening) -> Waiting {
    Waiting {
        id: DeliveryId::from_uuid(Uuid::from_u128(id)),
        what: Some(what),
        next_at: Timestamp::from_millis(at(NOW).as_millis() + due_in_secs * 1000),
        attempts,
    }
}

fn plain(id: u128, due_in_secs: i64, attempts: u64) -> Waiting {
    one(id, due_in_secs, attempts, Happening::HostEnrolled)
}

fn sends(ids: &[u128]) -> Next {
    Next::Send(ids.iter().map(|id| DeliveryId::from_uuid(Uuid::from_u128(*id))).collect())
}

fn waits(secs: i64) -> Next {
    Next::WaitUntil(Timestamp::from_millis(at(NOW).as_millis() + secs * 1000))
}

#[test]
fn the_first_event_opens_a_window_and_what_was_tried_together_stays_together() {
    let urgent = |id, due, attempts| one(id, due, attempts, Happening::AuditBroken);
    let quiet = hours("11:00", "13:00", "UTC", &[]);
    let deaf = QuietHours { urgent_breaks_quiet: false, ..quiet.clone() };
    let table: Vec<(&str, Vec<Waiting>, Option<&QuietHours>, Next)> = vec![
        ("nothing", vec![], None, Next::Idle),
        ("nothing, quiet", vec![], Some(&quiet), Next::Idle),
        ("the window is open", vec![plain(1, 30, 0), plain(2, 50, 0)], None, waits(30)),
        ("the window closes", vec![plain(1, 0, 0), plain(2, 50, 0)], None, sends(&[1, 2])),
        (
            "urgent takes what is before it along",
            vec![plain(1, 30, 0), urgent(2, 0, 0)],
            None,
            sends(&[1, 2]),
        ),
        ("urgent waits behind nothing", vec![plain(1, 30, 1), urgent(2, 0, 0)], None, sends(&[2])),
        ("tried: it waits, and all behind it", vec![plain(1, 30, 1), plain(2, -5, 0)], None, waits(30)),
        (
            "tried: nothing joins it",
            vec![plain(1, 0, 1), plain(2, 0, 1), plain(3, -5, 0)],
            None,
            sends(&[1, 2]),
        ),
        ("two that were tried apart", vec![plain(1, -9, 1), plain(2, -5, 1)], None, sends(&[1])),
        ("quiet", vec![plain(1, 0, 0)], Some(&quiet), waits(3600)),
        ("quiet, urgent goes alone", vec![plain(1, 0, 0), urgent(2, 0, 0)], Some(&quiet), sends(&[2])),
        ("quiet, urgent was tried", vec![plain(1, 0, 0), urgent(2, 9, 2)], Some(&quiet), waits(9)),
        ("quiet for all", vec![plain(1, 0, 0), urgent(2, 0, 0)], Some(&deaf), waits(3600)),
    ];
    for (name, waiting, hours, expected) in table {
        assert_eq!(next_group(&waiting, at(NOW), hours), expected, "{name}");
    }
}

#[test]
fn a_group_has_a_most() {
    let many: Vec<Waiting> = (0..MAX_PER_GROUP as u128 + 7).map(|id| plain(id, 0, 0)).collect();
    let Next::Send(group) = next_group(&many, at(NOW), None) else { panic!("it is due") };
    assert_eq!(group.len(), MAX_PER_GROUP);
}

#[test]
fn what_cannot_wait_is_behind_no_backlog() {
    let mut many: Vec<Waiting> = (0..MAX_PER_GROUP as u128 + 7).map(|id| plain(id, 0, 0)).collect();
    many.push(one(9000, 0, 0, Happening::AuditBroken));
    many.push(one(9001, 0, 0, Happening::AuditBroken));
    assert_eq!(next_group(&many, at(NOW), None), sends(&[9000, 9001]));
    let quiet = hours("11:00", "13:00", "UTC", &[]);
    assert_eq!(next_group(&many, at(NOW), Some(&quiet)), sends(&[9000, 9001]));
}
