//! Two doors, one machine, one person: whatever comes first, the outcome is one that could have come in order.

use std::sync::Arc;

use serde_json::json;

use crate::door::scene::{Machine, scenes};

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

    /// A crowd of strangers shares transactions; who is no stranger beside the others is judged all the same.
    async fn c27_a_crowd_at_the_door_is_told_apart(scene) {
        let scene = Arc::new(scene);
        let site = scene.admin.site("crowd", json!({ "surge": 1_000_000 })).await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        let (one_time, ticket_id) = scene.admin.enrolment_token(json!({ "site_id": site, "tags": ["new"] })).await;
        let known = Machine::new("known");
        let known_id = known.admitted(&scene, &site_key, 201).await;
        let first = Machine::new("first");
        let mut machines: Vec<(Machine, String)> =
            (0..40).map(|n| (Machine::new(&format!("crowd-{n}")), site_key.clone())).collect();
        machines.push((first.twin(), site_key.clone()));
        machines.push((first, site_key.clone()));
        machines.push((known, site_key.clone()));
        machines.push((Machine::new("one"), one_time.clone()));
        machines.push((Machine::new("other"), one_time));
        let before = scene.app.store.committed().transactions;
        let knocks = machines.iter().map(|(machine, token)| machine.enroll(&scene, token));
        let answers = futures_util::future::join_all(knocks).await;
        let transactions = scene.app.store.committed().transactions - before;
        assert!(transactions < 40, "{transactions} transactions for a crowd of {}", machines.len());
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(statuses[..40].iter().all(|status| *status == 201), "{statuses:?}");
        assert_eq!(sorted(&statuses[40..42]), [201, 202], "one of the twins is a question");
        assert_eq!((statuses[42], answers[42].text("host_id")), (200, known_id));
        assert_eq!(sorted(&statuses[43..]), [201, 401], "a one-time token admits one");
        let hosts = scene.admin.hosts().await;
        assert_eq!(hosts.len(), 43);
        let tagged: Vec<_> = hosts.iter().filter(|host| host["tags"] == json!(["new"])).collect();
        assert_eq!(tagged.len(), 1, "the token carried its tags to the host it admitted");
        let ticket = scene.admin.get(&format!("/v1/tickets/{ticket_id}")).await.expect(200);
        assert_eq!(ticket["uses"], 1);
        assert_eq!(scene.events("host.enrolled").await.len(), 43);
    }

    /// The bound of a site holds for a crowd that comes at once.
    async fn b12_a_crowd_does_not_cross_the_bound_of_its_site(scene) {
        let scene = Arc::new(scene);
        let site = scene.admin.site("bounded", json!({ "surge": 70 })).await;
        let (site_key, _) = scene.admin.site_key(&site).await;
        let machines: Vec<Machine> = (0..90).map(|n| Machine::new(&format!("crowd-{n}"))).collect();
        let knocks = machines.iter().map(|machine| machine.enroll(&scene, &site_key));
        let answers = futures_util::future::join_all(knocks).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(201), count(202)), (70, 20));
    }
}

fn sorted(statuses: &[u16]) -> Vec<u16> {
    let mut sorted = statuses.to_vec();
    sorted.sort_unstable();
    sorted
}
