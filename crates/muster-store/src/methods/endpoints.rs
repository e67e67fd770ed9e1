//! Endpoints: who hears of events.

use muster_ids::{EndpointId, TeamId, Timestamp};
use muster_wire::endpoint::EndpointKind;
use muster_wire::notification::QuietHours;

use crate::{Json, Row, StoreError, Tx, Word, params};

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// Names it.
    pub id: EndpointId,
    /// Its team.
    pub team_id: TeamId,
    /// How it is spoken to.
    pub kind: EndpointKind,
    /// What people call it.
    pub name: String,
    /// What is shown of where it is.
    pub shown_target: String,
    /// Where it is, with its credentials: sealed.
    pub sealed: Vec<u8>,
    /// Counts the changes of what is sealed.
    pub version: i64,
    /// The kinds of events it hears of; all when none is named.
    pub events: Vec<String>,
    /// When it is left in peace.
    pub quiet_hours: Option<QuietHours>,
    /// How long events are gathered into one message.
    pub group_for_secs: u32,
    /// Events up to here have their deliveries.
    pub position: i64,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Since when nothing is sent to it.
    pub paused_at: Option<Timestamp>,
    /// When it was last resumed.
    pub resumed_at: Option<Timestamp>,
    /// Since when deliveries are given up.
    pub failing_since: Option<Timestamp>,
    /// Tries in a row that it took nothing of.
    pub failures: i64,
    /// When it is tried next, if it took nothing.
    pub next_try_at: Timestamp,
    /// Before when nothing of what waits may go.
    pub next_look_at: Timestamp,
}

