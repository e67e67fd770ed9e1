//! Hosts as operators see them, one or a page.

use muster_domain::host_config::Configured;
use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, Timestamp};
use muster_wire::host::{HostKind, HostState};
use muster_wire::text::Tag;

use super::channel::config;
use super::hosts::{HostRow, LastSign, read_host};
use crate::words::Word;
use crate::{Json, Row, StoreError, ToValue, Tx, Value, params};

/// Most hosts that are looked at for one page, whatever is sorted out of them: no filter makes a page slow.
pub const HOSTS_LOOKED_AT: i64 = 1000;
const NIL: HostId = HostId::from_uuid(uuid::Uuid::nil());

/// A host as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownHost {
    /// The host.
    pub row: HostRow,
    /// The keys it proves itself with, in order: one key pair, or agent keys.
    pub keys: Vec<KeyName>,
    /// Its tags, in order.
    pub tags: Vec<Tag>,
    /// Its flushed signs of life.
    pub sign: Option<LastSign>,
    /// Since when it is held.
    pub held_at: Option<Timestamp>,
    /// The first claim of a copy of it that waits.
    pub copy: Option<ClaimId>,
    /// What it should have, and has.
    pub configured: Option<Configured>,
    /// What its machine's own policy allows, as its agent says, and since when it says so.
    pub policy: Option<(Vec<Tag>, Timestamp)>,
}

/// Which hosts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Only at this site.
    pub site_id: Option<SiteId>,
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those that stand here.
    pub state: Option<HostState>,
    /// Only with this tag.
    pub tag: Option<Tag>,
    /// Only those whose name, own name, machine uid (with or without its source) or address begins like this, where ASCII
    /// case does not count, or that carry this tag.
    pub search: Option<String>,
    /// Only those that came through this door.
    pub door: Option<u32>,
    /// Only those whose agent has this version.
    pub agent_version: Option<String>,
    /// Only those whose last sign of life that was written down was before this.
    pub seen_before: Option<Timestamp>,
    /// Only those of which a sign of life was written down since this.
    pub seen_after: Option<Timestamp>,
    /// Only those that are held, or only those that are not.
    pub held: Option<bool>,
    /// Only those of this kind.
    pub kind: Option<HostKind>,
}

impl HostFilter {
    /// Whether hosts that come by their name, their tag, their site or their turn are sorted out by something else.
    fn sorts_out(&self) -> bool {
        let (name, tag, site_id) = (self.name.clone(), self.tag.clone(), self.site_id);
        let ways = [name.is_some(), tag.is_some(), site_id.is_some()];
        *self != Self { name, tag, site_id, ..Self::default() } || ways.iter().filter(|is| **is).count() > 1
    }

    /// The parameters that every text has, from `$1` on.
    fn params(&self, team_id: TeamId, after: HostId, limit: i64) -> Vec<Value> {
        let window = if self.sorts_out() { HOSTS_LOOKED_AT } else { limit };
        let search = self.search.as_ref().map(|search| search.to_ascii_lowercase());
        let address = search.as_ref().map(|search| in_facts("address", search, ""));
        let agent_version = self.agent_version.as_ref().map(|version| in_facts("agent", version, "\""));
        params![
            team_id,
            after,
            limit,
            window,
            self.state.map(Word),
            search,
            self.search,
            address,
            self.door,
            self.kind.map(Word),
            self.held,
            agent_version,
            self.seen_before,
            self.seen_after
        ]
        .to_vec()
    }
}

/// Returns how a text stands in stored facts, behind the name of its field. A quote inside a value has a backslash before
/// it, so that no value can pretend to be a field.
fn in_facts(field: &str, value: &str, end: &str) -> String {
    let value = serde_json::Value::from(value).to_string();
    format!("\"{field}\":{}{end}", &value[..value.len() - 1])
}

/// The text that reads hosts as operators see them, from `$host` on.
macro_rules! shown {
    ($($host:tt)*) => {
        concat!(
            "SELECT host.id, host.team_id, host.site_id, kind, host.name, host.state, provider, zone, host.created_at,
                    enrolled_at, retired_at, door, disposition, host.ticket_id, machine_uid, owns_uid, hostname,
                    facts, labels, ephemeral_hours,
                    (SELECT string_agg(host_key.name, ' ') FROM host_key
                      WHERE host_key.host_id = host.id AND host_key.state = 'active'),
                    presence.host_id, presence.seen_at, presence.said_goodbye,
                    (SELECT string_agg(tag, ' ') FROM host_tag WHERE host_tag.host_id = host.id), host.held_at,
                    CASE WHEN host.held_at IS NOT NULL THEN
                        (SELECT claim.id FROM claim
                          WHERE claim.host_id = host.id AND claim.state = 'waiting' AND claim.reason = 'clone'
                          ORDER BY claim.id LIMIT 1) END,
                    host_config.epoch, host_config.n, host_config.changed_at, host_config.applied_epoch,
                    host_config.applied_n, host_config.applied_at, host_config.sent_at, host_config.sent_times,
                    host.policy, host.policy_at
               FROM ",
            $($host)*
        )
    };
}

