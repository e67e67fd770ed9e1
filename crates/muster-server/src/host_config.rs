//! What a host should have before it may work: its secrets, under one version and one digest.
//!
//! A configuration is read and opened when it is sent, and never kept: between two sends a secret may change, and a
//! key may lose its right to it.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use muster_ids::{HostId, KeyName, SecretId, TeamId};
use muster_store::rows::{AgentRow, HostConfigRow, SecretRow};
use muster_store::{Priority, StoreError, Tx};
use muster_wire::channel::{Config, ConfigVersion, DeliveredSecret};
use muster_wire::happening::Happening;
use muster_wire::text::SecretName;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::auth::{Agent, may_act};
use crate::failure::Failure;
use crate::gathered::Gathered;
use crate::secrets;
use crate::unit::{Fact, Unit};

/// Gives the configuration of a host its next version; an open channel gets it after the commit.
pub fn changed(unit: &mut Unit<'_, '_>, host_id: HostId) -> Result<(), Failure> {
    all_changed(unit, &[host_id])
}

/// Gives the configuration of each of these hosts its next version, as [`changed`] does.
pub fn all_changed(unit: &mut Unit<'_, '_>, hosts: &[HostId]) -> Result<(), Failure> {
    if unit.tx.host_configs_bump(hosts, unit.now)? != hosts.len() as u64 {
        return Err(Failure::NotFound);
    }
    for host_id in hosts {
        if !unit.effects.config_changed.contains(host_id) {
            unit.effects.config_changed.push(*host_id);
        }
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
/// Hosts in one transaction that says they have their configurations; as many rows.
const APPLIED_AT_ONCE: usize = 100;
const ROWS_AT_ONCE: usize = 500;

/// Configurations on their way: when those of many hosts change at once, they are read and written down together.
#[derive(Debug)]
pub struct OnTheirWay {
    reads: Gathered<KeyName, Option<Loaded>>,
    sends: Gathered<Underway, ()>,
    confirmations: Gathered<Underway, ()>,
}

impl Default for OnTheirWay {
    fn default() -> Self {
        Self {
            reads: Gathered::new(READ_AT_ONCE, |app, keys| Box::pin(read(app, keys))),
            sends: Gathered::new(SENT_AT_ONCE, |app, sends| Box::pin(record_sent(app, sends))),
            confirmations: Gathered::new(APPLIED_AT_ONCE, |app, confirmed| {
                Box::pin(record_applied(app, confirmed))
            }),
        }
    }
}

/// A configuration that is about to be sent, or that its host confirmed.
#[derive(Debug, Clone)]
struct Underway {
    agent: Agent,
    version: ConfigVersion,
    carries: Vec<Carried>,
}

/// Of each in its order: that it was written down, or why its key may not act.
type Answers = Vec<Result<(), Failure>>;

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
    let sending = Underway { agent: agent.clone(), version, carries: carries.to_vec() };
    app.on_their_way.sends.ask(app, sending).await
}

/// Records that an agent has a configuration on disk, and with it what it carries. Fails when the key may not act any
/// more.
pub async fn applied(
    app: &App,
    agent: &Agent,
    version: ConfigVersion,
    carries: &[Carried],
) -> Result<(), Failure> {
    let confirmed = Underway { agent: agent.clone(), version, carries: carries.to_vec() };
    app.on_their_way.confirmations.ask(app, confirmed).await
}

async fn read(app: App, keys: Vec<KeyName>) -> Vec<Result<Option<Loaded>, Failure>> {
    let many = keys.len();
    let stored = match app.look(move |tx| stored(tx, &keys)).await {
        Ok(stored) => stored,
        Err(failure) => return std::iter::repeat_with(|| Err(failure.clone())).take(many).collect(),
    };
    let mut loaded = Vec::with_capacity(many);
    for stored in stored {
        let opened = stored.map(|(team_id, stored)| open(&app, team_id, stored)).transpose();
        if let Err(failure) = &opened {
            app.alert(failure).await;
        }
        loaded.push(opened);
    }
    loaded
}

/// Reads what each key may have. `None`: nothing.
fn stored(tx: &mut Tx<'_>, keys: &[KeyName]) -> Result<Vec<Option<(TeamId, Stored)>>, StoreError> {
    let agents = tx.agents_by_key(keys)?;
    let may: Vec<Option<&AgentRow>> =
        agents.iter().map(|agent| agent.as_ref().filter(|agent| agent.may_act())).collect();
    let hosts: Vec<HostId> = may.iter().flatten().map(|agent| agent.host_id).collect();
    let owners: Vec<_> =
        may.iter().flatten().map(|agent| (agent.team_id, agent.host_id.to_string())).collect();
    let teams: BTreeSet<TeamId> = may.iter().flatten().map(|agent| agent.team_id).collect();
    let gone = |what| move || StoreError::corrupt(what);
    let mut wrapped_keys = BTreeMap::new();
    for team_id in teams {
        let team = tx.team(team_id)?.ok_or_else(gone("the team of a host is gone"))?;
        wrapped_keys.insert(team_id, team.wrapped_key);
    }
    let configs = tx.host_configs(&hosts)?;
    let mut found = configs.into_iter().zip(tx.secrets_of_owners("host", &owners)?);
    let stored = may.into_iter().map(|agent| {
        let Some(agent) = agent else { return Ok(None) };
        let (config, secrets) = found.next().ok_or_else(gone("a host was not asked for"))?;
        let config = config.ok_or_else(gone("the configuration of a host is gone"))?;
        let wrapped_key = wrapped_keys.get(&agent.team_id).cloned();
        let wrapped_key = wrapped_key.ok_or_else(gone("a team was not asked for"))?;
        Ok(Some((agent.team_id, Stored { config, wrapped_key, secrets })))
    });
    stored.collect()
}

/// Writes many down in transactions of at most [`ROWS_AT_ONCE`] rows, of which each costs so many.
async fn record(
    app: &App,
    many: Vec<Underway>,
    rows_of: fn(&Underway) -> usize,
    write: fn(&mut Unit<'_, '_>, &[Underway]) -> Result<Answers, Failure>,
) -> Answers {
    let mut recorded = Vec::with_capacity(many.len());
    let mut waiting = many.into_iter().peekable();
    while waiting.peek().is_some() {
        let (mut chunk, mut rows) = (Vec::new(), 0);
        while let Some(next) =
            waiting.next_if(|next| chunk.is_empty() || rows + rows_of(next) <= ROWS_AT_ONCE)
        {
            rows += rows_of(&next);
            chunk.push(next);
        }
        let many = chunk.len();
        let written = app.change(Priority::Normal, app.clock.now(), move |unit| {
            let held = chunk.iter().flat_map(|underway| underway.agent.held());
            unit.tx.lock(&held.collect::<Vec<_>>())?;
            write(unit, &chunk)
        });
        match written.await {
            Ok(answers) => recorded.extend(answers),
            Err(failure) => recorded.extend(std::iter::repeat_with(|| Err(failure.clone())).take(many)),
        }
    }
    recorded
}

async fn record_sent(app: App, sends: Vec<Underway>) -> Answers {
    record(&app, sends, |sending| sending.carries.len() + 1, write_sent).await
}

/// Each brings a row of the trail for the configuration, and one of the trail and an event for each secret.
async fn record_applied(app: App, confirmed: Vec<Underway>) -> Answers {
    record(&app, confirmed, |confirmed| 2 + 3 * confirmed.carries.len(), write_applied).await
}

/// Says of each whether its key may act; those that may, in the order of their hosts: whoever writes rows of several hosts
/// does it in this order.
fn who_may<'a>(
    unit: &mut Unit<'_, '_>,
    many: &'a [Underway],
) -> Result<(Answers, Vec<&'a Underway>), Failure> {
    let keys: Vec<KeyName> = many.iter().map(|underway| underway.agent.key).collect();
    let agents = unit.tx.agents_by_key(&keys)?;
    let may: Answers = agents.iter().map(|row| may_act(row.as_ref())).collect();
    let mut those: Vec<&Underway> =
        many.iter().zip(&may).filter(|(_, may)| may.is_ok()).map(|(underway, _)| underway).collect();
    those.sort_by_key(|underway| underway.agent.host_id);
    Ok((may, those))
}

