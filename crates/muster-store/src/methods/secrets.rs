//! Secrets: sealed documents of tickets and hosts, and the ledger of who received them.

use muster_ids::{HostId, KeyName, SecretId, TeamId, Timestamp};

use crate::{Json, Row, StoreError, Tx, params};

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

impl Tx<'_> {
    /// Stores a secret. `false`: its owner has one of that name.
    pub fn secret_insert(&mut self, secret: &SecretRow) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO secret (id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (team_id, owner_kind, owner_id, name) DO NOTHING",
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
            ],
        )?;
        Ok(changed == 1)
    }

    /// Returns a secret by its name at its owner.
    pub fn secret(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_id: &str,
        name: &str,
    ) -> Result<Option<SecretRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at FROM secret
              WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3 AND name = $4",
            params![team_id, owner_kind, owner_id, name],
            read_secret,
        )
    }

    /// Returns the secrets of an owner in order of their names.
    pub fn secrets_owned(
        &mut self,
        team_id: TeamId,
        owner_kind: &str,
        owner_id: &str,
    ) -> Result<Vec<SecretRow>, StoreError> {
        self.query(
            "SELECT id, team_id, owner_kind, owner_id, name, version, fields, blob, updated_at FROM secret
              WHERE team_id = $1 AND owner_kind = $2 AND owner_id = $3 ORDER BY name",
            params![team_id, owner_kind, owner_id],
            read_secret,
        )
    }

    /// Replaces version, fields, blob and owner of a secret. `false`: it is no longer at version `from`.
    pub fn secret_replace(&mut self, secret: &SecretRow, from: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE secret SET owner_kind = $1, owner_id = $2, version = $3, fields = $4, blob = $5, updated_at = $6
              WHERE team_id = $7 AND id = $8 AND version = $9",
            params![
                secret.owner_kind, secret.owner_id, secret.version, Json(&secret.fields), secret.blob,
                secret.updated_at, secret.team_id, secret.id, from
            ],
        )?;
        Ok(changed == 1)
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

    /// Records that a version is about to be sent to a key. `false`: that was recorded before, or the secret is no more.
    pub fn secret_sent(
        &mut self,
        secret_id: SecretId,
        version: i64,
        key: &KeyName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO secret_delivery (secret_id, version, key_name, sent_at)
             SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM secret WHERE id = $1
             ON CONFLICT (secret_id, version, key_name) DO NOTHING",
            params![secret_id, version, key, now],
        )?;
        Ok(changed == 1)
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
        let changed = self.execute(
            "INSERT INTO secret_delivery (secret_id, version, key_name, sent_at, confirmed_at)
             SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($4 AS BIGINT)
               FROM secret WHERE id = $1
             ON CONFLICT (secret_id, version, key_name) DO UPDATE SET confirmed_at = excluded.confirmed_at
              WHERE secret_delivery.confirmed_at IS NULL",
            params![secret_id, version, key, now],
        )?;
        Ok(changed == 1)
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

    /// Returns a host's secrets as operators see them, in order of their names.
    pub fn secrets_shown(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
    ) -> Result<Vec<ShownSecret>, StoreError> {
        self.query(
            "SELECT secret.id, secret.name, secret.version, secret.fields, secret.updated_at,
                    EXISTS (SELECT 1 FROM secret_delivery
                              LEFT JOIN host_key ON host_key.name = secret_delivery.key_name
                             WHERE secret_delivery.secret_id = secret.id
                               AND secret_delivery.version = secret.version
                               AND ((coalesce(host_key.state, '') <> 'active' AND host_key.rotated_to IS NULL)
                                    OR EXISTS (SELECT 1 FROM claim
                                                WHERE claim.former_key = secret_delivery.key_name
                                                  AND claim.reason = 'clone'
                                                  AND claim.created_at >= secret_delivery.sent_at)))
               FROM secret
              WHERE secret.team_id = $1 AND secret.owner_kind = 'host' AND secret.owner_id = $2
              ORDER BY secret.name",
            params![team_id, host_id.to_string()],
            |row| {
                Ok(ShownSecret {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    version: row.get(2)?,
                    fields: row.get::<Json<Vec<String>>>(3)?.0,
                    updated_at: row.get(4)?,
                    exposed: row.get(5)?,
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
