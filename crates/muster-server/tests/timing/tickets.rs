//! A ticket nobody minted, and a wrong secret.

use std::time::Duration;

use muster_ids::{Bearer, BearerKind, PublicId};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::alike;
use crate::world::{Backend, Machine, World};

async fn knock(world: &World, machine: &Machine, id: PublicId) {
    // So far apart that failures are no limit.
    world.clock.advance(Duration::from_secs(1));
    let forged = Bearer::new(BearerKind::SiteKey, id, [9; 32]);
    let answer = machine.enroll(world, forged.expose().expose_secret()).await;
    answer.problem(401, "enrollment_rejected");
}

async fn alike_on(backend: Backend) {
    let world = World::start(backend).await;
    let body = json!({ "site_id": world.default_site().await });
    let minted = world.must("POST", "/v1/site-keys", Some(body)).await;
    let known = Bearer::parse(minted["token"].as_str().unwrap()).unwrap().id;
    let unknown = PublicId::from_entropy([3; 16]);
    let machine = Machine::new("guess");
    for _ in 0..20 {
        knock(&world, &machine, known).await;
        knock(&world, &machine, unknown).await;
    }
    alike(async |_| knock(&world, &machine, unknown).await, async |_| knock(&world, &machine, known).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_an_unknown_ticket_takes_the_time_of_a_wrong_secret() {
    alike_on(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_an_unknown_ticket_takes_the_time_of_a_wrong_secret_on_postgres() {
    alike_on(Backend::Postgres).await;
}
