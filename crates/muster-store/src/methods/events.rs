//! Events: outbox rows that have their place. Nothing here sees one that has none.

use muster_ids::{EventId, HostId, TeamId, Timestamp};
use muster_wire::page::Order;
use serde_json::Value as Payload;

use crate::{Json, Row, StoreError, Tx, params};

/// The fact that holds the last position whose event was dropped for its age.
const OUTBOX_DROPPED: &str = "outbox_dropped";

/// An event in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its place among all events.
    pub position: i64,
    /// Names it.
    pub id: EventId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
    /// Who did it.
    pub actor: String,
    /// Details that are not secret.
    pub payload: Payload,
}

/// Which events to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of these kinds; of all when none is named.
    pub kinds: Vec<String>,
    /// Only about this host.
    pub host_id: Option<HostId>,
    /// Only what happened to this.
    pub subject: Option<String>,
    /// Only after this position.
    pub after: i64,
}

impl EventFilter {
    /// Whether an event passes.
    pub fn takes(&self, event: &EventRow) -> bool {
        event.position > self.after
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.host_id.is_none_or(|host_id| event.host_id == Some(host_id))
            && self.subject.as_ref().is_none_or(|subject| event.subject == *subject)
    }

    /// The kinds as one text, each between commas; `None`: all.
    fn kinds_between_commas(&self) -> Option<String> {
        (!self.kinds.is_empty()).then(|| format!(",{},", self.kinds.join(",")))
    }
}

