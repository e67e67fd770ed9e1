//! SECURITY B22: the credentials of endpoints are written nowhere in the clear, whatever happens with them.

use muster_testkit::canary::{Canary, sightings};
use muster_testkit::receiver::Receiver;
use muster_wire::happening::Happening;
use serde_json::json;

use crate::notify::desk::{Desk, endpoint, minutes};
use crate::world::{Logs, both};

const HEARD: [Happening; 1] = [Happening::HostBack];

/// All texts of the tables a secret of this part could be in.
const TEXTS: &[&str] = &[
    "SELECT name || shown_target || events || coalesce(quiet_hours, '') || created_by FROM endpoint",
    "SELECT coalesce(last_error, '') || line FROM delivery",
    "SELECT actor || source || action || target || outcome || details || coalesce(changed, '') FROM audit",
    "SELECT kind || subject || payload FROM outbox",
    "SELECT principal || key FROM idempotent_reply",
];
/// All bytes of them.
const BYTES: &[&str] = &[
    "SELECT sealed FROM endpoint",
    "SELECT reply FROM idempotent_reply",
    "SELECT request FROM idempotent_reply",
];

both! {
    async fn b22_no_credential_of_an_endpoint_is_in_database_logs_audit_or_answers(world) {
        let logs = Logs::gather();
        let receiver = Receiver::start().await.unwrap();
        let url = receiver.url();
        let desk = Desk::open(&world, &HEARD, json!({})).await;
        let port = desk.server.address().port();
        let targets = [
            ("mail", json!({ "email": { "server": "127.0.0.1", "port": port, "security": "plain",
                "from": "muster@example.org", "to": ["ops@example.org"], "user": "muster", "password": "canary-password" } })),
            ("slack", json!({ "slack": { "url": format!("{url}/services/canary-slack") } })),
            ("teams", json!({ "teams": { "url": format!("{url}/flow?sig=canary-teams") } })),
            ("ntfy", json!({ "ntfy": { "url": url, "topic": "backup-canary-topic", "token": "canary-ntfy" } })),
            ("matrix", json!({ "matrix": { "url": url, "room": "!room:example.org", "token": "canary-matrix" } })),
        ];
        let names = ["canary-password", "canary-slack", "canary-teams", "canary-topic", "canary-ntfy", "canary-matrix"];
        let canaries: Vec<Canary> = names.iter().map(|name| Canary::new(name, name)).collect();
        let mut answers = String::new();
        for (name, target) in targets {
            let id = endpoint(&world, name, target.clone(), &HEARD, json!({})).await;
            for status in [500, 200] {
                receiver.answers(status, "");
                let path = format!("/v1/endpoints/{id}/test");
                answers.push_str(&world.must("POST", &path, None).await.to_string());
                let body = json!({ "target": target });
                answers.push_str(&world.must("POST", "/v1/endpoints/test", Some(body)).await.to_string());
            }
            let renamed = json!({ "name": format!("{name} again"), "target": target });
            answers.push_str(&world.must("PUT", &format!("/v1/endpoints/{id}"), Some(renamed)).await.to_string());
        }
        receiver.answers(403, "");
        desk.happens(&world, Happening::HostBack, 1).await;
        minutes(&world, 3).await;
        assert!(receiver.take().len() > 8, "they were spoken to");
        answers.push_str(&world.must("GET", "/v1/endpoints", None).await.to_string());
        let bad = json!({ "name": "bad", "target": { "matrix": { "url": "https://10.0.0.1/canary-slack",
            "room": "canary-topic", "token": "canary-matrix" } } });
        answers.push_str(&world.admin("POST", "/v1/endpoints", Some(bad)).await.body.to_string());

        world.audited("endpoint.tested").await;
        let database = world.stored(TEXTS, BYTES).await;
        assert!(String::from_utf8_lossy(&database).contains("bac…"), "the database was read");
        assert_eq!(sightings(&canaries, "the database", &database), [""; 0]);
        let logged = logs.gathered();
        assert!(!logged.is_empty(), "something is logged");
        assert_eq!(sightings(&canaries, "the logs", &logged), [""; 0]);
        assert_eq!(sightings(&canaries, "the answers", answers.as_bytes()), [""; 0]);
        let audit = world.must("GET", "/v1/audit?limit=200", None).await.to_string();
        assert_eq!(sightings(&canaries, "the audit trail", audit.as_bytes()), [""; 0]);
    }
}
