use serde_json::json;
use uuid::Uuid;

use super::*;

const HOSTILE: &str =
    "<!channel> @everyone\r\nBcc: x@example.org\u{202e}\u{1b}[2J**b** [a](http://x.example)“”";

fn told(kind: &str, name: &str) -> Told {
    Told {
        kind: kind.to_owned(),
        at: Timestamp::from_millis(1_800_000_000_123),
        subject: subject(kind),
        subject_name: match kind.split('.').next() {
            Some("person" | "second_factor") => Some("Grace".to_owned()),
            Some("site") => Some("berlin".to_owned()),
            _ => None,
        },
        host_id: Some(HostId::from_uuid(Uuid::from_u128(7))),
        host_name: Some(name.to_owned()),
        actor: "Ada".to_owned(),
        details: json!({
            "reason": "generation_stale", "source": "192.0.2.7", "kind": "site_key", "secret": "repo", "role": "owner",
            "verdict": "approved", "count": 12, "of": 40,
        }),
    }
}

fn subject(kind: &str) -> String {
    match kind.split('.').next() {
        Some("claim") => "claim_00000000000000000000000000000001".to_owned(),
        Some("job") => "job_00000000000000000000000000000002".to_owned(),
        Some("ticket" | "token") => "0aB1cD2eF3gH".to_owned(),
        Some("site" | "claims") => "site_00000000000000000000000000000003".to_owned(),
        Some("person" | "second_factor") => "user_00000000000000000000000000000004".to_owned(),
        Some("login") => "ada from 192.0.2.7".to_owned(),
        Some("endpoint") => "endpoint_00000000000000000000000000000005".to_owned(),
        Some("audit") => "audit".to_owned(),
        _ => "host_00000000000000000000000000000007".to_owned(),
    }
}

#[test]
fn every_kind_that_is_told_of_has_its_sentence() {
    let mut all = String::new();
    for what in Happening::ALL.iter().filter(|what| what.is_told()) {
        let (says, next) = words::of(&told(what.as_str(), "web-1"));
        assert!(!says.contains(what.says()), "{what} has no sentence of its own");
        all.push_str(&format!("{what}: {says}\n"));
        if let Some(next) = next {
            all.push_str(&format!("    → {next}\n"));
        }
    }
    insta::assert_snapshot!("sentences", all);
}

#[test]
fn what_somebody_else_chose_stays_one_quoted_line() {
    for what in Happening::ALL.iter().filter(|what| what.is_told()) {
        let mut told = told(what.as_str(), HOSTILE);
        told.subject = HOSTILE.to_owned();
        told.subject_name = told.subject_name.map(|_| HOSTILE.to_owned());
        told.actor = HOSTILE.to_owned();
        for name in ["reason", "source", "kind", "secret", "role", "verdict", "disposition"] {
            told.details[name] = json!(HOSTILE);
        }
        let message = Message::of(&[told], None, "key".to_owned());
        for line in [&message.subject, &message.lines[0].says] {
            let bad = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!line.contains(bad), "{what}: {line:?}");
            assert!(!line.contains("“”"), "{what}: {line:?}");
        }
        assert_eq!(message.subject.lines().count(), 1);
    }
}

#[test]
fn a_message_lists_fifty_events_and_counts_the_rest() {
    let events: Vec<Told> = (0..63).map(|n| told("host.back", &format!("web-{n}"))).collect();
    let message = Message::of(&events, Some("https://muster.example/".to_owned()), "key".to_owned());
    assert_eq!((message.lines.len(), message.more), (50, 13));
    assert!(message.lines[49].says.contains("web-49"), "in their order");
    let plain = message.plain();
    assert!(plain.contains("and 13 more") && plain.ends_with("https://muster.example/\n"), "{plain}");
    assert_eq!(message.subject, "[Muster] The host “web-0” is back. (and 62 more)");
}

#[test]
fn a_message_is_cut_at_a_line() {
    let events: Vec<Told> = (0..5).map(|n| told("host.back", &format!("web-{n}"))).collect();
    let message = Message::of(&events, None, "key".to_owned()).fitting(200);
    assert_eq!((message.lines.len(), message.more), (2, 3));
    assert!(message.plain().len() <= 200);
    assert_eq!(message.fitting(0).lines.len(), 1, "something is said");
}

#[test]
fn the_subject_tells_of_what_cannot_wait() {
    let events = [told("host.back", "web-1"), told("clone.suspected", "db-1")];
    let message = Message::of(&events, None, "key".to_owned());
    assert!(message.is_urgent);
    assert!(message.subject.starts_with("[Muster] URGENT: A second machine"), "{}", message.subject);
    insta::assert_snapshot!("plain", message.plain());
}

#[test]
fn an_unknown_kind_is_told_all_the_same() {
    let (says, next) = words::of(&told("made.up", "web-1"));
    assert_eq!((says.as_str(), next), ("made.up happened to host_00000000000000000000000000000007.", None));
}
