//! In, out, and everything that is answered alike.

use serde_json::json;

use crate::sign_in::browser::{Browser, OWN_PAGE};
use crate::sign_in::{OTHER, PASSWORD, sign_in, signed_in, with_password};
use crate::world::both;

both! {
    async fn somebody_signs_in_is_known_and_signs_out(world) {
        with_password(&world).await;
        let mut browser = Browser::new();
        let answer = browser.sign_in(&world, json!({ "login": " ＡDA ", "password": PASSWORD })).await;
        assert_eq!((answer.status, answer.body["name"].as_str()), (200, Some("Ada")), "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with("muster-local-session=msw_"), "{cookie}");
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!answer.raw_body.contains("msw_"), "the session is in the cookie alone");
        let me = browser.me(&world).await;
        assert_eq!(me.body["web_session_id"], answer.body["web_session_id"]);
        assert_eq!(me.body["token_id"], json!(null));

        let copy = browser.clone();
        let out = browser.ask(&world, "POST", "/v1/sign-out", None).await;
        assert_eq!((out.status, browser.cookie.as_ref()), (200, None), "{out:?}");
        assert!(!copy.clone().is_in(&world).await, "who kept the cookie is out, too");
        let token = world.admin("POST", "/v1/sign-out", None).await;
        token.problem(409, "not_a_session");
        assert_eq!(world.audited_times("person.signed_in", 1).await[0]["role"], "admin");
        world.audited_times("person.signed_out", 1).await;
    }

    async fn b11_one_answer_to_all_that_fails(world) {
        with_password(&world).await;
        let team = world.must("POST", "/v1/teams", Some(json!({ "name": "acme" }))).await;
        let owners = format!("/v1/teams/{}/owners", team["id"].as_str().unwrap());
        for (name, login) in [("Bob", "bob"), ("Eve", "eve")] {
            let made = world.must("POST", &owners, Some(json!({ "name": name }))).await;
            let token = format!("authorization: Bearer {}\r\n", made["token"].as_str().unwrap());
            let set = world.ask("PUT", "/v1/me/login", &token, Some(json!({ "login": login }))).await;
            assert_eq!(set.status, 200, "{set:?}");
            if login == "eve" {
                let set = world.ask("PUT", "/v1/me/password", &token, Some(json!({ "new": PASSWORD }))).await;
                assert_eq!(set.status, 200, "{set:?}");
                assert_eq!(sign_in(&world, "eve", PASSWORD).await.status, 200);
                let removed = world.app.store.write(muster_store::Priority::Normal, |tx| {
                    let removed = "UPDATE person SET removed_at = 1 WHERE login = 'eve'";
                    tx.execute(removed, muster_store::params![]).map(drop)
                });
                removed.await.unwrap();
            }
        }
        let mut answers = Vec::new();
        for (login, password) in [
            ("ada", OTHER),
            ("nobody", PASSWORD),
            ("bob", PASSWORD),
            ("eve", PASSWORD),
            ("no login at all\u{0}", PASSWORD),
            ("ada", "short"),
        ] {
            let answer = sign_in(&world, login, password).await;
            answer.problem(401, "unauthorized");
            let instance = answer.text("instance");
            let head: Vec<String> = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date") && !line.starts_with("x-request-id"))
                .map(str::to_owned)
                .collect();
            answers.push((head, answer.raw_body.replace(&instance, "")));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }

    async fn what_is_sent_must_be_what_it_is(world) {
        with_password(&world).await;
        let mut browser = Browser::new();
        browser.sign_in(&world, json!({ "login": "ada" })).await.problem(422, "validation");
        let extra = json!({ "login": "ada", "password": PASSWORD, "admin": true });
        browser.sign_in(&world, extra).await.problem(422, "validation");
        let long = json!({ "login": "ada", "password": "x".repeat(513) });
        browser.sign_in(&world, long).await.invalid("/password", "too_long");
        assert_eq!(browser.cookie, None);
    }

    async fn a_session_is_good_at_its_own_listener_alone(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let bearer = browser.bearer().to_owned();
        let elsewhere = format!("{OWN_PAGE}cookie: __Host-muster-session={bearer}\r\n");
        world.ask("GET", "/v1/me", &elsewhere, None).await.problem(401, "unauthorized");
        let header = format!("authorization: Bearer {bearer}\r\n");
        world.ask("GET", "/v1/me", &header, None).await.problem(401, "unauthorized");
        let twice = format!("{OWN_PAGE}cookie: muster-local-session={bearer}; muster-local-session={bearer}\r\n");
        world.ask("GET", "/v1/me", &twice, None).await.problem(401, "unauthorized");
        assert!(browser.is_in(&world).await);
        let moved = world.app.store.write(muster_store::Priority::Normal, |tx| {
            tx.execute("UPDATE web_session SET listener = 'machines'", muster_store::params![]).map(drop)
        });
        moved.await.unwrap();
        assert!(!browser.is_in(&world).await);
    }

    async fn two_sign_ins_at_once_are_two_sessions(world) {
        with_password(&world).await;
        let (one, two) = tokio::join!(signed_in(&world), signed_in(&world));
        assert_ne!(one.cookie, two.cookie);
        assert!(one.clone().is_in(&world).await && two.clone().is_in(&world).await);
    }
}
