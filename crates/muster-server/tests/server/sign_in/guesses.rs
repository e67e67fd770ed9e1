//! Whoever guesses is stopped before the work is done; whoever is guessed at still gets in.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use muster_domain::login::fold;
use muster_http::AddressBucket;
use serde_json::json;

use crate::sign_in::browser::Browser;
use crate::sign_in::{PASSWORD, sign_in, with_password};
use crate::world::{World, both};

/// Wrong passwords one source may show within five minutes.
const BORNE: usize = 20;

/// A /64 somewhere.
fn source(n: u64) -> AddressBucket {
    AddressBucket(IpAddr::V6(Ipv6Addr::from_bits(u128::from(n + 1) << 64)))
}

/// Guesses at a login from `sources` sources, as if each had been judged and found wrong.
fn guess_from_everywhere(world: &World, login: &str, sources: u64) {
    let key = world.app.keyring.login_key(&fold(login));
    for n in 0..sources {
        world.app.limits.count_guess(source(n), key, world.app.clock.monotonic());
    }
}

both! {
    async fn b10_a_guesser_is_stopped_before_the_work_is_done(world) {
        with_password(&world).await;
        for n in 0..BORNE {
            sign_in(&world, &format!("nobody{n}"), PASSWORD).await.problem(401, "unauthorized");
        }
        // All places of the hash are taken: who is answered at once was not hashed for.
        let places = (world.app.budgets.passwords.take().await.unwrap(), world.app.budgets.passwords.take().await.unwrap());
        for login in ["ada", "ADA ", "ａｄａ", "somebody"] {
            let refused = sign_in(&world, login, PASSWORD).await;
            refused.problem(429, "too_many_requests");
            assert!(refused.header("retry-after").is_some());
        }
        drop(places);
        world.clock.advance(Duration::from_secs(16));
        assert_eq!(sign_in(&world, "ada", PASSWORD).await.status, 200);
    }

    async fn b10_whoever_is_guessed_at_from_everywhere_gets_in_and_no_guesser_twice(world) {
        with_password(&world).await;
        guess_from_everywhere(&world, " ＡDA", 200);
        assert_eq!(sign_in(&world, "ada", PASSWORD).await.status, 200);
        sign_in(&world, "Ada", "wrong").await.problem(429, "too_many_requests");
        sign_in(&world, "ada", PASSWORD).await.problem(429, "too_many_requests");
        // Another account is not concerned, whoever failed once at this one.
        sign_in(&world, "bob", "wrong").await.problem(401, "unauthorized");
    }

    async fn b10_who_crowds_the_tables_gives_nobody_a_fresh_start(world) {
        with_password(&world).await;
        guess_from_everywhere(&world, "ada", 200);
        sign_in(&world, "ada", "wrong").await.problem(429, "too_many_requests");
        for n in 0..100_000 {
            let key = world.app.keyring.login_key(&format!("crowd{n}"));
            world.app.limits.count_guess(source(1_000 + n % 10_000), key, world.app.clock.monotonic());
        }
        sign_in(&world, "ada", PASSWORD).await.problem(429, "too_many_requests");
    }

    async fn b12_who_finds_no_place_is_sent_away_and_the_server_lives(world) {
        with_password(&world).await;
        let places = (world.app.budgets.passwords.take().await.unwrap(), world.app.budgets.passwords.take().await.unwrap());
        let waiting = tokio::join!(sign_in(&world, "ada", PASSWORD), world.ask("GET", "/healthz", "", None));
        waiting.0.problem(503, "unavailable");
        assert!(waiting.0.header("retry-after").is_some());
        assert_eq!(waiting.1.status, 200);
        drop(places);
        assert_eq!(sign_in(&world, "ada", PASSWORD).await.status, 200);
    }

    async fn b12_guesses_in_parallel_are_hardly_more_than_in_a_row(world) {
        with_password(&world).await;
        let guesses = (0..80).map(|_| sign_in(&world, "ada", "wrong"));
        let answers = futures_util::future::join_all(guesses).await;
        let judged = answers.iter().filter(|answer| answer.status == 401).count();
        assert!(judged <= BORNE, "{judged} were judged");
        assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429 | 503)));
    }

    async fn b12_a_password_said_again_is_limited_like_one_at_the_door(world) {
        with_password(&world).await;
        let mut browser = Browser::new();
        browser.sign_in(&world, json!({ "login": "ada", "password": PASSWORD })).await;
        let wrong = json!({ "current": "wrong", "new": "nine yellow kettles" });
        for _ in 0..BORNE {
            let refused = browser.ask(&world, "PUT", "/v1/me/password", Some(wrong.clone())).await;
            refused.problem(403, "wrong_password");
        }
        let refused = browser.ask(&world, "PUT", "/v1/me/password", Some(wrong)).await;
        refused.problem(429, "too_many_requests");
        let right = json!({ "password": PASSWORD });
        let refused = browser.ask(&world, "POST", "/v1/me/second-factor", Some(right)).await;
        refused.problem(429, "too_many_requests");
        assert!(browser.is_in(&world).await, "a session that holds is served");
    }

    async fn b26_no_database_no_sign_in(world) {
        with_password(&world).await;
        world.app.store.close().await;
        let refused = sign_in(&world, "ada", PASSWORD).await;
        assert_eq!((refused.status, refused.header("set-cookie")), (503, None), "{refused:?}");
    }
}
