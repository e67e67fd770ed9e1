//! A host, its copies, and what can be seen of both.

use std::net::Ipv4Addr;

use muster_edge::Entropy;
use muster_ids::{HostId, KeyName};
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl, successor};
use muster_wire::channel::{ServerMessage, close};
use muster_wire::claim::CopyCause;
use muster_wire::enroll::ForkClaims;
use serde_json::{Value, json};

use crate::world::{Answer, Joined, Socket, Told, World, ask_from};

pub(crate) const PATH: &str = "/v1/enroll/fork";
/// What no copy may ever see.
pub(crate) const SECRET: &str = "correct horse battery staple";

pub(crate) fn repo() -> Value {
    json!({ "repo": { "url": "rest:https://backup.example/", "password": SECRET } })
}

/// Joins a host with a secret, connects it twice, and returns it with the state of each connection.
pub(crate) async fn joined(world: &World) -> (Joined, String, String) {
    let host = world.join("alpha", repo()).await;
    let (socket, first) = host.connect(world, None).await;
    drop(socket);
    world.disconnected(&host).await;
    let (socket, second) = host.connect(world, Some(first.clone())).await;
    drop(socket);
    world.disconnected(&host).await;
    (host, first, second)
}

/// Says hello as a host with this state and start; returns the socket.
pub(crate) async fn knock(world: &World, host: &Joined, generation: Option<&str>, boot_id: &str) -> Socket {
    let mut socket = host.dial(world).await;
    boot_id.clone_into(&mut socket.boot_id);
    let claims = socket.claims(host, world, generation.map(str::to_owned));
    socket.hello(host, &claims).await;
    socket
}

/// Shows an older state and is sent away with nothing but that.
pub(crate) async fn is_stale(world: &World, host: &Joined, generation: Option<&str>, boot_id: &str) {
    let mut socket = knock(world, host, generation, boot_id).await;
    says_goodbye(&mut socket, "generation_stale", close::GENERATION_STALE).await;
}

/// Expects a goodbye of this reason, this close code, and nothing before, between or after.
pub(crate) async fn says_goodbye(socket: &mut Socket, expected: &str, code: u16) {
    match socket.message().await {
        ServerMessage::Goodbye { reason, .. } => assert_eq!(reason.as_str(), expected),
        other => panic!("not a goodbye: {other:?}"),
    }
    match socket.next().await {
        Told::Closed(closed, _) => assert_eq!(closed, code),
        other => panic!("not closed: {other:?}"),
    }
}

/// A machine that runs on a copied state: a start of its own, and the key it makes itself.
pub(crate) struct Copied {
    pub(crate) own: HostKey,
    pub(crate) boot_id: String,
    pub(crate) cause: CopyCause,
    pub(crate) generation: Option<String>,
    pub(crate) uid: String,
}

impl Copied {
    pub(crate) fn new(boot_id: &str) -> Self {
        Self {
            own: HostKey::generate(),
            boot_id: boot_id.to_owned(),
            cause: CopyCause::GenerationStale,
            generation: None,
            uid: uid(boot_id),
        }
    }

    pub(crate) fn holding(generation: &str, boot_id: &str) -> Self {
        Self { generation: Some(generation.to_owned()), ..Self::new(boot_id) }
    }

    pub(crate) fn key_name(&self) -> KeyName {
        KeyName::Pair(self.own.thumbprint())
    }

    pub(crate) fn claims(&self, host_id: HostId) -> ForkClaims {
        ForkClaims {
            host_id,
            key: self.own.thumbprint(),
            cause: self.cause,
            generation: self.generation.clone(),
            boot_id: self.boot_id.clone(),
        }
    }

    /// Asks for an identity of its own, honestly.
    pub(crate) async fn asks(&self, world: &World, host: &Joined) -> Answer {
        let statement = successor::sign_fork(&host.key, &self.claims(host.host_id));
        fork(world, &self.own, host.host_id, &statement, &self.uid).await
    }

    /// Asks from this address of the loopback network, and waits for a person: returns the claim.
    pub(crate) async fn waits_from(&self, from: Ipv4Addr, world: &World, host: &Joined) -> String {
        let statement = successor::sign_fork(&host.key, &self.claims(host.host_id));
        let answer = fork_from(from, world, &self.own, host.host_id, &statement, &self.uid).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.text("claim_id")
    }

    /// Asks, and waits for a person: returns the claim.
    pub(crate) async fn waits(&self, world: &World, host: &Joined) -> String {
        let answer = self.asks(world, host).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.body["reason"], "clone", "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert!(!answer.raw_body.contains(&host.host_id.to_string()), "a claim names no host");
        answer.text("claim_id")
    }

