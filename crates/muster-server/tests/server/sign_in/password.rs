//! Setting the password: with the old one, never with less than its owner has; and what ends with it.

use muster_server::auth::Credential;
use muster_store::{Priority, params};
use serde_json::json;

use crate::sign_in::browser::Browser;
use crate::sign_in::{OTHER, PASSWORD, sign_in, signed_in, with_password};
use crate::world::{World, both};

/// Takes everything but this from the admin's token.
async fn limit_token(world: &World, column: &'static str) {
    let limit = match column {
        "scopes" => r#"UPDATE operator_token SET scopes = '["own_account"]'"#,
        "expires_at" => "UPDATE operator_token SET expires_at = 4000000000000",
        _ => "UPDATE operator_token SET bound_team_id = team_id",
    };
    let limited = world.app.store.write(Priority::Normal, move |tx| tx.execute(limit, params![]).map(drop));
    limited.await.unwrap();
}

both! {
    async fn b20_a_new_password_ends_every_other_session_and_what_it_has_open(world) {
        with_password(&world).await;
        let (mut own, mut other) = (signed_in(&world).await, signed_in(&world).await);
        let me = own.me(&world).await;
        let (own_id, other_id) = (me.text("web_session_id"), other.me(&world).await.text("web_session_id"));
        let open = |id: &str| {
            let credential = Credential::WebSession(id.parse().unwrap());
            world.app.streams.open(me.text("user_id").parse().unwrap(), credential).unwrap()
        };
        let (kept, cut) = (open(&own_id), open(&other_id));
        let token = cut.cut().clone();
        let closing = tokio::spawn(async move {
            cut.cut().cancelled().await;
            drop(cut);
        });
        let body = json!({ "current": PASSWORD, "new": OTHER });
        let changed = own.ask(&world, "PUT", "/v1/me/password", Some(body)).await;
        assert_eq!((changed.status, changed.body["ended_sessions"].as_u64()), (200, Some(1)), "{changed:?}");
        assert!(token.is_cancelled() && closing.is_finished(), "cut before the reply");
        assert!(!kept.cut().is_cancelled());
        assert!(own.is_in(&world).await && !other.is_in(&world).await);
        sign_in(&world, "ada", PASSWORD).await.problem(401, "unauthorized");
        assert_eq!(sign_in(&world, "ada", OTHER).await.status, 200);
        let audited = world.audited_times("password.set", 2).await;
        assert!(!format!("{audited:?}").contains("kettles"));
    }

    async fn it_takes_the_old_one_whoever_asks(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let wrong = json!({ "current": OTHER, "new": OTHER });
        for current in [None, Some(PASSWORD)] {
            let mut body = json!({ "new": "short" });
            if let Some(current) = current {
                body["current"] = current.into();
            }
            let pointer = if current.is_some() { ("/new", "too_short") } else { ("/current", "required") };
            browser.ask(&world, "PUT", "/v1/me/password", Some(body)).await.invalid(pointer.0, pointer.1);
        }
        browser.ask(&world, "PUT", "/v1/me/password", Some(wrong.clone())).await.problem(403, "wrong_password");
        world.admin("PUT", "/v1/me/password", Some(wrong)).await.problem(403, "wrong_password");
        world.admin("PUT", "/v1/me/password", Some(json!({ "new": OTHER }))).await.invalid("/current", "required");
        assert_eq!(sign_in(&world, "ada", PASSWORD).await.status, 200);
    }

    async fn what_everybody_tries_first_is_refused(world) {
        for (password, code) in [
            ("passwordpassword", "repeated"),
            ("Password12345678", "well_known"),
            ("abcdefghijklmnop", "sequence"),
            ("tulip-kettle-9", "too_short"),
        ] {
            let body = json!({ "new": password });
            world.admin("PUT", "/v1/me/password", Some(body)).await.invalid("/new", code);
        }
    }

    async fn a_token_of_less_than_its_owner_gives_no_lasting_way_in(world) {
        for column in ["scopes", "expires_at", "bound_team_id"] {
            limit_token(&world, column).await;
            let refused = world.admin("PUT", "/v1/me/password", Some(json!({ "new": PASSWORD }))).await;
            refused.problem(403, "limited_token");
            let refused = world.admin("PUT", "/v1/me/login", Some(json!({ "login": "ada" }))).await;
            refused.problem(403, "limited_token");
            let whole = world.app.store.write(Priority::Normal, |tx| {
                let whole = "UPDATE operator_token SET scopes = NULL, expires_at = NULL, bound_team_id = NULL";
                tx.execute(whole, params![]).map(drop)
            });
            whole.await.unwrap();
        }
        with_password(&world).await;
        limit_token(&world, "scopes").await;
        let body = json!({ "current": PASSWORD, "new": OTHER });
        assert_eq!(world.admin("PUT", "/v1/me/password", Some(body)).await.status, 200, "who knows it may");
    }

    async fn a_login_is_taken_once(world) {
        world.admin("PUT", "/v1/me/login", Some(json!({ "login": "ada l" }))).await.invalid("/login", "malformed");
        with_password(&world).await;
        world.admin("PUT", "/v1/me/login", Some(json!({ "login": "ada2" }))).await.problem(409, "login_set");
        let bob = world.team("acme").await.owner();
        for login in ["ada", "ADA", "ａda"] {
            let taken = world.ask("PUT", "/v1/me/login", &bob, Some(json!({ "login": login }))).await;
            taken.problem(409, "login_taken");
        }
        let account = world.must("GET", "/v1/me/account", None).await;
        assert_eq!((account["login"].as_str(), account["recovery_codes_left"].as_u64()), (Some("ada"), Some(0)));
    }

    async fn who_signs_in_while_the_password_changes_is_not_in_afterwards(world) {
        with_password(&world).await;
        let mut own = signed_in(&world).await;
        let mut racer = Browser::new();
        let change = json!({ "current": PASSWORD, "new": OTHER });
        let (changed, _) = tokio::join!(
            own.ask(&world, "PUT", "/v1/me/password", Some(change)),
            racer.sign_in(&world, json!({ "login": "ada", "password": PASSWORD })),
        );
        assert_eq!(changed.status, 200);
        assert!(!racer.is_in(&world).await);
    }
}
