//! A whole server without its process: the real router on a real socket, a database of its own, a clock that stands
//! still until it is told to move. The tests of time, which are alone in their program, have it too.

#![allow(dead_code, reason = "tests of time use a part of it")]
#![allow(unused_imports, unused_macros, reason = "tests of time use a part of it")]

mod http;
mod logs;
mod machine;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_edge::{Clock, Entropy, FakeClock};
use muster_http::{Edge, Limits, ListenerKind, Server, TrustedProxies};
use muster_ids::{TeamId, Timestamp};
use muster_keyring::{Keyring, MasterKey};
use muster_server::app::{App, Parts};
use muster_server::installation::{Installation, Opening};
use muster_server::outbound::Gate;
use muster_server::{auth, channel, metrics, presence, reconcile, router};
use muster_store::{Location, Store, StoreConfig, params};
use muster_testkit::postgres::{Cluster, Database};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use http::{Answer, ask, ask_from, hang_up};
pub(crate) use logs::Logs;
pub(crate) use machine::{Joined, Machine};
pub(crate) use socket::{Socket, Told};

/// Which database a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// A team with an owner.
pub(crate) struct Team {
    pub(crate) id: TeamId,
    pub(crate) owner_id: String,
    /// The owner's API token.
    pub(crate) token: String,
}

