use muster_outbound::Allowed;
use muster_server::notify::{chat, ntfy};
use muster_server::outbound::Gate;
use muster_testkit::matrix::Homeserver;
use muster_testkit::receiver::Receiver;
use muster_wire::notification::{
    HttpUrl, MatrixConfig, MatrixRoom, NtfyConfig, NtfyTopic, SecretLine, SlackConfig, TeamsConfig,
};
use serde_json::Value;

use super::{gate, message};

fn url(text: &str) -> HttpUrl {
    HttpUrl::parse(text).unwrap()
}

#[tokio::test]
async fn a_room_of_a_real_homeserver_hears_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let homeserver = Homeserver::start(folder.path()).await.unwrap();
    let config = MatrixConfig {
        url: url(&homeserver.url()),
        room: MatrixRoom::parse(&homeserver.room).unwrap(),
        token: SecretLine::parse(&homeserver.token).unwrap(),
    };
    for key in ["evt_1", "evt_1", "evt_2"] {
        let sent = chat::send_matrix(&gate(), &config, &message(key)).await.unwrap();
        assert_eq!(sent.status, Some(200));
    }
    let said = homeserver.messages().await.unwrap();
    assert_eq!(said.len(), 2, "what is sent again is not doubled: {said:?}");
    assert!(said[0]["body"].as_str().unwrap().contains("The host “web-1” is back."));

    let wrong = MatrixConfig { token: SecretLine::parse("canary-token").unwrap(), ..config };
    let refused = chat::send_matrix(&gate(), &wrong, &message("evt_3")).await.unwrap_err();
    assert_eq!(refused.status, Some(401));
    assert!(!refused.error.contains("canary"), "{refused:?}");
}

#[tokio::test]
async fn ntfy_is_given_what_its_api_documents() {
    let receiver = Receiver::start().await.unwrap();
    let config = NtfyConfig {
        url: url(&receiver.url()),
        topic: NtfyTopic::parse("backups").unwrap(),
        token: Some(SecretLine::parse("tk_word").unwrap()),
    };
    ntfy::send(&gate(), &config, &message("evt_1")).await.unwrap();
    let urgent = muster_server::notify::text::Message { is_urgent: true, ..message("evt_2") };
    ntfy::send(&gate(), &config, &urgent).await.unwrap();
    let received = receiver.take();
    let first = &received[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/"));
    assert_eq!(first.header("authorization"), Some("Bearer tk_word"));
    let body = first.json();
    assert_eq!((body["topic"].as_str(), body["priority"].as_u64()), (Some("backups"), Some(3)));
    assert_eq!(body["title"], "[Muster] The host “web-1” is back.");
    assert_eq!(body["click"], "https://muster.example/");
    assert!(body["message"].as_str().unwrap().len() < 4096, "longer ones become attachments");
    assert_eq!(received[1].json()["priority"], 5);
}

#[tokio::test]
async fn slack_and_teams_are_given_the_documented_bodies() {
    let receiver = Receiver::start().await.unwrap();
    let slack = SlackConfig { url: url(&format!("{}/services/T0/B0/word", receiver.url())) };
    let teams = TeamsConfig { url: url(&format!("{}/workflows/w?sig=word", receiver.url())) };
    chat::send_slack(&gate(), &slack, &message("evt_1")).await.unwrap();
    receiver.answers(202, "");
    chat::send_teams(&gate(), &teams, &message("evt_1")).await.unwrap();
    let received = receiver.take();
    assert_eq!(received[0].path, "/services/T0/B0/word");
    assert_eq!(received[1].path, "/workflows/w?sig=word");
    for request in &received {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("authorization"), None);
    }
    let card = &received[1].json()["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!((&card["content"]["type"], &card["contentUrl"]), (&Value::from("AdaptiveCard"), &Value::Null));
    assert_eq!(received[0].json()["blocks"][0]["type"], "rich_text");
}

#[tokio::test]
async fn a_refusal_says_its_status_and_never_the_url() {
    let receiver = Receiver::start().await.unwrap();
    let slack = SlackConfig { url: url(&format!("{}/services/canary", receiver.url())) };
    for (status, headers, retry_after) in [
        (429, "retry-after: 30\r\n", Some(30)),
        (500, "retry-after: 999999\r\n", Some(3600)),
        (404, "", None),
        (302, "location: http://127.0.0.1:1/\r\n", None),
    ] {
        receiver.answers(status, headers);
        let refused = chat::send_slack(&gate(), &slack, &message("evt_1")).await.unwrap_err();
        assert_eq!(refused.status, Some(status));
        assert_eq!(refused.retry_after.map(|span| span.as_secs()), retry_after, "{status}");
        assert!(!format!("{refused:?}").contains("canary"));
    }
    assert_eq!(receiver.take().len(), 4, "a redirect is not followed");
}

#[tokio::test]
async fn b28_nothing_private_is_reached_and_nothing_is_said_in_the_clear_unless_it_is_listed() {
    let receiver = Receiver::start().await.unwrap();
    let port = receiver.url().rsplit_once(':').unwrap().1.to_owned();
    let closed = Gate { allowed: Allowed::public_only(), ..gate() };
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"]
    {
        for scheme in ["http", "https"] {
            let slack = SlackConfig { url: url(&format!("{scheme}://{host}:{port}/x")) };
            let refused = chat::send_slack(&closed, &slack, &message("evt_1")).await.unwrap_err();
            assert_eq!(refused.status, None, "{scheme} {host}: {refused:?}");
            assert!(refused.error.contains("not allowed"), "{scheme} {host}: {refused:?}");
        }
    }
    // A public address may be spoken to, but not in the clear.
    let slack = SlackConfig { url: url("http://1.1.1.1/x") };
    let refused = chat::send_slack(&gate(), &slack, &message("evt_1")).await.unwrap_err();
    assert!(refused.error.contains("without encryption"), "{refused:?}");
    assert_eq!(receiver.take(), []);
}
