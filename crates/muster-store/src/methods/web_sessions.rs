//! Browsers that are signed in.

use muster_ids::{TeamId, Timestamp, UserId, WebSessionId};
use muster_wire::sign_in::SignInMethod;

use crate::words::Word;
use crate::{Row, StoreError, Tx, params};

/// A signed-in session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSessionRow {
    /// Its public half.
    pub id: WebSessionId,
    /// The person's team.
    pub team_id: TeamId,
    /// The person.
    pub user_id: UserId,
    /// Keyed hash of the bearer string in the cookie.
    pub verifier: [u8; 32],
    /// The listener it is good at.
    pub listener: String,
    /// How its owner signed in.
    pub method: SignInMethod,
    /// The address they signed in from.
    pub source: String,
    /// What the browser called itself.
    pub user_agent: String,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Stores a session.
    pub fn web_session_insert(&mut self, session: &WebSessionRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO web_session (id, team_id, user_id, verifier, listener, method, source, user_agent,
                                      created_at, seen_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            params![
                session.id,
                session.team_id,
                session.user_id,
                session.verifier,
                session.listener,
                Word(session.method),
                session.source,
                session.user_agent,
                session.created_at,
                session.seen_at,
                session.expires_at
            ],
        )?;
        Ok(())
    }

    /// Returns a person's sessions that are good at `now`, the newest first; `idle_since`: not used after that, they
    /// are good no more.
    pub fn web_sessions(
        &mut self,
        user_id: UserId,
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Vec<WebSessionRow>, StoreError> {
        self.query(
            "SELECT id, team_id, user_id, verifier, listener, method, source, user_agent, created_at, seen_at,
                    expires_at
               FROM web_session
              WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND seen_at > $3
              ORDER BY created_at DESC, id DESC",
            params![user_id, now, idle_since],
            read_session,
        )
    }

    /// Ends a session of a person. `false`: they have no such one that did not end.
    pub fn web_session_end(
        &mut self,
        user_id: UserId,
        id: &WebSessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE web_session SET ended_at = $1
              WHERE user_id = $2 AND id = $3 AND ended_at IS NULL AND expires_at > $1",
            params![now, user_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Ends every session of a person but one, and returns which.
    pub fn web_sessions_end(
        &mut self,
        user_id: UserId,
        except: Option<WebSessionId>,
        now: Timestamp,
    ) -> Result<Vec<WebSessionId>, StoreError> {
        let found: Vec<WebSessionId> = self.query(
            "SELECT id FROM web_session
              WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2
                AND (CAST($3 AS TEXT) IS NULL OR id <> $3)
              ORDER BY id",
            params![user_id, now, except],
            |row| row.get(0),
        )?;
        for id in &found {
            self.execute("UPDATE web_session SET ended_at = $1 WHERE id = $2", params![now, id])?;
        }
        Ok(found)
    }

    /// Ends the sessions of a person that began up to `until`, and returns how many there were.
    pub fn web_sessions_end_until(
        &mut self,
        user_id: UserId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE web_session SET ended_at = $1
              WHERE user_id = $2 AND ended_at IS NULL AND expires_at > $1 AND created_at <= $3",
            params![now, user_id, until],
        )
    }

    /// Forgets sessions that lapsed before `before`, at most `limit`. Returns how many.
    pub fn web_sessions_forget(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM web_session WHERE id IN
                (SELECT id FROM web_session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
            params![before, limit],
        )
    }
}

fn read_session(row: &Row<'_>) -> Result<WebSessionRow, StoreError> {
    Ok(WebSessionRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        user_id: row.get(2)?,
        verifier: row.get(3)?,
        listener: row.get(4)?,
        method: row.get::<Word<SignInMethod>>(5)?.0,
        source: row.get(6)?,
        user_agent: row.get(7)?,
        created_at: row.get(8)?,
        seen_at: row.get(9)?,
        expires_at: row.get(10)?,
    })
}
