//! What a host should have before it may work: its secrets, under one version and one digest.
//!
//! A configuration is read and opened when it is sent, and never kept: between two sends a secret may change, and a
//! key may lose its right to it.

use data_encoding::HEXLOWER;
use muster_ids::{HostId, KeyName, SecretId, TeamId};
use muster_store::StoreError;
use muster_store::rows::{HostConfigRow, SecretRow};
use muster_wire::channel::{Config, ConfigVersion, DeliveredSecret};
use muster_wire::text::SecretName;
use serde::Serialize;

use crate::app::App;
use crate::failure::Failure;
use crate::secrets;
use crate::unit::Unit;

/// Gives the configuration of a host its next version; an open channel gets it after the commit.
pub fn changed(unit: &mut Unit<'_, '_>, host_id: HostId) -> Result<(), Failure> {
    if !unit.tx.host_config_bump(host_id)? {
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

/// Reads and opens the configuration of the host that `key` speaks for. `None`: the key or the host may not have it.
pub async fn load(app: &App, key: KeyName) -> Result<Option<Loaded>, Failure> {
    let stored = app
        .look(move |tx| {
            let Some(agent) = tx.agent_by_key(&key)? else { return Ok(None) };
            if !agent.may_act() {
                return Ok(None);
            }
            let gone = |what| move || StoreError::corrupt(what);
            let team = tx.team(agent.team_id)?.ok_or_else(gone("the team of a host is gone"))?;
            let config =
                tx.host_config(agent.host_id)?.ok_or_else(gone("the configuration of a host is gone"))?;
            let secrets = tx.secrets_owned(agent.team_id, "host", &agent.host_id.to_string())?;
            Ok(Some((agent.team_id, Stored { config, wrapped_key: team.wrapped_key, secrets })))
        })
        .await?;
    let Some((team_id, stored)) = stored else { return Ok(None) };
    match open(app, team_id, stored) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(failure) => {
            app.alert(&failure).await;
            Err(failure)
        }
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
