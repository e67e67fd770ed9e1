//! `Idempotency-Key`: the same request gives the same reply, and a key is nobody else's.

use serde_json::Value;

use super::{Expect, Pair, Route, bodies, length};

fn with_key(route: &Route, key: &str, body: &[u8]) -> String {
    route.head(&format!("content-type: application/json\r\nidempotency-key: {key}\r\n{}", length(body)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotency_keys() {
    let pair = Pair::start().await;
    for path in [
        "/v1/enrolment-tokens",
        "/v1/hosts",
        "/v1/teams/{team}/owners",
        "/v1/hosts/{host}/registration-token",
    ] {
        let route = bodies::routes().into_iter().find(|route| route.path == path).unwrap();
        let body = route.body.to_string().into_bytes();
        let key = format!("one-and-the-same-{}", path.len());
        let head = with_key(&route, &key, &body);
        for target in [&pair.sqlite, &pair.postgres] {
            let first = target.send(&head, &body).await.unwrap();
            assert_eq!(first.status, 201, "{path}: {}", String::from_utf8_lossy(&first.body));
            let again = target.send(&head, &body).await.unwrap();
            assert_eq!(
                (again.status, again.json()),
                (201, first.json()),
                "{path}: the same request, another reply"
            );
            let another = target.send(&with_key(&route, "another", &body), &body).await.unwrap();
            assert_ne!(another.json(), first.json(), "{path}: another key, the same reply");
        }
        let mut other: Value = route.body.clone();
        other.as_object_mut().unwrap().retain(|field, _| field == "name");
        let other = format!("{other} ").into_bytes();
        let verdict = pair
            .check("another body", &with_key(&route, &key, &other), &other, Expect::Refused(&[422]))
            .await;
        assert_eq!(verdict.code, "idempotency_key_reused", "{path}");
        for key in ["", &"k".repeat(1024), "zq7canary\u{7f}", "caf\u{e9}"] {
            let head = with_key(&route, key, &body);
            pair.check(
                &format!("{path}: a key of {} bytes", key.len()),
                &head,
                &body,
                Expect::Refused(&[400, 422]),
            )
            .await;
        }
    }
    let tokens = bodies::routes().into_iter().find(|route| route.path == "/v1/enrolment-tokens").unwrap();
    let body = b"{}";
    for target in [&pair.sqlite, &pair.postgres] {
        let stranger = target.installation.another_team("strangers").await;
        let own = target.send(&with_key(&tokens, "one-and-the-same-2", body), body).await.unwrap();
        let theirs = with_key(&tokens, "one-and-the-same-2", body).replace("{owner_token}", &stranger.token);
        let theirs = target.send(&theirs, body).await.unwrap();
        assert_eq!(theirs.status, 201, "{}", String::from_utf8_lossy(&theirs.body));
        assert_ne!(own.json()["token"], theirs.json()["token"], "a stranger's key opened somebody's reply");
    }
    pair.assert_alive().await;
}
