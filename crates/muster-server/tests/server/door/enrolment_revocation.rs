//! Enrolments in flight while their site key is revoked: nothing is committed after the revocation was answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::door::scene::{Machine, Scene, scenes};

const MACHINES: usize = 24;
const ROUNDS: u64 = 4;

/// Knocks with new machines, one after the other, until the key is refused. Returns the hosts they became.
async fn keep_knocking(scene: Arc<Scene>, token: String, admitted: Arc<Notify>) -> Vec<String> {
    let mut hosts = Vec::new();
    loop {
        let answer = Machine::new("m").enroll(&scene, &token).await;
        match answer.status {
            201 => {
                hosts.push(answer.text("host_id"));
                admitted.notify_one();
            }
            401 => return hosts,
            other => panic!("{other}: {answer:?}"),
        }
    }
}

scenes! {
    async fn no_host_is_committed_after_the_revocation_was_answered(scene) {
        let scene = Arc::new(scene);
        for round in 0..ROUNDS {
            let site = scene.admin.site(&format!("site {round}"), serde_json::json!({ "surge": 1_000_000 })).await;
            let (token, id) = scene.admin.site_key(&site).await;
            let admitted = Arc::new(Notify::new());
            let knocking: Vec<_> = (0..MACHINES)
                .map(|_| tokio::spawn(keep_knocking(scene.clone(), token.clone(), admitted.clone())))
                .collect();
            // The revocation goes before the enrolments that wait: without a first host there might be none.
            admitted.notified().await;
            tokio::time::sleep(Duration::from_millis(30 * round)).await;
            // The reply counts what the key had made when its revocation was committed.
            let revoked = scene.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
            let mut admitted = Vec::new();
            for machine in knocking {
                admitted.extend(machine.await.unwrap());
            }
            let ticket = scene.admin.get(&format!("/v1/tickets/{id}")).await.expect(200);
            assert_eq!(ticket["uses"], revoked["uses"], "a host came after the revocation");
            assert_eq!(ticket["uses"], admitted.len(), "every admitted host exists, and no other");
            assert_ne!(admitted.len(), 0, "the key was in use");
        }
    }
}
