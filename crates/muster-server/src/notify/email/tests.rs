use muster_wire::notification::SecretLine;
use serde_json::json;

use super::*;
use crate::notify::text::Line;

fn config() -> EmailConfig {
    serde_json::from_value(json!({
        "server": "mail.example.org", "port": 587, "security": "starttls", "from": "muster@example.org",
        "to": ["ops@example.org", "ada@example.org"], "user": "muster", "password": "canary-word",
    }))
    .unwrap()
}

fn message(subject: &str, says: &str) -> Message {
    let line = Line { at: Timestamp::from_millis(1_800_000_000_000), says: says.to_owned(), next: None };
    Message {
        subject: subject.to_owned(),
        lines: vec![line],
        more: 0,
        link: Some("https://muster.example/".to_owned()),
        is_urgent: false,
        key: "delivery_0123".to_owned(),
    }
}

fn text(message: &Message) -> String {
    let mail = compose(&config(), message, Timestamp::from_millis(1_800_000_000_000)).unwrap();
    String::from_utf8(mail.formatted()).unwrap()
}

#[test]
fn a_mail_names_itself_and_asks_for_no_answer() {
    insta::assert_snapshot!(
        "mail",
        text(&message("[Muster] The host “web-1” is back.", "The host “web-1” is back."))
    );
}

#[test]
fn a_mail_has_the_same_name_each_time() {
    let named = |text: String| text.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    let (first, again) = (message("a", "b"), message("a", "b"));
    assert_eq!(named(text(&first)), named(text(&again)));
    assert_eq!(named(text(&first)), "Message-ID: <delivery_0123@example.org>");
}

#[test]
fn nothing_in_a_message_becomes_a_header_or_ends_the_mail() {
    let hostile = "x\r\nBcc: evil@example.org\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@example.org>";
    let mail = text(&message(hostile, hostile));
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
    assert_eq!(head.lines().filter(|line| line.starts_with("To:")).count(), 1);
}

#[test]
fn the_password_is_in_no_mail_and_no_error() {
    let config = EmailConfig { password: Some(SecretLine::parse("canary-word").unwrap()), ..config() };
    let mail = compose(&config, &message("a", "b"), Timestamp::from_millis(0)).unwrap();
    assert!(!String::from_utf8(mail.formatted()).unwrap().contains("canary"));
    assert!(!format!("{config:?}").contains("canary"));
}
