//! SECURITY B9: the address that is counted is never the client's to choose.

use muster_http::TrustedProxies;
use serde_json::json;

use crate::world::{Answer, Backend, World};

/// Wrong passwords one source may show within five minutes.
const BORNE: usize = 20;

async fn guess(world: &World, forwarded: &str) -> Answer {
    let body = json!({ "login": "ada", "password": "wrong" });
    world.ask("POST", "/v1/sign-in", &format!("x-forwarded-for: {forwarded}\r\n"), Some(body)).await
}

async fn behind(proxies: &str) -> World {
    let mut world = World::start_behind(Backend::Sqlite, proxies.parse().unwrap()).await;
    world.admin = world.set_up(&world.setup_code()).await.text("token");
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b09_a_direct_client_is_limited_as_if_it_said_nothing() {
    let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
    for world in [World::start(Backend::Sqlite).await, World::start_behind(Backend::Sqlite, proxies).await] {
        let mut refused = 0;
        for n in 0..200 {
            let answer = guess(&world, &format!("198.51.100.{n}, 10.0.0.{n}")).await;
            assert_eq!(answer.status, if n < BORNE { 401 } else { 429 }, "{n}");
            refused += usize::from(answer.status == 429);
        }
        assert_eq!(refused, 200 - BORNE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b09_behind_a_proxy_the_right_most_hop_that_is_none_counts() {
    let world = behind("127.0.0.1,10.0.0.0/8").await;
    for n in 0..BORNE {
        // Whatever the client made up stands to the left of what its proxies wrote.
        let made_up = ["198.51.100.", "10.0.0.", "caf\u{e9} "][n % 3];
        let split = if n % 2 == 0 { ", " } else { "\r\nx-forwarded-for: " };
        let answer = guess(&world, &format!("{made_up}{n}{split}203.0.113.7, 10.0.0.9")).await;
        answer.problem(401, "unauthorized");
    }
    guess(&world, "198.51.100.250, 203.0.113.7").await.problem(429, "too_many_requests");
    guess(&world, "203.0.113.7, 203.0.113.8").await.problem(401, "unauthorized");
    world.app.attempts.write_all(&world.app).await.unwrap();
    let rows = world.audited("login.failed").await;
    assert!(
        format!("{rows:?}").contains("203.0.113.7") && !format!("{rows:?}").contains("198.51"),
        "{rows:?}"
    );
}
