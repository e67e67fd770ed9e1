//! Providers of OpenID Connect, and who came by them.

use muster_ids::{TeamId, Timestamp, UserId};
use muster_wire::oidc::OidcMapping;
use muster_wire::people::Role;

use crate::words::Word;
use crate::{Json, Row, StoreError, Tx, params};

/// A provider people sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProviderRow {
    /// Names it.
    pub name: String,
    /// The issuer.
    pub issuer: String,
    /// Who this server is to it.
    pub client_id: String,
    /// The client secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds the groups of a person.
    pub groups_claim: String,
    /// What groups give.
    pub mappings: Vec<OidcMapping>,
    /// Whether people may sign in with it now.
    pub allowed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Somebody who came by a provider before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcPersonRow {
    /// The person.
    pub user_id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// What they are.
    pub role: Role,
    /// When they were removed.
    pub removed_at: Option<Timestamp>,
}

/// An issuer whose people are being signed out, and how far that got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSignOutRow {
    /// The issuer, which no provider has any more.
    pub issuer: String,
    /// The provider that had it.
    pub provider: String,
    /// Who removed it.
    pub actor: String,
    /// The role they acted in.
    pub role: Option<Role>,
    /// The address they came from.
    pub source: String,
    /// When they did.
    pub asked_at: Timestamp,
    /// Up to this person everybody is done.
    pub after_user: Option<UserId>,
}

