//! What people sign in with: login, password, second factor, recovery codes.

use muster_ids::{TeamId, Timestamp, UserId};
use muster_wire::people::Role;

use crate::words::Word;
use crate::{Lock, LockKey, Row, StoreError, Tx, params};

/// A person with everything they sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRow {
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
    /// Their login, in its one spelling.
    pub login: Option<String>,
    /// When they were removed.
    pub removed_at: Option<Timestamp>,
    /// Their password, hashed (PHC string).
    pub phc: Option<String>,
    /// When it was set.
    pub password_changed_at: Option<Timestamp>,
    /// Their second factor, confirmed or not.
    pub second_factor: Option<SecondFactorRow>,
}

/// A second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactorRow {
    /// Its shared secret, sealed.
    pub sealed: Vec<u8>,
    /// When its owner showed that they have it.
    pub confirmed_at: Option<Timestamp>,
    /// The last time step a code was taken of.
    pub last_step: i64,
}

impl Tx<'_> {
    /// Returns the person with a login, removed or not.
    pub fn sign_in_by_login(&mut self, login: &str) -> Result<Option<SignInRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.name, person.role, team.id, team.name, person.login, person.removed_at,
                    password.phc, password.changed_at,
                    second_factor.sealed, second_factor.confirmed_at, second_factor.last_step
               FROM person JOIN team ON team.id = person.team_id
               LEFT JOIN password ON password.user_id = person.id
               LEFT JOIN second_factor ON second_factor.user_id = person.id
              WHERE person.login = $1",
            params![login],
            read_sign_in,
        )
    }

    /// Returns a person with what they sign in with, removed or not.
    pub fn sign_in_of(&mut self, user_id: UserId) -> Result<Option<SignInRow>, StoreError> {
        self.query_opt(
            "SELECT person.id, person.name, person.role, team.id, team.name, person.login, person.removed_at,
                    password.phc, password.changed_at,
                    second_factor.sealed, second_factor.confirmed_at, second_factor.last_step
               FROM person JOIN team ON team.id = person.team_id
               LEFT JOIN password ON password.user_id = person.id
               LEFT JOIN second_factor ON second_factor.user_id = person.id
              WHERE person.id = $1",
            params![user_id],
            read_sign_in,
        )
    }

    /// Returns the admins of the platform that were not removed, in order of their names.
    pub fn platform_admins(&mut self) -> Result<Vec<(UserId, String)>, StoreError> {
        self.query(
            "SELECT person.id, person.name FROM person JOIN team ON team.id = person.team_id
              WHERE team.is_platform = 1 AND person.role = 'admin' AND person.removed_at IS NULL
              ORDER BY person.name",
            params![],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Gives a person their login. `false`: they have one, or somebody else has it.
    pub fn login_set(&mut self, user_id: UserId, login: &str) -> Result<bool, StoreError> {
        // Two who want the same login wait for each other: the second finds it taken and does not break the index.
        self.lock(&[Lock::exclusive(LockKey::Named("logins"))])?;
        let changed = self.execute(
            "UPDATE person SET login = $1
              WHERE id = $2 AND login IS NULL AND removed_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM person AS other WHERE other.login = $1)",
            params![login, user_id],
        )?;
        Ok(changed == 1)
    }

    /// Sets a person's password, whether or not they had one.
    pub fn password_set(&mut self, user_id: UserId, phc: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO password (user_id, phc, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed_at = excluded.changed_at",
            params![user_id, phc, now],
        )?;
        Ok(())
    }

    /// Hashes the same password anew. `false`: it is another one by now.
    pub fn password_rehash(&mut self, user_id: UserId, from: &str, to: &str) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE password SET phc = $1 WHERE user_id = $2 AND phc = $3",
            params![to, user_id, from],
        )?;
        Ok(changed == 1)
    }

    /// Notes that a person signed in.
    pub fn person_signed_in(&mut self, user_id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE person SET signed_in_at = $1 WHERE id = $2", params![now, user_id])?;
        Ok(())
    }

    /// Begins a second factor; one that was never confirmed is replaced. `false`: there is a confirmed one.
    pub fn second_factor_begin(
        &mut self,
        user_id: UserId,
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO second_factor (user_id, sealed, created_at, last_step) VALUES ($1, $2, $3, 0)
             ON CONFLICT (user_id) DO UPDATE
                SET sealed = excluded.sealed, created_at = excluded.created_at, last_step = 0
              WHERE second_factor.confirmed_at IS NULL",
            params![user_id, sealed, now],
        )?;
        Ok(changed == 1)
    }

    /// Confirms a second factor with the code of a time step. `false`: there is none to confirm.
    pub fn second_factor_confirm(
        &mut self,
        user_id: UserId,
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE second_factor SET confirmed_at = $1, last_step = $2
              WHERE user_id = $3 AND confirmed_at IS NULL AND last_step < $2",
            params![now, step, user_id],
        )?;
        Ok(changed == 1)
    }

    /// Takes the code of a time step. `false`: one of this step, or a later one, was taken.
    pub fn second_factor_spend(&mut self, user_id: UserId, step: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE second_factor SET last_step = $1
              WHERE user_id = $2 AND confirmed_at IS NOT NULL AND last_step < $1",
            params![step, user_id],
        )?;
        Ok(changed == 1)
    }

    /// Removes a second factor with its recovery codes. `false`: there was none.
    pub fn second_factor_remove(&mut self, user_id: UserId) -> Result<bool, StoreError> {
        self.execute("DELETE FROM recovery_code WHERE user_id = $1", params![user_id])?;
        let changed = self.execute("DELETE FROM second_factor WHERE user_id = $1", params![user_id])?;
        Ok(changed == 1)
    }

    /// Stores recovery codes in place of all earlier ones.
    pub fn recovery_codes_put(&mut self, user_id: UserId, verifiers: &[[u8; 32]]) -> Result<(), StoreError> {
        self.execute("DELETE FROM recovery_code WHERE user_id = $1", params![user_id])?;
        for verifier in verifiers {
            self.execute(
                "INSERT INTO recovery_code (user_id, verifier) VALUES ($1, $2)",
                params![user_id, verifier],
            )?;
        }
        Ok(())
    }

    /// Uses a recovery code up. `false`: there is no such one, or it was used.
    pub fn recovery_code_use(
        &mut self,
        user_id: UserId,
        verifier: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE recovery_code SET used_at = $1 WHERE user_id = $2 AND verifier = $3 AND used_at IS NULL",
            params![now, user_id, verifier],
        )?;
        Ok(changed == 1)
    }

    /// Counts the recovery codes that are left.
    pub fn recovery_codes_left(&mut self, user_id: UserId) -> Result<u32, StoreError> {
        self.query_one(
            "SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL",
            params![user_id],
            |row| row.get(0),
        )
    }
}

fn read_sign_in(row: &Row<'_>) -> Result<SignInRow, StoreError> {
    let sealed: Option<Vec<u8>> = row.get(9)?;
    let second_factor = match sealed {
        Some(sealed) => Some(SecondFactorRow { sealed, confirmed_at: row.get(10)?, last_step: row.get(11)? }),
        None => None,
    };
    Ok(SignInRow {
        user_id: row.get(0)?,
        name: row.get(1)?,
        role: row.get::<Word<Role>>(2)?.0,
        team_id: row.get(3)?,
        team_name: row.get(4)?,
        login: row.get(5)?,
        removed_at: row.get(6)?,
        phc: row.get(7)?,
        password_changed_at: row.get(8)?,
        second_factor,
    })
}
