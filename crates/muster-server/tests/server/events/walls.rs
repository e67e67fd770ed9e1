//! What an endpoint must not reach, and who must not reach an endpoint.

use serde_json::{Value, json};

use crate::events::receiver::Receiver;
use crate::world::{Answer, both};

fn webhook(url: &str) -> Value {
    json!({ "target": { "webhook": { "url": url } } })
}

/// Everything of a reply that may not differ.
fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("instance");
    (answer.status, body)
}

both! {
    async fn private_addresses_are_refused_before_anything_is_stored(world) {
        let urls = [
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://0.0.0.0/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://100.64.0.1/",
        ];
        for url in urls {
            let mut body = webhook(url);
            world.admin("POST", "/v1/endpoints/test", Some(body.clone())).await
                .invalid("/target/webhook/url", "address_not_allowed");
            body["name"] = "inside".into();
            world.admin("POST", "/v1/endpoints", Some(body)).await
                .invalid("/target/webhook/url", "address_not_allowed");
        }
        let mut clear = webhook("http://1.1.1.1/");
        clear["name"] = "clear".into();
        world.admin("POST", "/v1/endpoints", Some(clear)).await.invalid("/target/webhook/url", "not_encrypted");
        for url in ["ftp://example.com/", "https://user:pass@example.com/", "https://"] {
            let mut body = webhook(url);
            body["name"] = "odd".into();
            world.admin("POST", "/v1/endpoints", Some(body)).await.invalid("/target/webhook/url", "malformed");
        }
        assert_eq!(world.must("GET", "/v1/endpoints", None).await["items"], json!([]));
    }

    async fn a_name_of_this_machine_is_refused_where_its_network_is_not_listed(world) {
        let receiver = Receiver::start().await;
        let closed = world.with_outbound(&[]).await;
        let (team, host) = (world.own_team().await, crate::events::scene::host(1));
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        let path = format!("/v1/endpoints/{endpoint}");
        let mut body = webhook(&format!("http://localhost:{}/", receiver.port()));
        body["name"] = "siem".into();
        world.must("PUT", &path, Some(body)).await;
        world.tell(team, Some(host), "inside").await;
        world.seal().await;
        muster_server::reconcile::spread(&closed).await.unwrap();
        muster_server::reconcile::deliver(&closed).await.unwrap();
        assert!(receiver.received().is_empty());
        let log = world.log(&endpoint).await;
        assert_eq!(log[0]["last_error"], "localhost is a loopback address, which is not allowed");
        assert_eq!(log[0]["state"], "waiting");
    }

    async fn a_redirect_is_a_failure_and_is_not_followed(world) {
        let (team, receiver, inner) = (world.own_team().await, Receiver::start().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        let location = inner.url();
        receiver.says(&format!("HTTP/1.1 307 Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
        world.tell(team, None, "elsewhere").await;
        world.work().await;
        assert_eq!((receiver.received().len(), inner.received().len()), (1, 0));
        let log = world.log(&endpoint).await;
        assert_eq!(log[0]["last_error"], "the receiver redirects, which is not followed");
        assert_eq!(log[0]["last_status"], 307);
    }

    async fn nothing_a_receiver_says_is_stored_or_shown(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.says("HTTP/1.1 500 <script>\r\nx-said: <b>\r\ncontent-length: 9\r\n\r\n<script>!");
        world.tell(team, None, "something").await;
        world.work().await;
        let shown = world.admin("GET", &format!("/v1/endpoints/{endpoint}/deliveries"), None).await.raw_body;
        assert!(!shown.contains("script") && !shown.contains("s3cret"), "{shown}");
    }

    async fn a_foreign_endpoint_answers_like_an_absent_one(world) {
        let receiver = Receiver::start().await;
        let (foreign, _) = world.webhook("siem", &receiver).await;
        let team_id = world.own_team().await;
        world.tell(team_id, None, "something").await;
        world.work().await;
        let delivery = world.log(&foreign).await[0]["id"].as_str().unwrap().to_owned();
        let team = world.team("other").await;
        let absent = "endpoint_00000000000000000000000000000001";
        assert!(foreign.starts_with("endpoint_"), "{foreign}");
        let set = json!({ "name": "mine now" });
        let since = json!({ "since": "2020-01-01T00:00:00.000Z" });
        let routes = [
            ("GET", "", None),
            ("PUT", "", Some(set)),
            ("POST", "/pause", None),
            ("POST", "/resume", None),
            ("POST", "/remove", None),
            ("POST", "/test", None),
            ("POST", "/rotate-secret", Some(json!({}))),
            ("GET", "/deliveries", None),
            ("POST", "/redeliver", Some(since)),
            ("POST", &format!("/deliveries/{delivery}/redeliver"), None),
        ];
        for (method, rest, body) in routes {
            let ask = async |id: &str| {
                world.ask(method, &format!("/v1/endpoints/{id}{rest}"), &team.owner(), body.clone()).await
            };
            let (of_another, of_nobody) = (ask(&foreign).await, ask(absent).await);
            assert_eq!(told(&of_another), told(&of_nobody), "{method} {rest}");
            assert_eq!(of_another.status, 404, "{method} {rest}");
        }
        let listed = world.ask("GET", "/v1/endpoints", &team.owner(), None).await;
        assert_eq!(listed.body["items"], json!([]));
        assert_eq!(receiver.received().len(), 1);
    }

    async fn a_foreign_team_s_events_never_arrive(world) {
        let (own, receiver) = (world.own_team().await, Receiver::start().await);
        let team = world.team("other").await;
        world.webhook("siem", &receiver).await;
        world.tell(team.id, Some(crate::events::scene::host(1)), "foreign").await;
        world.tell(own, Some(crate::events::scene::host(1)), "own").await;
        world.work().await;
        assert_eq!(receiver.subjects(), ["own"]);
    }
}
