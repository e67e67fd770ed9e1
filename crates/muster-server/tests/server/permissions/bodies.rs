//! Bodies: one that makes sense for every route that takes one.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::permissions::routes::Route;
use crate::permissions::things::Ids;

const PASSWORD: &str = "seventeen wooden chairs";

/// An endpoint nobody answers at: the name is one that never resolves (RFC 6761).
pub(crate) static TARGET: LazyLock<Value> =
    LazyLock::new(|| json!({ "webhook": { "url": "https://hooks.invalid/muster" } }));

/// A provider of OpenID Connect whose `admins` own a team.
pub(crate) fn provider(team_id: &Value) -> Value {
    json!({
        "issuer": "https://sign-in.invalid",
        "client_id": "muster",
        "client_secret": "swordfish-3",
        "mappings": [{ "group": "admins", "team_id": team_id, "role": "owner" }],
    })
}

/// How a body is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filling {
    /// As somebody would who means it.
    Sensible,
    /// With a field nobody knows: refused after everything else was judged, so that nothing happens.
    Senseless,
}

/// Returns the body of a route. A route that is not known here fails.
pub(crate) fn body(route: &Route, ids: &Ids, filling: Filling) -> Option<Value> {
    if !route.has_body {
        return None;
    }
    let mut body = sensible(route, ids);
    if filling == Filling::Senseless {
        body["nobody_knows_this"] = json!(1);
    }
    Some(body)
}

/// Whether a body names things by their ids.
pub(crate) fn names_things(route: &Route) -> bool {
    let holds_id = |body: Value| ["_id\":", "\"hosts\":"].iter().any(|key| body.to_string().contains(key));
    route.has_body && holds_id(sensible(route, &Ids::default()))
}

fn sensible(route: &Route, ids: &Ids) -> Value {
    let id = |name: &str| json!(ids.get(name).unwrap_or_default());
    let host = || json!([ids.get("host_id").unwrap_or_else(|| format!("host_{}", "0".repeat(32)))]);
    match (route.method.as_str(), route.path.as_str()) {
        ("POST", "/v1/claims/{claim_id}/decision") => {
            json!({ "verdict": "new", "evidence_version": "A".repeat(43) })
        }
        ("POST", "/v1/claims/decisions") => {
            let claim_id = ids.get("claim_id").unwrap_or_else(|| format!("claim_{}", "0".repeat(32)));
            let decision =
                json!({ "claim_id": claim_id, "verdict": "new", "evidence_version": "A".repeat(43) });
            json!({ "decisions": [decision] })
        }
        ("POST", "/v1/enroll/fork") => json!({ "hostname": "m" }),
        ("POST", "/v1/enroll") => json!({ "hostname": "m" }),
        ("POST", "/v1/enrolment-tokens" | "/v1/site-keys") => json!({ "site_id": id("site_id") }),
        ("POST", "/v1/hosts") => json!({ "name": "press", "site_id": id("site_id") }),
        ("POST", "/v1/hosts/changes/preview") => json!({ "hosts": host(), "change": { "kind": "suspend" } }),
        ("POST", "/v1/hosts/changes") => {
            json!({ "hosts": host(), "change": { "kind": "suspend" }, "preview_version": "A".repeat(43) })
        }
        ("PUT", "/v1/secrets/{name}") => {
            json!({ "hosts": host(), "document": { "password": "swordfish-4" } })
        }
        ("PUT", "/v1/me/views/{name}") => json!({ "query": "state=active" }),
        ("POST", "/v1/hosts/{host_id}/heartbeat") => json!({ "load_percent": 1 }),
        ("POST", "/v1/hosts/{host_id}/jobs") => json!({ "work": { "kind": "backup", "paths": ["/etc"] } }),
        ("POST", "/v1/hosts/{host_id}/registration-token") => json!({ "rejoin": true }),
        ("POST", "/v1/hosts/{host_id}/retire") => json!({ "preview_version": "A".repeat(43) }),
        ("PUT", "/v1/hosts/{host_id}/secrets/{name}") => json!({ "password": "swordfish-2" }),
        ("PUT", "/v1/hosts/{host_id}/tags") => json!({ "tags": ["stolen"] }),
        ("POST", "/v1/setup") => json!({ "code": "0000-0000-0000-0000", "admin_name": "Eve" }),
        ("POST", "/v1/sites" | "/v1/teams" | "/v1/teams/{team_id}/owners") => json!({ "name": "annex" }),
        ("PUT", "/v1/sites/{site_id}/policy") => json!({ "policy": { "new": "approve" } }),
        ("POST", "/v1/endpoints") => json!({ "name": "pager", "target": TARGET.clone() }),
        ("POST", "/v1/endpoints/test") => json!({ "target": TARGET.clone() }),
        ("PUT", "/v1/endpoints/{endpoint_id}") => json!({ "name": "pager of somebody else" }),
        ("POST", "/v1/endpoints/{endpoint_id}/redeliver") => json!({ "since": "2027-01-01T00:00:00.000Z" }),
        ("POST", "/v1/endpoints/{endpoint_id}/rotate-secret" | "/v1/hosts/{host_id}/agent-keys") => json!({}),
        ("POST", "/v1/hosts/{host_id}/move") => json!({ "site_id": id("site_id") }),
        (
            "POST",
            "/v1/installation/instruction-key/switch"
            | "/v1/installation/instruction-key/finish"
            | "/v1/installation/tls/rotate",
        ) => json!({ "force": true }),
        ("POST", "/v1/invitations") => json!({ "name": "Ivo", "role": "viewer" }),
        ("POST", "/v1/invitations/accept") => json!({ "login": "eve", "password": PASSWORD }),
        ("PUT", "/v1/me/login") => json!({ "login": "somebody" }),
        ("PUT", "/v1/me/password") => json!({ "new": PASSWORD }),
        ("POST", "/v1/me/second-factor") => json!({ "password": PASSWORD }),
        ("POST", "/v1/me/second-factor/confirm") => json!({ "code": "000000" }),
        ("POST", "/v1/me/second-factor/remove") => json!({ "code": "000000", "password": PASSWORD }),
        ("POST", "/v1/me/tokens") => json!({ "name": "robot", "team_id": id("team_id") }),
        ("PUT", "/v1/oidc/providers/{name}") => provider(&id("team_id")),
        ("PUT", "/v1/people/{user_id}/role") => json!({ "role": "viewer" }),
        ("PUT", "/v1/settings") => json!({ "audit_keep_days": 90 }),
        ("POST", "/v1/sign-in") => json!({ "login": "eve", "password": PASSWORD }),
        ("POST", "/v1/site-keys/{ticket_id}/rotate" | "/v1/tickets/{ticket_id}/leak/preview") => json!({}),
        ("POST", "/v1/tickets/explain") => json!({ "site_key": { "site_id": id("site_id") } }),
        ("POST", "/v1/tickets/{ticket_id}/leak") => json!({ "preview": "A".repeat(43), "suspend": true }),
        _ => panic!("{}: write down a body for it", route.name()),
    }
}
