//! Credentials that are none.

use std::collections::BTreeSet;

use super::{Expect, Pair, Route, bodies, length};

/// What stands in `Authorization`, with `{good}` for a credential that opens the route.
fn spoilt() -> Vec<(&'static str, String)> {
    let long = format!("Bearer {}", "a".repeat(8 * 1024));
    vec![
        ("nothing", String::new()),
        ("the scheme alone", "Bearer".to_owned()),
        ("the scheme and a space", "Bearer ".to_owned()),
        ("another scheme", "Basic {good}".to_owned()),
        ("no scheme", "{good}".to_owned()),
        ("the scheme twice", "Bearer Bearer {good}".to_owned()),
        ("two credentials", "Bearer {good} {good}".to_owned()),
        ("a list", "Bearer {good}, Bearer {good}".to_owned()),
        ("one more character", "Bearer {good}a".to_owned()),
        ("a space inside", "Bearer {good} a".to_owned()),
        ("quotes", "Bearer \"{good}\"".to_owned()),
        ("another prefix", "Bearer xxx_{good}".to_owned()),
        ("8 KiB", long),
        ("a word", "Bearer zq7canary".to_owned()),
        ("a JWT", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".to_owned()),
        ("bytes beyond ASCII", "Bearer caf\u{e9}".to_owned()),
        (
            "a bad check",
            "Bearer mso_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA00000000".to_owned(),
        ),
    ]
}

/// One 401, the same bytes whatever was wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_none_get_one_401() {
    let pair = Pair::start().await;
    let mut enroll = bodies::routes().into_iter().find(|route| route.path == "/v1/enroll").unwrap();
    enroll.body["agent_secret"] = serde_json::json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let routes = [
        (
            Route {
                method: "GET",
                path: "/v1/hosts",
                credential: None,
                body: serde_json::Value::Null,
                limit: 0,
            },
            "{owner_token}",
        ),
        (Route { credential: None, ..enroll }, "{site_key}"),
        (
            bodies::routes().into_iter().find(|route| route.path.ends_with("/heartbeat")).unwrap(),
            "{agent_key}",
        ),
    ];
    for (route, good) in routes {
        let route = Route { credential: None, ..route };
        let body = if route.body.is_null() { Vec::new() } else { route.body.to_string().into_bytes() };
        let media = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let mut seen = BTreeSet::new();
        for (name, value) in spoilt() {
            let line = if value.is_empty() {
                String::new()
            } else {
                format!("authorization: {}\r\n", value.replace("{good}", good))
            };
            let head = route.head(&format!("{media}{line}{}", length(&body)));
            let what = format!("{} {}: {name}", route.method, route.path);
            let verdict = pair.check(&what, &head, &body, Expect::Refused(&[401])).await;
            seen.insert((verdict.status, verdict.code, verdict.fields));
        }
        assert_eq!(seen.len(), 1, "{}: {seen:?}", route.path);
        let twice = format!(
            "{media}authorization: Bearer {good}\r\nauthorization: Bearer {good}\r\n{}",
            length(&body)
        );
        let verdict = pair.check("two headers", &route.head(&twice), &body, Expect::Refused(&[400])).await;
        assert_eq!(verdict.code, "ambiguous_authorization");
    }
    for query in ["token={owner_token}", "access_token={owner_token}", "authorization=Bearer%20{owner_token}"]
    {
        let head =
            format!("GET /v1/hosts?{query} HTTP/1.1\r\nhost: {{authority}}\r\nconnection: close\r\n\r\n");
        pair.check(query, &head, b"", Expect::Refused(&[401])).await;
    }
    pair.assert_alive().await;
}

/// Proofs that are none: 401 `invalid_dpop_proof`, never "no proof" (DESIGN §3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_that_are_none_are_never_no_proof() {
    let pair = Pair::start().await;
    let mut enroll = bodies::routes().into_iter().find(|route| route.path == "/v1/enroll").unwrap();
    // With this secret the request would be good without a proof.
    enroll.body["agent_secret"] = serde_json::json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let body = enroll.body.to_string().into_bytes();
    let long = "a".repeat(6000);
    for proof in [
        "",
        "zq7canary",
        "..",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkhTMjU2In0.e30.AAAA",
        "null",
        long.as_str(),
    ] {
        let head =
            enroll.head(&format!("content-type: application/json\r\ndpop: {proof}\r\n{}", length(&body)));
        let shown: String = proof.chars().take(30).collect();
        let verdict = pair.check(&format!("DPoP: {shown}"), &head, &body, Expect::Refused(&[401])).await;
        assert_eq!(verdict.code, "invalid_dpop_proof", "{shown}");
    }
    let twice = format!("content-type: application/json\r\ndpop: a.b.c\r\ndpop: a.b.c\r\n{}", length(&body));
    let verdict = pair.check("two proofs", &enroll.head(&twice), &body, Expect::Refused(&[401])).await;
    assert_eq!(verdict.code, "invalid_dpop_proof");
    let mut neither = enroll.clone();
    neither.body.as_object_mut().unwrap().remove("agent_secret");
    let body = neither.body.to_string().into_bytes();
    let verdict = pair.check_body("neither proof nor secret", &neither, &body, Expect::Refused(&[422])).await;
    assert!(verdict.fields.iter().any(|field| field.starts_with("/agent_secret")), "{verdict:?}");
    pair.assert_alive().await;
}