    /// The host it became.
    pub(crate) fn host(self, host_id: &str) -> Joined {
        Joined { key: self.own, host_id: host_id.parse().unwrap(), hostname: "copy".to_owned() }
    }
}

pub(crate) fn uid(of: &str) -> String {
    let digest = muster_proof::digest::sha256(of.as_bytes());
    format!("smbios:{}", &data_encoding::HEXLOWER.encode(&digest)[..32])
}

/// What a copy says at the door.
pub(crate) fn body(host_id: HostId, statement: &str, uid: &str) -> String {
    let facts =
        json!({ "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20 });
    json!({
        "host_id": host_id, "statement": statement, "hostname": "copy", "machine_uid": uid, "facts": facts,
    })
    .to_string()
}

/// The header line of a proof by `own` over this body.
pub(crate) fn proof(world: &World, own: &HostKey, body: &str) -> String {
    let url = HtuUrl::parse(&world.url(PATH)).unwrap();
    let claims = Claims::new("POST", &url, world.app.clock.now(), Entropy.bytes()).body(body.as_bytes());
    format!("dpop: {}\r\n", prove(own, &claims))
}

pub(crate) async fn fork(
    world: &World,
    own: &HostKey,
    host_id: HostId,
    statement: &str,
    uid: &str,
) -> Answer {
    fork_from(Ipv4Addr::LOCALHOST, world, own, host_id, statement, uid).await
}

/// Asks from this address of the loopback network.
pub(crate) async fn fork_from(
    from: Ipv4Addr,
    world: &World,
    own: &HostKey,
    host_id: HostId,
    statement: &str,
    uid: &str,
) -> Answer {
    let body = body(host_id, statement, uid);
    ask_from(from.into(), world.address, "POST", PATH, &proof(world, own, &body), Some(body.clone())).await
}

/// Returns the claims on a host that stand here, oldest first.
pub(crate) async fn claims(world: &World, host: &Joined, state: &str) -> Vec<Value> {
    let path = format!("/v1/claims?limit=200&reason=clone&state={state}&host_id={}", host.host_id);
    world.must("GET", &path, None).await["items"].as_array().unwrap().clone()
}

/// Returns the one claim that waits on a host.
pub(crate) async fn the_claim(world: &World, host: &Joined) -> Value {
    let claims = claims(world, host, "waiting").await;
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims[0].clone()
}

/// Decides a claim on what is shown of it now.
pub(crate) async fn decide(world: &World, claim_id: &str, verdict: &str, with_secrets: bool) -> Answer {
    let claim = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
    let decision = json!({
        "verdict": verdict, "evidence_version": claim["evidence_version"], "with_secrets": with_secrets,
    });
    world.admin("POST", &format!("/v1/claims/{claim_id}/decision"), Some(decision)).await
}

/// Whether the admin sees the host held.
pub(crate) async fn is_held(world: &World, host: &Joined) -> bool {
    !world.host(host).await["held"].is_null()
}

/// Everything that is stored of who a host is: its row, its keys, its generations, its configuration, its secrets.
pub(crate) async fn all_of(world: &World, host_id: HostId) -> String {
    let read = world.app.look(move |tx| {
        let team_id = tx.platform_team_id()?.unwrap();
        let mut all = format!("{:?}\n{:?}\n", tx.host(team_id, host_id)?, tx.host_held_at(team_id, host_id)?);
        for key in tx.host_keys(host_id)? {
            all += &format!(
                "{key:?}\n{:?}\n{:?}\n",
                tx.key_generation(&key.name)?,
                tx.boot_id_of_key(&key.name)?
            );
        }
        all += &format!("{:?}\n", tx.host_config(host_id)?.map(|config| config.version));
        all += &format!("{:?}\n", tx.secrets_owned(team_id, "host", &host_id.to_string())?);
        Ok(all)
    });
    read.await.unwrap()
}

/// Counts everything that grows when something is written down.
pub(crate) async fn written(world: &World) -> Vec<i64> {
    let read = world.app.look(|tx| {
        let mut counts = Vec::new();
        for sql in [
            "SELECT count(*) FROM audit",
            "SELECT count(*) FROM outbox",
            "SELECT count(*) FROM claim",
            "SELECT count(*) FROM revocation",
        ] {
            counts.push(tx.query_one(sql, muster_store::params![], |row| row.get::<i64>(0))?);
        }
        Ok(counts)
    });
    read.await.unwrap()
}
