//! Teams, people and their API tokens.

use muster_ids::{TeamId, Timestamp, TokenId, UserId, WebSessionId};
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use crate::words::Word;
use crate::{Json, Row, StoreError, Tx, params};

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRow {
    /// Names it.
    pub id: TeamId,
    /// What people call it.
    pub name: String,
    /// Whether it is the platform's own.
    pub is_platform: bool,
    /// Its data key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// Names them.
    pub id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// Their name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// When the row was made.
    pub created_at: Timestamp,
}

/// A person's API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorTokenRow {
    /// Its public half.
    pub id: TokenId,
    /// The person's team.
    pub team_id: TeamId,
    /// The person.
    pub user_id: UserId,
    /// Keyed hash of the bearer string.
    pub verifier: [u8; 32],
    /// What it is for.
    pub name: Option<String>,
    /// What it may at most; everything its owner may when not said.
    pub scopes: Option<Vec<Permission>>,
    /// The only team it acts in; those of its owner when not said.
    pub bound_team_id: Option<TeamId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Option<Timestamp>,
    /// The token it was made with, if with one: revoked with it.
    pub minted_with: Option<TokenId>,
}

/// A credential with the person it acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRow {
    /// The person.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// Their team.
    pub team_id: TeamId,
    /// Their team's name.
    pub team_name: String,
    /// Whether their team is the platform's own.
    pub team_is_platform: bool,
    /// Keyed hash of the bearer string.
    pub verifier: Vec<u8>,
    /// When the credential lapses.
    pub expires_at: Option<Timestamp>,
    /// When the credential was revoked or ended, or the person removed.
    pub ended_at: Option<Timestamp>,
    /// What is said of a token alone, or of a session alone.
    pub kind: CredentialRow,
}

/// What only one kind of credential has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialRow {
    /// An API token.
    Token {
        /// What it may at most; everything its owner may when not said.
        scopes: Option<Vec<Permission>>,
        /// The only team it acts in; those of its owner when not said.
        bound_team_id: Option<TeamId>,
    },
    /// A signed-in session of a browser.
    WebSession {
        /// The listener it is good at.
        listener: String,
        /// When it was last used.
        seen_at: Timestamp,
    },
}

impl Tx<'_> {
    /// Makes a team. `false`: the name is taken, or the platform's team exists.
    pub fn team_insert(&mut self, team: &TeamRow) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO team (id, name, is_platform, wrapped_key, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            params![team.id, team.name, team.is_platform, team.wrapped_key, team.created_at],
        )?;
        Ok(changed == 1)
    }

    /// Returns a team.
    pub fn team(&mut self, id: TeamId) -> Result<Option<TeamRow>, StoreError> {
        self.query_opt(
            "SELECT id, name, is_platform, wrapped_key, created_at FROM team WHERE id = $1",
            params![id],
            read_team,
        )
    }

    /// Returns teams in order of their ids, after `after`. `only`: no other than this one.
    pub fn teams(
        &mut self,
        only: Option<TeamId>,
        after: Option<TeamId>,
        limit: i64,
    ) -> Result<Vec<TeamRow>, StoreError> {
        self.query(
            "SELECT id, name, is_platform, wrapped_key, created_at FROM team
              WHERE (CAST($1 AS UUID_T) IS NULL OR id = $1) AND (CAST($2 AS UUID_T) IS NULL OR id > $2)
              ORDER BY id LIMIT $3",
            params![only, after, limit],
            read_team,
        )
    }

    /// Makes a person. `false`: the team has one of that name.
    pub fn person_insert(&mut self, person: &PersonRow) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO person (id, team_id, name, role, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (team_id, name) DO NOTHING",
            params![person.id, person.team_id, person.name, Word(person.role), person.created_at],
        )?;
        Ok(changed == 1)
    }

    /// Whether anybody exists: the first admin can be made only once.
    pub fn people_exist(&mut self) -> Result<bool, StoreError> {
        let found = self.query("SELECT 1 FROM person LIMIT 1", params![], |row| row.get::<i64>(0))?;
        Ok(!found.is_empty())
    }

    /// Stores an API token.
    pub fn operator_token_insert(&mut self, token: &OperatorTokenRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO operator_token
                 (id, team_id, user_id, verifier, name, scopes, bound_team_id, created_at, expires_at, minted_with)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            params![
                token.id,
                token.team_id,
                token.user_id,
                token.verifier,
                token.name,
                token.scopes.as_ref().map(Json),
                token.bound_team_id,
                token.created_at,
                token.expires_at,
                token.minted_with
            ],
        )?;
        Ok(())
    }

    /// Returns the person an API token acts as.
    pub fn operator_by_token(&mut self, id: &TokenId) -> Result<Option<OperatorRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.name, person.role, team.id, team.name, team.is_platform,
                    operator_token.verifier, operator_token.expires_at,
                    COALESCE(operator_token.revoked_at, person.removed_at),
                    operator_token.scopes, operator_token.bound_team_id
               FROM operator_token
               JOIN person ON person.id = operator_token.user_id
               JOIN team ON team.id = person.team_id
              WHERE operator_token.id = $1",
            params![id],
            |row| {
                let scopes = row.get::<Option<Json<Vec<Permission>>>>(9)?.map(|Json(scopes)| scopes);
                read_operator(row, CredentialRow::Token { scopes, bound_team_id: row.get(10)? })
            },
        )
    }

    /// Returns the person a signed-in session acts as.
    pub fn operator_by_web_session(&mut self, id: &WebSessionId) -> Result<Option<OperatorRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.name, person.role, team.id, team.name, team.is_platform,
                    web_session.verifier, web_session.expires_at,
                    COALESCE(web_session.ended_at, person.removed_at),
                    web_session.listener, web_session.seen_at
               FROM web_session
               JOIN person ON person.id = web_session.user_id
               JOIN team ON team.id = person.team_id
              WHERE web_session.id = $1",
            params![id],
            |row| {
                read_operator(row, CredentialRow::WebSession { listener: row.get(9)?, seen_at: row.get(10)? })
            },
        )
    }
}

fn read_operator(row: &Row<'_>, kind: CredentialRow) -> Result<OperatorRow, StoreError> {
    Ok(OperatorRow {
        user_id: row.get(0)?,
        name: row.get(1)?,
        role: row.get::<Word<Role>>(2)?.0,
        team_id: row.get(3)?,
        team_name: row.get(4)?,
        team_is_platform: row.get(5)?,
        verifier: row.get(6)?,
        expires_at: row.get(7)?,
        ended_at: row.get(8)?,
        kind,
    })
}

fn read_team(row: &Row<'_>) -> Result<TeamRow, StoreError> {
    Ok(TeamRow {
        id: row.get(0)?,
        name: row.get(1)?,
        is_platform: row.get(2)?,
        wrapped_key: row.get(3)?,
        created_at: row.get(4)?,
    })
}
