//! Bounds that hold exactly, however many machines come at once.

use std::sync::Arc;

use muster_domain::admission::CLAIMS_PER_SITE;
use serde_json::json;

use crate::door::scene::{Machine, Scene, scenes, token_and_id};

/// Lets so many new machines knock at once and counts their answers.
async fn all_at_once(scene: &Arc<Scene>, token: &str, machines: usize) -> [usize; 4] {
    let knocks: Vec<_> = (0..machines)
        .map(|n| {
            let (scene, token) = (Arc::clone(scene), token.to_owned());
            tokio::spawn(async move { Machine::new(&format!("m{n}")).enroll(&scene, &token).await.status })
        })
        .collect();
    let mut counts = [0; 4];
    for knock in knocks {
        let place = match knock.await.unwrap() {
            201 => 0,
            202 => 1,
            401 => 2,
            503 => 3,
            other => panic!("{other}"),
        };
        counts[place] += 1;
    }
    counts
}

scenes! {
    async fn max_uses_is_exact_for_machines_that_come_at_once(scene) {
        let site = scene.admin.default_site().await;
        let body = json!({ "site_id": site, "max_uses": 5 });
        let (token, id) = token_and_id(&scene.admin.post("/v1/site-keys", &body).await.expect(201));
        let scene = Arc::new(scene);
        assert_eq!(all_at_once(&scene, &token, 20).await, [5, 0, 15, 0]);
        let shown = scene.admin.get(&format!("/v1/tickets/{id}")).await.expect(200);
        assert_eq!((&shown["uses"], &shown["status"]), (&json!(5), &json!("used_up")));
        assert!(shown["last_host_id"].is_string() && shown["last_used_at"].is_string());
        assert_eq!(scene.admin.hosts().await.len(), 5);
    }

    async fn the_surge_brake_is_exact_for_machines_that_come_at_once(scene) {
        let site = scene.admin.site("busy", json!({ "surge": 7 })).await;
        let (token, _) = scene.admin.site_key(&site).await;
        let scene = Arc::new(scene);
        assert_eq!(all_at_once(&scene, &token, 30).await, [7, 23, 0, 0]);
        assert_eq!(scene.admin.hosts().await.len(), 7);
        assert_eq!(scene.events("site.surge").await, [site], "told once");
    }

    async fn a_site_that_is_far_from_its_bound_shares_it_until_it_is_near(scene) {
        let site = scene.admin.site("busier", json!({ "surge": 80 })).await;
        let (token, _) = scene.admin.site_key(&site).await;
        let scene = Arc::new(scene);
        assert_eq!(all_at_once(&scene, &token, 96).await, [80, 16, 0, 0]);
    }

    async fn the_claims_of_a_site_are_bounded_exactly(scene) {
        let site = scene.admin.site("careful", json!({ "new": "approve" })).await;
        let (token, id) = scene.admin.site_key(&site).await;
        let scene = Arc::new(scene);
        let bound = CLAIMS_PER_SITE as usize;
        let mut counts = [0; 4];
        for part in [bound - 20, 40] {
            let more = all_at_once(&scene, &token, part).await;
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
        assert_eq!(counts, [0, bound, 0, 20]);
        assert_eq!(scene.events("claims.full").await, std::slice::from_ref(&id), "told once");
        let why = scene.admin.get(&format!("/v1/tickets/{id}/refusals")).await.expect(200);
        let causes: Vec<_> =
            why["items"].as_array().unwrap().iter().map(|row| (row["cause"].clone(), row["count"].clone())).collect();
        assert_eq!(causes, [(json!("too_many_claims"), json!(20)), (json!("waits_approval"), json!(bound))]);
    }
}
