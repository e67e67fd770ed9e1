//! Secrets: sealed documents of tickets and hosts, and the ledger of who received them.

use muster_ids::{HostId, KeyName, SecretId, TeamId, Timestamp};

use crate::{Json, Row, StoreError, Tx, Value, params};

/// A sealed secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Names it.
    pub id: SecretId,
    /// Its team.
    pub team_id: TeamId,
    /// What kind of thing owns it: `ticket`, `host`, …
    pub owner_kind: String,
    /// The owner's id in its text form.
    pub owner_id: String,
    /// Its name at its owner.
    pub name: String,
    /// Counts its changes.
    pub version: i64,
    /// Names of its fields.
    pub fields: Vec<String>,
    /// The sealed document.
    pub blob: Vec<u8>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for SecretRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretRow({}, {}, version {})", self.id, self.name, self.version)
    }
}

/// A secret as operators see it: never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSecret {
    /// Names it.
    pub id: SecretId,
    /// Its name at its host.
    pub name: String,
    /// Counts its changes.
    pub version: u64,
    /// Names of its fields.
    pub fields: Vec<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether the value it has now was sent to a key that is no longer active, or that a copy of the host was made with
    /// afterwards.
    pub exposed: bool,
}

/// One delivery of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The secret.
    pub secret_id: SecretId,
    /// Which version.
    pub version: u64,
    /// To which key.
    pub key: KeyName,
    /// When the agent confirmed it.
    pub confirmed_at: Timestamp,
}

/// A secret whose value went to a key nobody trusts any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedSecret {
    /// Its team.
    pub team_id: TeamId,
    /// Its host.
    pub host_id: HostId,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

/// The text that reads secrets with the moment since which their value was with a key nobody trusts any more: since a
/// copy of its host asked or the key ended, whichever was first; null, when it was not.
macro_rules! with_exposed_since {
    ($columns:literal, $secrets:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", (SELECT min(CASE WHEN copy.id IS NOT NULL AND (host_key.ended_at IS NULL OR host_key.rotated_to IS NOT NULL
                                         OR copy.created_at < host_key.ended_at)
                           THEN copy.created_at
                           ELSE coalesce(host_key.ended_at, secret_delivery.sent_at) END)
                  FROM secret_delivery
                  LEFT JOIN host_key ON host_key.name = secret_delivery.key_name
                  LEFT JOIN claim AS copy ON copy.former_key = secret_delivery.key_name AND copy.reason = 'clone'
                        AND copy.created_at >= secret_delivery.sent_at
                 WHERE secret_delivery.secret_id = secret.id
                   AND secret_delivery.version = secret.version
                   AND (copy.id IS NOT NULL
                        OR (coalesce(host_key.state, '') <> 'active' AND host_key.rotated_to IS NULL)))
               FROM ",
            $secrets
        )
    };
}

