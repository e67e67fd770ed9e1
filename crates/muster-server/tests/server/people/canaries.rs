//! SECURITY B22: what is shown once, or typed once, is written nowhere.

use muster_ids::Bearer;
use muster_testkit::canary::{Canary, sightings};
use serde_json::json;

use crate::people::scene::{PASSWORD, accept, accept_with, admin, cookie, invite, join, remove};
use crate::world::{Logs, both};

/// All texts of the tables a secret of this part could be in.
const TEXTS: &[&str] = &[
    "SELECT name || coalesce(login, '') FROM person",
    "SELECT phc FROM password",
    "SELECT id || listener || method || source || user_agent FROM web_session",
    "SELECT id || name || role || created_by FROM invitation",
    "SELECT id || coalesce(name, '') || coalesce(scopes, '') || coalesce(last_used_from, '') FROM operator_token",
    "SELECT principal || key FROM idempotent_reply",
    "SELECT actor || source || action || target || outcome || details FROM audit",
    "SELECT kind || subject || payload FROM outbox",
];
/// All bytes of them.
const BYTES: &[&str] = &[
    "SELECT verifier FROM web_session",
    "SELECT verifier FROM invitation",
    "SELECT verifier FROM operator_token",
    "SELECT reply FROM idempotent_reply",
    "SELECT request FROM idempotent_reply",
];

both! {
    async fn b22_no_secret_of_people_is_in_database_logs_or_audit(world) {
        let logs = Logs::gather();
        let root = admin(&world).await;
        let invitation = invite(&world, &root, "Grace", "operator").await;
        let weak = accept_with(&world, &invitation, "grace", "canary-weak", "canary-key-0").await;
        assert_eq!(weak.status, 422);
        let accepted = accept(&world, &invitation, "grace", "canary-key-1").await;
        assert_eq!(accepted.status, 201, "{accepted:?}");
        let session = cookie(&accepted);
        let session = session.split_once('=').unwrap().1.to_owned();
        let person = join(&world, &root, "Hedy", "viewer").await;
        let body = json!({ "name": "ci" });
        let minted = person.ask_once(&world, "POST", "/v1/me/tokens", Some(body), "canary-key-2").await;
        let token = minted.text("token");
        accept(&world, &invitation, "again", "").await.problem(401, "invitation_rejected");
        assert_eq!(remove(&world, &root, &person).await.status, 200);
        let mut canaries = vec![Canary::new("password", PASSWORD), Canary::new("weak password", "canary-weak")];
        for (name, text) in [("invitation", &invitation), ("session", &session), ("token", &token)] {
            let bearer = Bearer::parse(text).unwrap();
            canaries.push(Canary::new(name, text));
            canaries.push(Canary::of_bytes(&format!("secret of the {name}"), bearer.secret()));
        }
        let plain = muster_proof::digest::sha256(PASSWORD.as_bytes());
        canaries.push(Canary::of_bytes("fast hash of the password", &plain));
        let text = format!(
            "POST /v1/invitations/accept\n\n{}",
            json!({ "login": "grace", "password": PASSWORD })
        );
        let request = muster_proof::digest::sha256(text.as_bytes());
        canaries.push(Canary::of_bytes("fast hash of the request", &request));
        world.audited("person.created").await;
        let database = world.stored(TEXTS, BYTES).await;
        assert!(String::from_utf8_lossy(&database).contains("Grace"), "the database was read");
        assert_eq!(sightings(&canaries, "the database", &database), [""; 0]);
        let logged = logs.gathered();
        assert!(!logged.is_empty(), "something is logged");
        assert_eq!(sightings(&canaries, "the logs", &logged), [""; 0]);
        let audit = world.must("GET", "/v1/audit?limit=200", None).await.to_string();
        assert_eq!(sightings(&canaries, "the audit trail", audit.as_bytes()), [""; 0]);
    }
}
