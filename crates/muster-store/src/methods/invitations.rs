//! Invitations of people.

use muster_ids::{InvitationId, TeamId, Timestamp, TokenId, UserId};
use muster_wire::page::Order;
use muster_wire::people::Role;

use super::page_begins;
use crate::words::Word;
use crate::{Row, StoreError, Tx, params};

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Its public half.
    pub id: InvitationId,
    /// The team it leads to.
    pub team_id: TeamId,
    /// The name the person will have.
    pub name: String,
    /// What they will be.
    pub role: Role,
    /// Keyed hash of the bearer string.
    pub verifier: Vec<u8>,
    /// Who invited.
    pub created_by: String,
    /// The API token they did it with.
    pub minted_with: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Who came of it.
    pub accepted_by: Option<UserId>,
}

impl Tx<'_> {
    /// Stores an invitation that was just made.
    pub fn invitation_insert(&mut self, row: &InvitationRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO invitation (id, team_id, name, role, verifier, created_by, created_at, expires_at, minted_with)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            params![
                row.id,
                row.team_id,
                row.name,
                Word(row.role),
                row.verifier,
                row.created_by,
                row.created_at,
                row.expires_at,
                row.minted_with
            ],
        )?;
        Ok(())
    }

    /// Returns an invitation for whoever shows it.
    pub fn invitation_shown(&mut self, id: &InvitationId) -> Result<Option<InvitationRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, name, role, verifier, created_by, created_at, expires_at, revoked_at, accepted_at,
                    accepted_by, minted_with
               FROM invitation WHERE id = $1",
            params![id],
            read_invitation,
        )
    }

    /// Returns an invitation of a team.
    pub fn invitation(
        &mut self,
        team_id: TeamId,
        id: &InvitationId,
    ) -> Result<Option<InvitationRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, name, role, verifier, created_by, created_at, expires_at, revoked_at, accepted_at,
                    accepted_by, minted_with
               FROM invitation WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_invitation,
        )
    }

    /// Returns the invitations of a team in the order they were made or the other way round, after `after` in that order.
    pub fn invitations(
        &mut self,
        team_id: TeamId,
        order: Order,
        after: Option<(Timestamp, InvitationId)>,
        limit: i64,
    ) -> Result<Vec<InvitationRow>, StoreError> {
        let (after_at, after_id) = page_begins(order, after);
        let sql = match order {
            Order::Asc => {
                "SELECT id, team_id, name, role, verifier, created_by, created_at, expires_at, revoked_at, accepted_at,
                        accepted_by, minted_with
                   FROM invitation WHERE team_id = $1 AND (created_at, id) > ($2, $3)
                  ORDER BY created_at, id LIMIT $4"
            }
            Order::Desc => {
                "SELECT id, team_id, name, role, verifier, created_by, created_at, expires_at, revoked_at, accepted_at,
                        accepted_by, minted_with
                   FROM invitation WHERE team_id = $1 AND (created_at, id) < ($2, $3)
                  ORDER BY created_at DESC, id DESC LIMIT $4"
            }
        };
        self.query(sql, params![team_id, after_at, after_id, limit], read_invitation)
    }

    /// Returns how many invitations of a team are open.
    pub fn invitations_open(&mut self, team_id: TeamId, now: Timestamp) -> Result<i64, StoreError> {
        self.query_one(
            "SELECT COUNT(*) FROM invitation
              WHERE team_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2",
            params![team_id, now],
            |row| row.get(0),
        )
    }

    /// Accepts an invitation, once and for ever. `false`: it was accepted, revoked or lapsed before.
    pub fn invitation_accept(
        &mut self,
        id: &InvitationId,
        by: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE invitation SET accepted_at = $1, accepted_by = $2
              WHERE id = $3 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1",
            params![now, by, id],
        )?;
        Ok(changed == 1)
    }

    /// Revokes an invitation. `false`: the team has none of that id that is open.
    pub fn invitation_revoke(
        &mut self,
        team_id: TeamId,
        id: &InvitationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE invitation SET revoked_at = $1
              WHERE team_id = $2 AND id = $3 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1",
            params![now, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Revokes what was invited with an API token and nobody accepted, in whatever team, and returns how many there were.
    pub fn invitations_revoke_minted_with(
        &mut self,
        token: &TokenId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE invitation SET revoked_at = $1
              WHERE minted_with = $2 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1",
            params![now, token],
        )
    }

    /// Returns who came of what was invited with an API token, the first first.
    pub fn invited_with(&mut self, token: &TokenId, limit: i64) -> Result<Vec<UserId>, StoreError> {
        self.query(
            "SELECT accepted_by FROM invitation
              WHERE minted_with = $1 AND accepted_by IS NOT NULL ORDER BY accepted_at, id LIMIT $2",
            params![token, limit],
            |row| row.get(0),
        )
    }

    /// Forgets invitations that lapsed before `before`, accepted or not, at most `limit`. Returns how many.
    pub fn invitations_forget(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM invitation WHERE id IN
                (SELECT id FROM invitation WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            params![before, limit],
        )
    }
}

fn read_invitation(row: &Row<'_>) -> Result<InvitationRow, StoreError> {
    Ok(InvitationRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        name: row.get(2)?,
        role: row.get::<Word<Role>>(3)?.0,
        verifier: row.get(4)?,
        created_by: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
        accepted_at: row.get(9)?,
        accepted_by: row.get(10)?,
        minted_with: row.get(11)?,
    })
}
