//! A server with a provider, a team, and people in groups.

use std::time::Duration;

use muster_edge::Clock;
use muster_testkit::http::Answer;
use muster_testkit::oidc::{CLIENT_ID, CLIENT_SECRET, OidcProvider};
use serde_json::{Value, json};
use url::Url;

use crate::oidc::browser::Browser;
use crate::world::World;

pub(crate) const HOST: &str = "127.0.0.1";
pub(crate) const SESSION: &str = "muster-local-session";
pub(crate) const PENDING: &str = "muster-local-oidc";
pub(crate) const CALLBACK: &str = "/v1/oidc/callback";

/// A server, and a provider `corp` it takes people from.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) provider: OidcProvider,
    pub(crate) team: String,
    pub(crate) platform: String,
}

impl Scene {
    /// Ada is an operator of team acme, Eve an admin, Mallory in no group that counts.
    pub(crate) async fn of(world: World) -> Self {
        Self::with(world, false).await
    }

    pub(crate) async fn with(world: World, claims_in_user_info: bool) -> Self {
        // The provider's clock is the real one.
        world.clock.set_wall(Clock::system().now());
        let accounts = json!({
            "sub-ada": { "preferred_username": "ada", "name": "Ada Lovelace", "groups": ["ops", "everybody"] },
            "sub-eve": { "preferred_username": "eve", "groups": ["root"] },
            "sub-mallory": { "preferred_username": "ada", "name": "Ada Lovelace", "groups": ["everybody"] },
        });
        let redirect_uri = world.url(CALLBACK);
        let provider = OidcProvider::start(&[redirect_uri], &accounts, claims_in_user_info).await.unwrap();
        let team = world.must("POST", "/v1/teams", Some(json!({ "name": "acme" }))).await;
        let platform = world.must("GET", "/v1/me", None).await["team_id"].as_str().unwrap().to_owned();
        let scene = Self { world, provider, team: team["id"].as_str().unwrap().to_owned(), platform };
        scene.world.must("PUT", "/v1/oidc/providers/corp", Some(scene.settings())).await;
        scene
    }

    /// The settings of `corp`.
    pub(crate) fn settings(&self) -> Value {
        let mapping = |group: &str, team_id: &str, role: &str| json!({ "group": group, "team_id": team_id, "role": role });
        json!({
            "issuer": self.provider.issuer(),
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "mappings": [
                mapping("root", &self.platform, "admin"),
                mapping("owners", &self.team, "owner"),
                mapping("ops", &self.team, "operator"),
                mapping("lookers", &self.platform, "viewer"),
            ],
        })
    }

    /// Says who signs in next.
    pub(crate) async fn next_is(&self, subject: &str) {
        self.provider.set(&json!({ "who": subject })).await.unwrap();
    }

    /// Puts somebody into groups, and nowhere else.
    pub(crate) async fn put(&self, subject: &str, name: &str, groups: &[&str]) {
        let account = json!({ subject: { "preferred_username": name, "groups": groups } });
        self.provider.set(&json!({ "accounts": account })).await.unwrap();
    }

    /// Where a sign-in starts.
    pub(crate) fn start(&self, return_to: &str) -> String {
        self.world.url(&format!("/v1/oidc/corp/start?return_to={return_to}"))
    }

    /// Signs somebody in with a new browser, all the way.
    pub(crate) async fn sign_in(&self, subject: &str) -> (Browser, Answer) {
        self.next_is(subject).await;
        let mut browser = Browser::default();
        let (_, answer) = browser.go(&self.start("/v1/me"), None).await;
        (browser, answer)
    }

    /// Goes to the provider and back with a new browser, up to the callback, which is not asked for.
    pub(crate) async fn until_callback(&self, subject: &str) -> (Browser, Url) {
        self.next_is(subject).await;
        let mut browser = Browser::default();
        let (callback, _) = browser.go(&self.start("/v1/me"), Some(CALLBACK)).await;
        (browser, callback)
    }

    /// Says who a browser is to the server.
    pub(crate) async fn me(&self, browser: &mut Browser) -> Answer {
        browser.get(&Url::parse(&self.world.url("/v1/me")).unwrap()).await
    }

    /// Lets time go by, for the documents of the provider too.
    pub(crate) fn wait(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }
}

/// Expects a refusal that leaves the browser signed out.
#[track_caller]
pub(crate) fn refused(browser: &Browser, answer: &Answer, status: u16, code: &str) {
    let said = answer.json();
    assert_eq!((answer.status, said["code"].as_str()), (status, Some(code)), "{said}");
    assert_eq!(browser.cookie(HOST, SESSION), None, "the browser has a session");
}