impl Tx<'_> {
    /// Stores a secret. `false`: its owner has one of that name.
    pub fn secret_insert(&mut self, secret: &SecretRow) -> Result<bool, StoreError> {
        Ok(self.secrets_insert(&[secret])? == 1)
    }

    /// Stores secrets, but those whose owner has one of that name; returns how many it stored.
    pub fn secrets_insert(&mut self, secrets: &[&SecretRow]) -> Result<u64, StoreError> {
        let stored = |secret: &&SecretRow| {
            params![
                secret.id,
                secret.team_id,
                secret.owner_kind,
                secret.owner_id,
                secret.name,
                secret.version,
                Json(&secret.fields),
                secret.blob,
                secret.updated_at
            ]
            .to_vec()
        };
        self.insert_rows(
            "INSERT INTO secret (id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (team_id, owner_kind, owner_id, name) DO NOTHING",
            &secrets.iter().map(stored).collect::<Vec<_>>(),
        )
    }

    /// Returns a secret by its name at its owner.
    pub fn secret(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_id: &str,
        name: &str,
    ) -> Result<Option<SecretRow>, StoreError> {
        let owner_id = owner_id.to_owned();
        Ok(self.secrets_of_name(team_id, owner_kind, &[owner_id], name)?.pop().flatten())
    }

    /// Returns the secret of one name of each owner, in the order of the owners here.
    pub fn secrets_of_name(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_ids: &[String],
        name: &str,
    ) -> Result<Vec<Option<SecretRow>>, StoreError> {
        let named = |owner_id: &String| params![team_id, owner_kind, owner_id, name].to_vec();
        let found = self.query_each(
            "SELECT id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at FROM secret
              WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3 AND name = $4",
            &owner_ids.iter().map(named).collect::<Vec<_>>(),
            read_secret,
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Returns how many secrets of other names each owner has, and how many sealed bytes they are.
    pub fn secrets_beside(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_ids: &[String],
        name: &str,
    ) -> Result<Vec<(u64, u64)>, StoreError> {
        let others = |owner_id: &String| params![team_id, owner_kind, owner_id, name].to_vec();
        let found = self.query_each(
            "SELECT count(*), CAST(coalesce(sum(length(blob)), 0) AS BIGINT) FROM secret
              WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3 AND name <> $4",
            &owner_ids.iter().map(others).collect::<Vec<_>>(),
            |row| Ok((row.get::<u64>(0)?, row.get::<u64>(1)?)),
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop().unwrap_or_default()).collect())
    }

    /// Returns the secrets of an owner in order of their names.
    pub fn secrets_owned(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_id: &str,
    ) -> Result<Vec<SecretRow>, StoreError> {
        let owner = (team_id, owner_id.to_owned());
        Ok(self.secrets_of_owners(owner_kind, &[owner])?.pop().unwrap_or_default())
    }

    /// Returns the secrets of each owner, in order of their names.
    pub fn secrets_of_owners(
        &mut self,
        owner_kind: &str,
        owners: &[(TeamId, String)],
    ) -> Result<Vec<Vec<SecretRow>>, StoreError> {
        let owned = |(team_id, owner_id): &(TeamId, String)| params![team_id, owner_kind, owner_id].to_vec();
        self.query_each(
            "SELECT id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at FROM secret
              WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3 ORDER BY name",
            &owners.iter().map(owned).collect::<Vec<_>>(),
            read_secret,
        )
    }

    /// Replaces version, fields, blob and owner of a secret. `false`: it is no longer at version `from`.
    pub fn secret_replace(&mut self, secret: &SecretRow, from: i64) -> Result<bool, StoreError> {
        Ok(self.secrets_replace(&[(secret, from)])? == [true])
    }

    /// Replaces secrets, as [`Tx::secret_replace`] does one.
    pub fn secrets_replace(&mut self, secrets: &[(&SecretRow, i64)]) -> Result<Vec<bool>, StoreError> {
        let replaced = |(secret, from): &(&SecretRow, i64)| {
            params![
                secret.owner_kind,
                secret.owner_id,
                secret.version,
                Json(&secret.fields),
                secret.blob,
                secret.updated_at,
                secret.team_id,
                secret.id,
                from
            ]
            .to_vec()
        };
        let changed = self.execute_each(
            "UPDATE secret SET owner_kind = $1, owner_id = $2, version = $3, fields = $4, blob = $5, updated_at = $6
              WHERE team_id = $7 AND id = $8 AND version = $9",
            &secrets.iter().map(replaced).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Destroys a secret with its ledger. `false`: there was none.
    pub fn secret_delete(&mut self, team_id: TeamId, id: SecretId) -> Result<bool, StoreError> {
        self.execute(
            "DELETE FROM secret_delivery WHERE secret_id = (SELECT id FROM secret WHERE team_id = $1 AND id = $2)",
            params![team_id, id],
        )?;
        let changed =
            self.execute("DELETE FROM secret WHERE team_id = $1 AND id = $2", params![team_id, id])?;
        Ok(changed == 1)
    }

    /// Destroys every secret of each owner, with its ledger. Returns how many each had.
    pub fn secrets_delete_owned(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_ids: &[String],
    ) -> Result<Vec<u64>, StoreError> {
        let owned = |owner_id: &String| params![team_id, owner_kind, owner_id].to_vec();
        let owned: Vec<_> = owner_ids.iter().map(owned).collect();
        self.execute_each(
            "DELETE FROM secret_delivery
              WHERE secret_id IN (SELECT id FROM secret WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3)",
            &owned,
        )?;
        self.execute_each(
            "DELETE FROM secret WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3",
            &owned,
        )
    }

    /// Records that a version is about to be sent to a key. `false`: that was recorded before, or the secret is no more.
    pub fn secret_sent(
        &mut self,
        secret_id: SecretId,
        version: i64,
        key: &KeyName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.secrets_sent(&[(secret_id, version, *key)], now)? == [true])
    }

    /// Records that versions are about to be sent to keys, as [`Tx::secret_sent`] does one.
    pub fn secrets_sent(
        &mut self,
        sent: &[(SecretId, i64, KeyName)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "INSERT INTO secret_delivery (secret_id, version, key_name, sent_at)
             SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM secret WHERE id = $1
             ON CONFLICT (secret_id, version, key_name) DO NOTHING",
            &of_ledger(sent, now),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Records that a key has a version, whether or not it is known to have been sent. `false`: that was recorded
    /// before, or the secret is no more.
    pub fn secret_delivered(
        &mut self,
        secret_id: SecretId,
        version: i64,
        key: &KeyName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.secrets_delivered(&[(secret_id, version, *key)], now)? == [true])
    }

    /// Records that keys have versions, as [`Tx::secret_delivered`] does one.
    pub fn secrets_delivered(
        &mut self,
        delivered: &[(SecretId, i64, KeyName)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "INSERT INTO secret_delivery (secret_id, version, key_name, sent_at, confirmed_at)
             SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($4 AS BIGINT)
               FROM secret WHERE id = $1
             ON CONFLICT (secret_id, version, key_name) DO UPDATE SET confirmed_at = excluded.confirmed_at
              WHERE secret_delivery.confirmed_at IS NULL",
            &of_ledger(delivered, now),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Says of every secret that went to a key that its successor has it, too: one machine made both.
    pub fn secrets_inherited(&mut self, former: &KeyName, next: &KeyName) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO secret_delivery (secret_id, version, key_name, sent_at, confirmed_at)
             SELECT secret_id, version, CAST($2 AS TEXT), sent_at, confirmed_at
               FROM secret_delivery WHERE key_name = $1
             ON CONFLICT (secret_id, version, key_name) DO NOTHING",
            params![former, next],
        )?;
        Ok(())
    }

    /// Returns those of the next `limit` secrets after `after` that are exposed, and the last of the `limit`. None: there
    /// are no more.
    pub fn secrets_exposed(
        &mut self,
        after: SecretId,
        limit: i64,
    ) -> Result<(Vec<ExposedSecret>, Option<SecretId>), StoreError> {
        let found = self.query(
            with_exposed_since!(
                "team_id, owner_id, name",
                "(SELECT id, team_id, owner_kind, owner_id, name, version FROM secret
                   WHERE id > $1 ORDER BY id LIMIT $2) AS secret
                  WHERE owner_kind = 'host'"
            ),
            params![after, limit],
            read_exposed,
        )?;
        let exposed = found.into_iter().flatten().collect();
        let last = self.query_opt(
            "SELECT id FROM secret WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2",
            params![after, limit - 1],
            |row| row.get(0),
        )?;
        Ok((exposed, last))
    }

    /// Returns a host's secrets as operators see them, in order of their names.
    pub fn secrets_shown(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
    ) -> Result<Vec<ShownSecret>, StoreError> {
        self.query(
            with_exposed_since!(
                "secret.id, secret.name, secret.version, secret.fields, secret.updated_at",
                "secret
                  WHERE secret.team_id = $1 AND secret.owner_kind = 'host' AND secret.owner_id = $2
                  ORDER BY secret.name"
            ),
            params![team_id, host_id.to_string()],
            |row| {
                Ok(ShownSecret {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    version: row.get(2)?,
                    fields: row.get::<Json<Vec<String>>>(3)?.0,
                    updated_at: row.get(4)?,
                    exposed: row.get::<Option<Timestamp>>(5)?.is_some(),
                })
            },
        )
    }

    /// Returns confirmed deliveries of a host's secrets, newest versions first, at most `limit` of each secret.
    pub fn secret_deliveries(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.query(
            "SELECT secret_id, version, key_name, confirmed_at
               FROM (SELECT secret_delivery.secret_id, secret_delivery.version, secret_delivery.key_name,
                            secret_delivery.confirmed_at,
                            row_number() OVER (PARTITION BY secret_delivery.secret_id
                                               ORDER BY secret_delivery.version DESC,
                                                        secret_delivery.confirmed_at DESC) AS place
                       FROM secret JOIN secret_delivery ON secret_delivery.secret_id = secret.id
                      WHERE secret.team_id = $1 AND secret.owner_kind = 'host' AND secret.owner_id = $2
                        AND secret_delivery.confirmed_at IS NOT NULL) AS confirmed
              WHERE place <= $3
              ORDER BY secret_id, place",
            params![team_id, host_id.to_string(), limit],
            |row| {
                Ok(DeliveryRow {
                    secret_id: row.get(0)?,
                    version: row.get(1)?,
                    key: row.get(2)?,
                    confirmed_at: row.get(3)?,
                })
            },
        )
    }
}

fn of_ledger(entries: &[(SecretId, i64, KeyName)], now: Timestamp) -> Vec<Vec<Value>> {
    entries.iter().map(|(secret_id, version, key)| params![secret_id, version, key, now].to_vec()).collect()
}

fn read_secret(row: &Row<'_>) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        owner_kind: row.get(2)?,
        owner_id: row.get(3)?,
        name: row.get(4)?,
        version: row.get(5)?,
        fields: row.get::<Json<Vec<String>>>(6)?.0,
        blob: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

fn read_exposed(row: &Row<'_>) -> Result<Option<ExposedSecret>, StoreError> {
    let Some(since) = row.get(3)? else { return Ok(None) };
    let owner: String = row.get(1)?;
    let host_id = owner.parse().map_err(|_| StoreError::corrupt("a secret's owner is no host"))?;
    Ok(Some(ExposedSecret { team_id: row.get(0)?, host_id, name: row.get(2)?, since }))
}
