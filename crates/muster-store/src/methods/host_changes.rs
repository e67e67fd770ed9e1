//! Many hosts at once: how they stand, what they would lose, what they have in hand.

use muster_ids::{HostId, KeyName, TeamId, TicketId, Timestamp};
use muster_wire::text::Tag;

use super::hosts::{HostRow, read_host};
use crate::{Row, StoreError, Tx, Value, params};

/// A host as a change of many finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// The host.
    pub row: HostRow,
    /// Its tags, in order.
    pub tags: Vec<Tag>,
    /// Since when it is held.
    pub held_at: Option<Timestamp>,
    /// Whether a claim of a copy of it waits.
    pub copy_waits: bool,
}

/// What a host would lose if it was retired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LossRow {
    /// The keys it proves itself with, in order.
    pub keys: Vec<KeyName>,
    /// The names of its secrets, in order.
    pub secrets: Vec<String>,
    /// Jobs that have not ended.
    pub open_jobs: u32,
    /// Claims on it that wait.
    pub open_claims: u32,
}

/// What a host could act with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InHandRow {
    /// Tickets that may still admit as it, in order.
    pub tickets: Vec<TicketId>,
    /// Keys it proves itself with, in order.
    pub keys: Vec<KeyName>,
}

impl Tx<'_> {
    /// Returns how each of these hosts of a team stands.
    pub fn hosts_standing(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
    ) -> Result<Vec<Option<StandingRow>>, StoreError> {
        let found = self.query_each(
            "SELECT id, team_id, site_id, kind, name, state, provider, zone, created_at, enrolled_at, retired_at,
                    door, disposition, ticket_id, machine_uid, owns_uid, hostname, facts, labels, ephemeral_hours,
                    (SELECT string_agg(tag, ' ') FROM host_tag WHERE host_tag.host_id = host.id), held_at,
                    CASE WHEN EXISTS (SELECT 1 FROM claim
                                       WHERE claim.host_id = host.id AND claim.state = 'waiting'
                                         AND claim.reason = 'clone') THEN 1 ELSE 0 END
               FROM host WHERE team_id = $1 AND id = $2",
            &of_team(team_id, hosts),
            read_standing,
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Returns what each of these hosts of a team would lose if it was retired.
    pub fn hosts_losses(&mut self, team_id: TeamId, hosts: &[HostId]) -> Result<Vec<LossRow>, StoreError> {
        let found = self.query_each(
            "SELECT (SELECT string_agg(host_key.name, ' ') FROM host_key
                      WHERE host_key.host_id = $2 AND host_key.state = 'active'),
                    (SELECT string_agg(secret.name, ' ') FROM secret
                      WHERE secret.team_id = $1 AND secret.owner_kind = 'host' AND secret.owner_id = $3),
                    (SELECT count(*) FROM job
                      WHERE job.host_id = $2 AND job.state IN ('queued', 'dispatched', 'running')),
                    (SELECT count(*) FROM claim
                      WHERE claim.team_id = $1 AND claim.host_id = $2 AND claim.state = 'waiting')",
            &hosts.iter().map(|id| params![team_id, id, id.to_string()].to_vec()).collect::<Vec<_>>(),
            |row| {
                Ok(LossRow {
                    keys: key_names(row.get(0)?)?,
                    secrets: super::words_in_order(row.get(1)?),
                    open_jobs: row.get(2)?,
                    open_claims: row.get(3)?,
                })
            },
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop().unwrap_or_default()).collect())
    }

    /// Returns what each of these hosts of a team could act with.
    pub fn hosts_in_hand(&mut self, team_id: TeamId, hosts: &[HostId]) -> Result<Vec<InHandRow>, StoreError> {
        let found = self.query_each(
            "SELECT (SELECT string_agg(ticket.id, ' ') FROM ticket
                      WHERE ticket.team_id = $1 AND ticket.host_id = $2 AND ticket.spent_by_key IS NULL
                        AND ticket.revoked_at IS NULL),
                    (SELECT string_agg(host_key.name, ' ') FROM host_key
                      WHERE host_key.host_id = $2 AND host_key.state = 'active')",
            &of_team(team_id, hosts),
            |row| {
                let tickets = super::words_in_order(row.get(0)?).into_iter().map(|id| id.parse());
                let tickets = tickets.collect::<Result<_, _>>();
                let tickets = tickets.map_err(|_| StoreError::corrupt("a ticket id is not one"))?;
                Ok(InHandRow { tickets, keys: key_names(row.get(1)?)? })
            },
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop().unwrap_or_default()).collect())
    }

    /// Gives hosts of a team tags beside those they have.
    pub fn hosts_tags_add(&mut self, team_id: TeamId, tags: &[(HostId, Tag)]) -> Result<u64, StoreError> {
        self.insert_rows(
            "INSERT INTO host_tag (team_id, host_id, tag) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &tags.iter().map(|(host_id, tag)| params![team_id, host_id, tag].to_vec()).collect::<Vec<_>>(),
        )
    }

    /// Takes tags of hosts of a team away.
    pub fn hosts_tags_remove(&mut self, team_id: TeamId, tags: &[(HostId, Tag)]) -> Result<u64, StoreError> {
        let removed = self.execute_each(
            "DELETE FROM host_tag WHERE team_id = $1 AND host_id = $2 AND tag = $3",
            &tags.iter().map(|(host_id, tag)| params![team_id, host_id, tag].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(removed.iter().sum())
    }

    /// Takes all tags of hosts of a team away.
    pub fn hosts_tags_clear(&mut self, team_id: TeamId, hosts: &[HostId]) -> Result<(), StoreError> {
        self.execute_each(
            "DELETE FROM host_tag WHERE team_id = $1 AND host_id = $2",
            &of_team(team_id, hosts),
        )?;
        Ok(())
    }
}

fn of_team(team_id: TeamId, hosts: &[HostId]) -> Vec<Vec<Value>> {
    hosts.iter().map(|host_id| params![team_id, host_id].to_vec()).collect()
}

fn key_names(joined: Option<String>) -> Result<Vec<KeyName>, StoreError> {
    let keys = super::words_in_order(joined).into_iter().map(|key| key.parse());
    keys.collect::<Result<_, _>>().map_err(|_| StoreError::corrupt("a key name is not one"))
}

fn read_standing(row: &Row<'_>) -> Result<StandingRow, StoreError> {
    let tags = super::words_in_order(row.get(20)?);
    let tags = tags.iter().map(|tag| Tag::parse(tag).map_err(|_| StoreError::corrupt("a tag is not one")));
    Ok(StandingRow {
        row: read_host(row)?,
        tags: tags.collect::<Result<_, _>>()?,
        held_at: row.get(21)?,
        copy_waits: row.get(22)?,
    })
}
