//! Deliveries: one row an event and endpoint. Of a line only the head has a time; what is behind it waits its turn.

use muster_ids::{DeliveryId, EndpointId, EventId, HostId, TeamId, Timestamp};
use muster_wire::endpoint::{DeliveryState, EndpointKind};

use crate::{Row, StoreError, Tx, Word, params};

/// The time of a delivery whose turn has not come: there is one before it in its line.
pub const NOT_ITS_TURN: Timestamp = Timestamp::from_millis(i64::MAX);

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDeliveryRow {
    /// Names it.
    pub id: DeliveryId,
    /// Its team.
    pub team_id: TeamId,
    /// Who hears of it.
    pub endpoint_id: EndpointId,
    /// The event.
    pub event_id: EventId,
    /// The place of the event.
    pub position: i64,
    /// What keeps its order: a host's id, else what the event is about; nothing for people.
    pub line: String,
    /// Whether people want to be woken for it.
    pub is_urgent: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// Since when it is tried: it was made, or asked for again.
    pub tried_since: Timestamp,
    /// When it is tried next; [`NOT_ITS_TURN`].
    pub next_at: Timestamp,
    /// When it was last tried.
    pub last_at: Option<Timestamp>,
    /// The receiver's last status.
    pub last_status: Option<u16>,
    /// Why it was not taken, in this server's words.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was over.
    pub done_at: Option<Timestamp>,
}

/// A delivery that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// The delivery.
    pub id: DeliveryId,
    /// Its team.
    pub team_id: TeamId,
    /// Who hears of it.
    pub endpoint_id: EndpointId,
    /// How that one is spoken to.
    pub kind: EndpointKind,
    /// What keeps its order.
    pub line: String,
    /// Whether the endpoint took nothing the last time: it is tried with one message.
    pub is_probe: bool,
}

/// A delivery with what it tells of, while that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDelivery {
    /// The delivery.
    pub row: EventDeliveryRow,
    /// What happened.
    pub kind: Option<String>,
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// When.
    pub at: Timestamp,
    /// Which try it was, as it was claimed.
    pub attempts: i64,
    /// The receiver's status, if it gave one.
    pub status: Option<u16>,
    /// Why it was not taken; `None`: it was.
    pub error: Option<String>,
    /// When it is tried again; `None`: it is over.
    pub again_at: Option<Timestamp>,
}

