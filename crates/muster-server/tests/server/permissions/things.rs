//! One of everything that has an id, in one team; and ids of the same form of which there is nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::permissions::bodies::{TARGET, provider};
use crate::permissions::cast::{Caller, Cast};
use crate::permissions::routes::Route;
use crate::world::{Machine, World};

/// Ids by the names they have in paths, queries and bodies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids(BTreeMap<&'static str, String>);

impl Ids {
    /// Returns the id that stands for a parameter of a route.
    pub(crate) fn of(&self, route: &Route, parameter: &str) -> String {
        let name = match (route.path.as_str(), parameter) {
            (path, "name") if path.starts_with("/v1/oidc/") => "provider",
            (_, "name") => "secret",
            (_, "id") => panic!("{}: name the parameter after its thing", route.name()),
            (path, "ticket_id") if path.starts_with("/v1/site-keys/") => "site_key_id",
            (_, parameter) => parameter,
        };
        self.get(name).unwrap_or_else(|| panic!("{}: no thing for {parameter}", route.name()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// Fills the parameters of a route's path.
    pub(crate) fn path(&self, route: &Route) -> String {
        route.parameters.iter().fold(route.path.clone(), |path, parameter| {
            path.replace(&format!("{{{parameter}}}"), &self.of(route, parameter))
        })
    }

    fn put(&mut self, name: &'static str, id: &Value) {
        let id = id.as_str().unwrap_or_else(|| panic!("{name}: {id}"));
        self.0.insert(name, id.to_owned());
    }
}

/// What there is, and what there is not.
pub(crate) struct Things {
    pub(crate) present: Ids,
    pub(crate) absent: Ids,
}

impl Things {
    pub(crate) async fn make(world: &World, cast: &Cast) -> Self {
        let mut ids = Ids::default();
        let must = async |method: &str, path: &str, body: Option<Value>| {
            let answer = cast.ask(world, Caller::Owner, method, path, body).await;
            assert!(answer.status < 300, "{method} {path}: {answer:?}");
            answer.body
        };
        ids.put("team_id", &json!(cast.team));
        let site = must("POST", "/v1/sites", Some(json!({ "name": "floor" }))).await;
        ids.put("site_id", &site["id"]);
        let key = must("POST", "/v1/site-keys", Some(json!({ "site_id": site["id"] }))).await;
        ids.put("site_key_id", &key["ticket"]["id"]);
        let repository = json!({ "url": "rest:https://backup.example/lathe", "password": "swordfish-1" });
        let token = json!({ "secrets": { "repo": repository } });
        let token = must("POST", "/v1/enrolment-tokens", Some(token)).await;
        ids.put("ticket_id", &token["ticket"]["id"]);
        let joined = Machine::new("lathe").join(world, token["token"].as_str().unwrap()).await;
        ids.put("host_id", &json!(joined.host_id.to_string()));
        ids.put("key_name", &json!(joined.key_name().to_string()));
        ids.put("secret", &json!("repo"));
        let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let job = must("POST", &format!("/v1/hosts/{}/jobs", joined.host_id), Some(job)).await;
        ids.put("job_id", &job["id"]);
        let mut copy = Machine::new("lathe");
        copy.key = muster_proof::HostKey::generate();
        let other = must("POST", "/v1/enrolment-tokens", Some(json!({}))).await;
        let waiting = copy.enroll(world, other["token"].as_str().unwrap()).await;
        assert_eq!(waiting.status, 202, "{waiting:?}");
        ids.put("claim_id", &waiting.body["claim_id"]);
        let me = must("GET", "/v1/me", None).await;
        ids.put("user_id", &me["user_id"]);
        ids.put("token_id", &me["token_id"]);
        more(world, cast, &mut ids).await;
        let absent = Ids(ids.0.iter().map(|(name, id)| (*name, other_than(name, id))).collect());
        Self { present: ids, absent }
    }

    /// Returns what the owner of the things sees of them.
    pub(crate) async fn seen(&self, world: &World, cast: &Cast) -> String {
        let mut seen = String::new();
        for list in ["sites", "tickets", "hosts", "claims", "jobs", "people", "invitations", "endpoints"] {
            let answer = cast.ask(world, Caller::Owner, "GET", &format!("/v1/{list}?limit=200"), None).await;
            assert_eq!(answer.status, 200, "{list}: {answer:?}");
            seen.push_str(&answer.raw_body);
        }
        seen
    }
}

/// Returns an id of the same form of which there is nothing.
fn other_than(name: &str, id: &str) -> String {
    match (name, id.split_once(':'), id.split_once('_')) {
        (_, Some((kind, rest)), _) => format!("{kind}:{}", scrambled(rest)),
        (_, None, Some((kind, uuid))) if uuid.len() == 32 => format!("{kind}_{}", scrambled(uuid)),
        ("secret" | "provider", ..) => "nobody-knows".to_owned(),
        _ => scrambled(id),
    }
}

/// Turns letters and digits around without leaving the alphabet of ids; the last character of a thumbprint carries
/// fewer bits and stays.
fn scrambled(text: &str) -> String {
    let last = text.len() - 1;
    let turn = |(index, letter): (usize, char)| match letter {
        _ if index < 14 || index == last => letter,
        '0'..='8' => char::from(letter as u8 + 1),
        '9' => '0',
        'a' => 'b',
        _ => letter,
    };
    let turned: String = text.chars().enumerate().map(turn).collect();
    if turned == text { format!("{}{}", &text[1..], &text[..1]) } else { turned }
}

/// Things around people and events.
async fn more(world: &World, cast: &Cast, ids: &mut Ids) {
    let must = async |caller: Caller, method: &str, path: &str, body: Value| {
        let answer = cast.ask(world, caller, method, path, Some(body)).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer.body
    };
    let invited =
        must(Caller::Owner, "POST", "/v1/invitations", json!({ "name": "Ivo", "role": "viewer" })).await;
    ids.put("invitation_id", &invited["invitation"]["id"]);
    let endpoint = json!({ "name": "pager", "target": TARGET.clone() });
    let endpoint = must(Caller::Owner, "POST", "/v1/endpoints", endpoint).await;
    ids.put("endpoint_id", &endpoint["endpoint"]["id"]);
    must(Caller::Admin, "PUT", "/v1/oidc/providers/corp", provider(&json!(cast.team))).await;
    ids.put("provider", &json!("corp"));
    // Behind something foreign nobody gets as far as these.
    ids.put("delivery_id", &json!("delivery_018f0000000070008000000000000001"));
    ids.put("web_session_id", &json!("Session00001"));
}