impl Tx<'_> {
    /// Returns the events of a team after a position, in order.
    pub fn events_after(
        &mut self,
        team_id: TeamId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.query(
            "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
              WHERE team_id = $1 AND position > $2 ORDER BY position LIMIT $3",
            params![team_id, after, limit],
            read_event,
        )
    }

    /// Returns an event of a team, if it is kept and has its place.
    pub fn event(&mut self, team_id: TeamId, id: EventId) -> Result<Option<EventRow>, StoreError> {
        self.query_opt(
            "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
              WHERE id = $1 AND team_id = $2 AND position IS NOT NULL",
            params![id, team_id],
            read_event,
        )
    }

    /// Returns events of a team in order of their positions, after `cursor` in that order.
    pub fn events_page(
        &mut self,
        team_id: TeamId,
        filter: &EventFilter,
        order: Order,
        cursor: Option<i64>,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let (after, before) = match (order, cursor) {
            (Order::Asc, Some(cursor)) => (cursor.max(filter.after), i64::MAX),
            (Order::Desc, Some(cursor)) => (filter.after, cursor),
            (_, None) => (filter.after, i64::MAX),
        };
        let kinds = filter.kinds_between_commas();
        let page = params![team_id, after, before, limit, kinds, filter.subject];
        match (filter.host_id, order) {
            (None, Order::Asc) => self.query(
                "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
                  WHERE team_id = $1 AND position > $2 AND position < $3
                    AND (CAST($5 AS TEXT) IS NULL OR CAST($5 AS TEXT) LIKE '%,' || kind || ',%')
                    AND (CAST($6 AS TEXT) IS NULL OR subject = $6)
                  ORDER BY position LIMIT $4",
                page,
                read_event,
            ),
            (None, Order::Desc) => self.query(
                "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
                  WHERE team_id = $1 AND position > $2 AND position < $3
                    AND (CAST($5 AS TEXT) IS NULL OR CAST($5 AS TEXT) LIKE '%,' || kind || ',%')
                    AND (CAST($6 AS TEXT) IS NULL OR subject = $6)
                  ORDER BY position DESC LIMIT $4",
                page,
                read_event,
            ),
            // One text a filter, so that each reads what it shows from its own index.
            (Some(host_id), order) => {
                self.host_events_page(team_id, host_id, filter, order, (after, before), limit)
            }
        }
    }

    fn host_events_page(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
        filter: &EventFilter,
        order: Order,
        (after, before): (i64, i64),
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let kinds = filter.kinds_between_commas();
        let sql = match order {
            Order::Asc => {
                "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
                  WHERE host_id = $7 AND team_id = $1 AND position > $2 AND position < $3
                    AND (CAST($5 AS TEXT) IS NULL OR CAST($5 AS TEXT) LIKE '%,' || kind || ',%')
                    AND (CAST($6 AS TEXT) IS NULL OR subject = $6)
                  ORDER BY position LIMIT $4"
            }
            Order::Desc => {
                "SELECT position, id, team_id, at, kind, subject, host_id, actor, payload FROM outbox
                  WHERE host_id = $7 AND team_id = $1 AND position > $2 AND position < $3
                    AND (CAST($5 AS TEXT) IS NULL OR CAST($5 AS TEXT) LIKE '%,' || kind || ',%')
                    AND (CAST($6 AS TEXT) IS NULL OR subject = $6)
                  ORDER BY position DESC LIMIT $4"
            }
        };
        self.query(sql, params![team_id, after, before, limit, kinds, filter.subject, host_id], read_event)
    }

    /// Returns the last position up to which events were dropped for their age; 0: none was.
    pub fn events_dropped(&mut self) -> Result<i64, StoreError> {
        match self.installation(OUTBOX_DROPPED)? {
            Some(kept) => {
                let kept =
                    kept.try_into().map_err(|_| StoreError::corrupt("the end of the dropped events"))?;
                Ok(i64::from_be_bytes(kept))
            }
            None => Ok(0),
        }
    }

    /// Drops each team's oldest events if they are of before `before` and nobody waits for them: no endpoint that is not
    /// paused stands before them or has a delivery of them to make. Looks at no more than `limit` of a team. Returns how
    /// many.
    pub fn events_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let teams: Vec<TeamId> = self.query(
            "SELECT id FROM team
              WHERE (SELECT at FROM outbox WHERE outbox.team_id = team.id AND outbox.position > 0
                      ORDER BY outbox.position LIMIT 1) < $1",
            params![before],
            |row| row.get(0),
        )?;
        let mut dropped = 0;
        for team_id in teams {
            if dropped >= limit.unsigned_abs() {
                break;
            }
            dropped += self.team_events_drop(team_id, before, limit)?;
        }
        Ok(dropped)
    }

    fn team_events_drop(
        &mut self,
        team_id: TeamId,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let old: Vec<(i64, i64)> = self.query(
            "SELECT oldest.seq, oldest.position
               FROM (SELECT seq, position, id, team_id, at FROM outbox
                      WHERE team_id = $3 AND position > 0 ORDER BY position LIMIT $2) oldest
              WHERE oldest.at < $1
                AND NOT EXISTS (SELECT 1 FROM endpoint
                                 WHERE endpoint.team_id = oldest.team_id AND endpoint.removed_at IS NULL
                                   AND endpoint.paused_at IS NULL
                                   AND (endpoint.position < oldest.position
                                        OR EXISTS (SELECT 1 FROM delivery
                                                    WHERE delivery.endpoint_id = endpoint.id
                                                      AND delivery.event_id = oldest.id
                                                      AND delivery.state = 'waiting')))
              ORDER BY oldest.position",
            params![before, limit, team_id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let Some((_, last)) = old.last() else { return Ok(0) };
        for (seq, _) in &old {
            self.execute("DELETE FROM outbox WHERE seq = $1", params![seq])?;
        }
        let dropped = self.events_dropped()?.max(*last);
        self.installation_set(OUTBOX_DROPPED, &dropped.to_be_bytes())?;
        Ok(old.len() as u64)
    }
}

fn read_event(row: &Row<'_>) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        position: row.get(0)?,
        id: row.get(1)?,
        team_id: row.get(2)?,
        at: row.get(3)?,
        kind: row.get(4)?,
        subject: row.get(5)?,
        host_id: row.get(6)?,
        // Events of before it was written down who did it.
        actor: row.get::<Option<String>>(7)?.unwrap_or_else(|| "system".to_owned()),
        payload: row.get::<Json<Payload>>(8)?.0,
    })
}