impl Tx<'_> {
    /// Adds a delivery. `false`: the endpoint has one of this event.
    pub fn delivery_insert(&mut self, row: &EventDeliveryRow) -> Result<bool, StoreError> {
        let added = self.execute(
            "INSERT INTO delivery (id, team_id, endpoint_id, event_id, position, line, urgent, state, attempts,
                                   tried_since, next_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT DO NOTHING",
            params![
                row.id,
                row.team_id,
                row.endpoint_id,
                row.event_id,
                row.position,
                row.line,
                i64::from(row.is_urgent),
                Word(row.state),
                row.attempts,
                row.tried_since,
                row.next_at,
                row.created_at
            ],
        )?;
        Ok(added == 1)
    }

    /// Whether something waits in a line.
    pub fn delivery_line_is_waiting(
        &mut self,
        endpoint_id: EndpointId,
        line: &str,
    ) -> Result<bool, StoreError> {
        let found = self.query(
            "SELECT 1 FROM delivery WHERE endpoint_id = $1 AND line = $2 AND state = 'waiting' LIMIT 1",
            params![endpoint_id, line],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Returns what is due with the time since when, at most `of_each` of an endpoint and one of an endpoint that took
    /// nothing the last time, the longest due of each endpoint first. Endpoints that are paused have nothing due.
    pub fn deliveries_due(
        &mut self,
        now: Timestamp,
        of_each: i64,
    ) -> Result<Vec<(Timestamp, DueRow)>, StoreError> {
        let endpoints: Vec<(EndpointId, Word<EndpointKind>, i64)> = self.query(
            "SELECT id, kind, failures FROM endpoint
              WHERE paused_at IS NULL AND removed_at IS NULL AND next_try_at <= $1 AND next_look_at <= $1
                AND EXISTS (SELECT 1 FROM delivery
                             WHERE delivery.endpoint_id = endpoint.id AND delivery.state = 'waiting'
                               AND delivery.next_at <= $1)",
            params![now],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut due = Vec::new();
        // One by one: no join reads a few of each from the index alone.
        for (endpoint_id, Word(kind), failures) in endpoints {
            let is_probe = failures > 0;
            due.extend(self.query(
                "SELECT id, team_id, line, next_at FROM delivery
                  WHERE endpoint_id = $1 AND state = 'waiting' AND next_at <= $2
                  ORDER BY next_at, position LIMIT $3",
                params![endpoint_id, now, if is_probe { 1 } else { of_each }],
                |row| {
                    let (id, team_id, line) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok((row.get(3)?, DueRow { id, team_id, endpoint_id, kind, line, is_probe }))
                },
            )?);
        }
        Ok(due)
    }

    /// Counts a try that begins now, and says when the delivery is tried again if nobody writes down how it ended.
    /// `false`: somebody else tried it, or it is over.
    pub fn delivery_claim(
        &mut self,
        id: DeliveryId,
        attempts_before: i64,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE delivery SET attempts = $1, next_at = $2 WHERE id = $3 AND state = 'waiting' AND attempts = $4",
            params![attempts_before.saturating_add(1), until, id, attempts_before],
        )?;
        Ok(changed == 1)
    }

    /// Returns a delivery of an endpoint.
    pub fn delivery(
        &mut self,
        endpoint_id: EndpointId,
        id: DeliveryId,
    ) -> Result<Option<ShownDelivery>, StoreError> {
        self.query_opt(
            "SELECT delivery.id, delivery.team_id, endpoint_id, event_id, delivery.position, line, state, attempts,
                    tried_since, next_at, last_at, last_status, last_error, created_at, done_at, outbox.kind, urgent,
                    outbox.host_id
               FROM delivery LEFT JOIN outbox ON outbox.id = delivery.event_id
              WHERE delivery.id = $1 AND delivery.endpoint_id = $2",
            params![id, endpoint_id],
            read_shown,
        )
    }

    /// Returns what waits for an endpoint, in the order of the events.
    pub fn deliveries_waiting(
        &mut self,
        endpoint_id: EndpointId,
        limit: i64,
    ) -> Result<Vec<ShownDelivery>, StoreError> {
        self.query(
            "SELECT delivery.id, delivery.team_id, endpoint_id, event_id, delivery.position, line, state, attempts,
                    tried_since, next_at, last_at, last_status, last_error, created_at, done_at, outbox.kind, urgent,
                    outbox.host_id
               FROM delivery LEFT JOIN outbox ON outbox.id = delivery.event_id
              WHERE delivery.endpoint_id = $1 AND delivery.state = 'waiting'
              ORDER BY delivery.line, delivery.position LIMIT $2",
            params![endpoint_id, limit],
            read_shown,
        )
    }

    /// Returns what waits for an endpoint and people want to be woken for, in the order of the events.
    pub fn deliveries_urgent(
        &mut self,
        endpoint_id: EndpointId,
        limit: i64,
    ) -> Result<Vec<ShownDelivery>, StoreError> {
        self.query(
            "SELECT delivery.id, delivery.team_id, endpoint_id, event_id, delivery.position, line, state, attempts,
                    tried_since, next_at, last_at, last_status, last_error, created_at, done_at, outbox.kind, urgent,
                    outbox.host_id
               FROM delivery LEFT JOIN outbox ON outbox.id = delivery.event_id
              WHERE delivery.endpoint_id = $1 AND delivery.state = 'waiting' AND delivery.urgent = 1
              ORDER BY delivery.position LIMIT $2",
            params![endpoint_id, limit],
            read_shown,
        )
    }

    /// Returns how many deliveries wait for an endpoint, but counts no further than to `most`.
    pub fn deliveries_waiting_count(
        &mut self,
        endpoint_id: EndpointId,
        most: u64,
    ) -> Result<u64, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let count: i64 = self.query_one(
            "SELECT count(*) FROM
               (SELECT 1 FROM delivery WHERE endpoint_id = $1 AND state = 'waiting' LIMIT $2) counted",
            params![endpoint_id, most],
            |row| row.get(0),
        )?;
        Ok(count.unsigned_abs())
    }

    /// Gives up the oldest events that wait for an endpoint: what is behind them in their lines has its turn. Returns
    /// how many.
    pub fn deliveries_give_up_oldest(
        &mut self,
        endpoint_id: EndpointId,
        now: Timestamp,
        error: &str,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let oldest = self.query(
            "SELECT id, line FROM delivery WHERE endpoint_id = $1 AND state = 'waiting' ORDER BY position LIMIT $2",
            params![endpoint_id, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.deliveries_give_up(endpoint_id, &oldest, now, error)
    }

    /// Gives up what is due and is tried since before a time. Returns how many.
    pub fn deliveries_give_up_tried(
        &mut self,
        endpoint_id: EndpointId,
        since_before: Timestamp,
        now: Timestamp,
        error: &str,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let old = self.query(
            "SELECT id, line FROM delivery
              WHERE endpoint_id = $1 AND state = 'waiting' AND next_at <= $2 AND tried_since <= $3
              ORDER BY next_at LIMIT $4",
            params![endpoint_id, now, since_before, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.deliveries_give_up(endpoint_id, &old, now, error)
    }

    fn deliveries_give_up(
        &mut self,
        endpoint_id: EndpointId,
        deliveries: &[(DeliveryId, String)],
        now: Timestamp,
        error: &str,
    ) -> Result<u64, StoreError> {
        for (id, line) in deliveries {
            self.execute(
                "UPDATE delivery SET state = 'failed', last_error = $1, next_at = $2, done_at = $3 WHERE id = $4",
                params![error, NOT_ITS_TURN, now, id],
            )?;
            self.delivery_line_next(endpoint_id, line, now)?;
        }
        Ok(deliveries.len() as u64)
    }

    /// Returns the deliveries of an endpoint, the newest event first, before `before`.
    pub fn deliveries_page(
        &mut self,
        endpoint_id: EndpointId,
        state: Option<DeliveryState>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<ShownDelivery>, StoreError> {
        self.query(
            "SELECT delivery.id, delivery.team_id, endpoint_id, event_id, delivery.position, line, state, attempts,
                    tried_since, next_at, last_at, last_status, last_error, created_at, done_at, outbox.kind, urgent,
                    outbox.host_id
               FROM delivery LEFT JOIN outbox ON outbox.id = delivery.event_id
              WHERE delivery.endpoint_id = $1 AND delivery.position < $2
                AND (CAST($3 AS TEXT) IS NULL OR delivery.state = $3)
              ORDER BY delivery.position DESC LIMIT $4",
            params![endpoint_id, before.unwrap_or(i64::MAX), state.map(Word), limit],
            read_shown,
        )
    }

    /// Writes down how a try ended. `false`: the delivery was tried, or was over, meanwhile.
    pub fn delivery_tried(&mut self, id: DeliveryId, tried: &Tried) -> Result<bool, StoreError> {
        let state = match (&tried.error, tried.again_at) {
            (None, _) => DeliveryState::Delivered,
            (Some(_), Some(_)) => DeliveryState::Waiting,
            (Some(_), None) => DeliveryState::Failed,
        };
        let changed = self.execute(
            "UPDATE delivery SET state = $1, last_at = $2, last_status = $3, last_error = $4, next_at = $5, done_at = $6
              WHERE id = $7 AND state = 'waiting' AND attempts = $8",
            params![
                Word(state),
                tried.at,
                tried.status,
                tried.error,
                tried.again_at.unwrap_or(NOT_ITS_TURN),
                (state != DeliveryState::Waiting).then_some(tried.at),
                id,
                tried.attempts
            ],
        )?;
        Ok(changed == 1)
    }

    /// Takes its turn from a delivery that is not the first of its line any more.
    pub fn delivery_line_yield(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE delivery SET next_at = $1
              WHERE id = $2 AND state = 'waiting'
                AND EXISTS (SELECT 1 FROM delivery before
                             WHERE before.endpoint_id = delivery.endpoint_id AND before.line = delivery.line
                               AND before.state = 'waiting' AND before.position < delivery.position)",
            params![NOT_ITS_TURN, id],
        )?;
        Ok(())
    }

    /// Lets the first of a line have its turn, if it does not have it. `true`: it has it now.
    pub fn delivery_line_next(
        &mut self,
        endpoint_id: EndpointId,
        line: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE delivery SET next_at = $1
              WHERE next_at = $2 AND id = (SELECT first.id FROM delivery first
                                            WHERE first.endpoint_id = $3 AND first.line = $4
                                              AND first.state = 'waiting'
                                            ORDER BY first.position LIMIT 1)",
            params![now, NOT_ITS_TURN, endpoint_id, line],
        )?;
        Ok(changed == 1)
    }

    /// Asks for a delivery that is over again. `false`: it waits, is another endpoint's, or its event is not kept.
    pub fn delivery_again(
        &mut self,
        endpoint_id: EndpointId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE delivery SET state = 'waiting', attempts = 0, tried_since = $1, next_at = $1, done_at = NULL
              WHERE id = $2 AND endpoint_id = $3 AND state <> 'waiting'
                AND EXISTS (SELECT 1 FROM outbox WHERE outbox.id = delivery.event_id)",
            params![now, id, endpoint_id],
        )?;
        Ok(changed == 1)
    }

    /// Asks for the oldest deliveries since a time that are over again. Returns how many.
    pub fn deliveries_again(
        &mut self,
        endpoint_id: EndpointId,
        since: Timestamp,
        now: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE delivery SET state = 'waiting', attempts = 0, tried_since = $1, next_at = $1, done_at = NULL
              WHERE id IN (SELECT over.id FROM delivery over JOIN outbox ON outbox.id = over.event_id
                            WHERE over.endpoint_id = $2 AND over.state <> 'waiting' AND outbox.at >= $3
                            ORDER BY over.position LIMIT $4)",
            params![now, endpoint_id, since, limit],
        )
    }

    /// Puts every line of an endpoint in order: the first has its turn, the others have not.
    pub fn delivery_lines_settle(
        &mut self,
        endpoint_id: EndpointId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE delivery SET next_at = $1
              WHERE endpoint_id = $2 AND state = 'waiting' AND next_at < $1
                AND EXISTS (SELECT 1 FROM delivery before
                             WHERE before.endpoint_id = $2 AND before.line = delivery.line
                               AND before.state = 'waiting' AND before.position < delivery.position)",
            params![NOT_ITS_TURN, endpoint_id],
        )?;
        self.execute(
            "UPDATE delivery SET next_at = $1
              WHERE endpoint_id = $2 AND state = 'waiting' AND next_at = $3
                AND NOT EXISTS (SELECT 1 FROM delivery before
                                 WHERE before.endpoint_id = $2 AND before.line = delivery.line
                                   AND before.state = 'waiting' AND before.position < delivery.position)",
            params![now, endpoint_id, NOT_ITS_TURN],
        )?;
        Ok(())
    }

    /// Brings the next try of what waits for a time forward, for an endpoint that is resumed.
    pub fn deliveries_hurry(
        &mut self,
        endpoint_id: EndpointId,
        now: Timestamp,
        limit: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE delivery SET next_at = $1
              WHERE id IN (SELECT late.id FROM delivery late
                            WHERE late.endpoint_id = $2 AND late.state = 'waiting' AND late.next_at > $1
                              AND late.next_at < $3
                            ORDER BY late.next_at LIMIT $4)",
            params![now, endpoint_id, NOT_ITS_TURN, limit],
        )?;
        Ok(())
    }

    /// Drops deliveries that were over before a time. Returns how many.
    pub fn deliveries_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM delivery WHERE id IN
               (SELECT id FROM delivery WHERE done_at < $1 ORDER BY done_at LIMIT $2)",
            params![before, limit],
        )
    }
}

fn read_shown(row: &Row<'_>) -> Result<ShownDelivery, StoreError> {
    let (kind, host_id) = (row.get(15)?, row.get(17)?);
    let row = EventDeliveryRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        endpoint_id: row.get(2)?,
        event_id: row.get(3)?,
        position: row.get(4)?,
        line: row.get(5)?,
        is_urgent: row.get::<i64>(16)? == 1,
        state: row.get::<Word<DeliveryState>>(6)?.0,
        attempts: row.get(7)?,
        tried_since: row.get(8)?,
        next_at: row.get(9)?,
        last_at: row.get(10)?,
        last_status: row.get(11)?,
        last_error: row.get(12)?,
        created_at: row.get(13)?,
        done_at: row.get(14)?,
    };
    Ok(ShownDelivery { row, kind, host_id })
}
