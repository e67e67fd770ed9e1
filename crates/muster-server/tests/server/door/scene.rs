//! People with operators' tokens and machines with tickets, on top of the world.

use std::ops::Deref;
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use muster_edge::{Entropy, FakeClock};
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl};
use serde_json::{Value, json};

use crate::world::{Backend, World};

/// A server and its first admin.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) admin: Person,
}

impl Scene {
    pub(crate) async fn start(backend: Backend) -> Self {
        let world = World::start(backend).await;
        let admin = Person::new(&world, world.admin.clone());
        Self { world, admin }
    }

    /// Makes a team and returns its owner.
    pub(crate) async fn owner(&self, team: &str) -> Person {
        Person::new(&self.world, self.world.team(team).await.token)
    }
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer(crate::world::Answer);

impl Deref for Answer {
    type Target = crate::world::Answer;
    fn deref(&self) -> &crate::world::Answer {
        &self.0
    }
}

impl Answer {
    /// Returns the body of a reply of this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.raw_body);
        self.body.clone()
    }

    /// Checks the code of a problem of this status.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        self.problem(status, code);
    }

    /// Returns the body without the one thing that differs between two requests.
    pub(crate) fn body_without_request_id(&self) -> String {
        let id = self.header("x-request-id").unwrap();
        assert!(self.raw_body.contains(id), "a problem names its request: {}", self.raw_body);
        self.raw_body.replace(id, "")
    }
}

/// Somebody with an operator's token. Time goes by between what they do, so that ids are in order.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) token: String,
    address: std::net::SocketAddr,
    clock: FakeClock,
}

