//! API tokens of people, without their secrets.

use muster_ids::{TeamId, Timestamp, TokenId, UserId};
use muster_wire::page::Order;
use muster_wire::permission::Permission;

use super::page_begins;
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

    /// Returns the API tokens of a person in the order they were made or the other way round, after `after` in that order.
    pub fn own_operator_tokens(
        &mut self,
        user_id: UserId,
        order: Order,
        after: Option<(Timestamp, TokenId)>,
        limit: i64,
    ) -> Result<Vec<ShownOperatorToken>, StoreError> {
        let (after_at, after_id) = page_begins(order, after);
        let sql = match order {
            Order::Asc => {
                "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM operator_token JOIN person ON person.id = operator_token.user_id
                  WHERE operator_token.user_id = $1 AND (operator_token.created_at, operator_token.id) > ($2, $3)
                  ORDER BY operator_token.created_at, operator_token.id LIMIT $4"
            }
            Order::Desc => {
                "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM operator_token JOIN person ON person.id = operator_token.user_id
                  WHERE operator_token.user_id = $1 AND (operator_token.created_at, operator_token.id) < ($2, $3)
                  ORDER BY operator_token.created_at DESC, operator_token.id DESC LIMIT $4"
            }
        };
        self.query(sql, params![user_id, after_at, after_id, limit], read_shown)
    }

    /// Returns the API tokens of a team's people in the order they were made or the other way round, after `after` in that
    /// order.
    pub fn operator_tokens(
        &mut self,
        team_id: TeamId,
        order: Order,
        after: Option<(Timestamp, TokenId)>,
        limit: i64,
    ) -> Result<Vec<ShownOperatorToken>, StoreError> {
        let (after_at, after_id) = page_begins(order, after);
        let sql = match order {
            Order::Asc => {
                "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM operator_token JOIN person ON person.id = operator_token.user_id
                  WHERE operator_token.team_id = $1 AND (operator_token.created_at, operator_token.id) > ($2, $3)
                  ORDER BY operator_token.created_at, operator_token.id LIMIT $4"
            }
            Order::Desc => {
                "SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM operator_token JOIN person ON person.id = operator_token.user_id
                  WHERE operator_token.team_id = $1 AND (operator_token.created_at, operator_token.id) < ($2, $3)
                  ORDER BY operator_token.created_at DESC, operator_token.id DESC LIMIT $4"
            }
        };
        self.query(sql, params![team_id, after_at, after_id, limit], read_shown)
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
            "UPDATE operator_token SET revoked_at = $1
              WHERE user_id = $2 AND id = $3 AND (revoked_at IS NULL OR revoked_at = expires_at)",
            params![now, user_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Returns how many API tokens a person made since, whatever became of them.
    pub fn operator_tokens_made_since(
        &mut self,
        user_id: UserId,
        since: Timestamp,
    ) -> Result<i64, StoreError> {
        self.query_one(
            "SELECT COUNT(*) FROM operator_token WHERE user_id = $1 AND created_at > $2",
            params![user_id, since],
            |row| row.get(0),
        )
    }

    /// Returns the API tokens of a person that were made with this one and are good. None of those it leaves out has
    /// made one that is good: what lapsed made nothing that outlives it, what was revoked took along what it made.
    pub fn operator_tokens_minted_with(
        &mut self,
        user_id: UserId,
        id: &TokenId,
        now: Timestamp,
    ) -> Result<Vec<TokenId>, StoreError> {
        self.query(
            "SELECT id FROM operator_token
              WHERE user_id = $1 AND minted_with = $2 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $3)
              ORDER BY id",
            params![user_id, id, now],
            |row| row.get(0),
        )
    }

    /// Returns an API token of a person and those that were made with it, and so on, in the order they were made or the
    /// other way round, after `after` in that order.
    pub fn operator_tokens_made_by(
        &mut self,
        user_id: UserId,
        maker: &TokenId,
        order: Order,
        after: Option<(Timestamp, TokenId)>,
        limit: i64,
    ) -> Result<Vec<ShownOperatorToken>, StoreError> {
        let (after_at, after_id) = page_begins(order, after);
        let sql = match order {
            Order::Asc => {
                "WITH RECURSIVE made (id) AS (
                    SELECT id FROM operator_token WHERE user_id = $1 AND id = $2
                    UNION ALL
                    SELECT operator_token.id FROM made JOIN operator_token ON operator_token.minted_with = made.id)
                 SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM made
                   JOIN operator_token ON operator_token.id = made.id
                   JOIN person ON person.id = operator_token.user_id
                  WHERE (operator_token.created_at, operator_token.id) > ($3, $4)
                  ORDER BY operator_token.created_at, operator_token.id LIMIT $5"
            }
            Order::Desc => {
                "WITH RECURSIVE made (id) AS (
                    SELECT id FROM operator_token WHERE user_id = $1 AND id = $2
                    UNION ALL
                    SELECT operator_token.id FROM made JOIN operator_token ON operator_token.minted_with = made.id)
                 SELECT operator_token.id, person.id, person.name, operator_token.name, operator_token.scopes,
                        operator_token.bound_team_id, operator_token.created_at, operator_token.expires_at,
                        operator_token.revoked_at, operator_token.last_used_at, operator_token.last_used_from,
                        person.team_id
                   FROM made
                   JOIN operator_token ON operator_token.id = made.id
                   JOIN person ON person.id = operator_token.user_id
                  WHERE (operator_token.created_at, operator_token.id) < ($3, $4)
                  ORDER BY operator_token.created_at DESC, operator_token.id DESC LIMIT $5"
            }
        };
        self.query(sql, params![user_id, maker, after_at, after_id, limit], read_shown)
    }

    /// Whether an API token of a person is `maker`, or was made with it, or with one that was.
    pub fn operator_token_is_made_by(
        &mut self,
        user_id: UserId,
        maker: &TokenId,
        id: &TokenId,
    ) -> Result<bool, StoreError> {
        let found = self.query(
            "WITH RECURSIVE maker (id, minted_with) AS (
                SELECT id, minted_with FROM operator_token WHERE user_id = $1 AND id = $2
                UNION ALL
                SELECT operator_token.id, operator_token.minted_with
                  FROM maker JOIN operator_token ON operator_token.id = maker.minted_with)
             SELECT 1 FROM maker WHERE id = $3",
            params![user_id, id, maker],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Forgets API tokens that ended before `before`, at most `limit`. Returns how many.
    pub fn operator_tokens_forget(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let revoked = self.execute(
            "DELETE FROM operator_token WHERE id IN
                (SELECT id FROM operator_token WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2)",
            params![before, limit],
        )?;
        let lapsed = self.execute(
            "DELETE FROM operator_token WHERE id IN
                (SELECT id FROM operator_token WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            params![before, limit.saturating_sub_unsigned(revoked)],
        )?;
        Ok(revoked + lapsed)
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
