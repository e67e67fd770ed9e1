use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn accepts<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_value::<T>(Value::from(text)).is_ok()
}

#[test]
fn a_url_is_one_of_the_web_and_names_no_user() {
    for good in ["https://ntfy.example", "http://127.0.0.1:8080/a?b=c", "HTTPS://Example.org/x"] {
        assert!(accepts::<HttpUrl>(good), "{good}");
    }
    let bad = [
        "",
        "ntfy.example",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "https://user@a.example/",
        "https://user:word@a.example/",
        "https://a.example/#part",
        "https://",
        "https://a.example/\nx",
        " https://a.example",
        "javascript:alert(1)",
    ];
    for bad in bad {
        assert!(!accepts::<HttpUrl>(bad), "{bad}");
    }
}

#[test]
fn a_mail_address_cannot_carry_a_header_or_another_address() {
    for good in ["ops@example.org", "a.b+c@mail.example.org", "o'neil@example.org"] {
        assert!(accepts::<MailAddress>(good), "{good}");
    }
    let bad = [
        "",
        "@example.org",
        "a@",
        "a",
        "a b@example.org",
        "a@example.org, b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "Ada <ada@example.org>",
        "\"a\"@example.org",
        "a@[127.0.0.1]",
        "a..b@example.org",
        "a@-x.org",
        "ä@example.org",
    ];
    for bad in bad {
        assert!(!accepts::<MailAddress>(bad), "{bad}");
    }
}

#[test]
fn a_time_of_day_is_four_digits() {
    for good in ["00:00", "23:59", "07:30"] {
        assert!(accepts::<TimeOfDay>(good), "{good}");
    }
    for bad in ["", "7:30", "24:00", "12:60", "12.30", "+1:30", "12:3", "12:300", "ab:cd", "1é:30"] {
        assert!(!accepts::<TimeOfDay>(bad), "{bad}");
    }
}

#[test]
fn names_hold_their_alphabets() {
    assert!(
        accepts::<NtfyTopic>("backup_alerts-1") && !accepts::<NtfyTopic>("a/b") && !accepts::<NtfyTopic>("")
    );
    assert!(accepts::<MatrixRoom>("!abc:example.org") && accepts::<MatrixRoom>("!opaque"));
    for bad in ["#alias:example.org", "!", "!a b:example.org", "abc"] {
        assert!(!accepts::<MatrixRoom>(bad), "{bad}");
    }
    assert!(accepts::<TimeZoneName>("Europe/Berlin") && accepts::<TimeZoneName>("Etc/GMT+1"));
    assert!(!accepts::<TimeZoneName>("../../etc/passwd") && !accepts::<TimeZoneName>("Europe Berlin"));
    assert!(accepts::<MailServer>("mail.example.org") && accepts::<MailServer>("::1"));
    assert!(!accepts::<MailServer>("mail.example.org:25") && !accepts::<MailServer>("a b"));
}

#[test]
fn nothing_prints_a_credential() {
    let email: EmailConfig = serde_json::from_value(json!({
        "server": "mail.example.org", "port": 587, "security": "starttls", "from": "muster@example.org",
        "to": ["ops@example.org", "ada@example.org"], "user": "muster", "password": "canary-1",
    }))
    .unwrap();
    let ntfy: NtfyConfig = serde_json::from_value(
        json!({ "url": "https://ntfy.example.org", "topic": "backup-canary-2", "token": "tk_canary-3" }),
    )
    .unwrap();
    let slack: SlackConfig =
        serde_json::from_value(json!({ "url": "https://hooks.example.org/services/canary-4" })).unwrap();
    let teams: TeamsConfig =
        serde_json::from_value(json!({ "url": "https://teams.example.org/flow?sig=canary-5" })).unwrap();
    let matrix: MatrixConfig = serde_json::from_value(
        json!({ "url": "https://matrix.example.org", "room": "!room:example.org", "token": "syt_canary-6" }),
    )
    .unwrap();
    let shown = [email.shown(), ntfy.shown(), slack.shown(), teams.shown(), matrix.shown()];
    assert_eq!(
        shown,
        [
            "ada@example.org and 1 more via mail.example.org:587",
            "https://ntfy.example.org/bac…",
            "https://hooks.example.org/…",
            "https://teams.example.org/…",
            "!room:example.org at https://matrix.example.org",
        ]
    );
    let printed = format!("{email:?} {ntfy:?} {slack:?} {teams:?} {matrix:?} {shown:?}");
    assert!(!printed.contains("canary"), "{printed}");
}

#[test]
fn what_is_written_down_is_read_again() {
    let stored = json!({
        "server": "mail.example.org", "port": 465, "security": "tls", "from": "muster@example.org",
        "to": ["ops@example.org"], "user": "muster", "password": "word",
    });
    let email: EmailConfig = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&email).unwrap(), stored);
    let quiet: QuietHours =
        serde_json::from_value(json!({ "from": "22:00", "to": "07:00", "time_zone": "UTC" })).unwrap();
    assert!(quiet.urgent_breaks_quiet && quiet.days.is_empty());
    let again: QuietHours = serde_json::from_value(serde_json::to_value(&quiet).unwrap()).unwrap();
    assert_eq!(again, quiet);
}

#[test]
fn an_unknown_field_and_an_empty_list_are_refused() {
    let base = json!({
        "server": "mail.example.org", "port": 465, "security": "tls", "from": "muster@example.org", "to": [],
    });
    assert!(serde_json::from_value::<EmailConfig>(base).is_err());
    let extra = json!({ "url": "https://hooks.example.org/a", "channel": "#x" });
    assert!(serde_json::from_value::<SlackConfig>(extra).is_err());
}
