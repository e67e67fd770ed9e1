//! Endpoints: made, changed, tried out, removed.

use serde_json::{Value, json};

use crate::events::receiver::Receiver;
use crate::world::both;

fn siem(receiver: &Receiver) -> Value {
    json!({ "name": "siem", "target": { "webhook": { "url": receiver.url() } } })
}

both! {
    async fn what_people_set_is_shown_and_what_is_secret_is_not(world) {
        let receiver = Receiver::start().await;
        let made = world.must("POST", "/v1/endpoints", Some(siem(&receiver))).await;
        let id = made["endpoint"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/endpoints/{id}");
        assert_eq!(made["endpoint"]["kind"], "webhook");
        let change = json!({ "name": "siem 2", "events": ["host.enrolled", "claim.opened"] });
        let changed = world.must("PUT", &path, Some(change)).await;
        assert_eq!(changed["events"], json!(["host.enrolled", "claim.opened"]));
        assert_eq!(changed, world.must("GET", &path, None).await);
        let audited = world.audited("endpoint.changed").await;
        assert_eq!(audited[0]["changed"], json!(["name", "events"]));
        assert!(!audited[0].to_string().contains("s3cret"));
        assert_eq!(world.audited("endpoint.created").await.len(), 1);
        let listed = world.must("GET", "/v1/endpoints", None).await;
        assert_eq!(listed["items"], json!([changed]));
    }

    async fn what_does_not_hold_is_told_by_its_field(world) {
        let receiver = Receiver::start().await;
        let make = async |field: &str, value: Value| {
            let mut body = siem(&receiver);
            body[field] = value;
            world.admin("POST", "/v1/endpoints", Some(body)).await
        };
        make("group_for_secs", json!(60)).await.invalid("/group_for_secs", "not_for_webhooks");
        let quiet = json!({ "from": "22:00", "to": "06:00", "time_zone": "UTC" });
        make("quiet_hours", quiet).await.invalid("/quiet_hours", "not_for_webhooks");
        make("events", json!(["channel.violation"])).await.invalid("/events", "never_told");
        let unknown = make("events", json!(["host.nothing"])).await;
        assert_eq!(unknown.status, 422, "{unknown:?}");
        for target in [json!({}), json!({ "webhook": [] }), json!({ "pigeon": {} }), json!("webhook"), json!(null)] {
            let refused = make("target", target).await;
            assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        }
        assert_eq!(world.must("GET", "/v1/endpoints", None).await["items"], json!([]));
    }

    async fn a_name_is_taken_until_its_endpoint_is_removed(world) {
        let receiver = Receiver::start().await;
        let (first, _) = world.webhook("siem", &receiver).await;
        world.admin("POST", "/v1/endpoints", Some(siem(&receiver))).await.problem(409, "name_taken");
        let (second, _) = world.webhook("other", &receiver).await;
        let path = format!("/v1/endpoints/{second}");
        world.admin("PUT", &path, Some(json!({ "name": "siem" }))).await.problem(409, "name_taken");
        world.must("POST", &format!("/v1/endpoints/{first}/remove"), None).await;
        world.must("PUT", &path, Some(json!({ "name": "siem" }))).await;
        world.admin("GET", &format!("/v1/endpoints/{first}"), None).await.problem(404, "not_found");
        while muster_server::reconcile::drop_old(&world.app).await.unwrap() {}
        assert_eq!(world.must("GET", "/v1/endpoints", None).await["items"].as_array().unwrap().len(), 1);
    }

    async fn a_test_before_it_is_saved_stores_nothing(world) {
        let receiver = Receiver::start().await;
        let target = json!({ "target": { "webhook": { "url": receiver.url() } } });
        let tested = world.must("POST", "/v1/endpoints/test", Some(target.clone())).await;
        assert_eq!(tested, json!({ "delivered": true, "status": 200 }));
        let got = receiver.received().remove(0);
        assert_eq!(got.json()["type"], "endpoint.test");
        receiver.answers(403);
        let tested = world.must("POST", "/v1/endpoints/test", Some(target)).await;
        let error = "the receiver did not take it";
        assert_eq!(tested, json!({ "delivered": false, "status": 403, "error": error }));
        assert_eq!(world.must("GET", "/v1/endpoints", None).await["items"], json!([]));
        assert_eq!(world.audited("endpoint.tested").await.len(), 2);
    }

    /// The places for test messages are those of the whole server: a team whose receiver keeps them waiting gets one.
    async fn a_team_tests_one_endpoint_at_a_time(world) {
        let slow = Receiver::start().await;
        slow.holds();
        let target = |receiver: &Receiver| json!({ "target": { "webhook": { "url": receiver.url() } } });
        let ops = world.team("ops").await;
        let first = world.admin("POST", "/v1/endpoints/test", Some(target(&slow)));
        let meanwhile = async {
            slow.received_times(1).await;
            let path = format!("/v1/endpoints/{}/test", world.webhook("siem", &slow).await.0);
            for (path, body) in [("/v1/endpoints/test", Some(target(&slow))), (path.as_str(), None)] {
                let refused = world.admin("POST", path, body).await;
                assert_eq!(refused.status, 503, "{refused:?}");
            }
            let quick = Receiver::start().await;
            let other = world.ask("POST", "/v1/endpoints/test", &ops.owner(), Some(target(&quick))).await;
            assert_eq!(other.body["delivered"], true, "{other:?}");
            slow.answers(200);
        };
        let (tested, ()) = tokio::join!(first, meanwhile);
        assert_eq!(tested.body["delivered"], true, "{tested:?}");
        world.must("POST", "/v1/endpoints/test", Some(target(&slow))).await;
    }

    async fn a_saved_endpoint_is_tested_with_its_own_credentials(world) {
        let receiver = Receiver::start().await;
        let (id, _) = world.webhook("siem", &receiver).await;
        let tested = world.must("POST", &format!("/v1/endpoints/{id}/test"), None).await;
        assert_eq!(tested["delivered"], true);
        assert!(receiver.received()[0].path.contains("s3cret-path"));
        assert!(world.log(&id).await.is_empty());
    }

    async fn a_team_has_a_bounded_number_of_endpoints(world) {
        let receiver = Receiver::start().await;
        for n in 0..64 {
            world.webhook(&format!("endpoint {n}"), &receiver).await;
        }
        world.admin("POST", "/v1/endpoints", Some(siem(&receiver))).await.problem(409, "too_many_endpoints");
    }

    async fn who_may_only_read_makes_no_endpoint(world) {
        let receiver = Receiver::start().await;
        let me = world.must("GET", "/v1/me", None).await;
        assert!(me.is_object());
        let refused = world.ask("POST", "/v1/endpoints", "", Some(siem(&receiver))).await;
        refused.problem(401, "unauthorized");
    }
}
