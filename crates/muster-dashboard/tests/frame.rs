//! What holds for every page, whatever is on it: who is let in, what the API hears, what the browser is told.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use muster_dashboard::{Dashboard, routes};
use muster_edge::{Clock, Entropy};
use muster_http::{ConnectInfo, ListenerKind};
use muster_ids::Timestamp;
use muster_wire::permission::Permission;
use serde_json::{Value, json};
use tower::ServiceExt;

const HERE: &str = "http://127.0.0.1:8642";
const OWN: &str = "team_01890a5dac96774bbcceb302099a8001";
const LISTED: &str = "team_01890a5dac96774bbcceb302099a8002";
/// A team that one may look at, past those that are listed.
const UNLISTED: &str = "team_01890a5dac96774bbcceb302099a8004";
const FOREIGN: &str = "team_01890a5dac96774bbcceb302099a8003";
const SITE: &str = "site_01890a5dac96774bbcceb302099a8005";
const MACHINE: &str = "host_01890a5dac96774bbcceb302099a8006";
const CLAIM: &str = "claim_01890a5dac96774bbcceb302099a8007";
const ENDPOINT: &str = "endpoint_01890a5dac96774bbcceb302099a8008";
const PERSON: &str = "user_01890a5dac96774bbcceb302099a8010";
const SIGNED_IN: (&str, &str) = ("cookie", "muster-local-session=ada");

/// What the API heard: method, path and headers of each request.
type Heard = Arc<Mutex<Vec<(Method, String, HeaderMap)>>>;

/// A dashboard in front of an API that writes down what it hears.
struct Frame {
    dashboard: Router,
    heard: Heard,
}

impl Frame {
    fn new(role: &'static str) -> Self {
        let heard = Heard::default();
        let inner = heard.clone();
        let api = Router::new().fallback(move |request: Request| {
            let noted = (request.method().clone(), request.uri().to_string(), request.headers().clone());
            inner.lock().unwrap().push(noted);
            let reply = reply(&request, role);
            async move { reply }
        });
        let (clock, _) = Clock::fake(Timestamp::from_millis(1_795_000_000_000));
        Self { dashboard: routes(Dashboard { api, clock, entropy: Entropy }), heard }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1:8642");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let connection = ConnectInfo {
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            listener: ListenerKind::Operators,
            body_within: Duration::from_secs(5),
        };
        let request = request.extension(connection).body(Body::from(body)).unwrap();
        self.dashboard.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, path, headers, "").await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &'static str) -> Response {
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.ask(Method::POST, path, &[headers, &[form]].concat(), body).await
    }

    /// Returns what the API heard that changes something.
    fn changes(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(method, ..)| !method.is_safe()).map(|(_, path, _)| path.clone()).collect()
    }

    /// Returns the team the API was asked about last.
    fn team_of(&self, path: &str) -> Option<String> {
        let heard = self.heard.lock().unwrap();
        let (_, _, headers) = heard.iter().rev().find(|(_, asked, _)| asked.starts_with(path))?;
        headers.get("muster-team").map(|team| team.to_str().unwrap().to_owned())
    }
}

