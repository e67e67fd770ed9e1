//! The fleet at a glance, and what was seen of each host, on both databases.

mod attention;
mod history;
mod overview;
mod samples;
mod timeline;
mod vitals;

use std::time::Duration;

use muster_domain::presence::RECONNECT_WINDOW;
use muster_server::reconcile;
use serde_json::{Value, json};

use crate::world::World;

/// A repository secret.
fn repo() -> Value {
    json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } })
}

/// Lets time go by as it does for a server that runs, with a round of its work every minute and a half.
async fn pass(world: &World, span: Duration) {
    let step = Duration::from_secs(90);
    let mut left = span;
    while left > Duration::ZERO {
        world.clock.advance(step.min(left));
        left = left.saturating_sub(step);
        assert!(world.app.there_for() > Duration::ZERO);
        world.app.all_are_back();
    }
}

/// Lets the server be there for long enough to miss somebody.
async fn all_are_back(world: &World) {
    pass(world, RECONNECT_WINDOW).await;
}

/// Counts the fleet and shows it.
async fn overview(world: &World, query: &str) -> Value {
    reconcile::count(&world.app).await.unwrap();
    world.must("GET", &format!("/v1/overview{query}"), None).await
}