impl Team {
    /// The header line of its owner.
    pub(crate) fn owner(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

/// A server with its database, set up, with an admin.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) clock: FakeClock,
    pub(crate) address: SocketAddr,
    /// The first admin's API token.
    pub(crate) admin: String,
    shutdown: CancellationToken,
    _folder: TempDir,
    _database: Option<Database>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    /// Starts a server that is set up. Its reconcilers do not run: tests call them.
    pub(crate) async fn start(backend: Backend) -> Self {
        let mut world = Self::start_new(backend).await;
        let minted = world.set_up(&world.setup_code()).await;
        assert_eq!(minted.status, 201, "{minted:?}");
        world.admin = minted.text("token");
        world
    }

    /// Starts a server without an admin.
    pub(crate) async fn start_new(backend: Backend) -> Self {
        Self::start_behind(backend, TrustedProxies::none()).await
    }

    /// Starts a server without an admin, behind these proxies.
    pub(crate) async fn start_behind(backend: Backend, proxies: TrustedProxies) -> Self {
        Self::start_after(backend, proxies, async |_| {}).await
    }

    /// Starts a server without an admin, on the database that `before` made.
    pub(crate) async fn start_after(
        backend: Backend,
        proxies: TrustedProxies,
        before: impl AsyncFnOnce(StoreConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (location, database) = match backend {
            Backend::Sqlite => (Location::Sqlite(folder.path().join("muster.db")), None),
            Backend::Postgres => {
                let database = Cluster::shared().database();
                (Location::Postgres(database.url().to_owned()), Some(database))
            }
        };
        let (clock, fake) = Clock::fake(Timestamp::from_millis(1_800_000_000_000));
        let mut config = StoreConfig::new(location, Clock::system());
        config.limits.connections = 6;
        before(config.clone()).await;
        let store = Store::open(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let outbound = Gate::reaching(&["127.0.0.0/8".parse().unwrap()]);
        let app = open(store, clock, address, &folder, outbound).await;
        let shutdown = CancellationToken::new();
        let edge = Edge::new(app.clock.clone(), app.entropy).behind(proxies);
        let server = Server {
            kind: ListenerKind::Operators,
            app: router::router(app.clone(), edge.clone()),
            tls: None,
            limits: Limits { drain_within: Duration::from_millis(100), ..Limits::default() },
            edge,
        };
        tokio::spawn(muster_http::serve(listener, server, shutdown.clone()));
        Self {
            app,
            clock: fake,
            address,
            admin: String::new(),
            shutdown,
            _folder: folder,
            _database: database,
        }
    }

    /// Another node on the same database, which reaches public addresses and these networks.
    pub(crate) async fn with_outbound(&self, networks: &[ipnet::IpNet]) -> App {
        let (store, clock) = (self.app.store.clone(), self.app.clock.clone());
        open(store, clock, self.address, &self._folder, Gate::reaching(networks)).await
    }

    /// The code that makes the first admin.
    pub(crate) fn setup_code(&self) -> String {
        self.app.installation.setup_code().unwrap().expose_secret().to_owned()
    }

    /// Asks for the first admin with a code.
    pub(crate) async fn set_up(&self, code: &str) -> Answer {
        self.ask("POST", "/v1/setup", "", Some(json!({ "code": code, "admin_name": "Ada" }))).await
    }

    /// Asks as the admin.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask(method, path, &format!("authorization: Bearer {}\r\n", self.admin), body).await
    }

    /// Asks as the admin and expects success.
    pub(crate) async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.admin(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer.body
    }

    /// Asks with these headers, each with its line end.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: Option<Value>) -> Answer {
        http::ask(self.address, method, path, headers, body.map(|body| body.to_string())).await
    }

    /// Where this server is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the id of the admin team's `default` site.
    pub(crate) async fn default_site(&self) -> String {
        let sites = self.must("GET", "/v1/sites", None).await;
        sites["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Makes another team, whose owner is called like it.
    pub(crate) async fn team(&self, name: &str) -> Team {
        let team = self.must("POST", "/v1/teams", Some(json!({ "name": name }))).await;
        let id = team["id"].as_str().unwrap();
        let owner = json!({ "name": format!("{name} owner") });
        let minted = self.must("POST", &format!("/v1/teams/{id}/owners"), Some(owner)).await;
        let text = |field: &str| minted[field].as_str().unwrap().to_owned();
        Team { id: id.parse().unwrap(), owner_id: text("user_id"), token: text("token") }
    }

    /// Mints a site key and returns its bearer string.
    pub(crate) async fn site_key(&self) -> String {
        let site_id = self.default_site().await;
        let minted = self.must("POST", "/v1/site-keys", Some(json!({ "site_id": site_id }))).await;
        minted["token"].as_str().unwrap().to_owned()
    }

    /// Mints an enrolment token that carries these secrets and returns its bearer string.
    pub(crate) async fn enrolment_token(&self, secrets: Value) -> String {
        let minted = self.must("POST", "/v1/enrolment-tokens", Some(json!({ "secrets": secrets }))).await;
        minted["token"].as_str().unwrap().to_owned()
    }

    /// Joins a new machine with a one-time token that carries these secrets.
    pub(crate) async fn join(&self, name: &str, secrets: Value) -> Joined {
        let token = self.enrolment_token(secrets).await;
        Machine::new(name).join(self, &token).await
    }

    /// Waits for exactly this many audit entries of an action and returns them.
    pub(crate) async fn audited_times(&self, action: &str, times: usize) -> Vec<Value> {
        let mut found = Vec::new();
        for _ in 0..200 {
            found = self.audited(action).await;
            if found.len() >= times {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(found.len(), times, "{action}: {found:?}");
        found
    }

    /// Gives everything that was recorded and told its position.
    pub(crate) async fn seal(&self) {
        while reconcile::seal(&self.app).await.unwrap() > 0
            || self.app.look(|tx| tx.outbox_has_unsealed()).await.unwrap()
        {}
    }

    /// Does what the server does with events in the background, until nothing is due.
    pub(crate) async fn work(&self) {
        self.seal().await;
        while reconcile::spread(&self.app).await.unwrap() > 0 {}
        let delivered = tokio::time::timeout(Duration::from_secs(60), reconcile::deliver(&self.app)).await;
        delivered.expect("delivering ends when nothing can go").unwrap();
    }

    /// Seals what was recorded and returns the audit entries of an action.
    pub(crate) async fn audited(&self, action: &str) -> Vec<Value> {
        self.seal().await;
        let page = self.must("GET", &format!("/v1/audit?limit=200&action={action}"), None).await;
        page["items"].as_array().unwrap().clone()
    }

    /// Returns everything these queries of one column of texts, or of bytes, read: to be searched for what must not be
    /// in it.
    pub(crate) async fn stored(
        &self,
        texts: &'static [&'static str],
        bytes: &'static [&'static str],
    ) -> Vec<u8> {
        let read = self.app.look(move |tx| {
            let mut found = Vec::new();
            for sql in texts {
                found.extend(tx.query(*sql, params![], |row| Ok(row.get::<String>(0)?.into_bytes()))?);
            }
            for sql in bytes {
                let some = tx.query(*sql, params![], |row| row.get::<Option<Vec<u8>>>(0))?;
                found.extend(some.into_iter().flatten());
            }
            Ok(found.join(&b'\n'))
        });
        read.await.unwrap()
    }

    /// Returns the subjects of the events of a kind, oldest first.
    pub(crate) async fn events(&self, kind: &'static str) -> Vec<String> {
        let read = self.app.look(move |tx| {
            tx.query("SELECT subject FROM outbox WHERE kind = $1 ORDER BY seq", params![kind], |row| {
                row.get(0)
            })
        });
        read.await.unwrap()
    }

    /// Returns a host as the admin sees it.
    pub(crate) async fn host(&self, host: &Joined) -> Value {
        self.must("GET", &format!("/v1/hosts/{}", host.host_id), None).await
    }

    /// Waits until the admin sees this under `path`.
    pub(crate) async fn becomes(&self, path: &str, pointer: &str, expected: &str) -> Value {
        let mut shown = Value::Null;
        for _ in 0..200 {
            shown = self.must("GET", path, None).await;
            if shown.pointer(pointer).and_then(Value::as_str) == Some(expected) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path}: {pointer} does not become {expected}: {shown}");
    }

    /// Waits until the hub has let go of a host's channel.
    pub(crate) async fn disconnected(&self, host: &Joined) {
        until("the host is gone", async || !self.app.hub.is_connected(host.host_id)).await;
    }

    /// Retires a host as the admin.
    pub(crate) async fn retire(&self, host: &Joined) -> Answer {
        let path = format!("/v1/hosts/{}", host.host_id);
        let preview = self.must("GET", &format!("{path}/retirement"), None).await;
        let body = json!({ "preview_version": preview["preview_version"] });
        self.admin("POST", &format!("{path}/retire"), Some(body)).await
    }
}

async fn open(store: Store, clock: Clock, address: SocketAddr, folder: &TempDir, outbound: Gate) -> App {
    let keyring = Arc::new(Keyring::derive(&MasterKey::from_bytes([7; 32])));
    let entropy = Entropy;
    let installation = Installation::open(Opening {
        store: &store,
        keyring: &keyring,
        clock: &clock,
        entropy: &entropy,
        tls: muster_server::tls::Tls::absent(),
        loopback_urls: vec![Url::parse(&format!("http://{address}")).unwrap()],
        given_urls: Vec::new(),
        default_urls: vec![Url::parse("https://muster.example").unwrap()],
        setup_code_file: folder.path().join("setup-code"),
    })
    .await
    .unwrap();
    App::new(Parts {
        store,
        keyring,
        clock,
        entropy,
        installation,
        hub: channel::Hub::default(),
        presences: presence::Presences::default(),
        census: muster_server::census::Census::default(),
        former_uses: muster_server::former_uses::FormerUses::default(),
        metrics: metrics::Metrics::default(),
        used_proofs: auth::UsedProofs::default(),
        limits: muster_server::limits::FailureLimits::default(),
        budgets: muster_server::budgets::Budgets::default(),
        tally: muster_server::enrol::Tally::default(),
        arrivals: muster_server::enrol::Arrivals::default(),
        at_the_door: muster_server::enrol::AtTheDoor::default(),
        on_their_way: muster_server::host_config::OnTheirWay::default(),
        streams: muster_server::streams::Streams::default(),
        credentials: auth::Credentials::default(),
        revocations: muster_server::revocations::Revocations::default(),
        uses: muster_server::uses::Uses::default(),
        trail: muster_server::trail::Trail::default(),
        attempts: muster_server::failed_attempts::FailedAttempts::default(),
        sealer: tokio::sync::Notify::new(),
        oidc: muster_server::oidc::Providers::default(),
        outbound,
        news: muster_server::news::News::default(),
    })
}

/// Runs each function twice, as `name::sqlite` and `name::postgres`, with a world of its own.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs them")]
            use super::*;

            async fn run($world: $crate::world::World) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::world::World::start($crate::world::Backend::Sqlite).await).await
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run($crate::world::World::start($crate::world::Backend::Postgres).await).await
            }
        }
    )+};
}
pub(crate) use both;