/// Answers as the API would.
fn reply(request: &Request, role: &str) -> Response {
    let headers = request.headers();
    let is_signed_in =
        headers.get(COOKIE).is_some_and(|cookie| cookie.to_str().unwrap().contains("session=ada"));
    let team = headers.get("muster-team").map(|team| team.to_str().unwrap());
    let person = json!({
        "id": PERSON, "team_id": OWN, "name": "Ada", "role": "viewer", "login": "ada", "has_second_factor": true,
        "created_at": "2026-01-01T00:00:00Z", "signed_in_at": null, "removed_at": null,
    });
    let team_of =
        |id: &str, name: &str| json!({ "id": id, "name": name, "created_at": "2026-01-01T00:00:00Z" });
    match request.uri().path() {
        "/v1/setup" => json_reply(StatusCode::OK, &json!({ "configured": true })),
        "/v1/sign-in/methods" => json_reply(StatusCode::OK, &json!({ "password": true, "oidc": [] })),
        _ if !is_signed_in => problem(StatusCode::UNAUTHORIZED, "unauthorized"),
        _ if team.is_some_and(|team| ![OWN, LISTED, UNLISTED].contains(&team)) => {
            problem(StatusCode::NOT_FOUND, "not_found")
        }
        "/v1/me" => json_reply(
            StatusCode::OK,
            &json!({
                "user_id": PERSON, "name": "Ada", "role": role, "team_id": OWN, "team_name": "Cedar", "token_id": null,
                "web_session_id": null, "permissions": Permission::ALL,
            }),
        ),
        "/v1/teams" => page(&[team_of(OWN, "Cedar"), team_of(LISTED, "Birch")]),
        "/v1/sites" => page(&[]),
        "/v1/people" => page(&vec![person; 20]),
        "/v1/events" => page(&[json!({
            "position": 4711, "id": "event_01890a5dac96774bbcceb302099a8020", "kind": "host.back",
            "at": "2026-01-01T00:00:00Z", "subject": "host", "actor": "system", "payload": {},
        })]),
        "/v1/events/stream" => {
            let first =
                futures_util::stream::once(async { Ok::<_, std::io::Error>(": here\n\n".repeat(200)) });
            let body = Body::from_stream(first.chain(futures_util::stream::pending()));
            ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        "/v1/claims/decisions" => json_reply(
            StatusCode::OK,
            &json!({ "items": [{ "claim_id": CLAIM, "state": "new", "result_host_id": null, "refused": null }] }),
        ),
        path if path == format!("/v1/hosts/{MACHINE}") => json_reply(StatusCode::OK, &host()),
        "/v1/hosts" => page(&[]),
        path if path.ends_with("/secrets") => page(&[]),
        path if path.ends_with("/registration-token") => json_reply(StatusCode::OK, &registration_token()),
        path if path.ends_with("/agent-keys") => json_reply(StatusCode::OK, &agent_key()),
        path if path.ends_with("/role") => json_reply(StatusCode::OK, &person),
        _ => problem(StatusCode::NOT_FOUND, "not_found"),
    }
}

fn host() -> Value {
    json!({
        "id": MACHINE, "team_id": OWN, "site_id": SITE, "kind": "team", "name": "web-01", "state": "active", "held": null,
        "presence": { "status": "online", "last_seen_at": null }, "door": null, "disposition": null, "provider": null,
        "zone": null, "tags": [], "reported": null, "keys": [], "config": null, "ticket_id": null,
        "ephemeral_hours": null, "created_at": "2026-01-01T00:00:00Z", "enrolled_at": null, "retired_at": null,
    })
}

fn agent_key() -> Value {
    json!({
        "token": "msa_canary", "key": {
            "name": "jkt:0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "kind": "agent_key", "state": "active",
            "created_by": null, "ticket_id": null, "created_at": "2026-01-01T00:00:00Z", "first_used_at": null,
            "last_used_at": null, "ended_at": null, "ended_by": null,
        },
    })
}

fn registration_token() -> Value {
    json!({
        "token": "mse_canary", "join_string": "muster1.canary", "ticket": {
            "id": "8mBQFVraP1gr", "kind": "registration_token", "status": "open", "site_id": SITE, "host_id": MACHINE,
            "host_name": null, "rejoin": true, "tags": [], "secrets": [], "require_key": true, "ephemeral_hours": null,
            "uses": 0, "max_uses": null, "created_at": "2026-01-01T00:00:00Z", "expires_at": null, "rotation": null,
            "last_used_at": null, "last_host_id": null,
        },
    })
}

fn page(items: &[Value]) -> Response {
    json_reply(StatusCode::OK, &json!({ "items": items }))
}

fn json_reply(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn problem(status: StatusCode, code: &str) -> Response {
    let body = json!({
        "type": format!("urn:muster:problem:{code}"), "title": "x", "status": status.as_u16(), "detail": "no",
        "instance": "urn:muster:x", "code": code,
    });
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn header(response: &Response, name: impl http::header::AsHeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let frame = Frame::new("owner");
    let response = frame.get("/team?cursor=a%26b", &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&response, LOCATION), "/sign-in?return_to=%2Fteam%3Fcursor%3Da%2526b");
    let response = frame.get("/team", &[("hx-request", "true")]).await;
    assert_eq!(
        response.status(),
        StatusCode::NO_CONTENT,
        "a script would take the sign-in page for its part"
    );
    assert_eq!(header(&response, "hx-redirect"), "/sign-in?return_to=%2Fteam");
    let response = frame.post(&format!("/team/people/{PERSON}/role"), &[], "role=owner").await;
    assert_eq!(header(&response, LOCATION), "/sign-in?return_to=%2F", "a form is no page to come back to");
    assert!(frame.changes().is_empty());
}

#[tokio::test]
async fn the_sign_in_page_goes_on_to_paths_of_this_server_alone() {
    let frame = Frame::new("owner");
    for (asked, shown) in
        [("%2Fhosts%3Fq%3Da", "/hosts?q=a"), ("https:%2F%2Fevil.example", "/"), ("%2F%2Fevil", "/")]
    {
        let response = frame.get(&format!("/sign-in?return_to={asked}"), &[]).await;
        let html = response.into_body().collect().await.unwrap().to_bytes();
        let html = String::from_utf8(html.to_vec()).unwrap();
        assert!(html.contains(&format!("name=\"return_to\" value=\"{shown}\"")), "{asked}: {html}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let frame = Frame::new("owner");
    let path = format!("/team/people/{PERSON}/role");
    let foreign: &[&[(&str, &str)]] = &[
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", HERE), ("sec-fetch-site", "cross-site")],
        &[],
    ];
    for said in foreign {
        let response = frame.post(&path, &[*said, &[SIGNED_IN]].concat(), "role=owner").await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{said:?}");
    }
    assert!(frame.changes().is_empty(), "{:?}", frame.changes());
    let response = frame.post(&path, &[("origin", HERE), SIGNED_IN], "role=owner").await;
    assert_eq!((response.status(), header(&response, LOCATION)), (StatusCode::SEE_OTHER, "/team?done=role"));
    assert_eq!(frame.changes(), [format!("/v1/people/{PERSON}/role")]);
}

#[tokio::test]
async fn the_api_hears_of_a_browser_only_what_it_judges() {
    const HANDED_ON: &[&str] = &[
        "accept",
        "content-type",
        "cookie",
        "host",
        "origin",
        "sec-fetch-site",
        "user-agent",
        "muster-team",
    ];
    let frame = Frame::new("owner");
    let said = [
        SIGNED_IN,
        ("origin", HERE),
        ("user-agent", "a browser"),
        (AUTHORIZATION.as_str(), "Bearer mso_x"),
        ("x-forwarded-for", "198.51.100.1"),
        ("forwarded", "for=198.51.100.1"),
        ("accept-language", "de"),
        ("idempotency-key", "mine"),
        ("muster-team", LISTED),
        ("range", "bytes=0-1"),
    ];
    frame.get("/team", &said).await;
    frame.post(&format!("/team/people/{PERSON}/role"), &said, "role=owner").await;
    let heard = frame.heard.lock().unwrap();
    assert!(heard.len() >= 4);
    for (method, path, headers) in heard.iter() {
        for name in headers.keys() {
            assert!(HANDED_ON.contains(&name.as_str()), "{method} {path} hears of {name}");
        }
        assert_eq!(headers.get("muster-team"), None, "the header of a browser chooses no team");
        assert_eq!(headers[ORIGIN.as_str()], HERE);
        assert_eq!(headers["user-agent"], "a browser");
    }
}

#[tokio::test]
async fn every_page_has_its_policy() {
    let frame = Frame::new("owner");
    let html = ("accept", "text/html");
    let (ok, none) = (StatusCode::OK, StatusCode::NOT_FOUND);
    let pages = [
        ("/team", ok),
        ("/team/invite", ok),
        ("/sign-in", ok),
        ("/invitation", ok),
        ("/nowhere", none),
        ("/team/people/nobody", none),
    ];
    for (path, status) in pages {
        // Who is signed in already is sent on from the way in.
        let session = if path == "/sign-in" { ("cookie", "theme=dark") } else { SIGNED_IN };
        let response = frame.get(path, &[session, html]).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8", "{path}");
        let policy = header(&response, CONTENT_SECURITY_POLICY);
        for part in
            ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header(&response, REFERRER_POLICY), "same-origin", "{path}");
    }
}

#[tokio::test]
async fn pages_are_compressed_and_the_stream_is_not() {
    let frame = Frame::new("owner");
    let gzip = (ACCEPT_ENCODING.as_str(), "gzip");
    let response = frame.get("/team", &[SIGNED_IN, gzip]).await;
    assert_eq!(header(&response, CONTENT_ENCODING), "gzip");
    let compressed = response.into_body().collect().await.unwrap().to_bytes().len();
    let whole = frame.get("/team", &[SIGNED_IN]).await.into_body().collect().await.unwrap().to_bytes().len();
    assert!(compressed * 3 < whole, "{compressed} of {whole}");
    let response = frame.get("/live", &[SIGNED_IN, gzip, ("accept", "text/event-stream")]).await;
    assert_eq!((response.status(), header(&response, CONTENT_ENCODING)), (StatusCode::OK, ""));
    let mut body = response.into_body().into_data_stream();
    let first = tokio::time::timeout(Duration::from_secs(5), body.next())
        .await
        .expect("it does not wait for its end");
    assert!(first.unwrap().unwrap().starts_with(b": here"));
}

#[tokio::test]
async fn a_page_hears_of_what_happened_since_it_was_read() {
    let frame = Frame::new("owner");
    let html = ("accept", "text/html");
    let response = frame.get("/team", &[SIGNED_IN, html]).await;
    let page = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&page).contains("data-live-stream=\"/live?after=4711\""));
    let asked = |path: &str| {
        frame.heard.lock().unwrap().iter().position(|(_, asked, _)| asked.starts_with(path)).unwrap()
    };
    assert!(asked("/v1/events?") < asked("/v1/people"), "what happens while a page is read is told as well");
    frame.heard.lock().unwrap().clear();
    frame.get("/team", &[SIGNED_IN, html, ("hx-request", "true")]).await;
    frame.get("/live?after=4711", &[SIGNED_IN, ("accept", "text/event-stream")]).await;
    let heard = frame.heard.lock().unwrap();
    assert!(heard.iter().all(|(_, path, _)| !path.starts_with("/v1/events?")), "a part is of an older page");
    assert_eq!(heard.last().unwrap().1, "/v1/events/stream?after=4711");
}

#[tokio::test]
async fn a_stream_of_nobody_is_refused_and_not_sent_elsewhere() {
    let frame = Frame::new("owner");
    let stream = ("accept", "text/event-stream");
    assert!(frame.get("/live", &[stream]).await.status().is_client_error());
    let response = frame.get("/live", &[SIGNED_IN, stream, ("sec-fetch-site", "same-site")]).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_chosen_team_reaches_no_further_than_the_api_lets_it() {
    let chosen = |team: &str| format!("muster-local-session=ada; muster-local-team={team}");
    let frame = Frame::new("admin");
    assert_eq!(frame.get("/team", &[("cookie", &chosen(LISTED))]).await.status(), StatusCode::OK);
    assert_eq!(frame.team_of("/v1/people").as_deref(), Some(LISTED));
    assert_eq!(frame.get("/team", &[("cookie", &chosen(OWN))]).await.status(), StatusCode::OK);
    assert_eq!(frame.team_of("/v1/people"), None, "one's own team needs no word");
    frame.heard.lock().unwrap().clear();
    let response = frame.get("/team", &[("cookie", &chosen(FOREIGN))]).await;
    assert_eq!((response.status(), header(&response, LOCATION)), (StatusCode::SEE_OTHER, "/"));
    assert!(
        header(&response, SET_COOKIE).contains("Max-Age=0"),
        "the choice is given up, and not another team shown"
    );
    assert!(frame.heard.lock().unwrap().iter().all(|(_, path, _)| !path.starts_with("/v1/people")));
}

#[tokio::test]
async fn a_team_is_chosen_among_those_that_are_listed() {
    let frame = Frame::new("admin");
    let headers = [SIGNED_IN, ("origin", HERE)];
    let response =
        frame.post("/team-choice", &headers, "team_id=team_01890a5dac96774bbcceb302099a8002").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let cookie = header(&response, SET_COOKIE);
    assert!(
        cookie.starts_with(&format!("muster-local-team={LISTED};")) && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    let response =
        frame.post("/team-choice", &headers, "team_id=team_01890a5dac96774bbcceb302099a8003").await;
    assert_eq!((response.status(), header(&response, SET_COOKIE)), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn a_team_past_those_that_are_listed_is_chosen_and_stands_in_the_list() {
    let frame = Frame::new("admin");
    let headers = [SIGNED_IN, ("origin", HERE)];
    let response =
        frame.post("/team-choice", &headers, "team_id=team_01890a5dac96774bbcceb302099a8004").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let cookie = header(&response, SET_COOKIE);
    assert!(cookie.starts_with(&format!("muster-local-team={UNLISTED};")), "{cookie}");
    let chosen = format!("muster-local-session=ada; muster-local-team={UNLISTED}");
    let html = text(frame.get("/team", &[("cookie", &chosen)]).await).await;
    assert!(html.contains(&format!("<option value=\"{UNLISTED}\" selected>")), "{html}");
}

#[tokio::test]
async fn what_a_page_fetches_by_itself_is_a_page_whichever_form_made_it() {
    let frame = Frame::new("owner");
    let headers = [SIGNED_IN, ("origin", HERE)];
    let minted = frame.post(&format!("/hosts/{MACHINE}/keys/mint"), &headers, "once=1").await;
    assert_eq!(minted.status(), StatusCode::OK);
    let html = text(minted).await;
    assert!(html.contains("msa_canary"), "{html}");
    let parts: Vec<&str> =
        html.split("hx-get=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(parts, [format!("/hosts/{MACHINE}/keys")]);
    let response = frame.get(parts[0], &[SIGNED_IN, ("hx-request", "true")]).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_was_done_is_told_although_what_stands_beside_it_cannot_be() {
    let frame = Frame::new("owner");
    let headers = [SIGNED_IN, ("origin", HERE)];
    let decided = "claim=claim_01890a5dac96774bbcceb302099a8007+v1&verdict=new&back=%2F%2Fevil.example";
    let response = frame.post("/approvals/decisions", &headers, decided).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(frame.changes(), ["/v1/claims/decisions"]);
    let html = text(response).await;
    assert!(html.contains(&format!("/approvals/{CLAIM}")) && html.contains("new host"), "{html}");
    let response = frame.post(&format!("/hosts/{MACHINE}/token"), &headers, "once=1").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("muster1.canary"), "its ticket is not shown, its line is");
    assert!(html.contains("href=\"/approvals\">Back") && !html.contains("evil"), "{html}");
}

#[tokio::test]
async fn a_name_of_spaces_keeps_the_page_and_asks_nothing() {
    let frame = Frame::new("owner");
    let headers = [SIGNED_IN, ("origin", HERE)];
    let secret = frame.post(&format!("/hosts/{MACHINE}/secrets"), &headers, "name=+&document=%7B%7D").await;
    assert_eq!(secret.status(), StatusCode::OK);
    assert!(text(secret).await.contains("A secret needs a name."));
    let view = frame.post("/hosts/views", &headers, "name=+&query=q%3Da").await;
    assert_eq!(view.status(), StatusCode::OK);
    assert!(text(view).await.contains("Give the view a name."));
    assert!(frame.changes().is_empty(), "{:?}", frame.changes());
}

#[tokio::test]
async fn what_is_shown_once_is_not_made_where_it_could_not_be_shown() {
    let frame = Frame::new("owner");
    let path = format!("/webhooks/{ENDPOINT}/rotate");
    let response = frame.post(&path, &[SIGNED_IN, ("origin", HERE)], "overlap_secs=0").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(frame.changes().is_empty(), "{:?}", frame.changes());
}

#[tokio::test]
async fn who_is_signed_in_sees_a_refusal_inside_the_frame_of_every_page() {
    let frame = Frame::new("owner");
    let html = ("accept", "text/html");
    for path in ["/hosts/%ff", "/hosts/none", "/jobs/..%2f", "/team/people/nobody", "/nowhere"] {
        let response = frame.get(path, &[SIGNED_IN, html]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let page = text(response).await;
        assert!(
            page.contains("There is nothing here") && page.contains("aria-label=\"Pages\""),
            "{path}: {page}"
        );
    }
    let response = frame.get("/hosts/%ff", &[html]).await;
    assert_eq!(header(&response, LOCATION), "/sign-in?return_to=%2Fhosts%2F%25ff");
    let page = text(frame.get("/nowhere", &[html]).await).await;
    assert!(!page.contains("aria-label=\"Pages\""), "nobody's frame is shown to a stranger");
}

#[tokio::test]
async fn files_are_kept_for_ever_under_the_name_of_their_content_and_never_under_another() {
    let frame = Frame::new("owner");
    let response = frame.get("/sign-in", &[]).await;
    let html = response.into_body().collect().await.unwrap().to_bytes();
    let html = String::from_utf8(html.to_vec()).unwrap();
    let at = html.find("/assets/").expect("a page names its files");
    let path = html[at..].split('"').next().unwrap();
    let response = frame.get(path, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, CACHE_CONTROL), "public, max-age=31536000, immutable");
    let response = frame.get("/assets/00000000/app.css", &[]).await;
    assert_eq!((response.status(), header(&response, CACHE_CONTROL)), (StatusCode::OK, "no-store"));
    assert_eq!(header(&response, CONTENT_TYPE), "text/css; charset=utf-8");
    assert_eq!(frame.get("/assets/00000000/secret.txt", &[]).await.status(), StatusCode::NOT_FOUND);
    assert!(frame.changes().is_empty());
}
