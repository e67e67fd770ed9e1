//! Whoever hangs up before the answer has guessed all the same.

use std::time::Duration;

use futures_util::future::join_all;
use muster_http::{AddressBucket, ClientAddress};
use muster_ids::{Bearer, BearerKind};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::sign_in::browser::{Browser, OWN_PAGE};
use crate::sign_in::second_factor::{STEP, enter, other, set_up};
use crate::sign_in::{OTHER, PASSWORD, sign_in, signed_in, with_password};
use crate::world::{World, both, hang_up};

/// Wrong passwords one source may show within five minutes.
const BORNE: usize = 20;

fn here() -> AddressBucket {
    ClientAddress([127, 0, 0, 1].into()).bucket()
}

/// Sends these at once and closes every connection while the server is still at work.
async fn send_and_hang_up(world: &World, method: &str, path: &str, headers: &str, bodies: Vec<Value>) {
    let busy = (
        world.app.budgets.passwords.take().await.unwrap(),
        world.app.budgets.passwords.take().await.unwrap(),
    );
    let sent =
        bodies.iter().map(|body| hang_up(world.address, method, path, headers, Some(body.to_string())));
    join_all(sent).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(busy);
    // Until all of it is done.
    for _ in 0..500 {
        let flights: Vec<_> = (0..8).map(|_| world.app.budgets.guessers.begin(here())).collect();
        if flights.iter().all(Result::is_ok) {
            return;
        }
        drop(flights);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was begun does not end");
}

both! {
    async fn b10_a_password_whose_answer_nobody_waits_for_is_counted_and_noted(world) {
        with_password(&world).await;
        for _ in 0..BORNE / 5 {
            let guess = json!({ "login": "ada", "password": "wrong" });
            send_and_hang_up(&world, "POST", "/v1/sign-in", OWN_PAGE, vec![guess; 5]).await;
        }
        sign_in(&world, "ada", PASSWORD).await.problem(429, "too_many_requests");
        world.app.attempts.write_all(&world.app).await.unwrap();
        let rows = world.audited("login.failed").await;
        assert_eq!(rows[0]["details"]["count"], BORNE, "{rows:?}");
    }

    async fn b10_a_password_said_again_is_counted_too(world) {
        with_password(&world).await;
        let browser = signed_in(&world).await;
        let headers = format!("{OWN_PAGE}cookie: {}\r\n", browser.cookie.clone().unwrap());
        for _ in 0..BORNE / 5 {
            let guess = json!({ "current": "wrong", "new": OTHER });
            send_and_hang_up(&world, "PUT", "/v1/me/password", &headers, vec![guess; 5]).await;
        }
        sign_in(&world, "ada", PASSWORD).await.problem(429, "too_many_requests");
    }

    async fn b10_a_code_is_counted_at_the_door_and_where_it_is_taken_away(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let (device, _) = set_up(&world, &mut browser).await;
        world.clock.advance(STEP);
        let right = device.code(&world);
        let wrong = json!({ "login": "ada", "password": PASSWORD, "code": other(&right) });
        send_and_hang_up(&world, "POST", "/v1/sign-in", OWN_PAGE, vec![wrong; 5]).await;
        let headers = format!("{OWN_PAGE}cookie: {}\r\n", browser.cookie.clone().unwrap());
        let wrong = json!({ "password": PASSWORD, "code": other(&right) });
        send_and_hang_up(&world, "POST", "/v1/me/second-factor/remove", &headers, vec![wrong; 5]).await;
        enter(&world, Some(&right)).await.problem(429, "too_many_requests");
        let body = json!({ "password": PASSWORD, "code": right });
        let refused = browser.ask(&world, "POST", "/v1/me/second-factor/remove", Some(body)).await;
        refused.problem(429, "too_many_requests");
    }

    /// A right guess costs nothing, however often, also when nobody waits for its answer.
    async fn what_was_right_is_given_back(world) {
        with_password(&world).await;
        for _ in 0..BORNE / 5 {
            let right = json!({ "login": "ada", "password": PASSWORD });
            send_and_hang_up(&world, "POST", "/v1/sign-in", OWN_PAGE, vec![right; 5]).await;
        }
        for _ in 0..BORNE {
            assert_eq!(sign_in(&world, "ada", PASSWORD).await.status, 200);
        }
        // Neither does what was not judged: there was no place to judge it.
        let busy = (world.app.budgets.passwords.take().await.unwrap(), world.app.budgets.passwords.take().await.unwrap());
        let waiting = (0..8).map(|_| sign_in(&world, "ada", "wrong"));
        assert!(join_all(waiting).await.iter().all(|answer| answer.status == 503));
        drop(busy);
        let key = world.app.keyring.login_key("ada");
        let now = world.app.clock.monotonic();
        let charged: Vec<_> = (0..BORNE).map(|_| world.app.limits.charge_guess(here(), key, now)).collect();
        assert!(charged.iter().all(Result::is_ok));
    }

    /// One invitation, or one token, takes no more of the places of the hash than a guesser.
    async fn b12_every_hash_has_its_place_at_its_source(world) {
        let minted = world.must("POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "viewer" }))).await;
        let invitation = format!("authorization: Bearer {}\r\n", minted["token"].as_str().unwrap());
        let newcomer = json!({ "login": "grace", "password": PASSWORD });
        let flights: Vec<_> = (0..8).map(|_| world.app.budgets.guessers.begin(here()).unwrap()).collect();
        let accept = async || world.ask("POST", "/v1/invitations/accept", &invitation, Some(newcomer.clone())).await;
        accept().await.problem(503, "unavailable");
        let set = async || world.admin("PUT", "/v1/me/password", Some(json!({ "new": PASSWORD }))).await;
        set().await.problem(503, "unavailable");
        drop(flights);
        assert_eq!((accept().await.status, set().await.status), (201, 200));
    }

    async fn b12_what_a_read_refuses_is_not_hashed_for(world) {
        with_password(&world).await;
        let minted = world.must("POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "viewer" }))).await;
        let invitation = format!("authorization: Bearer {}\r\n", minted["token"].as_str().unwrap());
        let limited = world.must("POST", "/v1/me/tokens", Some(json!({ "name": "x", "scopes": ["own_account"] }))).await;
        let limited = format!("authorization: Bearer {}\r\n", limited["token"].as_str().unwrap());
        let none = world.app.store.write(muster_store::Priority::Normal, |tx| {
            tx.execute("DELETE FROM password", muster_store::params![]).map(drop)
        });
        none.await.unwrap();
        let busy = (world.app.budgets.passwords.take().await.unwrap(), world.app.budgets.passwords.take().await.unwrap());
        let taken = json!({ "login": "ada", "password": PASSWORD });
        let answer = world.ask("POST", "/v1/invitations/accept", &invitation, Some(taken)).await;
        answer.problem(409, "login_taken");
        let answer = world.ask("PUT", "/v1/me/password", &limited, Some(json!({ "new": PASSWORD }))).await;
        answer.problem(403, "limited_token");
        drop(busy);
    }

    async fn b11_who_is_invited_does_not_learn_logins_by_the_dozen(world) {
        with_password(&world).await;
        let minted = world.must("POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "viewer" }))).await;
        let invitation = format!("authorization: Bearer {}\r\n", minted["token"].as_str().unwrap());
        let accept = async |login: &str| {
            let body = json!({ "login": login, "password": PASSWORD });
            world.ask("POST", "/v1/invitations/accept", &invitation, Some(body)).await
        };
        for _ in 0..BORNE {
            accept("ada").await.problem(409, "login_taken");
        }
        accept("ada").await.problem(429, "too_many_requests");
        accept("free").await.problem(429, "too_many_requests");
        world.app.attempts.write_all(&world.app).await.unwrap();
        let rows = world.audited("login.failed").await;
        assert!(rows[0].to_string().contains("invitation"), "{rows:?}");
        world.clock.advance(Duration::from_secs(16));
        assert_eq!(accept("free").await.status, 201);
    }

    /// An invitation that cannot be accepted any more says nothing of logins, or it could be asked for ever.
    async fn b11_an_invitation_whose_name_is_taken_says_nothing_of_logins(world) {
        with_password(&world).await;
        let minted = world.must("POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "viewer" }))).await;
        let token = Bearer::parse(minted["token"].as_str().unwrap()).unwrap();
        let named = world.app.store.write(muster_store::Priority::Normal, |tx| {
            tx.execute("UPDATE person SET name = 'Grace' WHERE login = 'ada'", muster_store::params![]).map(drop)
        });
        named.await.unwrap();
        assert_eq!(token.kind, BearerKind::Invitation);
        let invitation = format!("authorization: Bearer {}\r\n", token.expose().expose_secret());
        for login in ["ada", "free"] {
            let body = json!({ "login": login, "password": PASSWORD });
            let answer = world.ask("POST", "/v1/invitations/accept", &invitation, Some(body)).await;
            answer.problem(409, "name_taken");
        }
    }

    async fn b20_who_accepts_an_invitation_leaves_the_former_session(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let mut planted = browser.clone();
        let minted = world.must("POST", "/v1/invitations", Some(json!({ "name": "Grace", "role": "viewer" }))).await;
        let cookie = browser.cookie.clone().unwrap();
        let headers = format!("{OWN_PAGE}cookie: {cookie}\r\nauthorization: Bearer {}\r\n", minted["token"].as_str().unwrap());
        let body = json!({ "login": "grace", "password": PASSWORD });
        let accepted = world.ask("POST", "/v1/invitations/accept", &headers, Some(body)).await;
        assert_eq!(accepted.status, 201, "{accepted:?}");
        let pair = accepted.header("set-cookie").unwrap().split(';').next().unwrap();
        browser = Browser { cookie: Some(pair.to_owned()) };
        assert!(browser.is_in(&world).await && !planted.is_in(&world).await);
    }

    async fn b06_odd_bytes_in_another_cookie_sign_nobody_out(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        browser.cookie = browser.cookie.map(|cookie| format!("theme=d\u{e9}j\u{e0}; {cookie}"));
        assert!(browser.is_in(&world).await);
    }

    async fn b07_an_origin_that_disagrees_is_foreign_whatever_else_is_said(world) {
        with_password(&world).await;
        for site in ["none", "same-origin"] {
            let headers = format!("sec-fetch-site: {site}\r\norigin: https://evil.example\r\n");
            let body = json!({ "login": "ada", "password": PASSWORD });
            world.ask("POST", "/v1/sign-in", &headers, Some(body)).await.problem(403, "foreign_origin");
        }
    }
}