impl Person {
    fn new(world: &World, token: String) -> Self {
        Self { token, address: world.address, clock: world.clock.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body), &[]).await
    }

    /// Posts without a body.
    pub(crate) async fn step(&self, path: &str) -> Answer {
        self.send("POST", path, None, &[]).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        more: &[(&str, &str)],
    ) -> Answer {
        self.clock.advance(Duration::from_millis(2));
        let mut headers = format!("authorization: Bearer {}\r\n", self.token);
        more.iter().for_each(|(name, value)| headers += &format!("{name}: {value}\r\n"));
        let body = body.map(ToString::to_string);
        Answer(crate::world::ask(self.address, method, path, &headers, body).await)
    }

    /// Returns the id of the team's `default` site.
    pub(crate) async fn default_site(&self) -> String {
        let sites = self.get("/v1/sites").await.expect(200);
        sites["items"][0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn site(&self, name: &str, policy: Value) -> String {
        let made = self.post("/v1/sites", &json!({ "name": name, "policy": policy })).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// Mints a key of a site and returns it with its id.
    pub(crate) async fn site_key(&self, site_id: &str) -> (String, String) {
        token_and_id(&self.post("/v1/site-keys", &json!({ "site_id": site_id })).await.expect(201))
    }

    pub(crate) async fn enrolment_token(&self, request: Value) -> (String, String) {
        token_and_id(&self.post("/v1/enrolment-tokens", &request).await.expect(201))
    }

    pub(crate) async fn host(&self, id: &str) -> Value {
        self.get(&format!("/v1/hosts/{id}")).await.expect(200)
    }

    pub(crate) async fn hosts(&self) -> Vec<Value> {
        self.get("/v1/hosts?limit=200").await.expect(200)["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn claim(&self, id: &str) -> Value {
        self.get(&format!("/v1/claims/{id}")).await.expect(200)
    }

    /// Decides a claim as somebody who just looked at it.
    pub(crate) async fn decide(&self, id: &str, verdict: &str) -> Answer {
        let seen = self.claim(id).await["evidence_version"].clone();
        let decision = json!({ "verdict": verdict, "evidence_version": seen });
        self.post(&format!("/v1/claims/{id}/decision"), &decision).await
    }

    /// Retires a host as somebody who just looked at what that destroys.
    pub(crate) async fn retire(&self, id: &str) -> Answer {
        let preview = self.get(&format!("/v1/hosts/{id}/retirement")).await.expect(200);
        let retire = json!({ "preview_version": preview["preview_version"] });
        self.post(&format!("/v1/hosts/{id}/retire"), &retire).await
    }
}

/// Returns the bearer string of a minted ticket and the ticket's id.
pub(crate) fn token_and_id(minted: &Value) -> (String, String) {
    (minted["token"].as_str().unwrap().to_owned(), minted["ticket"]["id"].as_str().unwrap().to_owned())
}

/// What a machine proves itself with.
pub(crate) enum Credential {
    Pair(HostKey),
    Secret([u8; 32]),
}

/// A machine with a key of its own.
pub(crate) struct Machine {
    pub(crate) credential: Credential,
    pub(crate) uid: String,
    pub(crate) hostname: String,
}

impl Machine {
    /// A machine with a fresh key pair and hardware of its own.
    pub(crate) fn new(hostname: &str) -> Self {
        let uid = format!("smbios:{}", HEXLOWER.encode(&Entropy.bytes::<16>()));
        Self { credential: Credential::Pair(HostKey::generate()), uid, hostname: hostname.to_owned() }
    }

    /// A machine that cannot hold a key pair.
    pub(crate) fn without_pair(hostname: &str) -> Self {
        Self { credential: Credential::Secret(Entropy.bytes()), ..Self::new(hostname) }
    }

    /// The same hardware with another key: a clone, or a fresh installation.
    pub(crate) fn twin(&self) -> Self {
        Self { uid: self.uid.clone(), ..Self::new(&self.hostname) }
    }

    pub(crate) fn request(&self) -> Value {
        let facts =
            json!({ "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 40 });
        let mut request = json!({ "hostname": self.hostname, "machine_uid": self.uid, "facts": facts });
        if let Credential::Secret(secret) = &self.credential {
            request["agent_secret"] = BASE64URL_NOPAD.encode(secret).into();
        }
        request
    }

    /// Makes the header line of a proof over a request with this ticket and body.
    fn proof(&self, world: &World, ticket: &str, body: &str) -> String {
        let Credential::Pair(key) = &self.credential else { return String::new() };
        let url = HtuUrl::parse(&world.url("/v1/enroll")).unwrap();
        let claims = Claims::new("POST", &url, world.app.clock.now(), Entropy.bytes());
        format!("dpop: {}\r\n", prove(key, &claims.bearer(ticket).body(body.as_bytes())))
    }

    /// Knocks with a ticket.
    pub(crate) async fn enroll(&self, world: &World, ticket: &str) -> Answer {
        self.enroll_with(world, ticket, &self.request()).await
    }

    pub(crate) async fn enroll_with(&self, world: &World, ticket: &str, request: &Value) -> Answer {
        world.clock.advance(Duration::from_millis(2));
        let body = request.to_string();
        let headers = format!("authorization: Bearer {ticket}\r\n{}", self.proof(world, ticket, &body));
        Answer(crate::world::ask(world.address, "POST", "/v1/enroll", &headers, Some(body)).await)
    }

    /// Knocks and returns the id of the host it became.
    pub(crate) async fn admitted(&self, world: &World, ticket: &str, status: u16) -> String {
        self.enroll(world, ticket).await.expect(status)["host_id"].as_str().unwrap().to_owned()
    }

    /// Knocks and returns the id of the claim it waits with.
    pub(crate) async fn waits(&self, world: &World, ticket: &str, reason: &str) -> String {
        let answer = self.enroll(world, ticket).await;
        let waiting = answer.expect(202);
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(waiting["reason"], reason);
        waiting["claim_id"].as_str().unwrap().to_owned()
    }
}

/// Runs each function twice, as `name::sqlite` and `name::postgres`, with a scene of its own.
macro_rules! scenes {
    ($($(#[$meta:meta])* async fn $name:ident($scene:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs them")]
            use super::*;

            async fn run($scene: $crate::door::scene::Scene) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::door::scene::Scene::start($crate::world::Backend::Sqlite).await).await
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run($crate::door::scene::Scene::start($crate::world::Backend::Postgres).await).await
            }
        }
    )+};
}
pub(crate) use scenes;
