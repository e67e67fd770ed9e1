//! The people of a team, as others see them; what a person loses with their role or their place.

use muster_ids::{TeamId, Timestamp, UserId};
use muster_wire::people::Role;

use crate::words::Word;
use crate::{Row, StoreError, Tx, params};

/// A person, as the others of their team see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Names them.
    pub id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// Their name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// What they sign in with.
    pub login: Option<String>,
    /// Whether they have a second factor that is asked for.
    pub has_second_factor: bool,
    /// When they became a member.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// When they were removed.
    pub removed_at: Option<Timestamp>,
}

impl Tx<'_> {
    /// Returns a person of a team, also one who was removed.
    pub fn member(&mut self, team_id: TeamId, id: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.team_id, person.name, person.role, person.login,
                    CASE WHEN second_factor.confirmed_at IS NULL THEN 0 ELSE 1 END,
                    person.created_at, person.signed_in_at, person.removed_at
               FROM person LEFT JOIN second_factor ON second_factor.user_id = person.id
              WHERE person.team_id = $1 AND person.id = $2",
            params![team_id, id],
            read_member,
        )
    }

    /// Returns the people of a team who were not removed, in order of their ids, after `after`.
    pub fn members(
        &mut self,
        team_id: TeamId,
        after: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.query(
            "SELECT person.id, person.team_id, person.name, person.role, person.login,
                    CASE WHEN second_factor.confirmed_at IS NULL THEN 0 ELSE 1 END,
                    person.created_at, person.signed_in_at, person.removed_at
               FROM person LEFT JOIN second_factor ON second_factor.user_id = person.id
              WHERE person.team_id = $1 AND person.removed_at IS NULL
                AND (CAST($2 AS UUID_T) IS NULL OR person.id > $2)
              ORDER BY person.id LIMIT $3",
            params![team_id, after, limit],
            read_member,
        )
    }

    /// Whether a team has somebody of a role besides `than`; the caller holds the lock of members.
    pub fn member_has_peers(
        &mut self,
        team_id: TeamId,
        role: Role,
        than: UserId,
    ) -> Result<bool, StoreError> {
        let found = self.query(
            "SELECT 1 FROM person WHERE team_id = $1 AND role = $2 AND id <> $3 AND removed_at IS NULL LIMIT 1",
            params![team_id, Word(role), than],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Whether a team has somebody of this name.
    pub fn member_is_named(&mut self, team_id: TeamId, name: &str) -> Result<bool, StoreError> {
        let found = self.query(
            "SELECT 1 FROM person WHERE team_id = $1 AND name = $2",
            params![team_id, name],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Sets the role of a person. `false`: the team has no such person.
    pub fn member_set_role(&mut self, team_id: TeamId, id: UserId, role: Role) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE person SET role = $1 WHERE team_id = $2 AND id = $3 AND removed_at IS NULL",
            params![Word(role), team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Makes a tombstone of a person, under a name nobody can have. `false`: the team has no such person.
    pub fn member_remove(
        &mut self,
        team_id: TeamId,
        id: UserId,
        tombstone: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE person SET removed_at = $1, login = NULL, name = $2
              WHERE team_id = $3 AND id = $4 AND removed_at IS NULL",
            params![now, tombstone, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Revokes the API tokens of a person that are good, and returns how many there were.
    pub fn member_revoke_tokens(&mut self, id: UserId, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE operator_token SET revoked_at = $1
              WHERE user_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
            params![now, id],
        )
    }

    /// Revokes what a person invited and nobody accepted, in whatever team, and returns how many there were.
    pub fn member_revoke_invitations(&mut self, id: UserId, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE invitation SET revoked_at = $1
              WHERE created_by = $2 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1",
            params![now, id.to_string()],
        )
    }

    /// Destroys everything a person signs in with.
    pub fn member_forget_sign_in(&mut self, id: UserId) -> Result<(), StoreError> {
        self.execute("DELETE FROM password WHERE user_id = $1", params![id])?;
        self.execute("DELETE FROM second_factor WHERE user_id = $1", params![id])?;
        self.execute("DELETE FROM recovery_code WHERE user_id = $1", params![id])?;
        self.execute("DELETE FROM oidc_identity WHERE user_id = $1", params![id])?;
        Ok(())
    }
}

fn read_member(row: &Row<'_>) -> Result<MemberRow, StoreError> {
    Ok(MemberRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        name: row.get(2)?,
        role: row.get::<Word<Role>>(3)?.0,
        login: row.get(4)?,
        has_second_factor: row.get(5)?,
        created_at: row.get(6)?,
        signed_in_at: row.get(7)?,
        removed_at: row.get(8)?,
    })
}
