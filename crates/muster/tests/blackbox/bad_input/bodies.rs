//! Method, media type, size, shape and text of JSON bodies.

use serde_json::{Value, json};

use super::{CANARY, Expect, Pair, Route, length};

const OPERATOR_LIMIT: usize = 64 * 1024;

const UNPARSABLE: Expect = Expect::Refused(&[400]);
const INVALID: Expect = Expect::Refused(&[400, 422]);
const FIELD: Expect = Expect::Refused(&[422]);

/// Every route with a body, each with one that holds.
pub(super) fn routes() -> Vec<Route> {
    let owner = Some("{owner_token}");
    let admin = Some("{admin_token}");
    let operator =
        |method, path, credential, body| Route { method, path, credential, body, limit: OPERATOR_LIMIT };
    vec![
        operator("POST", "/v1/setup", None, json!({ "code": "AAAA", "admin_name": "x" })),
        Route {
            method: "POST",
            path: "/v1/enroll",
            credential: Some("{site_key}"),
            body: json!({
                "hostname": "m", "machine_uid": "smbios:00112233445566778899aabbccddeeff",
                "facts": { "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 },
                "labels": { "company": "x", "tags": ["x"] },
            }),
            limit: 16 * 1024,
        },
        Route {
            method: "POST",
            path: "/v1/hosts/{host}/heartbeat",
            credential: Some("{agent_key}"),
            body: json!({ "load_percent": 1, "disk_free_gb": 1 }),
            limit: 4 * 1024,
        },
        operator("POST", "/v1/teams", admin, json!({ "name": "x" })),
        operator("POST", "/v1/teams/{team}/owners", admin, json!({ "name": "x" })),
        operator("POST", "/v1/sites", owner, json!({ "name": "x", "policy": { "surge": 5 } })),
        operator("PUT", "/v1/sites/{site}/policy", owner, json!({ "policy": { "new": "auto" } })),
        operator(
            "POST",
            "/v1/enrolment-tokens",
            owner,
            json!({ "host_name": "x", "tags": ["x"], "expires_in_secs": 600 }),
        ),
        operator(
            "POST",
            "/v1/site-keys",
            owner,
            json!({ "site_id": "site_0190000000007000800000000000abcd", "max_uses": 1 }),
        ),
        operator(
            "POST",
            "/v1/hosts",
            owner,
            json!({ "name": "x", "provider": "x", "zone": "x", "tags": ["x"] }),
        ),
        operator(
            "POST",
            "/v1/hosts/{host}/registration-token",
            owner,
            json!({ "expires_in_secs": 600, "rejoin": true }),
        ),
        operator("PUT", "/v1/hosts/{host}/tags", owner, json!({ "tags": ["x"] })),
        operator("POST", "/v1/hosts/{host}/retire", owner, json!({ "preview_version": "x" })),
        operator(
            "POST",
            "/v1/claims/{claim}/decision",
            owner,
            json!({ "verdict": "reject", "evidence_version": "x" }),
        ),
        operator("PUT", "/v1/hosts/{host}/secrets/note", owner, json!({ "a": "x" })),
        operator("PUT", "/v1/hosts/{host}/secrets/repo", owner, json!({ "password": "x" })),
        operator(
            "POST",
            "/v1/hosts/{host}/jobs",
            owner,
            json!({ "work": { "kind": "backup", "paths": ["/x"] } }),
        ),
    ]
}

/// Bodies that are no JSON object of any kind: name, bytes, what is expected.
fn shapes(route: &Route) -> Vec<(&'static str, Vec<u8>, Expect)> {
    let good = route.body.to_string();
    let key = route.body.as_object().and_then(|map| map.keys().next().cloned()).unwrap_or_default();
    let deep = |depth: usize| format!("{{\"{key}\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let text = |text: String| text.into_bytes();
    vec![
        ("nothing", Vec::new(), UNPARSABLE),
        ("a blank", b" ".to_vec(), UNPARSABLE),
        ("half of it", text(good[..good.len() / 2].to_owned()), UNPARSABLE),
        ("trailing bytes", text(format!("{good} {CANARY}")), UNPARSABLE),
        ("two objects", text(format!("{good}{good}")), UNPARSABLE),
        ("a byte order mark", text(format!("\u{feff}{good}")), UNPARSABLE),
        ("bytes that are no UTF-8", [b"{\"zq7canary\":\"", &[0xff, 0xfe][..], b"\"}"].concat(), UNPARSABLE),
        ("a lone surrogate", text(format!("{{\"{key}\":\"\\ud800{CANARY}\"}}")), INVALID),
        ("NaN", text(format!("{{\"{key}\":NaN}}")), UNPARSABLE),
        ("a comment", text(format!("/* {CANARY} */{good}")), UNPARSABLE),
        ("single quotes", text(good.replace('"', "'")), UNPARSABLE),
        ("nesting of 33", text(deep(33)), UNPARSABLE),
        ("nesting of 2,000", text(deep(2_000)), Expect::Refused(&[400, 413])),
        ("null", b"null".to_vec(), INVALID),
        ("a string", text(format!("\"{CANARY}\"")), INVALID),
        ("a number", b"7".to_vec(), INVALID),
        ("a list", text(format!("[\"{CANARY}\",\"x\"]")), INVALID),
        ("a list of the fields' values", text(format!("[{good}]")), INVALID),
        ("a key twice", text(good.replacen('{', &format!("{{\"{key}\":{},", route.body[&key]), 1)), INVALID),
        ("a number beyond all bounds", text(format!("{{\"{key}\":1e999}}")), INVALID),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_object() {
    let pair = Pair::start().await;
    for route in routes() {
        for (name, body, expect) in shapes(&route) {
            // Any key may be set in a secret, to any JSON value but one that is no JSON.
            let is_free = route.path.ends_with("/secrets/note") && !matches!(expect, Expect::Refused([400]));
            let expect = if is_free { Expect::Alike } else { expect };
            pair.check_body(&format!("{} {}: {name}", route.method, route.path), &route, &body, expect).await;
        }
    }
    pair.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_another_media_type_or_size() {
    let pair = Pair::start().await;
    for route in routes() {
        let good = route.body.to_string().into_bytes();
        let what = |name: &str| format!("{} {}: {name}", route.method, route.path);
        let good_length = length(&good);
        for media in [
            "",
            "content-type: text/plain\r\n",
            "content-type: application/x-www-form-urlencoded\r\n",
            "content-type: multipart/form-data; boundary=x\r\n",
            "content-type: application/json; charset=utf-16\r\n",
            "content-type: application/json-patch+json\r\n",
            "content-type: application/xml\r\n",
            "content-type: \r\n",
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            "content-type: application/json\r\ncontent-type: text/plain\r\n",
        ] {
            let head = route.head(&format!("{media}{good_length}"));
            let verdict = pair.check(&what(media), &head, &good, Expect::Refused(&[415])).await;
            assert_eq!(verdict.code, "unsupported_media_type");
        }
        let json = "content-type: application/json\r\n";
        let over =
            [&good[..good.len() - 1], " ".repeat(route.limit + 1 - good.len()).as_bytes(), b"}"].concat();
        pair.check(
            &what("a byte too many"),
            &route.head(&format!("{json}{}", length(&over))),
            &over,
            Expect::Refused(&[413]),
        )
        .await;
        let huge = route.head(&format!("{json}content-length: 2147483648\r\n"));
        pair.check(&what("2 GiB announced"), &huge, b"{", Expect::Refused(&[413])).await;
        let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
        let endless = chunk.repeat(20);
        let chunked = route.head(&format!("{json}transfer-encoding: chunked\r\n"));
        pair.check(&what("chunks without end"), &chunked, endless.as_bytes(), Expect::Refused(&[413])).await;
        let malformed = b"zz\r\nx\r\n0\r\n\r\n";
        pair.check(&what("a chunk without size"), &chunked, malformed, Expect::Refused(&[400])).await;
        for method in ["DELETE", "PATCH", "TRACE", "OPTIONS", "FROBNICATE"] {
            let other = Route { method, ..route.clone() };
            let verdict = pair.check(&what(method), &other.head(""), b"", Expect::Refused(&[405])).await;
            assert_eq!(verdict.code, "method_not_allowed");
        }
    }
    pair.assert_alive().await;
}

/// A copy of the body with `value` at a top-level field.
fn with(route: &Route, field: &str, value: Value) -> Vec<u8> {
    let mut body = route.body.clone();
    body[field] = value;
    body.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_are_unknown_missing_or_of_another_type() {
    let pair = Pair::start().await;
    for route in routes() {
        let what = |name: &str| format!("{} {}: {name}", route.method, route.path);
        let is_free = route.path.ends_with("/secrets/note");
        if !is_free {
            let unknown = with(&route, CANARY, json!({ "deep": [1] }));
            let verdict = pair.check_body(&what("an unknown field"), &route, &unknown, FIELD).await;
            assert!(
                verdict.fields.iter().any(|field| field.contains("unknown_field")),
                "{:?}",
                verdict.fields
            );
        }
        for (field, value) in route.body.as_object().unwrap() {
            let wrong: Vec<Value> = match value {
                Value::String(_) => vec![json!(7), json!(true), json!([]), json!({}), json!(-1)],
                Value::Number(_) => vec![
                    json!("7"),
                    json!(-1),
                    json!(1.5),
                    json!(true),
                    json!([7]),
                    json!(9_223_372_036_854_775_808_u64),
                    json!({}),
                ],
                Value::Bool(_) => vec![json!("true"), json!(1), json!([])],
                Value::Array(_) => {
                    vec![json!("x"), json!(7), json!({}), json!([7]), json!([null]), json!([["x"]])]
                }
                _ => vec![json!("x"), json!(7), json!([]), json!(["x"]), json!(true)],
            };
            for wrong in wrong {
                let expect = if is_free { Expect::Alike } else { FIELD };
                let name = what(&format!("{field} = {wrong}"));
                let verdict =
                    pair.check_body(&name, &route, &with(&route, field, wrong.clone()), expect).await;
                let names_it = |known: &String| known.starts_with(&format!("/{field}"));
                assert!(is_free || verdict.fields.iter().any(names_it), "{name}: {:?}", verdict.fields);
            }
            pair.check_body(
                &what(&format!("{field} = null")),
                &route,
                &with(&route, field, Value::Null),
                Expect::Alike,
            )
            .await;
        }
    }
    pair.assert_alive().await;
}

/// Texts that no name may be: code, text.
fn bad_texts() -> Vec<(&'static str, String)> {
    vec![
        ("nothing", String::new()),
        ("only spaces", "   ".to_owned()),
        ("a space before", format!(" {CANARY}")),
        ("a space behind", format!("{CANARY} ")),
        ("NUL", format!("{CANARY}\0")),
        ("a line break", format!("{CANARY}\n")),
        ("an escape", format!("{CANARY}\u{1b}]0;x\u{7}")),
        ("C1 control", format!("{CANARY}\u{85}")),
        ("right to left", format!("{CANARY}\u{202e}x")),
        ("zero width", format!("{CANARY}\u{200b}x")),
        ("a byte order mark inside", format!("{CANARY}\u{feff}x")),
        ("12 KiB", CANARY.repeat(12 * 1024 / CANARY.len())),
        ("one too long", "x".repeat(257)),
    ]
}

/// Where a text of a person or a machine goes: route, field, how it is put there.
type TextField = (Route, &'static str, fn(String) -> Value);

fn text_fields() -> Vec<TextField> {
    let of = |method: &str, path: &str| {
        routes().into_iter().find(|route| (route.method, route.path) == (method, path)).unwrap()
    };
    let plain: fn(String) -> Value = Value::from;
    let listed: fn(String) -> Value = |text| json!([text]);
    let enroll = || of("POST", "/v1/enroll");
    vec![
        (of("POST", "/v1/setup"), "code", plain),
        (of("POST", "/v1/setup"), "admin_name", plain),
        (of("POST", "/v1/setup"), "public_urls", listed),
        (of("POST", "/v1/teams"), "name", plain),
        (of("POST", "/v1/teams/{team}/owners"), "name", plain),
        (of("POST", "/v1/sites"), "name", plain),
        (of("POST", "/v1/enrolment-tokens"), "host_name", plain),
        (of("POST", "/v1/enrolment-tokens"), "tags", listed),
        (of("POST", "/v1/hosts"), "name", plain),
        (of("POST", "/v1/hosts"), "provider", plain),
        (of("POST", "/v1/hosts"), "zone", plain),
        (of("POST", "/v1/hosts"), "tags", listed),
        (of("PUT", "/v1/hosts/{host}/tags"), "tags", listed),
        (of("POST", "/v1/hosts/{host}/retire"), "preview_version", plain),
        (of("POST", "/v1/claims/{claim}/decision"), "evidence_version", plain),
        (of("PUT", "/v1/hosts/{host}/secrets/repo"), "user", plain),
        (of("POST", "/v1/hosts/{host}/jobs"), "work", |path| json!({ "kind": "backup", "paths": [path] })),
        (
            of("POST", "/v1/hosts/{host}/jobs"),
            "work",
            |tag| json!({ "kind": "backup", "paths": ["/x"], "tags": [tag] }),
        ),
        (enroll(), "hostname", plain),
        (enroll(), "machine_uid", plain),
        (enroll(), "agent_secret", plain),
        (enroll(), "labels", |text| json!({ "company": text })),
        (enroll(), "labels", |text| json!({ "tags": [text] })),
        (
            enroll(),
            "facts",
            |os| json!({ "os": os, "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 }),
        ),
        (
            enroll(),
            "facts",
            |address| json!({ "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1, "address": address }),
        ),
        (
            enroll(),
            "facts",
            |name| json!({ "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1, "versions": { "agent": name } }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_no_field_may_hold() {
    let pair = Pair::start().await;
    for (route, field, put) in text_fields() {
        for (name, text) in bad_texts() {
            let what = format!("{} {} {field}: {name}", route.method, route.path);
            let body = with(&route, field, put(text));
            let verdict = pair.check_body(&what, &route, &body, FIELD).await;
            let names_it = |known: &String| known.starts_with(&format!("/{field}"));
            assert!(verdict.fields.iter().any(names_it), "{what}: {:?}", verdict.fields);
        }
    }
    pair.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_are_unusual_are_the_same_on_both_databases() {
    let pair = Pair::start().await;
    for (name, text) in [
        ("composed", "caf\u{e9}"),
        ("decomposed", "cafe\u{301}"),
        ("full width", "ＡＢＣ"),
        ("emoji", "host \u{1f4a9}"),
        ("quotes", "o'hara \"x\" `y`"),
        ("SQL", "x'); DROP TABLE host; --"),
        ("markup", "<img src=x onerror=alert(1)>"),
        ("formula", "=cmd|' /C calc'!A0"),
        ("percent", "100%_x"),
        ("backslash", "a\\b\\0"),
        ("Turkish", "İstanbul ı"),
        ("64 characters", "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé"),
    ] {
        for route in routes().iter().filter(|route| route.body.get("name").is_some()) {
            for again in ["", " again"] {
                let what = format!("{} {}: {name}{again}", route.method, route.path);
                pair.check_body(&what, route, &with(route, "name", json!(text)), Expect::Alike).await;
            }
        }
        let tagged = routes().into_iter().find(|route| route.path == "/v1/hosts/{host}/tags").unwrap();
        pair.check_body(name, &tagged, &with(&tagged, "tags", json!([text])), Expect::Alike).await;
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let head = format!(
            "GET /v1/hosts?q={query} HTTP/1.1\r\nhost: {{authority}}\r\nconnection: close\r\nauthorization: Bearer {{owner_token}}\r\n\r\n"
        );
        pair.check(&format!("q = {name}"), &head, b"", Expect::Alike).await;
    }
    pair.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_out_of_their_bounds() {
    let pair = Pair::start().await;
    let of = |path: &str| routes().into_iter().find(|route| route.path == path).unwrap();
    let facts = |field: &str, value: Value| {
        let mut facts = json!({ "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 });
        facts[field] = value;
        facts
    };
    let mut cases: Vec<(Route, &str, Value)> = Vec::new();
    for value in [json!(0), json!(-1), json!(65_537), json!(u64::MAX), json!(1e300)] {
        cases.push((of("/v1/enroll"), "facts", facts("cpu_cores", value)));
    }
    for value in [json!(-1), json!(i64::MIN), json!(u64::MAX)] {
        cases.push((of("/v1/enroll"), "facts", facts("disk_gb", value.clone())));
        cases.push((of("/v1/hosts/{host}/heartbeat"), "load_percent", value.clone()));
        cases.push((of("/v1/hosts/{host}/heartbeat"), "clock", value));
    }
    for value in [json!("never"), json!("9999-99-99T00:00:00Z"), json!("-10000-01-01T00:00:00Z")] {
        cases.push((of("/v1/hosts/{host}/heartbeat"), "clock", value));
    }
    for value in [json!(0), json!(299), json!(2_592_001), json!(u64::MAX)] {
        cases.push((of("/v1/enrolment-tokens"), "expires_in_secs", value.clone()));
        cases.push((of("/v1/hosts/{host}/registration-token"), "expires_in_secs", value));
    }
    for value in [json!(0), json!(1_000_001)] {
        cases.push((of("/v1/site-keys"), "max_uses", value));
    }
    let many: Vec<String> = (0..33).map(|n| format!("t{n}")).collect();
    cases.push((of("/v1/hosts"), "tags", json!(many)));
    cases.push((of("/v1/hosts/{host}/jobs"), "work", json!({ "kind": "backup", "paths": [] })));
    cases.push((of("/v1/hosts/{host}/jobs"), "work", json!({ "kind": "command", "argv": ["sh"] })));
    cases.push((of("/v1/hosts/{host}/jobs"), "work", json!({ "kind": "backup", "paths": ["../x"] })));
    cases.push((of("/v1/hosts/{host}/jobs"), "time_limit_secs", json!(0)));
    cases.push((of("/v1/sites"), "policy", json!({ "surge": 0 })));
    cases.push((of("/v1/sites"), "policy", json!({ "reimage_after_secs": -1 })));
    for (route, field, value) in cases {
        let what = format!("{} {field} = {value}", route.path);
        let verdict = pair.check_body(&what, &route, &with(&route, field, value), FIELD).await;
        let names_it = |known: &String| known.starts_with(&format!("/{field}"));
        assert!(verdict.fields.iter().any(names_it), "{what}: {:?}", verdict.fields);
    }
    pair.assert_alive().await;
}

/// A repository's URL must not become another program's argument (SECURITY B27).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b27_repositories_that_are_none() {
    let pair = Pair::start().await;
    let route = routes().into_iter().find(|route| route.path.ends_with("/secrets/repo")).unwrap();
    for url in [
        "rclone:remote:path",
        "sftp:-oProxyCommand=sh:/x",
        "--password-command=sh",
        "rest:http://user:zq7canary@h/",
        "rest:ftp://h/",
        "rest:http://h/\nx",
        "relative/path",
        "",
        " ",
        "rest:",
        "file:///etc",
        "rest:http:///",
        "s3:",
        "/a/../b",
        "rest:http://h/ -o x",
        "\u{202e}rest:http://h/",
    ] {
        let verdict =
            pair.check_body(&format!("url {url:?}"), &route, &with(&route, "url", json!(url)), FIELD).await;
        assert!(
            verdict.fields.iter().any(|field| field.starts_with("/url")),
            "{url:?}: {:?}",
            verdict.fields
        );
    }
    pair.assert_alive().await;
}
