//! What a host should have before it may work: its secrets, under one version and one digest.
//!
//! A configuration is read and opened when it is sent, and never kept: between two sends a secret may change, and a
//! key may lose its right to it.

use data_encoding::HEXLOWER;
use muster_ids::{HostId, KeyName, SecretId, TeamId};
use muster_store::rows::{HostConfigRow, SecretRow};
use muster_store::{Priority, StoreError, Tx};
use muster_wire::channel::{Config, ConfigVersion, DeliveredSecret};
use muster_wire::happening::Happening;
use muster_wire::text::SecretName;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::auth::Agent;
use crate::failure::Failure;
use crate::gathered::Gathered;
use crate::secrets;
use crate::unit::{Fact, Unit};

/// Gives the configuration of a host its next version; an open channel gets it after the commit.
pub fn changed(unit: &mut Unit<'_, '_>, host_id: HostId) -> Result<(), Failure> {
    if !unit.tx.host_config_bump(host_id, unit.now)? {
        return Err(Failure::NotFound);
    }
    if !unit.effects.config_changed.contains(&host_id) {
        unit.effects.config_changed.push(host_id);
    }
    Ok(())
}

/// One secret of a configuration, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The secret.
    pub secret_id: SecretId,
    /// Its name at the host.
    pub name: SecretName,
    /// Which version.
    pub version: i64,
}

/// A configuration on its way to its host.
#[derive(Debug)]
pub struct Loaded {
    /// What is sent.
    pub config: Config,
    /// What is in it.
    pub carries: Vec<Carried>,
}

struct Stored {
    config: HostConfigRow,
    wrapped_key: Vec<u8>,
    secrets: Vec<SecretRow>,
}

/// Hosts whose configurations are read in one transaction.
const READ_AT_ONCE: usize = 100;
/// Hosts in one transaction that says their configurations are sent; with at most [`ROWS_AT_ONCE`] rows.
const SENT_AT_ONCE: usize = 250;
const ROWS_AT_ONCE: usize = 500;

/// Configurations on their way: when those of many hosts change at once, they are read and written down together.
#[derive(Debug)]
pub struct OnTheirWay {
    reads: Gathered<KeyName, Option<Loaded>>,
    sends: Gathered<Sending, ()>,
}

impl Default for OnTheirWay {
    fn default() -> Self {
        Self {
            reads: Gathered::new(READ_AT_ONCE, |app, keys| Box::pin(read(app, keys))),
            sends: Gathered::new(SENT_AT_ONCE, |app, sends| Box::pin(record_sent(app, sends))),
        }
    }
}

/// A configuration that is about to be sent.
#[derive(Debug, Clone)]
struct Sending {
    agent: Agent,
    version: ConfigVersion,
    carries: Vec<Carried>,
}

/// Reads and opens the configuration of the host that `key` speaks for. `None`: the key or the host may not have it.
pub async fn load(app: &App, key: KeyName) -> Result<Option<Loaded>, Failure> {
    app.on_their_way.reads.ask(app, key).await
}

/// Says that a configuration is about to be sent: its secrets count as received from now on. Fails when the key may not
/// have it any more.
pub async fn sending(
    app: &App,
    agent: &Agent,
    version: ConfigVersion,
    carries: &[Carried],
) -> Result<(), Failure> {
    let sending = Sending { agent: agent.clone(), version, carries: carries.to_vec() };
    app.on_their_way.sends.ask(app, sending).await
}

async fn read(app: App, keys: Vec<KeyName>) -> Vec<Result<Option<Loaded>, Failure>> {
    let many = keys.len();
    let stored = match app.look(move |tx| keys.iter().map(|key| stored(tx, key)).collect()).await {
        Ok(stored) => stored,
        Err(failure) => return std::iter::repeat_with(|| Err(failure.clone())).take(many).collect(),
    };
    let mut loaded = Vec::with_capacity(many);
    let stored: Vec<Option<(TeamId, Stored)>> = stored;
    for stored in stored {
        let opened = stored.map(|(team_id, stored)| open(&app, team_id, stored)).transpose();
        if let Err(failure) = &opened {
            app.alert(failure).await;
        }
        loaded.push(opened);
    }
    loaded
}

fn stored(tx: &mut Tx<'_>, key: &KeyName) -> Result<Option<(TeamId, Stored)>, StoreError> {
    let Some(agent) = tx.agent_by_key(key)? else { return Ok(None) };
    if !agent.may_act() {
        return Ok(None);
    }
    let gone = |what| move || StoreError::corrupt(what);
    let team = tx.team(agent.team_id)?.ok_or_else(gone("the team of a host is gone"))?;
    let config = tx.host_config(agent.host_id)?.ok_or_else(gone("the configuration of a host is gone"))?;
    let secrets = tx.secrets_owned(agent.team_id, "host", &agent.host_id.to_string())?;
    Ok(Some((agent.team_id, Stored { config, wrapped_key: team.wrapped_key, secrets })))
}

