use muster_ids::Timestamp;
use muster_wire::notification::{HttpUrl, MatrixRoom, SecretLine};

use super::*;

const HOSTILE: &str = "<!channel> @everyone **b** [a](http://x.example) `c` & <http://x.example|y>";

fn message() -> Message {
    let line = |says: &str, next: Option<&str>| Line {
        at: Timestamp::from_millis(1_800_000_000_000),
        says: says.to_owned(),
        next: next.map(str::to_owned),
    };
    Message {
        subject: format!("[Muster] The host “{HOSTILE}” is back."),
        lines: vec![line("The host “web-1” is back.", None), line(HOSTILE, Some("muster host list"))],
        more: 3,
        link: Some("https://muster.example/".to_owned()),
        is_urgent: false,
        key: "key".to_owned(),
    }
}

/// Collects the strings that stand under `name`, wherever.
fn under(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == name => found.push(text.clone()),
                    other => under(other, name, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| under(value, name, found)),
        _ => {}
    }
}

#[test]
fn slack_is_given_nothing_that_it_reads_as_markup() {
    let body = slack(&message());
    let fallback = body["text"].as_str().unwrap();
    assert!(!fallback.contains(['<', '>', '@', '[', '`']), "{fallback}");
    let mut types = Vec::new();
    under(&body["blocks"], "type", &mut types);
    assert!(
        types.iter().all(|word| ["rich_text", "rich_text_section", "text", "link"].contains(&word.as_str()))
    );
    insta::assert_json_snapshot!("slack", body);
}

#[test]
fn teams_is_given_nothing_that_it_reads_as_markup() {
    let body = teams(&message());
    let mut types = Vec::new();
    under(&body, "type", &mut types);
    assert!(!types.iter().any(|word| word == "TextBlock"), "{types:?}");
    insta::assert_json_snapshot!("teams", body);
}

#[test]
fn matrix_is_given_plain_text_that_calls_nobody() {
    let body = matrix(&message());
    assert_eq!(body["msgtype"], "m.text");
    assert_eq!(body["m.mentions"], json!({}));
    assert_eq!(body.get("formatted_body"), None);
    assert!(body["body"].as_str().unwrap().contains(HOSTILE), "as it is");
}

#[test]
fn a_room_and_a_key_stay_inside_their_segments() {
    let config = |url: &str, room: &str| MatrixConfig {
        url: HttpUrl::parse(url).unwrap(),
        room: MatrixRoom::parse(room).unwrap(),
        token: SecretLine::parse("token").unwrap(),
    };
    let table = [
        (
            "https://m.example",
            "!a:m.example",
            "https://m.example/_matrix/client/v3/rooms/!a:m.example/send/m.room.message/k",
        ),
        (
            "https://m.example/base/?q=1",
            "!a",
            "https://m.example/base/_matrix/client/v3/rooms/!a/send/m.room.message/k",
        ),
        (
            "https://m.example",
            "!a/../b?c#d",
            "https://m.example/_matrix/client/v3/rooms/!a%2F..%2Fb%3Fc%23d/send/m.room.message/k",
        ),
    ];
    for (url, room, expected) in table {
        assert_eq!(matrix_url(&config(url, room), "k").unwrap().as_str(), expected);
    }
}