impl Tx<'_> {
    /// Returns every provider, in order of their names.
    pub fn oidc_providers(&mut self) -> Result<Vec<OidcProviderRow>, StoreError> {
        self.query(
            "SELECT name, issuer, client_id, sealed_secret, scopes, groups_claim, mappings, allowed, created_at,
                    updated_at
               FROM oidc_provider ORDER BY name",
            params![],
            read_provider,
        )
    }

    /// Returns a provider.
    pub fn oidc_provider(&mut self, name: &str) -> Result<Option<OidcProviderRow>, StoreError> {
        self.query_opt(
            "SELECT name, issuer, client_id, sealed_secret, scopes, groups_claim, mappings, allowed, created_at,
                    updated_at
               FROM oidc_provider WHERE name = $1",
            params![name],
            read_provider,
        )
    }

    /// Makes a provider, or sets one anew; when it was made stays as it is.
    pub fn oidc_provider_set(&mut self, provider: &OidcProviderRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO oidc_provider (name, issuer, client_id, sealed_secret, scopes, groups_claim, mappings, allowed,
                                        created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (name) DO UPDATE SET issuer = excluded.issuer, client_id = excluded.client_id,
                 sealed_secret = excluded.sealed_secret, scopes = excluded.scopes,
                 groups_claim = excluded.groups_claim, mappings = excluded.mappings, allowed = excluded.allowed,
                 updated_at = excluded.updated_at",
            params![
                provider.name,
                provider.issuer,
                provider.client_id,
                provider.sealed_secret,
                Json(&provider.scopes),
                provider.groups_claim,
                Json(&provider.mappings),
                provider.allowed,
                provider.created_at,
                provider.updated_at
            ],
        )?;
        Ok(())
    }

    /// Removes a provider. `false`: there is none of that name.
    pub fn oidc_provider_remove(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM oidc_provider WHERE name = $1", params![name])? == 1)
    }

    /// Returns who a subject of an issuer is, removed or not.
    pub fn oidc_person(&mut self, issuer: &str, subject: &str) -> Result<Option<OidcPersonRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.team_id, person.role, person.removed_at
               FROM oidc_identity JOIN person ON person.id = oidc_identity.user_id
              WHERE oidc_identity.issuer = $1 AND oidc_identity.subject = $2",
            params![issuer, subject],
            |row| {
                Ok(OidcPersonRow {
                    user_id: row.get(0)?,
                    team_id: row.get(1)?,
                    role: row.get::<Word<Role>>(2)?.0,
                    removed_at: row.get(3)?,
                })
            },
        )
    }

    /// Says who a subject of an issuer is from now on.
    pub fn oidc_identity_set(
        &mut self,
        issuer: &str,
        subject: &str,
        user_id: UserId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO oidc_identity (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (issuer, subject) DO UPDATE SET user_id = excluded.user_id, created_at = excluded.created_at",
            params![issuer, subject, user_id, at],
        )?;
        Ok(())
    }

    /// Returns the people of an issuer that are not removed, with their teams, in order of their ids, after `after`.
    pub fn oidc_people(
        &mut self,
        issuer: &str,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<(UserId, TeamId)>, StoreError> {
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        self.query(
            "SELECT DISTINCT oidc_identity.user_id, person.team_id
               FROM oidc_identity JOIN person ON person.id = oidc_identity.user_id
              WHERE oidc_identity.issuer = $1 AND oidc_identity.user_id > $2 AND person.removed_at IS NULL
              ORDER BY oidc_identity.user_id LIMIT $3",
            params![issuer, after, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Whether a provider has this issuer.
    pub fn oidc_issuer_is_known(&mut self, issuer: &str) -> Result<bool, StoreError> {
        let found =
            self.query("SELECT 1 FROM oidc_provider WHERE issuer = $1 LIMIT 1", params![issuer], |row| {
                row.get::<i64>(0)
            })?;
        Ok(!found.is_empty())
    }

    /// Notes that who came by an issuer is to be signed out; one that is being worked off begins anew.
    pub fn issuer_sign_out_insert(&mut self, row: &IssuerSignOutRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO issuer_sign_out (issuer, provider, actor, role, source, asked_at, after_user)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (issuer) DO UPDATE
                SET provider = excluded.provider, actor = excluded.actor, role = excluded.role,
                    source = excluded.source, asked_at = excluded.asked_at, after_user = excluded.after_user",
            params![
                row.issuer,
                row.provider,
                row.actor,
                row.role.map(Word),
                row.source,
                row.asked_at,
                row.after_user
            ],
        )?;
        Ok(())
    }

    /// Returns what is being worked off of an issuer, if anything is.
    pub fn issuer_sign_out(&mut self, issuer: &str) -> Result<Option<IssuerSignOutRow>, StoreError> {
        self.query_opt(
            "SELECT issuer, provider, actor, role, source, asked_at, after_user
               FROM issuer_sign_out WHERE issuer = $1",
            params![issuer],
            read_sign_out,
        )
    }

    /// Returns the issuers whose people are being signed out, the oldest first.
    pub fn issuer_sign_outs(&mut self, limit: i64) -> Result<Vec<IssuerSignOutRow>, StoreError> {
        self.query(
            "SELECT issuer, provider, actor, role, source, asked_at, after_user
               FROM issuer_sign_out ORDER BY asked_at, issuer LIMIT $1",
            params![limit],
            read_sign_out,
        )
    }

    /// Notes up to whom the people of an issuer are signed out.
    pub fn issuer_sign_out_went_on(&mut self, issuer: &str, after_user: UserId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE issuer_sign_out SET after_user = $1 WHERE issuer = $2",
            params![after_user, issuer],
        )?;
        Ok(())
    }

    /// Notes that everybody of an issuer is signed out.
    pub fn issuer_sign_out_done(&mut self, issuer: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM issuer_sign_out WHERE issuer = $1", params![issuer])?;
        Ok(())
    }

    /// Whether a person comes by a provider.
    pub fn oidc_knows(&mut self, user_id: UserId) -> Result<bool, StoreError> {
        let found =
            self.query("SELECT 1 FROM oidc_identity WHERE user_id = $1 LIMIT 1", params![user_id], |row| {
                row.get::<i64>(0)
            })?;
        Ok(!found.is_empty())
    }
}

fn read_sign_out(row: &Row<'_>) -> Result<IssuerSignOutRow, StoreError> {
    Ok(IssuerSignOutRow {
        issuer: row.get(0)?,
        provider: row.get(1)?,
        actor: row.get(2)?,
        role: row.get::<Option<Word<Role>>>(3)?.map(|role| role.0),
        source: row.get(4)?,
        asked_at: row.get(5)?,
        after_user: row.get(6)?,
    })
}

fn read_provider(row: &Row<'_>) -> Result<OidcProviderRow, StoreError> {
    Ok(OidcProviderRow {
        name: row.get(0)?,
        issuer: row.get(1)?,
        client_id: row.get(2)?,
        sealed_secret: row.get(3)?,
        scopes: row.get::<Json<Vec<String>>>(4)?.0,
        groups_claim: row.get(5)?,
        mappings: row.get::<Json<Vec<OidcMapping>>>(6)?.0,
        allowed: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}
