//! Sites.

use muster_ids::{SiteId, TeamId, Timestamp};
use muster_wire::site::SitePolicy;

use crate::{Json, StoreError, Tx, params};

/// The name of the site every team is made with.
pub const DEFAULT_SITE: &str = "default";

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    /// Names it.
    pub id: SiteId,
    /// Its team.
    pub team_id: TeamId,
    /// What people call it.
    pub name: String,
    /// How it admits machines.
    pub policy: SitePolicy,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Makes a site. `false`: the team has one of that name.
    pub fn site_insert(&mut self, site: &SiteRow) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO site (id, team_id, name, policy, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (team_id, name) DO NOTHING",
            params![site.id, site.team_id, site.name, Json(&site.policy), site.created_at],
        )?;
        Ok(changed == 1)
    }

    /// Returns a site of a team.
    pub fn site(&mut self, team_id: TeamId, id: SiteId) -> Result<Option<SiteRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, name, policy, created_at FROM site WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_site,
        )
    }

    /// Returns a site of a team by its name.
    pub fn site_by_name(&mut self, team_id: TeamId, name: &str) -> Result<Option<SiteRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, name, policy, created_at FROM site WHERE team_id = $1 AND name = $2",
            params![team_id, name],
            read_site,
        )
    }

    /// Returns the sites of a team in order of their ids, after `after`.
    pub fn sites(
        &mut self,
        team_id: TeamId,
        after: Option<SiteId>,
        limit: i64,
    ) -> Result<Vec<SiteRow>, StoreError> {
        self.query(
            "SELECT id, team_id, name, policy, created_at FROM site
              WHERE team_id = $1 AND (CAST($2 AS UUID_T) IS NULL OR id > $2) ORDER BY id LIMIT $3",
            params![team_id, after, limit],
            read_site,
        )
    }

    /// Sets the policy of a site. `false`: the team has no such site.
    pub fn site_set_policy(
        &mut self,
        team_id: TeamId,
        id: SiteId,
        policy: &SitePolicy,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE site SET policy = $1 WHERE team_id = $2 AND id = $3",
            params![Json(policy), team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Returns when it was last told that as many claims wait at a site as may.
    pub fn site_full_at(&mut self, team_id: TeamId, id: SiteId) -> Result<Option<Timestamp>, StoreError> {
        let told = self.query_opt(
            "SELECT claims_full_at FROM site WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            |row| row.get::<Option<Timestamp>>(0),
        )?;
        Ok(told.flatten())
    }

    /// Notes that it is told now that as many claims wait at a site as may. `false`: that was told after `since`.
    pub fn site_full_told(
        &mut self,
        team_id: TeamId,
        id: SiteId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE site SET claims_full_at = $1
              WHERE team_id = $2 AND id = $3 AND (claims_full_at IS NULL OR claims_full_at <= $4)",
            params![now, team_id, id, since],
        )?;
        Ok(changed == 1)
    }
}

fn read_site(row: &crate::Row<'_>) -> Result<SiteRow, StoreError> {
    Ok(SiteRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        name: row.get(2)?,
        policy: row.get::<Json<SitePolicy>>(3)?.0,
        created_at: row.get(4)?,
    })
}
