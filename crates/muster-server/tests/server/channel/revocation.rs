//! Revocation wins over every race: what is cut, what is told, what is refused afterwards.

use muster_proof::instruction::verify_revoked;
use muster_store::rows::KeyState;
use muster_store::{Priority, StoreError};
use muster_wire::channel::{ServerMessage, close};
use serde_json::json;

use crate::channel::repo;
use crate::world::{Told, both};

both! {
    async fn b20_retiring_cuts_the_socket_before_it_is_answered(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        let answer = world.retire(&host).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!world.app.hub.is_connected(host.host_id));
        let ServerMessage::Revoked { statement } = socket.message().await else { panic!("no statement") };
        let thumbprint = world.app.installation.instruction_thumbprint();
        let revoked = verify_revoked(&statement, &thumbprint).unwrap();
        assert_eq!((revoked.host_id, revoked.key), (host.host_id, host.key_name()));
        socket.closes_with(close::REVOKED).await;
        let refused = host.post(&world, &format!("/v1/hosts/{}/heartbeat", host.host_id), Some(json!({}))).await;
        refused.problem(401, "key_revoked");
        let again = verify_revoked(&refused.text("revoked"), &thumbprint).unwrap();
        assert_eq!(again.key, host.key_name());
        let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "key_revoked");
        drop(generation);
    }

    async fn b20_a_hello_after_the_revocation_is_refused(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        assert_eq!(world.retire(&host).await.status, 200);
        let claims = socket.claims(&host, &world, None);
        socket.hello(&host, &claims).await;
        socket.closes_with(close::REVOKED).await;
        assert!(world.app.hub.is_empty());
    }

    async fn i6_what_is_told_after_the_key_ended_is_refused_even_before_the_cut(world) {
        let host = world.join("alpha", repo()).await;
        let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let path = format!("/v1/hosts/{}/jobs", host.host_id);
        let job = world.must("POST", &path, Some(body)).await;
        let (mut socket, _) = host.connect(&world, None).await;
        assert!(matches!(socket.message().await, ServerMessage::JobRun { .. }));
        let key = host.key_name();
        let end = world.app.store.write(Priority::Urgent, move |tx| {
            tx.host_key_end(&key, KeyState::Revoked, "user_x", muster_ids::Timestamp::from_millis(1))
        });
        assert!(end.await.map_err(|error: StoreError| error.to_string()).unwrap());
        let attempt = json!({ "job_id": job["id"], "attempt": 1 });
        let end = json!({ "outcome": "failed", "failure": "no" });
        socket.send(json!({ "type": "job_finished", "attempt": attempt, "end": end })).await;
        socket.closes_with(close::REVOKED).await;
        let shown = world.must("GET", &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), None).await;
        assert_eq!(shown["state"], "dispatched");
    }

    async fn b20_suspending_cuts_and_resuming_lets_back_in(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        world.must("POST", &format!("{path}/suspend"), None).await;
        assert!(!world.app.hub.is_connected(host.host_id));
        let ServerMessage::Goodbye { reason, .. } = socket.message().await else { panic!("no goodbye") };
        assert_eq!(reason.as_str(), "suspended");
        assert!(matches!(socket.next().await, Told::Closed(..)));
        let refused = host.heartbeat(&world).await;
        refused.problem(403, "host_suspended");
        assert_eq!(refused.header("retry-after"), Some("30"));
        world.must("POST", &format!("{path}/resume"), None).await;
        host.connect(&world, Some(generation)).await;
    }

    async fn the_machine_itself_may_leave(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        other.post(&world, &format!("/v1/hosts/{}/leave", host.host_id), None).await.problem(403, "foreign_host");
        assert_eq!(world.host(&host).await["state"], "active");
        let left = host.post(&world, &format!("/v1/hosts/{}/leave", host.host_id), None).await;
        assert_eq!((left.status, left.text("state")), (200, "retired".to_owned()));
        assert!(matches!(socket.message().await, ServerMessage::Revoked { .. }));
        assert_eq!(world.host(&host).await["state"], "retired");
        host.heartbeat(&world).await.problem(401, "key_revoked");
    }

    async fn a_goodbye_makes_the_host_offline(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        socket.send(json!({ "type": "goodbye", "reason": "shutdown" })).await;
        socket.closes_with(close::NORMAL).await;
        world.becomes(&format!("/v1/hosts/{}", host.host_id), "/presence/status", "offline").await;
    }
}
