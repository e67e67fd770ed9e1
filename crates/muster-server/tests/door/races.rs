//! Two doors, one machine, one person: whatever comes first, the outcome is one that could have come in order.

use std::sync::Arc;

use serde_json::json;

use crate::scene::{Machine, scenes};

const ROUNDS: usize = 12;

scenes! {
    async fn c27_one_uid_at_two_doors_at_once_has_one_owner_and_no_failure(scene) {
        let scene = Arc::new(scene);
        let site = scene.admin.default_site().await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        for _ in 0..ROUNDS {
            let invited = scene.admin.post("/v1/hosts", &json!({ "name": "h" })).await.expect(201);
            let registration = invited["registration"]["token"].as_str().unwrap().to_owned();
            let machine = Machine::new("pc");
            let doors = [(machine.twin(), site_key.clone()), (machine, registration)];
            let knocks = doors.map(|(machine, token)| {
                let scene = scene.clone();
                tokio::spawn(async move { machine.enroll(&scene, &token).await.status })
            });
            let mut statuses = Vec::new();
            for knock in knocks {
                statuses.push(knock.await.unwrap());
            }
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 202], "one owner, one claim");
        }
    }

    async fn c27_a_machine_that_retries_in_parallel_is_one_host(scene) {
        let scene = Arc::new(scene);
        let site = scene.admin.default_site().await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        let (one_time, _) = scene.admin.enrolment_token(json!({})).await;
        for token in [site_key, one_time] {
            let machine = Arc::new(Machine::new("hasty"));
            let knocks: Vec<_> = (0..8)
                .map(|_| {
                    let (scene, machine, token) = (scene.clone(), machine.clone(), token.clone());
                    tokio::spawn(async move { machine.enroll(&scene, &token).await })
                })
                .collect();
            let mut hosts = std::collections::BTreeSet::new();
            let mut made = 0;
            for knock in knocks {
                let answer = knock.await.unwrap();
                assert!(matches!(answer.status, 200 | 201), "{answer:?}");
                made += usize::from(answer.status == 201);
                hosts.insert(answer.text("host_id"));
            }
            assert_eq!((made, hosts.len()), (1, 1));
        }
    }

    async fn c27_two_people_who_decide_one_claim_at_once_decide_it_once(scene) {
        let site = scene.admin.site("careful", json!({ "new": "approve" })).await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        for _ in 0..ROUNDS {
            let claim_id = Machine::new("pc").waits(&scene, &site_key, "approval").await;
            let version = scene.admin.claim(&claim_id).await["evidence_version"].clone();
            let decisions = ["new", "reject"].map(|verdict| {
                let (admin, path) = (scene.admin.clone(), format!("/v1/claims/{claim_id}/decision"));
                let decision = json!({ "verdict": verdict, "evidence_version": version });
                tokio::spawn(async move { admin.post(&path, &decision).await.status })
            });
            let mut statuses = Vec::new();
            for decision in decisions {
                statuses.push(decision.await.unwrap());
            }
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409]);
        }
    }

    async fn b20_a_host_retired_while_it_knocks_never_comes_back(scene) {
        let scene = Arc::new(scene);
        let site = scene.admin.default_site().await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        for _ in 0..ROUNDS / 2 {
            let machine = Arc::new(Machine::new("pc"));
            let host_id = machine.admitted(&scene, &site_key, 201).await;
            let knocking: Vec<_> = (0..4)
                .map(|_| {
                    let (scene, machine, token) = (scene.clone(), machine.clone(), site_key.clone());
                    tokio::spawn(async move { machine.enroll(&scene, &token).await.status })
                })
                .collect();
            scene.admin.retire(&host_id).await.expect(200);
            for knock in knocking {
                assert!(matches!(knock.await.unwrap(), 200 | 401));
            }
            machine.enroll(&scene, &site_key).await.refused(401, "key_revoked");
            assert_eq!(scene.admin.host(&host_id).await["state"], "retired");
        }
    }
}