/// The text that reads a page of hosts: of these candidates, those that the filter lets through. What they come by
/// decides which index they come from, so that each way has a text of its own.
macro_rules! page_of {
    ($candidates:literal, $and:literal) => {
        shown!(
            "(SELECT candidate.id FROM ",
            $candidates,
            " AS candidate
               WHERE (CAST($5 AS TEXT) IS NULL OR candidate.state = $5)
                 AND (CAST($6 AS TEXT) IS NULL OR substr(lower(candidate.name), 1, length($6)) = $6
                      OR substr(candidate.hostname, 1, length($6)) = $6
                      OR substr(candidate.machine_uid, 1, length($6)) = $6
                      OR substr(candidate.machine_uid, length(candidate.machine_uid) - 31, length($6)) = $6
                      OR replace(candidate.facts, $8, '') <> candidate.facts
                      OR EXISTS (SELECT 1 FROM host_tag WHERE host_tag.host_id = candidate.id AND tag = $7))
                 AND (CAST($9 AS BIGINT) IS NULL OR candidate.door = $9)
                 AND (CAST($10 AS TEXT) IS NULL OR candidate.kind = $10)
                 AND (CAST($11 AS BIGINT) IS NULL
                      OR CASE WHEN candidate.held_at IS NULL THEN 0 ELSE 1 END = $11)
                 AND (CAST($12 AS TEXT) IS NULL OR replace(candidate.facts, $12, '') <> candidate.facts)
                 AND (CAST($13 AS BIGINT) IS NULL
                      OR (SELECT seen_at FROM presence WHERE presence.host_id = candidate.id) < $13)
                 AND (CAST($14 AS BIGINT) IS NULL
                      OR (SELECT seen_at FROM presence WHERE presence.host_id = candidate.id) >= $14) ",
            $and,
            " ORDER BY candidate.id LIMIT $3) AS page
               JOIN host ON host.id = page.id
               LEFT JOIN presence ON presence.host_id = host.id
               LEFT JOIN host_config ON host_config.host_id = host.id
              ORDER BY host.id"
        )
    };
}

