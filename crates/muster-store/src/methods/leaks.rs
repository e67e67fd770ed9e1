//! What a leaked ticket admitted, and how far its suspension got.

use muster_ids::{HostId, TeamId, TicketId, Timestamp};
use muster_wire::host::HostState;
use muster_wire::people::Role;

use crate::words::Word;
use crate::{StoreError, Tx, params};

/// A host that a ticket admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedRow {
    /// The host.
    pub host_id: HostId,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life.
    pub state: HostState,
    /// When the ticket last admitted a key of it.
    pub admitted_at: Timestamp,
    /// Its flushed last sign of life.
    pub seen_at: Option<Timestamp>,
}

/// A ticket that leaked, and how far the suspension of its hosts got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakRow {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Its team.
    pub team_id: TeamId,
    /// Since when its hosts are meant.
    pub since: Timestamp,
    /// Who reported it.
    pub actor: String,
    /// The role they acted in.
    pub role: Option<Role>,
    /// The address they came from.
    pub source: String,
    /// When they did.
    pub reported_at: Timestamp,
    /// Up to this host everybody is done.
    pub after_host: Option<HostId>,
}

impl Tx<'_> {
    /// Counts the hosts that a ticket of the team admitted since, by where they stand.
    pub fn admitted_counts(
        &mut self,
        team_id: TeamId,
        ticket_id: &TicketId,
        since: Timestamp,
    ) -> Result<Vec<(HostState, u64)>, StoreError> {
        self.query(
            "SELECT state, count(*) FROM
                (SELECT DISTINCT host_id FROM host_key WHERE ticket_id = $1 AND created_at >= $2) AS admitted
                JOIN host ON host.id = admitted.host_id
              WHERE host.team_id = $3
              GROUP BY state ORDER BY state",
            params![ticket_id, since, team_id],
            |row| Ok((row.get::<Word<HostState>>(0)?.0, row.get(1)?)),
        )
    }

    /// Returns the next `limit` hosts that a ticket of the team admitted since, in order of their ids, after `after`.
    pub fn hosts_admitted(
        &mut self,
        team_id: TeamId,
        ticket_id: &TicketId,
        since: Timestamp,
        after: Option<HostId>,
        limit: i64,
    ) -> Result<Vec<AdmittedRow>, StoreError> {
        let after = after.unwrap_or(HostId::from_uuid(uuid::Uuid::nil()));
        // `CROSS JOIN`: SQLite would begin with all hosts of the team.
        self.query(
            "SELECT host.id, host.name, host.state, admitted.at, presence.seen_at
               FROM (SELECT host_id, max(created_at) AS at FROM host_key
                      WHERE ticket_id = $1 AND created_at >= $2 AND host_id > $3
                      GROUP BY host_id ORDER BY host_id LIMIT $5) AS admitted
              CROSS JOIN host
               LEFT JOIN presence ON presence.host_id = host.id
              WHERE host.id = admitted.host_id AND host.team_id = $4
              ORDER BY admitted.host_id",
            params![ticket_id, since, after, team_id, limit],
            |row| {
                Ok(AdmittedRow {
                    host_id: row.get(0)?,
                    name: row.get(1)?,
                    state: row.get::<Word<HostState>>(2)?.0,
                    admitted_at: row.get(3)?,
                    seen_at: row.get(4)?,
                })
            },
        )
    }

    /// Notes that a ticket leaked; one that is still being worked off never covers less than before.
    pub fn leak_insert(&mut self, leak: &LeakRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO leak (ticket_id, team_id, since, actor, role, source, reported_at, after_host)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (ticket_id) DO UPDATE
                SET since = CASE WHEN leak.done_at IS NULL AND leak.since < excluded.since
                                 THEN leak.since ELSE excluded.since END,
                    actor = excluded.actor, role = excluded.role, source = excluded.source,
                    reported_at = excluded.reported_at, after_host = NULL, done_at = NULL",
            params![
                leak.ticket_id,
                leak.team_id,
                leak.since,
                leak.actor,
                leak.role.map(Word),
                leak.source,
                leak.reported_at,
                leak.after_host
            ],
        )?;
        Ok(())
    }

    /// Returns leaks whose hosts are not all suspended yet, the oldest first.
    pub fn leaks_open(&mut self, limit: i64) -> Result<Vec<LeakRow>, StoreError> {
        self.query(
            "SELECT ticket_id, team_id, since, actor, role, source, reported_at, after_host
               FROM leak WHERE done_at IS NULL ORDER BY reported_at, ticket_id LIMIT $1",
            params![limit],
            read_leak,
        )
    }

    /// Returns a leak whose hosts are not all suspended yet.
    pub fn leak_open(&mut self, ticket_id: &TicketId) -> Result<Option<LeakRow>, StoreError> {
        self.query_opt(
            "SELECT ticket_id, team_id, since, actor, role, source, reported_at, after_host
               FROM leak WHERE ticket_id = $1 AND done_at IS NULL",
            params![ticket_id],
            read_leak,
        )
    }

    /// Notes how far a leak was worked off; `done_at`: to its end.
    pub fn leak_went_on(
        &mut self,
        ticket_id: &TicketId,
        after_host: Option<HostId>,
        done_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE leak SET after_host = $1, done_at = $2 WHERE ticket_id = $3",
            params![after_host, done_at, ticket_id],
        )?;
        Ok(())
    }
}

fn read_leak(row: &crate::Row<'_>) -> Result<LeakRow, StoreError> {
    Ok(LeakRow {
        ticket_id: row.get(0)?,
        team_id: row.get(1)?,
        since: row.get(2)?,
        actor: row.get(3)?,
        role: row.get::<Option<Word<Role>>>(4)?.map(|role| role.0),
        source: row.get(5)?,
        reported_at: row.get(6)?,
        after_host: row.get(7)?,
    })
}
