//! SECURITY B8: what a machine or a person calls itself stays text, whatever carries it.

use muster_testkit::receiver::Receiver;
use muster_wire::happening::Happening;
use serde_json::{Value, json};

use crate::notify::desk::{Desk, endpoint};
use crate::world::{Machine, both};

const HOSTILE: &str = "<!channel> @here **b** [a](http://x.example) `c` <b>&amp;";

/// Collects the strings of a body, each with the name it stands under.
fn strings(value: &Value, name: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((name.to_owned(), text.clone())),
        Value::Array(list) => list.iter().for_each(|value| strings(value, name, found)),
        Value::Object(map) => map.iter().for_each(|(name, value)| strings(value, name, found)),
        _ => {}
    }
}

both! {
    async fn b8_a_hostile_name_is_no_markup_no_mention_and_no_header(world) {
        let receiver = Receiver::start().await.unwrap();
        let heard = [Happening::HostEnrolled];
        let desk = Desk::open(&world, &heard, json!({})).await;
        let url = receiver.url();
        let targets = [
            ("slack", json!({ "slack": { "url": format!("{url}/slack") } })),
            ("teams", json!({ "teams": { "url": format!("{url}/teams") } })),
            ("ntfy", json!({ "ntfy": { "url": url, "topic": "muster" } })),
            ("matrix", json!({ "matrix": { "url": url, "room": "!room:example.org", "token": "word" } })),
        ];
        for (name, target) in targets {
            endpoint(&world, name, target, &heard, json!({})).await;
        }
        let body = json!({ "host_name": HOSTILE });
        let minted = world.must("POST", "/v1/enrolment-tokens", Some(body)).await;
        Machine::new("web-1").join(&world, minted["token"].as_str().unwrap()).await;
        world.work().await;

        let received = receiver.take();
        assert_eq!(received.len(), 4);
        for request in received {
            let body = request.json();
            let mut found = Vec::new();
            strings(&body, "", &mut found);
            let told = found.iter().filter(|(_, text)| text.contains("enrolled")).count();
            assert!(told > 0, "{} tells of it: {body}", request.path);
            match request.path.as_str() {
                "/slack" => {
                    let fallback = body["text"].as_str().unwrap();
                    assert!(!fallback.contains("<!") && !fallback.contains('@') && !fallback.contains("]("));
                    assert!(!body.to_string().contains("mrkdwn\",") && !body.to_string().contains("\"user_id\""));
                }
                "/teams" => assert!(!body.to_string().contains("\"TextBlock\"") && !body.to_string().contains("<at>")),
                "/" => assert_eq!(body.get("markdown"), None, "ntfy reads Markdown only when it is asked to"),
                _ => {
                    assert_eq!(body.get("formatted_body"), None);
                    assert_eq!(body["m.mentions"], json!({}));
                }
            }
        }
        let (subject, text) = desk.mail().remove(0);
        assert!(subject.starts_with("[Muster] The host"), "{subject}");
        assert!(text.contains("enrolled") && text.contains("<!channel>"), "{text}");
    }
}
