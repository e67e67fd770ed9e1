//! Who fails too often is told so; who holds a credential is served next to them.

use std::time::Duration;

use muster_ids::BearerKind;
use serde_json::json;

use crate::limits::nobodys;
use crate::world::{Answer, Backend, Machine, World, both};

/// One more failure than this from one source within a minute is one too many.
const BORNE: u32 = 600;

/// Knocks with a ticket nobody made, from behind a made-up address.
async fn knock(world: &World, n: u32) -> Answer {
    let mut request = Machine::new("stranger").request();
    request["agent_secret"] = "A".repeat(43).into();
    let token = nobodys(BearerKind::EnrolmentToken, n);
    let headers = format!(
        "authorization: Bearer {token}\r\nx-forwarded-for: 198.51.100.{}\r\nforwarded: for=198.51.100.7\r\n",
        n % 250
    );
    world.ask("POST", "/v1/enroll", &headers, Some(request)).await
}

fn too_many(answer: &Answer) {
    answer.problem(429, "too_many_requests");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

async fn exhaust(world: &World) {
    for n in 0..BORNE {
        knock(world, n).await.problem(401, "enrollment_rejected");
    }
    too_many(&knock(world, BORNE).await);
}

both! {
    async fn b09_b10_one_source_is_limited_at_all_doors_whatever_its_headers_say(world) {
        exhaust(&world).await;
        let bearer = |kind| format!("authorization: Bearer {}\r\n", nobodys(kind, 1));
        let beat = format!("/v1/hosts/{}/heartbeat", muster_ids::HostId::from_uuid(uuid::Uuid::nil()));
        too_many(&world.ask("GET", "/v1/me", &bearer(BearerKind::OperatorToken), None).await);
        too_many(&world.ask("GET", "/v1/me", "authorization: Bearer nonsense\r\n", None).await);
        too_many(&world.ask("POST", &beat, &bearer(BearerKind::AgentKey), Some(json!({}))).await);
        too_many(&world.ask("POST", &beat, "dpop: a.b.c\r\n", Some(json!({}))).await);
        let mut request = Machine::new("stranger").request();
        request["agent_secret"] = "A".repeat(43).into();
        too_many(&world.ask("POST", "/v1/enroll", "dpop: a.b.c\r\n", Some(request)).await);
        world.clock.advance(Duration::from_secs(61));
        knock(&world, 1).await.problem(401, "enrollment_rejected");
    }

    async fn who_holds_a_credential_is_served_next_to_a_guesser(world) {
        let host = world.join("alpha", json!({})).await;
        let gone = world.join("gone", json!({})).await;
        world.retire(&gone).await;
        let token = world.enrolment_token(json!({})).await;
        exhaust(&world).await;
        assert_eq!(host.heartbeat(&world).await.status, 200);
        let late = Machine::new("late").join(&world, &token).await;
        assert_eq!(late.heartbeat(&world).await.status, 200);
        world.must("GET", "/v1/me", None).await;
        // A revoked key that is proved is no guess: its agent must learn of its end.
        let revoked = gone.heartbeat(&world).await;
        revoked.problem(401, "key_revoked");
        assert!(revoked.body["revoked"].is_string());
        // Neither is who shows nothing, or is asked for a nonce.
        world.ask("GET", "/v1/me", "", None).await.problem(401, "unauthorized");
        let claims = { let mut claims = host.claims(&world, "GET", "/v1/agent/connect"); claims.nonce = None; claims };
        let proof = format!("dpop: {}\r\n", muster_proof::dpop::prove(&host.key, &claims));
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "use_dpop_nonce");
    }

    async fn b11_a_429_says_no_more_of_a_ticket_than_the_401(world) {
        let spent = world.enrolment_token(json!({})).await;
        Machine::new("first").join(&world, &spent).await;
        exhaust(&world).await;
        too_many(&Machine::new("second").enroll(&world, &spent).await);
        too_many(&knock(&world, 1).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_guesses_of_the_setup_code_end_after_ten() {
    let world = World::start_new(Backend::Sqlite).await;
    let code = world.setup_code();
    for n in 0..10 {
        world.set_up(&format!("AAAA-AAAA-AAAA-000{n}")).await.problem(403, "wrong_setup_code");
    }
    too_many(&world.set_up("AAAA-AAAA-AAAA-AAAA").await);
    too_many(&world.set_up(&code).await);
    world.clock.advance(Duration::from_secs(7));
    assert_eq!(world.set_up(&code).await.status, 201);
    world.set_up("AAAA-AAAA-AAAA-AAAA").await.problem(410, "already_configured");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_guesses_of_the_setup_code_in_parallel_are_no_more_than_in_a_row() {
    let world = std::sync::Arc::new(World::start_new(Backend::Sqlite).await);
    let guesses: Vec<_> = (0..60)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.set_up("AAAA-AAAA-AAAA-AAAA").await.status })
        })
        .collect();
    let mut judged = 0;
    for guess in guesses {
        judged += usize::from(guess.await.unwrap() == 403);
    }
    assert_eq!(judged, 10);
}
