//! A login nobody has, and a wrong password.

use std::time::Duration;

use serde_json::json;

use crate::alike;
use crate::world::{Backend, World};

async fn fail(world: &World, login: String) {
    // So far apart that nobody is refused before the password is judged.
    world.clock.advance(Duration::from_secs(60));
    let body = json!({ "login": login, "password": "nine yellow kettles" });
    world.ask("POST", "/v1/sign-in", "", Some(body)).await.problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_an_unknown_login_takes_the_time_of_a_wrong_password() {
    let world = World::start(Backend::Sqlite).await;
    world.must("PUT", "/v1/me/login", Some(json!({ "login": "somebody100" }))).await;
    world.must("PUT", "/v1/me/password", Some(json!({ "new": "seven green bottles" }))).await;
    for n in 0..20 {
        fail(&world, format!("warm{n}")).await;
    }
    alike(
        async |n| fail(&world, format!("nobody{:05}", n + 100)).await,
        async |_| fail(&world, "somebody100".to_owned()).await,
    )
    .await;
}