async fn record_sent(app: App, sends: Vec<Sending>) -> Vec<Result<(), Failure>> {
    let mut recorded = Vec::with_capacity(sends.len());
    let mut waiting = sends.into_iter().peekable();
    while waiting.peek().is_some() {
        let (mut chunk, mut rows) = (Vec::new(), 0);
        while let Some(next) = waiting.next_if(|next| chunk.is_empty() || rows + next.rows() <= ROWS_AT_ONCE)
        {
            rows += next.rows();
            chunk.push(next);
        }
        let many = chunk.len();
        let written = app.change(Priority::Normal, app.clock.now(), move |unit| {
            let held = chunk.iter().flat_map(|sending| sending.agent.held());
            unit.tx.lock(&held.collect::<Vec<_>>())?;
            chunk.iter().map(|sending| sending.record(unit)).collect::<Result<Vec<bool>, Failure>>()
        });
        match written.await {
            Ok(may) => recorded
                .extend(may.into_iter().map(|may| if may { Ok(()) } else { Err(Failure::KeyNotActive) })),
            Err(failure) => recorded.extend(std::iter::repeat_with(|| Err(failure.clone())).take(many)),
        }
    }
    recorded
}

/// Records that an agent has a configuration on disk, and with it what it carries.
pub(crate) fn applied(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    version: ConfigVersion,
    carries: &[Carried],
) -> Result<(), Failure> {
    agent.still_may(unit)?;
    let is_news = unit.tx.host_config_applied(agent.host_id, version, unit.now)?;
    let author = agent.author();
    let fact = |what| Fact::new(what, agent.team_id, &author, agent.host_id).of_host(agent.host_id);
    for secret in carries {
        if unit.tx.secret_delivered(secret.secret_id, secret.version, &agent.key, unit.now)? {
            let details = json!({ "secret": secret.name, "version": secret.version, "key": agent.key });
            unit.happened(fact(Happening::SecretDelivered).details(details));
        }
    }
    if is_news {
        let details = json!({ "epoch": version.epoch, "n": version.n });
        unit.happened(fact(Happening::HostConfigApplied).details(details));
    }
    Ok(())
}

impl Sending {
    fn rows(&self) -> usize {
        self.carries.len() + 1
    }

    /// Writes one down, whose locks are held. `false`: its key may not have it any more.
    fn record(&self, unit: &mut Unit<'_, '_>) -> Result<bool, Failure> {
        if !unit.tx.agent_by_key(&self.agent.key)?.is_some_and(|row| row.may_act()) {
            return Ok(false);
        }
        unit.tx.host_config_sent(self.agent.host_id, self.version, unit.now)?;
        for secret in &self.carries {
            unit.tx.secret_sent(secret.secret_id, secret.version, &self.agent.key, unit.now)?;
        }
        Ok(true)
    }
}

fn open(app: &App, team_id: TeamId, stored: Stored) -> Result<Loaded, Failure> {
    let version = stored.config.version;
    if stored.secrets.is_empty() {
        return Ok(Loaded { config: config(version, Vec::new()), carries: Vec::new() });
    }
    let team_key = secrets::open_team_key(&app.keyring, team_id, &stored.wrapped_key)?;
    let mut entries = Vec::with_capacity(stored.secrets.len());
    let mut carries = Vec::with_capacity(stored.secrets.len());
    for row in stored.secrets {
        let document = secrets::open(&team_key, &row)?;
        let name = SecretName::parse(&row.name).map_err(Failure::internal)?;
        let version = u64::try_from(row.version).map_err(Failure::internal)?;
        carries.push(Carried { secret_id: row.id, name: name.clone(), version: row.version });
        entries.push((name, DeliveredSecret { version, document }));
    }
    Ok(Loaded { config: config(version, entries), carries })
}

fn config(version: ConfigVersion, secrets: Vec<(SecretName, DeliveredSecret)>) -> Config {
    #[derive(Serialize)]
    struct Digested<'a, S> {
        version: ConfigVersion,
        secrets: &'a S,
    }
    let secrets = secrets.into_iter().collect();
    let text =
        serde_json::to_vec(&Digested { version, secrets: &secrets }).expect("names and documents are JSON");
    let digest = HEXLOWER.encode(&muster_proof::digest::sha256(&zeroize::Zeroizing::new(text)));
    Config { version, digest, secrets }
}

#[cfg(test)]
mod tests {
    use muster_wire::secret::Document;
    use serde_json::json;

    use super::*;

    fn sealed(value: serde_json::Value) -> Vec<(SecretName, DeliveredSecret)> {
        let document: Document = serde_json::from_value(value).unwrap();
        vec![(SecretName::parse("repo").unwrap(), DeliveredSecret { version: 1, document })]
    }

    #[test]
    fn two_contents_or_two_versions_never_share_a_digest() {
        let one = ConfigVersion { epoch: 0, n: 1 };
        let two = ConfigVersion { epoch: 0, n: 2 };
        let digest = |version, value| config(version, sealed(value)).digest;
        assert_eq!(digest(one, json!({"a": 1, "b": 2})), digest(one, json!({"b": 2, "a": 1})));
        assert_ne!(digest(one, json!({"a": 1})), digest(one, json!({"a": 2})));
        assert_ne!(digest(one, json!({"a": 1})), digest(two, json!({"a": 1})));
        assert_eq!(config(one, Vec::new()).digest.len(), 64);
    }
}
