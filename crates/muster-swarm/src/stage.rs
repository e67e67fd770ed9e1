//! A server somebody set up through its API: a team, a site without a bound on new hosts, and the site's key.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use muster_client::{Dialer, OperatorClient, ProxyRules, Timeouts};
use muster_edge::Clock;
use muster_ids::SiteId;
use muster_proof::HtuUrl;
use muster_wire::JoinString;
use muster_wire::people::{MintedToken, Team};
use muster_wire::site::Site;
use muster_wire::ticket::MintedTicket;
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use crate::scenario::Over;
use crate::server::{Backend, Server, Watched};

/// Where clients connect: how, and under which name proofs know it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) dialer: Dialer,
    pub(crate) url: Url,
    /// The channel of the same listener.
    pub(crate) channel: Url,
    /// The channel as proofs and hellos name it.
    pub(crate) htu: HtuUrl,
}

impl Door {
    pub(crate) fn authority(&self) -> &str {
        self.url.authority()
    }
}

/// What every scenario plays on.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    /// The owner of the team.
    pub(crate) owner: OperatorClient,
    pub(crate) owner_token: String,
    pub(crate) site_id: SiteId,
    /// The line for `muster-agent join` with the site key.
    pub(crate) join_string: String,
    /// The bearer string of the site key.
    pub(crate) site_key: String,
    pins: Vec<String>,
}

impl Stage {
    /// Starts a server and sets it up.
    pub(crate) async fn open(program: &Path, backend: Backend) -> anyhow::Result<Self> {
        Self::open_watched(program, backend, Watched::No).await
    }

    /// Starts a server that is watched while it runs, and sets it up.
    pub(crate) async fn open_watched(
        program: &Path,
        backend: Backend,
        watched: Watched,
    ) -> anyhow::Result<Self> {
        let server = Server::start(program, backend, watched).await?;
        let operators = server.url(Over::Plain);
        let client = |token: Option<&str>| -> anyhow::Result<OperatorClient> {
            let token = token.map(SecretString::from);
            Ok(OperatorClient::new(dialer(&[])?, operators.clone(), token, None))
        };
        let setup = json!({ "code": server.setup_code()?, "admin_name": "swarm admin" });
        let admin: MintedToken = client(None)?.post("/v1/setup", &setup).await.context("cannot set up")?;
        let admin = client(Some(&admin.token))?;
        let team: Team = admin.post("/v1/teams", &json!({ "name": "swarm" })).await?;
        let path = format!("/v1/teams/{}/owners", team.id);
        let minted: MintedToken = admin.post(&path, &json!({ "name": "swarm owner" })).await?;
        let owner = client(Some(&minted.token))?;
        let policy = json!({ "surge": 1_000_000, "require_key": false });
        let site: Site = owner.post("/v1/sites", &json!({ "name": "swarm", "policy": policy })).await?;
        let key: MintedTicket = owner.post("/v1/site-keys", &json!({ "site_id": site.id })).await?;
        let join: JoinString = key.join_string.parse()?;
        Ok(Self {
            server,
            clock: Clock::system(),
            owner,
            owner_token: minted.token,
            site_id: site.id,
            site_key: key.token,
            join_string: key.join_string,
            pins: join.pins,
        })
    }

    /// How clients get in.
    pub(crate) fn door(&self, over: Over) -> anyhow::Result<Door> {
        let url = self.server.url(over);
        let pins = match over {
            Over::Plain => &[],
            Over::Tls => self.pins.as_slice(),
        };
        door(url, pins, "/v1/agent/connect")
    }
}

/// Makes a door of any server that listens at `url`.
pub(crate) fn door(url: Url, pins: &[String], path: &str) -> anyhow::Result<Door> {
    let mut channel = url.join(path)?;
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    channel.set_scheme(scheme).map_err(|()| anyhow::anyhow!("{url} has no WebSocket scheme"))?;
    let htu = HtuUrl::parse(channel.as_str())?;
    Ok(Door { dialer: dialer(pins)?, url, channel, htu })
}

/// Patient, because thousands of clients share the processors with the server they wait for.
fn dialer(pins: &[String]) -> anyhow::Result<Dialer> {
    let long = Duration::from_secs(60);
    let timeouts = Timeouts { connect: long, handshake: long, response: long };
    Ok(Dialer::new(pins, ProxyRules::none(), timeouts)?)
}
