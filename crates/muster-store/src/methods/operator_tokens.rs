//! API tokens of people, without their secrets.

use muster_ids::{TeamId, Timestamp, TokenId, UserId};
use muster_wire::permission::Permission;

use crate::{Json, Row, StoreError, Tx, params};

/// An API token, as its owner and those who manage people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownOperatorToken {
    /// Its public half.
    pub id: TokenId,
    /// Its owner.
    pub user_id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// Their name.
    pub user_name: String,
    /// What it is for.
    pub name: Option<String>,
    /// What it may at most.
    pub scopes: Option<Vec<Permission>>,
    /// The only team it acts in.
    pub bound_team_id: Option<TeamId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// From which address.
    pub last_used_from: Option<String>,
}

impl Tx<'_> {
    /// Returns an API token of somebody of a team.
    pub fn operator_token(
        &mut self,
        team_id: TeamId,
        id: &TokenId,
    ) -> Result<Option<ShownOperatorToken>, StoreError> {
        self.query_opt(
            "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                    operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                    operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                    person.team_id
               FROM operator_token JOIN person ON person.id = operator_token.user_id
              WHERE operator_token.team_id = $1 AND operator_token.id = $2",
            params![team_id, id],
            read_shown,
        )
    }

    /// Returns an API token of a person.
    pub fn own_operator_token(
        &mut self,
        user_id: UserId,
        id: &TokenId,
    ) -> Result<Option<ShownOperatorToken>, StoreError> {
        self.query_opt(
            "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                    operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                    operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                    person.team_id
               FROM operator_token JOIN person ON person.id = operator_token.user_id
              WHERE operator_token.user_id = $1 AND operator_token.id = $2",
            params![user_id, id],
            read_shown,
        )
    }

    /// Returns the API tokens of a person in the order they were made, after `after`.
    pub fn own_operator_tokens(
        &mut self,
        user_id: UserId,
        after: Option<(Timestamp, TokenId)>,
        limit: i64,
    ) -> Result<Vec<ShownOperatorToken>, StoreError> {
        let (after_at, after_id) = after.unzip();
        self.query(
            "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                    operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                    operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                    person.team_id
               FROM operator_token JOIN person ON person.id = operator_token.user_id
              WHERE operator_token.user_id = $1
                AND (CAST($2 AS BIGINT) IS NULL OR operator_token.created_at > $2
                     OR (operator_token.created_at = $2 AND operator_token.id > $3))
              ORDER BY operator_token.created_at, operator_token.id LIMIT $4",
            params![user_id, after_at, after_id, limit],
            read_shown,
        )
    }

    /// Returns the API tokens of a team's people in the order they were made, after `after`.
    pub fn operator_tokens(
        &mut self,
        team_id: TeamId,
        after: Option<(Timestamp, TokenId)>,
        limit: i64,
    ) -> Result<Vec<ShownOperatorToken>, StoreError> {
        let (after_at, after_id) = after.unzip();
        self.query(
            "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                    operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                    operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                    person.team_id
               FROM operator_token JOIN person ON person.id = operator_token.user_id
              WHERE operator_token.team_id = $1
                AND (CAST($2 AS BIGINT) IS NULL OR operator_token.created_at > $2
                     OR (operator_token.created_at = $2 AND operator_token.id > $3))
              ORDER BY operator_token.created_at, operator_token.id LIMIT $4",
            params![team_id, after_at, after_id, limit],
            read_shown,
        )
    }

    /// Returns how many API tokens of a person are good.
    pub fn operator_tokens_live(&mut self, user_id: UserId, now: Timestamp) -> Result<i64, StoreError> {
        self.query_one(
            "SELECT COUNT(*) FROM operator_token
              WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
            params![user_id, now],
            |row| row.get(0),
        )
    }

    /// Revokes an API token of a person. `false`: they have none of that id, or it was revoked before.
    pub fn operator_token_revoke(
        &mut self,
        user_id: UserId,
        id: &TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE operator_token SET revoked_at = $1 WHERE user_id = $2 AND id = $3 AND revoked_at IS NULL",
            params![now, user_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Returns the API tokens of a person that were made with this one and are not revoked.
    pub fn operator_tokens_minted_with(
        &mut self,
        user_id: UserId,
        id: &TokenId,
    ) -> Result<Vec<TokenId>, StoreError> {
        self.query(
            "SELECT id FROM operator_token
              WHERE user_id = $1 AND minted_with = $2 AND revoked_at IS NULL ORDER BY id",
            params![user_id, id],
            |row| row.get(0),
        )
    }

    /// Forgets API tokens that ended before `before`, at most `limit`. Returns how many.
    pub fn operator_tokens_forget(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM operator_token WHERE id IN
                (SELECT id FROM operator_token WHERE revoked_at < $1 OR expires_at < $1 ORDER BY id LIMIT $2)",
            params![before, limit],
        )
    }
}

fn read_shown(row: &Row<'_>) -> Result<ShownOperatorToken, StoreError> {
    Ok(ShownOperatorToken {
        id: row.get(0)?,
        user_id: row.get(1)?,
        user_name: row.get(2)?,
        name: row.get(3)?,
        scopes: row.get::<Option<Json<Vec<Permission>>>>(4)?.map(|Json(scopes)| scopes),
        bound_team_id: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
        last_used_at: row.get(9)?,
        last_used_from: row.get(10)?,
        team_id: row.get(11)?,
    })
}