fn versions(those: &[&Underway]) -> Vec<(HostId, ConfigVersion)> {
    those.iter().map(|underway| (underway.agent.host_id, underway.version)).collect()
}

fn carried(those: &[&Underway]) -> Vec<(SecretId, i64, KeyName)> {
    let of_one = |underway: &&Underway| {
        let key = underway.agent.key;
        underway.carries.iter().map(move |secret| (secret.secret_id, secret.version, key)).collect::<Vec<_>>()
    };
    those.iter().flat_map(of_one).collect()
}

fn write_sent(unit: &mut Unit<'_, '_>, sends: &[Underway]) -> Result<Answers, Failure> {
    let (may, those) = who_may(unit, sends)?;
    unit.tx.host_configs_sent(&versions(&those), unit.now)?;
    unit.tx.secrets_sent(&carried(&those), unit.now)?;
    Ok(may)
}

fn write_applied(unit: &mut Unit<'_, '_>, confirmed: &[Underway]) -> Result<Answers, Failure> {
    let (may, those) = who_may(unit, confirmed)?;
    let are_news = unit.tx.host_configs_applied(&versions(&those), unit.now)?;
    let mut are_new = unit.tx.secrets_delivered(&carried(&those), unit.now)?.into_iter();
    for (Underway { agent, version, carries }, is_news) in those.into_iter().zip(are_news) {
        let author = agent.author();
        let fact = |what| Fact::new(what, agent.team_id, &author, agent.host_id).of_host(agent.host_id);
        for (secret, _) in carries.iter().zip(are_new.by_ref()).filter(|(_, is_new)| *is_new) {
            let details = json!({ "secret": secret.name, "version": secret.version, "key": agent.key });
            unit.happened(fact(Happening::SecretDelivered).details(details));
        }
        if is_news {
            let details = json!({ "epoch": version.epoch, "n": version.n });
            unit.happened(fact(Happening::HostConfigApplied).details(details));
        }
    }
    Ok(may)
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
