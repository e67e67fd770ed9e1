use super::*;

#[test]
fn times_are_read_as_people_write_them() {
    let cases = [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("0s", 0),
        (" 5m ", 300),
    ];
    for (text, seconds) in cases {
        assert_eq!(text.parse::<Span>().map(Span::as_secs), Ok(seconds), "{text}");
    }
}

#[test]
fn a_time_without_unit_is_refused() {
    for text in
        ["", "90", "h", "1h30", "-5m", "1.5h", "1y", "99999999999999999999s", "99999999999999999w", "5m m"]
    {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn times_are_written_as_they_are_read() {
    for text in ["1d", "1h30m", "45s", "0s", "2d1s"] {
        assert_eq!(text.parse::<Span>().map(|span| span.to_string()).as_deref(), Ok(text));
    }
}

#[test]
fn ages_are_rough() {
    for (seconds, text) in
        [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")]
    {
        assert_eq!(roughly(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn a_moment_is_said_itself_or_by_how_long_ago_it_was() {
    let at = "2026-01-31T12:00:00Z";
    assert_eq!(moment_or_ago(at), Ok(at.parse().unwrap()));
    let now = Clock::system().now();
    let ago = now.since(moment_or_ago("24h").unwrap()).as_secs();
    assert!((86_390..=86_400).contains(&ago), "{ago}");
    for bad in ["yesterday", "", "24", "2026-01-31"] {
        assert!(moment_or_ago(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_to_come_is_said_to_the_nearest() {
    for (seconds, text) in
        [(30 * 86_400 - 5, "30d"), (86_399, "24h"), (7_199, "120m"), (45, "45s"), (299, "5m")]
    {
        assert_eq!(soon(Duration::from_secs(seconds)), text);
    }
}
