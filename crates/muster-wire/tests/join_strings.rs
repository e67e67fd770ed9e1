//! The join string: whole or refused, never a panic, never printed.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use data_encoding::BASE64URL_NOPAD;
use muster_ids::{Bearer, BearerKind, KeyThumbprint, PublicId};
use muster_wire::JoinString;
use muster_wire::join_string::JoinStringError;
use proptest::prelude::*;
use secrecy::ExposeSecret;

fn join_string() -> JoinString {
    JoinString {
        urls: vec![
            "https://muster.example:8643/".parse().unwrap(),
            "https://[2001:db8::1]:8643/".parse().unwrap(),
        ],
        ticket: Bearer::new(BearerKind::EnrolmentToken, PublicId::from_entropy([7; 16]), [9; 32]),
        instruction_key: KeyThumbprint::from_digest([3; 32]),
        pins: vec![KeyThumbprint::from_digest([4; 32]).to_string()],
    }
}

fn text() -> String {
    join_string().expose().expose_secret().to_owned()
}

/// A line with a good check over this JSON.
fn line_of(json: &str) -> String {
    let encoded = BASE64URL_NOPAD.encode(json.as_bytes());
    format!("muster1.{encoded}{:08x}", crc32fast::hash(encoded.as_bytes()))
}

#[test]
fn it_comes_back_whole_and_in_order() {
    for spelled in [text(), format!("  {}\n", text())] {
        let parsed: JoinString = spelled.parse().unwrap();
        let original = join_string();
        assert_eq!(parsed.urls, original.urls);
        assert_eq!(parsed.ticket.expose().expose_secret(), original.ticket.expose().expose_secret());
        assert_eq!(parsed.instruction_key, original.instruction_key);
        assert_eq!(parsed.pins, original.pins);
    }
    let without_pins = JoinString { pins: Vec::new(), ..join_string() };
    let parsed: JoinString = without_pins.expose().expose_secret().parse().unwrap();
    assert!(parsed.pins.is_empty());
}

#[test]
fn its_debug_form_names_no_credential() {
    let shown = format!("{:?}", join_string());
    assert!(shown.contains("muster.example") && shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains(&BASE64URL_NOPAD.encode(&[9; 32])), "{shown}");
}

#[test]
fn what_does_not_begin_as_one_is_told_so() {
    for other in ["", " ", "mse_abc", "https://muster.example/", "muster2.abc", "Muster1.abc", "muster1"] {
        assert_eq!(other.parse::<JoinString>().unwrap_err(), JoinStringError::Prefix, "{other}");
    }
}

#[test]
fn damage_is_told_wherever_it_is() {
    let good = text();
    for cut in "muster1.".len()..good.len() {
        assert_eq!(good[..cut].parse::<JoinString>().unwrap_err(), JoinStringError::Damaged, "cut at {cut}");
    }
    for at in "muster1.".len()..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(changed.parse::<JoinString>().unwrap_err(), JoinStringError::Damaged, "changed at {at}");
    }
    for other in
        [format!("{good}A"), good.replacen('.', "..", 1), good.to_lowercase(), format!("{good} {good}")]
    {
        assert_eq!(other.parse::<JoinString>().unwrap_err(), JoinStringError::Damaged, "{other}");
    }
    let enormous = format!("muster1.{}", "A".repeat(1_000_000));
    assert_eq!(enormous.parse::<JoinString>().unwrap_err(), JoinStringError::Damaged);
}

#[test]
fn content_that_no_server_makes_is_refused() {
    let ticket = join_string().ticket.expose().expose_secret().to_owned();
    let key = join_string().instruction_key.to_string();
    let urls = |urls: &str| line_of(&format!(r#"{{"u":{urls},"t":"{ticket}","k":"{key}"}}"#));
    assert!(urls(r#"["https://muster.example/"]"#).parse::<JoinString>().is_ok());
    for bad in [
        urls("[]"),
        urls(r#"[""]"#),
        urls(r#"["muster.example"]"#),
        urls(r#"["file:///etc/passwd"]"#),
        urls(r#"["ftp://muster.example/"]"#),
        urls(r#"["javascript:alert(1)"]"#),
        urls(r#"["https://user:pass@muster.example/"]"#),
        urls(r#"["https://muster.example/","data:,x"]"#),
        line_of("{}"),
        line_of("[]"),
        line_of("null"),
        line_of("not json"),
        line_of(""),
        line_of(&format!(r#"{{"u":["https://a/"],"t":"mse_short","k":"{key}"}}"#)),
        line_of(&format!(r#"{{"u":["https://a/"],"t":"{ticket}","k":"short"}}"#)),
        line_of(&format!(r#"{{"u":["https://a/"],"t":"{ticket}","k":"{key}","p":["short"]}}"#)),
        line_of(&format!(r#"{{"u":["https://a/"],"t":"{ticket}","k":"{key}","x":1}}"#)),
        line_of(&format!(r#"{{"u":["https://a/"],"u":["https://b/"],"t":"{ticket}","k":"{key}"}}"#)),
    ] {
        assert_eq!(bad.parse::<JoinString>().unwrap_err(), JoinStringError::Damaged, "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "(muster1\\.)?\\PC{0,200}", json in "\\PC{0,200}") {
        let _ = text.parse::<JoinString>();
        let _ = line_of(&json).parse::<JoinString>();
    }

    #[test]
    fn every_ticket_and_key_comes_back(id: [u8; 16], secret: [u8; 32], key: [u8; 32], port: u16) {
        let original = JoinString {
            urls: vec![format!("https://muster.example:{port}/").parse().unwrap()],
            ticket: Bearer::new(BearerKind::SiteKey, PublicId::from_entropy(id), secret),
            instruction_key: KeyThumbprint::from_digest(key),
            pins: Vec::new(),
        };
        let parsed: JoinString = original.expose().expose_secret().parse().unwrap();
        prop_assert_eq!(parsed.urls, original.urls);
        prop_assert_eq!(parsed.ticket.secret(), &secret);
        prop_assert_eq!(parsed.instruction_key, original.instruction_key);
    }
}
