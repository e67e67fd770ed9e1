use http::HeaderMap;
use muster_ids::Timestamp;

use super::{Check, Outcome, Report, clock};

#[test]
fn c08_a_wrong_clock_is_a_warning_that_says_what_still_works() {
    let check = |here: i64, outcome: Outcome, words: &str| {
        let there = Timestamp::from_millis(1_700_000_000_000);
        let here = Timestamp::from_millis(there.as_millis() + here * 1000);
        let found = clock::check("server", here, there);
        assert_eq!(found.outcome, outcome, "{found:?}");
        assert!(found.said.contains(words), "{found:?}");
    };
    check(0, Outcome::Ok, "agrees");
    check(-1, Outcome::Ok, "agrees");
    check(300, Outcome::Ok, "is 300 s ahead");
    check(-300, Outcome::Ok, "is 300 s behind");
    check(301, Outcome::Warn, "is 301 s ahead of the server's: joining");
    check(-86_400, Outcome::Warn, "is 86400 s behind the server's: joining");
    check(-86_400, Outcome::Warn, "still work");
}

#[test]
fn the_date_of_an_answer_is_read_and_nonsense_is_not() {
    let date = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("date", text.parse().expect("a header"));
        clock::date(&headers).map(|moment| moment.to_string())
    };
    let read = date("Sun, 22 Nov 2026 12:46:12 GMT");
    assert!(read.as_ref().is_some_and(|text| text.starts_with("2026-11-22T12:46:12")), "{read:?}");
    for bad in ["", "now", "Sun, 22 Nov 2026 12:46:12 CET", "Sun, 99 Nov 2026 12:46:12 GMT", "a b c d e GMT"]
    {
        assert_eq!(date(bad), None, "{bad}");
    }
    assert_eq!(clock::date(&HeaderMap::new()), None);
}

#[test]
fn b08_a_report_is_lines_whatever_was_found() {
    let mut report = Report::default();
    report.push(Check::ok("dns", "a", "fine"));
    assert_eq!(report.outcome, Outcome::Ok);
    report.push(Check::fail("server", "b\u{1b}[31m", "says\nfail  key b: \u{202e}forged"));
    report.push(Check::warn("clock", "c", "late"));
    assert_eq!(report.outcome, Outcome::Fail);
    let text = report.to_string();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert!(text.ends_with("3 checks, 1 warnings, 1 failures"), "{text}");
}
