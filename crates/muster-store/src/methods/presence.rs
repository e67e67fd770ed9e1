//! Presence: the narrow table of signs of life.

use muster_ids::{HostId, SiteId, TeamId, Timestamp};

use crate::{Row, StoreError, Tx, params, sql2};

/// A sign of life on its way to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceRow {
    /// The host's integer key.
    pub seq: i64,
    /// When it was last heard.
    pub seen_at: Timestamp,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
}

/// What is stored of an active host's signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchedRow {
    /// The host's integer key.
    pub seq: i64,
    /// The host.
    pub host_id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// Its site.
    pub site_id: SiteId,
    /// When it was last heard; never, when it is unset.
    pub seen_at: Option<Timestamp>,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
    /// Whether the last event about it said that it cannot be reached.
    pub told_unreachable: bool,
}

impl Tx<'_> {
    /// Stores signs of life; an older one never replaces a newer one.
    pub fn presence_flush(&mut self, signs: &[PresenceRow]) -> Result<(), StoreError> {
        let columns = [
            signs.iter().map(|sign| sign.seen_at.as_millis()).collect(),
            signs.iter().map(|sign| i64::from(sign.said_goodbye)).collect(),
            signs.iter().map(|sign| sign.seq).collect(),
        ];
        let sql = sql2! {
            sqlite: "UPDATE presence SET seen_at = $1, said_goodbye = $2
                      WHERE seq = $3 AND (seen_at IS NULL OR seen_at <= $1)",
            pg: "UPDATE presence SET seen_at = sign.seen_at, said_goodbye = sign.said_goodbye
                   FROM (SELECT DISTINCT ON (seq) seen_at, said_goodbye, seq
                           FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS BIGINT[]), CAST($3 AS BIGINT[]))
                                WITH ORDINALITY AS told (seen_at, said_goodbye, seq, place)
                          ORDER BY seq, seen_at DESC, place DESC) AS sign
                  WHERE presence.seq = sign.seq AND (presence.seen_at IS NULL OR presence.seen_at <= sign.seen_at)",
        };
        self.execute_columns(sql, &columns).map(drop)
    }

    /// Returns active hosts in order of their integer keys, after `after`.
    pub fn presence_page(&mut self, after: i64, limit: i64) -> Result<Vec<WatchedRow>, StoreError> {
        self.query(
            "SELECT presence.seq, host.id, host.team_id, host.site_id, presence.seen_at, presence.said_goodbye,
                    presence.told_unreachable
               FROM presence JOIN host ON host.id = presence.host_id
              WHERE presence.seq > $1 AND host.state = 'active' ORDER BY presence.seq LIMIT $2",
            params![after, limit],
            read_watched,
        )
    }

    /// Remembers what was told about a host. `false`: that was told before, or something else meanwhile.
    pub fn presence_told(&mut self, seq: i64, unreachable: bool) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE presence SET told_unreachable = $1 WHERE seq = $2 AND told_unreachable <> $1",
            params![unreachable, seq],
        )?;
        Ok(changed == 1)
    }

    /// Returns how many active hosts stand at a site.
    pub fn active_hosts_at_site(&mut self, team_id: TeamId, site_id: SiteId) -> Result<i64, StoreError> {
        self.query_one(
            "SELECT count(*) FROM host WHERE team_id = $1 AND site_id = $2 AND state = 'active'",
            params![team_id, site_id],
            |row| row.get(0),
        )
    }
}

fn read_watched(row: &Row<'_>) -> Result<WatchedRow, StoreError> {
    Ok(WatchedRow {
        seq: row.get(0)?,
        host_id: row.get(1)?,
        team_id: row.get(2)?,
        site_id: row.get(3)?,
        seen_at: row.get(4)?,
        said_goodbye: row.get(5)?,
        told_unreachable: row.get(6)?,
    })
}
