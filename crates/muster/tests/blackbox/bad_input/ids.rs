//! Ids in paths, and queries.

use super::{CANARY, Expect, Pair};

fn get(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {{authority}}\r\nconnection: close\r\nauthorization: Bearer {{owner_token}}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_are_none_or_absent() {
    let pair = Pair::start().await;
    let long = "a".repeat(10_000);
    let malformed = [
        "x",
        "host_",
        "HOST_0190000000007000800000000000ABCD",
        "host_0190000000007000800000000000ABCD",
        "{0190000000007000800000000000abcd}",
        "01900000-0000-7000-8000-00000000abcd",
        "host_01900000-0000-7000-8000-00000000abcd",
        "team_0190000000007000800000000000abcd",
        "host_0190000000007000800000000000abcde",
        "host_0190000000007000800000000000abc",
        "host_zz90000000007000800000000000abcd",
        "18446744073709551616",
        "-1",
        "%00",
        "%ff",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "..%5c",
        "x%0d%0ay",
        "zq7canary",
        "host_%30190000000007000800000000000abcd%20",
        "[1]",
        "null",
        long.as_str(),
    ];
    for parent in ["/v1/hosts", "/v1/sites", "/v1/claims", "/v1/jobs", "/v1/tickets"] {
        for id in malformed {
            let shown: String = id.chars().take(40).collect();
            pair.check(
                &format!("{parent}/{shown}"),
                &get(&format!("{parent}/{id}")),
                b"",
                Expect::Refused(&[400, 404, 414]),
            )
            .await;
        }
    }
    for absent in [
        "/v1/hosts/host_0190000000007000800000000000abcd",
        "/v1/sites/site_0190000000007000800000000000abcd",
        "/v1/claims/clm_0190000000007000800000000000abcd",
        "/v1/tickets/000000000000",
        "/v1/nothing",
        "/v1",
        "/v1/hosts/{host}/nothing",
        "/v1/hosts/{host}/",
        "/v1/hosts//",
        "/V1/HOSTS",
        "/v1/hosts/{host};x",
    ] {
        pair.check(absent, &get(absent), b"", Expect::Refused(&[400, 404])).await;
    }
    pair.assert_alive().await;
}

/// No path leads to a file (SECURITY B2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_paths_that_climb() {
    let pair = Pair::start().await;
    for path in [
        "/../master.key",
        "/..%2fmaster.key",
        "/%2e%2e/master.key",
        "/docs/../../master.key",
        "/docs%2e%2e/master.key",
        "/docs/..;/master.key",
        "/docs/%2e%2e%2fmaster.key",
        "/docs%5c..%5cmaster.key",
        "/docs%00.html",
        "/v1/openapi.json/..",
        "/v1/openapi.json%00",
        "//etc/passwd",
        "/v1/hosts/..%2f..%2fmaster.key",
        "/static/../muster.db",
        "/.git/config",
        "/muster.db",
        "/setup-code",
        "/v1/..%c0%af..%c0%afetc/passwd",
    ] {
        let verdict = pair.check(path, &get(path), b"", Expect::Refused(&[400, 404])).await;
        assert!(verdict.code == "not_found" || verdict.status == 400, "{path}: {verdict:?}");
    }
    pair.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_do_not_hold() {
    let pair = Pair::start().await;
    let cursor = "A".repeat(64);
    let everywhere = [
        "limit=-1",
        "limit=0",
        "limit=201",
        "limit=1000000000",
        "limit=99999999999999999999",
        "limit=x",
        "limit=1.5",
        "limit=1&limit=2",
        "limit=%31%00",
        "limit",
        "cursor=zq7canary",
        "cursor=%ff",
        "cursor=a&cursor=b",
        "zq7canary=1",
        "sort=token_hash",
        "offset=10",
        "limit=+1",
        "%6c%69%6d%69%74=0",
    ];
    for list in ["/v1/teams", "/v1/sites", "/v1/tickets", "/v1/hosts", "/v1/claims", "/v1/jobs", "/v1/audit"]
    {
        for query in everywhere {
            let what = format!("{list}?{query}");
            pair.check(&what, &get(&what), b"", Expect::Refused(&[400])).await;
        }
        let forged = format!("{list}?cursor={cursor}");
        pair.check(&forged, &get(&forged), b"", Expect::Refused(&[400])).await;
    }
    for query in [
        "/v1/hosts?state=zq7canary",
        "/v1/hosts?presence=x",
        "/v1/hosts?site_id=x",
        "/v1/hosts?tag=%20",
        "/v1/hosts?q=%00",
        "/v1/hosts?q=%1b%5d",
        "/v1/claims?state=x",
        "/v1/jobs?state=x",
        "/v1/jobs?host_id=x",
        "/v1/audit?action=%00",
        "/v1/audit?target=%0a",
        "/v1/tickets?site_id=x",
        "/v1/jobs/{job}/log?after=-1",
        "/v1/jobs/{job}/log?after=x",
        "/v1/hosts?q=",
        "/v1/hosts?state=active&state=retired",
        "/v1/hosts?state=active%00",
    ] {
        pair.check(query, &get(query), b"", Expect::Refused(&[400])).await;
    }
    pair.assert_alive().await;
}

/// A cursor is of one list and one team (SECURITY B17, B18).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b18_cursors_of_other_lists_and_teams() {
    let pair = Pair::start().await;
    for target in [&pair.sqlite, &pair.postgres] {
        let installation = &target.installation;
        let stranger = installation.another_team("strangers").await;
        for name in ["a", "b"] {
            let made = stranger
                .api
                .post::<_, serde_json::Value>("/v1/sites", &serde_json::json!({ "name": name }))
                .await;
            assert!(made.is_ok(), "{made:?}");
        }
        let server = &installation.server;
        let page = server.ask(http::Method::GET, "/v1/sites?limit=1", Some(&stranger.token), None).await;
        let cursor = page.json["next_cursor"].as_str().expect("a second page");
        let own = server
            .ask(http::Method::GET, &format!("/v1/sites?cursor={cursor}"), Some(&stranger.token), None)
            .await;
        assert_eq!(own.status, 200, "{}", own.text);
        let turned = cursor.chars().rev().collect::<String>();
        for (token, list, cursor) in [
            (&installation.owner.token, "/v1/sites", cursor),
            (&stranger.token, "/v1/hosts", cursor),
            (&stranger.token, "/v1/sites", &cursor[1..]),
            (&stranger.token, "/v1/sites", &turned),
        ] {
            let reply =
                server.ask(http::Method::GET, &format!("{list}?cursor={cursor}"), Some(token), None).await;
            reply.assert_is_problem(list);
            assert_eq!(reply.status, 400, "{list}: {}", reply.text);
            assert!(!reply.text.contains(CANARY));
        }
    }
}
