//! SECURITY B22: the credentials of endpoints are written nowhere in the clear, whatever happens with them.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use muster_store::params;
use muster_testkit::canary::{Canary, sightings};
use muster_testkit::receiver::Receiver;
use muster_wire::happening::Happening;
use serde_json::json;

use crate::desk::{Desk, endpoint, minutes};
use crate::world::{World, both};

const HEARD: [Happening; 1] = [Happening::HostBack];

/// Everything this process logs, at whatever level.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logs() -> &'static Logs {
    static LOGS: OnceLock<Logs> = OnceLock::new();
    LOGS.get_or_init(|| {
        let logs = Logs::default();
        let writer = logs.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        logs
    })
}

async fn database(world: &World) -> Vec<u8> {
    let read = world.app.look(|tx| {
        let mut found = Vec::new();
        for texts in [
            "SELECT name || shown_target || events || coalesce(quiet_hours, '') || created_by FROM endpoint",
            "SELECT coalesce(last_error, '') || line FROM delivery",
            "SELECT actor || source || action || target || outcome || details || coalesce(changed, '') FROM audit",
            "SELECT kind || subject || payload FROM outbox",
            "SELECT principal || key FROM idempotent_reply",
        ] {
            for text in tx.query(texts, params![], |row| row.get::<String>(0))? {
                found.extend(text.into_bytes());
                found.push(b'\n');
            }
        }
        for bytes in ["SELECT sealed FROM endpoint", "SELECT reply FROM idempotent_reply", "SELECT request FROM idempotent_reply"] {
            for value in tx.query(bytes, params![], |row| row.get::<Option<Vec<u8>>>(0))? {
                found.extend(value.unwrap_or_default());
                found.push(b'\n');
            }
        }
        Ok(found)
    });
    read.await.unwrap()
}

both! {
    async fn b22_no_credential_of_an_endpoint_is_in_database_logs_audit_or_answers(world) {
        let logs = logs();
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
        let database = database(&world).await;
        assert!(String::from_utf8_lossy(&database).contains("bac…"), "the database was read");
        assert_eq!(sightings(&canaries, "the database", &database), [""; 0]);
        let logged = logs.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(!logged.is_empty(), "something is logged");
        assert_eq!(sightings(&canaries, "the logs", &logged), [""; 0]);
        assert_eq!(sightings(&canaries, "the answers", answers.as_bytes()), [""; 0]);
        let audit = world.must("GET", "/v1/audit?limit=200", None).await.to_string();
        assert_eq!(sightings(&canaries, "the audit trail", audit.as_bytes()), [""; 0]);
    }
}