impl Tx<'_> {
    /// Adds an endpoint. `false`: the team has one of that name.
    pub fn endpoint_insert(&mut self, row: &EndpointRow) -> Result<bool, StoreError> {
        let added = self.execute(
            "INSERT INTO endpoint (id, team_id, kind, name, shown_target, sealed, version, events, quiet_hours,
                                   group_for_secs, position, created_by, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT DO NOTHING",
            params![
                row.id,
                row.team_id,
                Word(row.kind),
                row.name,
                row.shown_target,
                row.sealed,
                row.version,
                Json(&row.events),
                row.quiet_hours.as_ref().map(Json),
                row.group_for_secs,
                row.position,
                row.created_by,
                row.created_at,
                row.updated_at
            ],
        )?;
        Ok(added == 1)
    }

    /// Changes what people set of an endpoint, if it is still at version `from`. `false`: it is not.
    pub fn endpoint_replace(&mut self, row: &EndpointRow, from: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET name = $1, shown_target = $2, sealed = $3, version = $4, events = $5,
                    quiet_hours = $6, group_for_secs = $7, updated_at = $8, next_try_at = 0, next_look_at = 0
              WHERE id = $9 AND team_id = $10 AND version = $11 AND removed_at IS NULL",
            params![
                row.name,
                row.shown_target,
                row.sealed,
                row.version,
                Json(&row.events),
                row.quiet_hours.as_ref().map(Json),
                row.group_for_secs,
                row.updated_at,
                row.id,
                row.team_id,
                from
            ],
        )?;
        Ok(changed == 1)
    }

    /// Whether another endpoint of the team has this name.
    pub fn endpoint_name_is_taken(
        &mut self,
        team_id: TeamId,
        name: &str,
        but: EndpointId,
    ) -> Result<bool, StoreError> {
        let found = self.query_opt(
            "SELECT 1 FROM endpoint WHERE team_id = $1 AND name = $2 AND id <> $3 AND removed_at IS NULL",
            params![team_id, name, but],
            |row| row.get::<i64>(0),
        )?;
        Ok(found.is_some())
    }

    /// Returns an endpoint of a team.
    pub fn endpoint(&mut self, team_id: TeamId, id: EndpointId) -> Result<Option<EndpointRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, kind, name, shown_target, sealed, version, events, quiet_hours, group_for_secs, position,
                    created_by, created_at, updated_at, paused_at, resumed_at, failing_since, failures, next_try_at, next_look_at
               FROM endpoint WHERE id = $1 AND team_id = $2 AND removed_at IS NULL",
            params![id, team_id],
            read_endpoint,
        )
    }

    /// Returns the endpoints of a team in order of their ids.
    pub fn endpoints_page(
        &mut self,
        team_id: TeamId,
        after: Option<EndpointId>,
        limit: i64,
    ) -> Result<Vec<EndpointRow>, StoreError> {
        self.query(
            "SELECT id, team_id, kind, name, shown_target, sealed, version, events, quiet_hours, group_for_secs, position,
                    created_by, created_at, updated_at, paused_at, resumed_at, failing_since, failures, next_try_at, next_look_at
               FROM endpoint
              WHERE team_id = $1 AND removed_at IS NULL AND (CAST($2 AS UUID_T) IS NULL OR id > $2)
              ORDER BY id LIMIT $3",
            params![team_id, after, limit],
            read_endpoint,
        )
    }

    /// Returns how many endpoints a team has.
    pub fn endpoints_count(&mut self, team_id: TeamId) -> Result<i64, StoreError> {
        self.query_one(
            "SELECT count(*) FROM endpoint WHERE team_id = $1 AND removed_at IS NULL",
            params![team_id],
            |row| row.get(0),
        )
    }

    /// Returns endpoints that are not paused and have events of their team before them that they were not given.
    pub fn endpoints_with_news(&mut self, limit: i64) -> Result<Vec<(TeamId, EndpointId)>, StoreError> {
        self.query(
            "SELECT endpoint.team_id, endpoint.id FROM endpoint
              WHERE endpoint.paused_at IS NULL AND endpoint.removed_at IS NULL
                AND EXISTS (SELECT 1 FROM outbox
                             WHERE outbox.team_id = endpoint.team_id AND outbox.position > endpoint.position)
              ORDER BY endpoint.position, endpoint.id LIMIT $1",
            params![limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Says that the events up to `to` have their deliveries. `false`: it did not stand at `from`.
    pub fn endpoint_advance(&mut self, id: EndpointId, from: i64, to: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET position = $1 WHERE id = $2 AND position = $3",
            params![to, id, from],
        )?;
        Ok(changed == 1)
    }

    /// Pauses an endpoint. `false`: it is paused, or not there.
    pub fn endpoint_pause(
        &mut self,
        team_id: TeamId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET paused_at = $1, updated_at = $1
              WHERE id = $2 AND team_id = $3 AND paused_at IS NULL AND removed_at IS NULL",
            params![now, id, team_id],
        )?;
        Ok(changed == 1)
    }

    /// Resumes an endpoint. `false`: it is not paused, or not there.
    pub fn endpoint_resume(
        &mut self,
        team_id: TeamId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET paused_at = NULL, resumed_at = $1, updated_at = $1, next_try_at = 0, next_look_at = 0
              WHERE id = $2 AND team_id = $3 AND paused_at IS NOT NULL AND removed_at IS NULL",
            params![now, id, team_id],
        )?;
        Ok(changed == 1)
    }

    /// Removes an endpoint and its credentials; its deliveries go later. `false`: it is not there.
    pub fn endpoint_remove(
        &mut self,
        team_id: TeamId,
        id: EndpointId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET removed_at = $1, sealed = $2
              WHERE id = $3 AND team_id = $4 AND removed_at IS NULL",
            params![now, Vec::<u8>::new(), id, team_id],
        )?;
        Ok(changed == 1)
    }

    /// Remembers that deliveries to an endpoint are given up. `false`: that is known.
    pub fn endpoint_gives_up(&mut self, id: EndpointId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET failing_since = $1 WHERE id = $2 AND failing_since IS NULL",
            params![now, id],
        )?;
        Ok(changed == 1)
    }

    /// Remembers that an endpoint took a message.
    pub fn endpoint_took(&mut self, id: EndpointId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE endpoint SET failing_since = NULL, failures = 0, next_try_at = 0
              WHERE id = $1 AND (failing_since IS NOT NULL OR failures > 0)",
            params![id],
        )?;
        Ok(())
    }

    /// Remembers that an endpoint answered, although it did not take a message.
    pub fn endpoint_answered(&mut self, id: EndpointId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE endpoint SET failures = 0, next_try_at = 0 WHERE id = $1 AND failures > 0",
            params![id],
        )?;
        Ok(())
    }

    /// Counts a try that an endpoint took nothing of, and says when the next one is. `false`: another one that went at
    /// the same time was counted.
    pub fn endpoint_took_nothing(
        &mut self,
        id: EndpointId,
        failures_before: i64,
        next_try_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE endpoint SET failures = $1, next_try_at = $2 WHERE id = $3 AND failures = $4",
            params![failures_before.saturating_add(1), next_try_at, id, failures_before],
        )?;
        Ok(changed == 1)
    }

    /// Says when an endpoint that took nothing is tried next.
    pub fn endpoint_try_at(&mut self, id: EndpointId, at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE endpoint SET next_try_at = $1 WHERE id = $2 AND failures > 0", params![at, id])?;
        Ok(())
    }

    /// Says before when nothing of what waits for an endpoint may go.
    pub fn endpoint_look_at(&mut self, id: EndpointId, at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE endpoint SET next_look_at = $1 WHERE id = $2", params![at, id])?;
        Ok(())
    }

    /// Says that something that waits for an endpoint may go at a time, if nothing may before.
    pub fn endpoint_look_by(&mut self, id: EndpointId, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE endpoint SET next_look_at = $1 WHERE id = $2 AND next_look_at > $1",
            params![at, id],
        )?;
        Ok(())
    }

    /// Says that an endpoint is looked at, and tried, at once: something of it was asked for.
    pub fn endpoint_try_now(&mut self, id: EndpointId) -> Result<(), StoreError> {
        self.execute("UPDATE endpoint SET next_try_at = 0, next_look_at = 0 WHERE id = $1", params![id])?;
        Ok(())
    }

    /// Drops deliveries of endpoints that were removed, then these. Returns how many rows.
    pub fn removed_endpoints_drop(&mut self, limit: i64) -> Result<u64, StoreError> {
        let deliveries = self.execute(
            "DELETE FROM delivery WHERE id IN
               (SELECT delivery.id FROM endpoint JOIN delivery ON delivery.endpoint_id = endpoint.id
                 WHERE endpoint.removed_at IS NOT NULL LIMIT $1)",
            params![limit],
        )?;
        if deliveries > 0 {
            return Ok(deliveries);
        }
        self.execute(
            "DELETE FROM endpoint WHERE id IN (SELECT id FROM endpoint WHERE removed_at IS NOT NULL LIMIT $1)",
            params![limit],
        )
    }
}

fn read_endpoint(row: &Row<'_>) -> Result<EndpointRow, StoreError> {
    Ok(EndpointRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        kind: row.get::<Word<EndpointKind>>(2)?.0,
        name: row.get(3)?,
        shown_target: row.get(4)?,
        sealed: row.get(5)?,
        version: row.get(6)?,
        events: row.get::<Json<Vec<String>>>(7)?.0,
        quiet_hours: row.get::<Option<Json<QuietHours>>>(8)?.map(|hours| hours.0),
        group_for_secs: row.get(9)?,
        position: row.get(10)?,
        created_by: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        paused_at: row.get(14)?,
        resumed_at: row.get(15)?,
        failing_since: row.get(16)?,
        failures: row.get(17)?,
        next_try_at: row.get(18)?,
        next_look_at: row.get(19)?,
    })
}
