//! Over the work budget: 503, and the server stays alive.

use muster_ids::BearerKind;
use muster_server::budgets::{Place, Places};
use serde_json::json;

use crate::limits::nobodys;
use crate::world::{Answer, Machine, both};

/// Takes every place there is.
async fn take_all(places: &Places) -> Vec<Place> {
    let mut taken = Vec::new();
    while let Ok(place) = tokio::time::timeout(std::time::Duration::from_millis(50), places.take()).await {
        taken.push(place.unwrap());
    }
    taken
}

fn over_budget(answer: &Answer) {
    answer.problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

both! {
    async fn b12_a_flood_at_the_door_leaves_the_other_faces_and_health_be(world) {
        let host = world.join("alpha", json!({})).await;
        let token = world.enrolment_token(json!({})).await;
        let busy = take_all(&world.app.budgets.door).await;
        over_budget(&Machine::new("beta").enroll(&world, &token).await);
        assert_eq!(host.heartbeat(&world).await.status, 200);
        world.must("GET", "/v1/me", None).await;
        for path in ["/healthz", "/readyz"] {
            assert_eq!(world.ask("GET", path, "", None).await.status, 200, "{path}");
        }
        drop(busy);
        Machine::new("beta").join(&world, &token).await;
    }

    async fn b26_a_credential_that_could_not_be_judged_opens_nothing(world) {
        let host = world.join("alpha", json!({})).await;
        let busy = (take_all(&world.app.budgets.agents).await, take_all(&world.app.budgets.operators).await);
        over_budget(&host.heartbeat(&world).await);
        over_budget(&world.admin("GET", "/v1/me", None).await);
        let stranger = format!("authorization: Bearer {}\r\n", nobodys(BearerKind::OperatorToken, 1));
        over_budget(&world.ask("GET", "/v1/me", &stranger, None).await);
        drop(busy);
        assert_eq!(host.heartbeat(&world).await.status, 200);
        world.must("GET", "/v1/me", None).await;
    }
}
