//! Pages of other sites change nothing here.

use serde_json::{Value, json};

use crate::sign_in::browser::OWN_PAGE;
use crate::sign_in::{OTHER, PASSWORD, signed_in, with_password};
use crate::world::{World, both};

/// Every path of this family that changes something, with a body that would do it.
fn changes() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/v1/sign-in", json!({ "login": "ada", "password": PASSWORD })),
        ("POST", "/v1/sign-out", json!({})),
        ("PUT", "/v1/me/login", json!({ "login": "ada" })),
        ("PUT", "/v1/me/password", json!({ "current": PASSWORD, "new": OTHER })),
        ("POST", "/v1/me/second-factor", json!({ "password": PASSWORD })),
        ("POST", "/v1/me/second-factor/confirm", json!({ "code": "123456" })),
        ("POST", "/v1/me/second-factor/remove", json!({ "password": PASSWORD, "code": "123456" })),
        ("POST", "/v1/me/sessions/end-others", json!({})),
        ("POST", "/v1/me/sessions/000000000000/end", json!({})),
        ("POST", "/v1/setup", json!({ "code": "AAAA-AAAA-AAAA-AAAA", "admin_name": "Eve" })),
    ]
}

/// Sends a body of another type, as forms do.
async fn send(world: &World, path: &str, headers: &str, kind: &str, body: &str) -> u16 {
    let headers = format!("{headers}content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    world.ask("POST", path, &headers, None).await.status
}

both! {
    async fn b06_b07_a_cookie_needs_the_word_of_our_own_page(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let cookie = format!("cookie: {}\r\n", browser.cookie.clone().unwrap());
        let foreign = [
            "origin: https://evil.example\r\n",
            "origin: null\r\n",
            "origin: http://localhost.evil.example\r\n",
            "origin: https://localhost\r\n",
            "sec-fetch-site: cross-site\r\n",
            "sec-fetch-site: same-site\r\n",
            "sec-fetch-site: cross-site\r\norigin: http://localhost\r\n",
        ];
        for (method, path, body) in changes() {
            for origin in foreign {
                let answer = world.ask(method, path, &format!("{cookie}{origin}"), Some(body.clone())).await;
                answer.problem(403, "foreign_origin");
            }
            if !matches!(path, "/v1/sign-in" | "/v1/setup") {
                world.ask(method, path, &cookie, Some(body)).await.problem(403, "foreign_origin");
            }
        }
        assert!(browser.is_in(&world).await);
        assert_eq!(world.audited("password.set").await.len(), 1, "the one of the beginning");
    }

    async fn b07_what_a_form_can_send_is_not_read(world) {
        with_password(&world).await;
        let browser = signed_in(&world).await;
        let cookie = format!("cookie: {}\r\n", browser.cookie.clone().unwrap());
        let body = json!({ "login": "ada", "password": PASSWORD }).to_string();
        for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
            let foreign = format!("{cookie}origin: https://evil.example\r\n");
            assert_eq!(send(&world, "/v1/me/sessions/end-others", &foreign, kind, "").await, 403);
            assert_eq!(send(&world, "/v1/sign-in", &foreign, kind, &body).await, 403);
            assert_eq!(send(&world, "/v1/sign-in", OWN_PAGE, kind, &body).await, 415, "{kind}");
        }
    }

    async fn b07_no_get_changes_anything(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        for (_, path, _) in changes().into_iter().filter(|(_, path, _)| *path != "/v1/setup") {
            for method in ["GET", "HEAD", "DELETE"] {
                let answer = browser.ask(&world, method, path, None).await;
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
        assert!(browser.is_in(&world).await);
    }

    async fn a_program_without_a_cookie_says_nothing_of_its_origin(world) {
        with_password(&world).await;
        let body = json!({ "login": "ada", "password": PASSWORD });
        assert_eq!(world.ask("POST", "/v1/sign-in", "", Some(body)).await.status, 200);
    }
}
