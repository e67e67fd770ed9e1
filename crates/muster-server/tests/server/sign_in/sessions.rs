//! How long sessions last, and who ends them.

use std::time::Duration;

use muster_server::reconcile;
use muster_store::params;
use serde_json::json;

use crate::sign_in::browser::Browser;
use crate::sign_in::{PASSWORD, signed_in, with_password};
use crate::world::{World, both};

const HOUR: Duration = Duration::from_secs(3600);

async fn count(world: &World) -> i64 {
    let read =
        world.app.look(|tx| tx.query_one("SELECT count(*) FROM web_session", params![], |row| row.get(0)));
    read.await.unwrap()
}

both! {
    async fn it_ends_when_nobody_uses_it(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        world.clock.advance(11 * HOUR);
        assert!(browser.is_in(&world).await);
        world.clock.advance(11 * HOUR);
        assert!(browser.is_in(&world).await, "a use counts before it is written down");
        reconcile::write_uses(&world.app).await.unwrap();
        world.clock.advance(11 * HOUR);
        assert!(browser.is_in(&world).await, "and after");
        world.clock.advance(12 * HOUR);
        assert!(!browser.is_in(&world).await);
        world.clock.advance(HOUR);
        assert!(!browser.is_in(&world).await, "an attempt is no use");
    }

    async fn a_page_that_looks_by_itself_keeps_nobody_signed_in(world) {
        with_password(&world).await;
        let browser = signed_in(&world).await;
        let cookie = format!("cookie: {}\r\n", browser.cookie.as_ref().unwrap());
        let look = async |headers: &str| {
            world.clock.advance(5 * HOUR);
            let headers = format!("sec-fetch-site: same-origin\r\n{cookie}{headers}");
            world.ask("GET", "/hosts", &headers, None).await.status
        };
        assert_eq!(look("").await, 200);
        assert_eq!(look("hx-request: true\r\n").await, 200, "a script that refreshes a part sees it as well");
        assert_eq!(look("hx-request: true\r\n").await, 200);
        assert_eq!(look("hx-request: true\r\n").await, 204, "and is sent to sign in when nobody came for half a day");
        assert_eq!(look("").await, 303);
    }

    async fn it_ends_after_a_week_however_busy(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        for _ in 0..16 {
            world.clock.advance(10 * HOUR);
            assert!(browser.is_in(&world).await);
        }
        world.clock.advance(8 * HOUR);
        assert!(!browser.is_in(&world).await);
    }

    async fn whoever_signs_in_anew_has_a_new_session_and_the_former_ends(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let mut planted = browser.clone();
        let again = browser.sign_in(&world, json!({ "login": "ada", "password": PASSWORD })).await;
        assert_eq!(again.status, 200);
        assert_ne!(browser.cookie, planted.cookie);
        assert!(browser.is_in(&world).await);
        assert!(!planted.is_in(&world).await);
        let mut made_up = Browser { cookie: Some("muster-local-session=planted".to_owned()) };
        let answer = made_up.sign_in(&world, json!({ "login": "ada", "password": PASSWORD })).await;
        assert_eq!(answer.status, 200);
        assert_ne!(made_up.cookie.as_deref(), Some("muster-local-session=planted"));
        // A wrong password ends nothing.
        let mut other = browser.clone();
        other.sign_in(&world, json!({ "login": "ada", "password": "wrong" })).await.problem(401, "unauthorized");
        assert!(browser.is_in(&world).await);
    }

    async fn people_see_and_end_their_own_sessions_alone(world) {
        with_password(&world).await;
        let (mut one, mut two, mut three) =
            (signed_in(&world).await, signed_in(&world).await, signed_in(&world).await);
        let list = one.ask(&world, "GET", "/v1/me/sessions", None).await;
        let items = list.body["items"].as_array().unwrap();
        assert_eq!(items.len(), 3, "{list:?}");
        assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
        assert_eq!((items[0]["user_agent"].as_str(), items[0]["method"].as_str()), (Some("Lynx/2.9"), Some("password")));
        assert!(!list.raw_body.contains("msw_"));

        let two_id = two.me(&world).await.text("web_session_id");
        let bob = world.team("acme").await.owner();
        let path = format!("/v1/me/sessions/{two_id}/end");
        let foreign = world.ask("POST", &path, &bob, None).await;
        let absent = world.ask("POST", "/v1/me/sessions/AAAAAAAAAAAA/end", &bob, None).await;
        foreign.problem(404, "not_found");
        absent.problem(404, "not_found");
        assert!(two.is_in(&world).await);
        assert_eq!(one.ask(&world, "POST", &path, None).await.status, 200);
        one.ask(&world, "POST", &path, None).await.problem(404, "not_found");
        assert!(!two.is_in(&world).await);

        let others = one.ask(&world, "POST", "/v1/me/sessions/end-others", None).await;
        assert_eq!(others.body["ended_sessions"], 1);
        assert!(one.is_in(&world).await && !three.is_in(&world).await);
        world.audited_times("web_session.ended", 2).await;
    }

    async fn of_too_many_sessions_the_oldest_end(world) {
        with_password(&world).await;
        let mut first = signed_in(&world).await;
        let mut second = Browser::new();
        for n in 0..32 {
            world.clock.advance(Duration::from_secs(1));
            let browser = signed_in(&world).await;
            if n == 0 {
                second = browser;
            }
        }
        assert!(!first.is_in(&world).await);
        assert!(second.is_in(&world).await);
    }

    async fn sessions_are_kept_a_month_and_no_longer(world) {
        with_password(&world).await;
        signed_in(&world).await;
        world.clock.advance(36 * 24 * HOUR);
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(count(&world).await, 1);
        world.clock.advance(2 * 24 * HOUR);
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(count(&world).await, 0);
    }

    async fn the_use_of_a_token_is_written_down(world) {
        world.must("GET", "/v1/me", None).await;
        reconcile::write_uses(&world.app).await.unwrap();
        let read = world.app.look(|tx| {
            tx.query_one("SELECT last_used_at, last_used_from FROM operator_token", params![], |row| {
                Ok((row.get::<Option<i64>>(0)?, row.get::<Option<String>>(1)?))
            })
        });
        assert_eq!(read.await.unwrap(), (Some(world.app.clock.now().as_millis()), Some("127.0.0.1".to_owned())));
    }
}