impl Tx<'_> {
    /// Returns a host of a team as operators see it.
    pub fn host_shown(&mut self, team_id: TeamId, id: HostId) -> Result<Option<ShownHost>, StoreError> {
        let text = shown!(
            "host
               LEFT JOIN presence ON presence.host_id = host.id
               LEFT JOIN host_config ON host_config.host_id = host.id
              WHERE host.team_id = $1 AND host.id = $2"
        );
        self.query_opt(text, params![team_id, id], read_shown)
    }

    /// Returns hosts of a team in the order they were made, after `after`: of the first [`HOSTS_LOOKED_AT`] that come by
    /// name, else by tag, else by site, else at all, those that the rest of the filter lets through.
    ///
    /// Fewer than `limit`: [`Tx::hosts_looked_through`] says whether there may be more.
    pub fn hosts_shown(
        &mut self,
        team_id: TeamId,
        filter: &HostFilter,
        after: Option<HostId>,
        limit: i64,
    ) -> Result<Vec<ShownHost>, StoreError> {
        let mut params = filter.params(team_id, after.unwrap_or(NIL), limit);
        let page = match (&filter.name, &filter.tag, filter.site_id) {
            (Some(name), tag, site_id) => {
                params.extend([name.to_value(), tag.to_value(), site_id.to_value()]);
                page_of!(
                    "(SELECT id, state, name, hostname, site_id, machine_uid, facts, door, kind, held_at FROM host
                      WHERE team_id = $1 AND name = $15 AND id > $2 ORDER BY id LIMIT $4)",
                    "AND (CAST($16 AS TEXT) IS NULL
                          OR EXISTS (SELECT 1 FROM host_tag WHERE host_tag.host_id = candidate.id AND tag = $16))
                     AND (CAST($17 AS UUID_T) IS NULL OR candidate.site_id = $17)"
                )
            }
            (None, Some(tag), site_id) => {
                params.extend([tag.to_value(), site_id.to_value()]);
                page_of!(
                    "(SELECT host.id, state, name, hostname, site_id, machine_uid, facts, door, kind, held_at FROM
                        (SELECT host_id FROM host_tag
                          WHERE team_id = $1 AND tag = $15 AND host_id > $2 ORDER BY host_id LIMIT $4) AS tagged
                       JOIN host ON host.id = tagged.host_id)",
                    "AND (CAST($16 AS UUID_T) IS NULL OR candidate.site_id = $16)"
                )
            }
            (None, None, Some(site_id)) => {
                params.push(site_id.to_value());
                page_of!(
                    "(SELECT id, state, name, hostname, machine_uid, facts, door, kind, held_at FROM host
                      WHERE team_id = $1 AND site_id = $15 AND id > $2 ORDER BY id LIMIT $4)",
                    ""
                )
            }
            (None, None, None) => page_of!(
                "(SELECT id, state, name, hostname, machine_uid, facts, door, kind, held_at FROM host
                  WHERE team_id = $1 AND id > $2 ORDER BY id LIMIT $4)",
                ""
            ),
        };
        self.query(page, &params, read_shown)
    }

    /// Returns the last host that [`Tx::hosts_shown`] looked at with these arguments. `None`: it looked at all of them.
    pub fn hosts_looked_through(
        &mut self,
        team_id: TeamId,
        filter: &HostFilter,
        after: Option<HostId>,
    ) -> Result<Option<HostId>, StoreError> {
        if !filter.sorts_out() {
            return Ok(None);
        }
        let (after, before_last) = (after.unwrap_or(NIL), HOSTS_LOOKED_AT - 1);
        let id = |row: &Row<'_>| row.get(0);
        match (&filter.name, &filter.tag, filter.site_id) {
            (Some(name), ..) => self.query_opt(
                "SELECT id FROM host WHERE team_id = $1 AND name = $4 AND id > $2
                  ORDER BY id LIMIT 1 OFFSET $3",
                params![team_id, after, before_last, name],
                id,
            ),
            (None, Some(tag), _) => self.query_opt(
                "SELECT host_id FROM host_tag WHERE team_id = $1 AND tag = $4 AND host_id > $2
                  ORDER BY host_id LIMIT 1 OFFSET $3",
                params![team_id, after, before_last, tag],
                id,
            ),
            (None, None, Some(site_id)) => self.query_opt(
                "SELECT id FROM host WHERE team_id = $1 AND site_id = $4 AND id > $2
                  ORDER BY id LIMIT 1 OFFSET $3",
                params![team_id, after, before_last, site_id],
                id,
            ),
            (None, None, None) => self.query_opt(
                "SELECT id FROM host WHERE team_id = $1 AND id > $2 ORDER BY id LIMIT 1 OFFSET $3",
                params![team_id, after, before_last],
                id,
            ),
        }
    }
}

fn read_shown(row: &Row<'_>) -> Result<ShownHost, StoreError> {
    let sign = match row.get::<Option<HostId>>(21)? {
        Some(_) => Some(LastSign { seen_at: row.get(22)?, said_goodbye: row.get(23)? }),
        None => None,
    };
    let tags = super::words_in_order(row.get(24)?);
    let tags = tags.iter().map(|tag| Tag::parse(tag).map_err(|_| StoreError::corrupt("a tag is not one")));
    let keys = super::words_in_order(row.get(20)?);
    let keys = keys.iter().map(|key| key.parse().map_err(|_| StoreError::corrupt("a key name is not one")));
    let policy = row.get::<Option<Json<Vec<Tag>>>>(35)?;
    Ok(ShownHost {
        row: read_host(row)?,
        keys: keys.collect::<Result<_, _>>()?,
        tags: tags.collect::<Result<_, _>>()?,
        sign,
        held_at: row.get(25)?,
        copy: row.get(26)?,
        configured: read_configured(row, 27)?,
        policy: policy.map(|Json(policy)| policy).zip(row.get(36)?),
    })
}

/// Reads what a host should have, and has, from the eight columns that begin at `first`.
pub(super) fn read_configured(row: &Row<'_>, first: usize) -> Result<Option<Configured>, StoreError> {
    let Some(wanted) = row.get::<Option<i64>>(first)?.zip(row.get::<Option<i64>>(first + 1)?) else {
        return Ok(None);
    };
    let applied = row.get::<Option<i64>>(first + 3)?.zip(row.get::<Option<i64>>(first + 4)?);
    Ok(Some(Configured {
        wanted: config(wanted)?,
        changed_at: row.get(first + 2)?,
        applied: applied.map(config).transpose()?,
        applied_at: row.get(first + 5)?,
        sent_at: row.get(first + 6)?,
        sent_times: row.get(first + 7)?,
    }))
}
