//! Jobs that are taken back, and lists of them.

use serde_json::{Value, json};

use crate::many::NOBODY;
use crate::world::{World, both};

fn repo() -> Value {
    json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } })
}

async fn ask_for(world: &World, host: impl std::fmt::Display) -> String {
    // Two of one moment have no order.
    world.clock.advance(std::time::Duration::from_millis(5));
    let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
    let made = world.must("POST", &format!("/v1/hosts/{host}/jobs"), Some(job)).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let page = world.must("GET", &format!("/v1/jobs?{query}"), None).await;
    page["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

both! {
    async fn a_job_that_waits_is_taken_back_once(world) {
        let host = world.join("alpha", repo()).await;
        let id = ask_for(&world, host.host_id).await;
        let cancelled = world.must("POST", &format!("/v1/jobs/{id}/cancel"), None).await;
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!(cancelled["failure"], "a person took it back before it was sent");
        // The reply may have been lost: said again, it is the same, and nothing more is told.
        let again = world.must("POST", &format!("/v1/jobs/{id}/cancel"), None).await;
        assert_eq!(again, cancelled);
        assert_eq!(world.audited("job.cancelled").await.len(), 1);
        assert_eq!(world.events("job.cancelled").await, [id]);
        let nothing = format!("/v1/jobs/{}/cancel", NOBODY.replace("host", "job"));
        world.admin("POST", &nothing, None).await.problem(404, "not_found");
    }

    async fn a_job_that_was_sent_goes_on(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let id = ask_for(&world, host.host_id).await;
        socket.message().await;
        world.admin("POST", &format!("/v1/jobs/{id}/cancel"), None).await.problem(409, "job_was_sent");
        assert_eq!(world.must("GET", &format!("/v1/jobs/{id}"), None).await["state"], "dispatched");
    }

    async fn a_job_that_ended_otherwise_is_not_taken_back(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let id = ask_for(&world, host.host_id).await;
        socket.message().await;
        assert_eq!(world.retire(&host).await.status, 200);
        assert_eq!(world.must("GET", &format!("/v1/jobs/{id}"), None).await["state"], "lost");
        world.admin("POST", &format!("/v1/jobs/{id}/cancel"), None).await.problem(409, "job_has_ended");
    }

    async fn several_states_and_a_kind_narrow_the_list_and_the_newest_comes_first(world) {
        let (one, two) = (world.join("alpha", repo()).await.host_id, world.join("beta", repo()).await.host_id);
        let first = ask_for(&world, one).await;
        let second = ask_for(&world, one).await;
        let other = ask_for(&world, two).await;
        world.must("POST", &format!("/v1/jobs/{first}/cancel"), None).await;
        assert_eq!(listed(&world, "state=queued,cancelled").await, [other.as_str(), &second, &first]);
        assert_eq!(listed(&world, &format!("host_id={one}&state=queued,cancelled&kind=backup&limit=1")).await, [second]);
        assert_eq!(listed(&world, &format!("host_id={one}&state=cancelled&limit=1")).await, [first]);
        assert!(listed(&world, "state=lost,failed").await.is_empty());
        for bad in ["state=queued,", "state=", "state=queued,queued", "state=gone", "kind=tea", "kind="] {
            world.admin("GET", &format!("/v1/jobs?{bad}"), None).await.problem(400, "invalid_query");
        }
    }
}
