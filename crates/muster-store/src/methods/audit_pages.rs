//! Pages of the audit trail: whatever is asked for is read from an index, by position.

use muster_ids::{HostId, TeamId, Timestamp};
use muster_wire::page::Order;

use super::audit::{AuditRow, SealedAuditRow, read_audit};
use crate::{StoreError, Tx, params};

/// Which audit rows to read; what is not said fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only these actions; all when empty.
    pub actions: Vec<String>,
    /// Only what was done to this.
    pub target: Option<String>,
    /// Only what is about this host.
    pub host_id: Option<HostId>,
    /// Only what this one did.
    pub actor: Option<String>,
    /// Only what ended like this.
    pub outcome: Option<String>,
    /// Only what comes after this position.
    pub after: i64,
    /// Nothing that was written before this.
    pub since: Option<Timestamp>,
    /// Only what was written before this.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether a row is among those that are read.
    pub fn fits(&self, row: &AuditRow) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        (self.actions.is_empty() || self.actions.contains(&row.action))
            && is(&self.target, &row.target)
            && is(&self.actor, &row.actor)
            && is(&self.outcome, &row.outcome)
            && self.host_id.is_none_or(|host_id| row.host_id == Some(host_id))
            && self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
    }
}

/// The positions between which a page lies, both left out.
#[derive(Debug, Clone, Copy)]
struct Between {
    low: i64,
    high: i64,
}

impl Tx<'_> {
    /// Returns audit rows of a team in order of their positions, after `after` or from the end of the order.
    pub fn audit_page(
        &mut self,
        team_id: TeamId,
        filter: &AuditFilter,
        order: Order,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<SealedAuditRow>, StoreError> {
        let Some(mut between) = self.written_between(team_id, filter)? else { return Ok(Vec::new()) };
        match (order, after) {
            (_, None) => {}
            (Order::Asc, Some(after)) => between.low = between.low.max(after),
            (Order::Desc, Some(after)) => between.high = between.high.min(after),
        }
        let actions: Vec<Option<&str>> = match filter.actions.as_slice() {
            [] => vec![None],
            some => some.iter().map(|action| Some(action.as_str())).collect(),
        };
        // Each action is read from its index, up to a whole page: what is merged is in order and complete.
        let mut rows = Vec::new();
        for action in actions {
            rows.extend(self.audit_page_of(team_id, filter, action, order, between, limit)?);
        }
        match order {
            Order::Asc => rows.sort_by_key(|row| row.position),
            Order::Desc => rows.sort_by_key(|row| std::cmp::Reverse(row.position)),
        }
        rows.dedup_by_key(|row| row.position);
        rows.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(rows)
    }

    /// Returns the positions that the times of a filter lie between; `None`: nothing was written then.
    ///
    /// Positions are in the order of commits, times are not quite: both ends are looked up, none is guessed.
    fn written_between(
        &mut self,
        team_id: TeamId,
        filter: &AuditFilter,
    ) -> Result<Option<Between>, StoreError> {
        let mut between = Between { low: filter.after, high: i64::MAX };
        if let Some(since) = filter.since {
            let first: Option<i64> = self.query_one(
                "SELECT min(position) FROM audit WHERE team_id = $1 AND at >= $2",
                params![team_id, since],
                |row| row.get(0),
            )?;
            let Some(first) = first else { return Ok(None) };
            between.low = between.low.max(first.saturating_sub(1));
        }
        if let Some(until) = filter.until {
            let last: Option<i64> = self.query_one(
                "SELECT max(position) FROM audit WHERE team_id = $1 AND at < $2",
                params![team_id, until],
                |row| row.get(0),
            )?;
            let Some(last) = last else { return Ok(None) };
            between.high = last.saturating_add(1);
        }
        Ok(Some(between))
    }

    fn audit_page_of(
        &mut self,
        team_id: TeamId,
        filter: &AuditFilter,
        action: Option<&str>,
        order: Order,
        between: Between,
        limit: i64,
    ) -> Result<Vec<SealedAuditRow>, StoreError> {
        let since = filter.since.map_or(i64::MIN, Timestamp::as_millis);
        let until = filter.until.map_or(i64::MAX, Timestamp::as_millis);
        // One text a filter, so that each reads what it shows from its own index; the most telling first.
        let sql = match (&filter.target, filter.host_id, &filter.actor, action, &filter.outcome) {
            (Some(_), ..) => of_a_target(order),
            (_, Some(_), ..) => of_a_host(order),
            (_, _, Some(_), ..) => of_an_actor(order),
            (_, _, _, Some(_), _) => of_an_action(order),
            (_, _, _, _, Some(_)) => of_an_outcome(order),
            _ => of_a_team(order),
        };
        self.query(
            sql,
            params![
                team_id,
                between.low,
                between.high,
                since,
                until,
                filter.target,
                filter.host_id,
                filter.actor,
                action,
                filter.outcome,
                limit
            ],
            |row| Ok(SealedAuditRow { position: row.get(12)?, row: read_audit(row)? }),
        )
    }
}

// One end of the page is left to the filter (`+`): with both, SQLite takes the index of the team for all of them.
const fn of_a_target(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND +position < $3 AND target = $6
                AND +at >= $4 AND +at < $5
                AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7) AND (CAST($8 AS TEXT) IS NULL OR actor = $8)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND +position > $2 AND position < $3 AND target = $6
                AND +at >= $4 AND +at < $5
                AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7) AND (CAST($8 AS TEXT) IS NULL OR actor = $8)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position DESC LIMIT $11"
        }
    }
}

const fn of_a_host(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND +position < $3 AND host_id = $7
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($8 AS TEXT) IS NULL OR actor = $8)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND +position > $2 AND position < $3 AND host_id = $7
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($8 AS TEXT) IS NULL OR actor = $8)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position DESC LIMIT $11"
        }
    }
}

const fn of_an_actor(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND +position < $3 AND actor = $8
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND +position > $2 AND position < $3 AND actor = $8
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($9 AS TEXT) IS NULL OR action = $9) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position DESC LIMIT $11"
        }
    }
}

const fn of_an_action(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND +position < $3 AND action = $9
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND +position > $2 AND position < $3 AND action = $9
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position DESC LIMIT $11"
        }
    }
}

const fn of_an_outcome(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND +position < $3 AND outcome = $10
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($9 AS TEXT) IS NULL OR action = $9)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND +position > $2 AND position < $3 AND outcome = $10
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($9 AS TEXT) IS NULL OR action = $9)
              ORDER BY position DESC LIMIT $11"
        }
    }
}

const fn of_a_team(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND position < $3
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($9 AS TEXT) IS NULL OR action = $9)
                AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position LIMIT $11"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                    host_id, position
               FROM audit
              WHERE team_id = $1 AND position > $2 AND position < $3
                AND +at >= $4 AND +at < $5
                AND (CAST($6 AS TEXT) IS NULL OR target = $6) AND (CAST($7 AS UUID_T) IS NULL OR host_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR actor = $8) AND (CAST($9 AS TEXT) IS NULL OR action = $9)
                AND (CAST($10 AS TEXT) IS NULL OR outcome = $10)
              ORDER BY position DESC LIMIT $11"
        }
    }
}
