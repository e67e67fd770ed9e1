//! Saved views: filters of the list of hosts, each its person's own.

use muster_ids::{TeamId, Timestamp, UserId};

use crate::{StoreError, Tx, params};

/// A saved view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedViewRow {
    /// Its name, one of its person in this team.
    pub name: String,
    /// The query of a list of hosts.
    pub query: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}

impl Tx<'_> {
    /// Returns the views of a person in a team, in order of their names.
    pub fn saved_views(
        &mut self,
        user_id: UserId,
        team_id: TeamId,
        limit: i64,
    ) -> Result<Vec<SavedViewRow>, StoreError> {
        self.query(
            "SELECT name, query, updated_at FROM saved_view WHERE user_id = $1 AND team_id = $2
              ORDER BY name LIMIT $3",
            params![user_id, team_id, limit],
            |row| Ok(SavedViewRow { name: row.get(0)?, query: row.get(1)?, updated_at: row.get(2)? }),
        )
    }

    /// Sets a view of a person in a team.
    pub fn saved_view_set(
        &mut self,
        user_id: UserId,
        team_id: TeamId,
        view: &SavedViewRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO saved_view (user_id, team_id, name, query, updated_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (user_id, team_id, name)
             DO UPDATE SET query = excluded.query, updated_at = excluded.updated_at",
            params![user_id, team_id, view.name, view.query, view.updated_at],
        )?;
        Ok(())
    }

    /// Removes a view of a person in a team. `false`: there was none.
    pub fn saved_view_remove(
        &mut self,
        user_id: UserId,
        team_id: TeamId,
        name: &str,
    ) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM saved_view WHERE user_id = $1 AND team_id = $2 AND name = $3",
            params![user_id, team_id, name],
        )?;
        Ok(removed == 1)
    }

    /// Removes every view of a person. Returns how many.
    pub fn saved_views_remove(&mut self, user_id: UserId) -> Result<u64, StoreError> {
        self.execute("DELETE FROM saved_view WHERE user_id = $1", params![user_id])
    }
}
