//! Hosts, their tags, and what the door must know of them.

use muster_domain::admission::HostView;
use muster_ids::{HostId, MachineUid, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::enroll::{Disposition, Facts, Labels};
use muster_wire::host::{HostKind, HostState};
use muster_wire::text::{Hostname, Tag};

use super::tickets::stored_count;
use crate::words::Word;
use crate::{Json, Row, StoreError, Tx, Value, params};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// The identity.
    pub id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// Its site.
    pub site_id: SiteId,
    /// Whose host it is.
    pub kind: HostKind,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life.
    pub state: HostState,
    /// Who runs the hardware.
    pub provider: Option<String>,
    /// Where the provider keeps it.
    pub zone: Option<String>,
    /// How it was last admitted; `None`: it was not yet.
    pub arrival: Option<Arrival>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was first admitted.
    pub enrolled_at: Option<Timestamp>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
    /// Hours without contact after which it is retired.
    pub ephemeral_hours: Option<u64>,
}

/// How a host was last admitted, and what it then said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The door: 1, 2 or 3.
    pub door: u8,
    /// How it came to be.
    pub disposition: Disposition,
    /// The ticket it came with; a copy that became a host of its own came with none.
    pub ticket_id: Option<TicketId>,
    /// What identifies its hardware.
    pub machine_uid: MachineUid,
    /// Whether it owns that uid in its team.
    pub owns_uid: bool,
    /// Its own name.
    pub hostname: Hostname,
    /// What it is.
    pub facts: Facts,
    /// What its owner wrote on it.
    pub labels: Labels,
}

/// A host's row of the narrow table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSign {
    /// Its last sign of life.
    pub seen_at: Option<Timestamp>,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
}

impl Tx<'_> {
    /// Makes a host. `false`: it owns a uid that another living host of the team owns.
    pub fn host_insert(&mut self, host: &HostRow) -> Result<bool, StoreError> {
        Ok(self.hosts_insert(std::slice::from_ref(host))? == 1)
    }

    /// Makes hosts, but those that own a uid that another living host of the team owns; returns how many it made.
    pub fn hosts_insert(&mut self, hosts: &[HostRow]) -> Result<u64, StoreError> {
        self.insert_rows(
            "INSERT INTO host (id, team_id, site_id, kind, name, state, provider, zone, created_at, enrolled_at,
                               retired_at, door, disposition, ticket_id, machine_uid, owns_uid, hostname, facts,
                               labels, ephemeral_hours)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
             ON CONFLICT DO NOTHING",
            &hosts.iter().map(stored_host).collect::<Vec<_>>(),
        )
    }

    /// Returns a host of a team.
    pub fn host(&mut self, team_id: TeamId, id: HostId) -> Result<Option<HostRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, site_id, kind, name, state, provider, zone, created_at, enrolled_at, retired_at,
                    door, disposition, ticket_id, machine_uid, owns_uid, hostname, facts, labels, ephemeral_hours
               FROM host WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_host,
        )
    }

    /// Admits a host, anew or for the first time. `false`: it does not stand at `from`.
    ///
    /// The caller holds the lock of the uid: an owned one that another host owns is [`StoreError::Database`].
    pub fn host_arrive(
        &mut self,
        team_id: TeamId,
        id: HostId,
        from: HostState,
        arrival: &Arrival,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let was = self.host_said(id)?;
        let changed = self.execute(
            "UPDATE host
                SET state = 'active', enrolled_at = COALESCE(enrolled_at, $1), door = $2, disposition = $3,
                    ticket_id = $4, machine_uid = $5, owns_uid = $6, hostname = $7, facts = $8, labels = $9
              WHERE team_id = $10 AND id = $11 AND state = $12",
            params![
                now,
                arrival.door,
                Word(arrival.disposition),
                arrival.ticket_id,
                arrival.machine_uid,
                arrival.owns_uid,
                arrival.hostname,
                Json(&arrival.facts),
                Json(&arrival.labels),
                team_id,
                id,
                Word(from)
            ],
        )?;
        if changed == 1 {
            self.facts_changed(id, was, (&arrival.hostname, &arrival.facts), now)?;
        }
        Ok(changed == 1)
    }

    /// Refreshes what an active host says about itself. `false`: it is not active, or it says something else meanwhile.
    pub fn host_refresh(
        &mut self,
        team_id: TeamId,
        id: HostId,
        hostname: &Hostname,
        facts: &Facts,
        labels: &Labels,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(was) = self.host_said(id)? else { return Ok(false) };
        let changed = self.execute(
            "UPDATE host SET hostname = $1, facts = $2, labels = $3
              WHERE team_id = $4 AND id = $5 AND state = 'active'
                AND coalesce(hostname, '') = $6 AND coalesce(facts, '') = $7",
            params![
                hostname,
                Json(facts),
                Json(labels),
                team_id,
                id,
                was.hostname_or_none(),
                was.facts_or_none()
            ],
        )?;
        if changed == 1 {
            self.facts_changed(id, Some(was), (hostname, facts), now)?;
        }
        Ok(changed == 1)
    }

    /// Holds an active host. `false`: it is held, or not active.
    pub fn host_hold(&mut self, team_id: TeamId, id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET held_at = $1 WHERE team_id = $2 AND id = $3 AND state = 'active' AND held_at IS NULL",
            params![now, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Ends the hold of a host. `false`: it is not held.
    pub fn host_free(&mut self, team_id: TeamId, id: HostId) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET held_at = NULL WHERE team_id = $1 AND id = $2 AND held_at IS NOT NULL",
            params![team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Returns since when a host of a team is held.
    pub fn host_held_at(&mut self, team_id: TeamId, id: HostId) -> Result<Option<Timestamp>, StoreError> {
        let held = self.query_opt(
            "SELECT held_at FROM host WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            |row| row.get::<Option<Timestamp>>(0),
        )?;
        Ok(held.flatten())
    }

    /// Moves a host from one state to another. `false`: it does not stand at `from`.
    pub fn host_move(
        &mut self,
        team_id: TeamId,
        id: HostId,
        from: HostState,
        to: HostState,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET state = $1 WHERE team_id = $2 AND id = $3 AND state = $4",
            params![Word(to), team_id, id, Word(from)],
        )?;
        Ok(changed == 1)
    }

    /// Admits an invited host that a person gave an agent key. `false`: it does not wait.
    pub fn host_admit(&mut self, team_id: TeamId, id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET state = 'active', enrolled_at = COALESCE(enrolled_at, $1)
              WHERE team_id = $2 AND id = $3 AND state = 'invited'",
            params![now, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Moves a living host to another site of its team, with the tickets made for it that were not used.
    /// `false`: it does not stand at `from`.
    pub fn host_relocate(
        &mut self,
        team_id: TeamId,
        id: HostId,
        from: SiteId,
        to: SiteId,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET site_id = $1
              WHERE team_id = $2 AND id = $3 AND site_id = $4 AND state <> 'retired'",
            params![to, team_id, id, from],
        )?;
        if changed == 1 {
            self.execute(
                "UPDATE ticket SET site_id = $1
                  WHERE team_id = $2 AND host_id = $3 AND spent_by_key IS NULL AND revoked_at IS NULL",
                params![to, team_id, id],
            )?;
        }
        Ok(changed == 1)
    }

    /// Retires a living host and releases its uid. `false`: there is no living one of that id.
    pub fn host_retire(&mut self, team_id: TeamId, id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.hosts_retire(team_id, &[id], now)? == [true])
    }

    /// Retires hosts, as [`Tx::host_retire`] does one.
    pub fn hosts_retire(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "UPDATE host
                SET state = 'retired', retired_at = $1, owns_uid = 0, held_at = NULL,
                    released_uid_at = CASE WHEN owns_uid = 1 THEN CAST($1 AS BIGINT) END
              WHERE team_id = $2 AND id = $3 AND state <> 'retired'",
            &hosts.iter().map(|id| params![now, team_id, id].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Renames a host. `false`: the team has none of that id.
    pub fn host_rename(&mut self, team_id: TeamId, id: HostId, name: &str) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET name = $1 WHERE team_id = $2 AND id = $3",
            params![name, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Gives a host tags beside those it has.
    pub fn host_tags_add(&mut self, team_id: TeamId, id: HostId, tags: &[Tag]) -> Result<(), StoreError> {
        for tag in tags {
            self.execute(
                "INSERT INTO host_tag (team_id, host_id, tag) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                params![team_id, id, tag],
            )?;
        }
        Ok(())
    }

    /// Sets all tags of a host.
    pub fn host_tags_set(&mut self, team_id: TeamId, id: HostId, tags: &[Tag]) -> Result<(), StoreError> {
        self.execute("DELETE FROM host_tag WHERE team_id = $1 AND host_id = $2", params![team_id, id])?;
        self.host_tags_add(team_id, id, tags)
    }

    /// Returns the living host of a team that owns a uid.
    pub fn owner_of_uid(&mut self, team_id: TeamId, uid: &MachineUid) -> Result<Option<HostId>, StoreError> {
        self.query_opt(
            "SELECT id FROM host WHERE team_id = $1 AND machine_uid = $2 AND owns_uid = 1",
            params![team_id, uid],
            |row| row.get(0),
        )
    }

    /// Whether a retired host of the team owned the uid when it was retired.
    pub fn uid_was_released(&mut self, team_id: TeamId, uid: &MachineUid) -> Result<bool, StoreError> {
        let found = self.query(
            "SELECT 1 FROM host
              WHERE team_id = $1 AND machine_uid = $2 AND released_uid_at IS NOT NULL LIMIT 1",
            params![team_id, uid],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Returns how many hosts a site got through door 3 since `since`, at most `limit`.
    pub fn arrivals_since(
        &mut self,
        site_id: SiteId,
        since: Timestamp,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_one(
            "SELECT count(*) FROM
                (SELECT 1 AS one FROM host WHERE site_id = $1 AND enrolled_at > $2 AND door = 3 LIMIT $3) AS arrival",
            params![site_id, since, limit],
            |row| row.get(0),
        )
    }

    /// Returns a host of any team as the door judges it; `connected` is for the caller, who knows the channels.
    pub fn host_view(&mut self, id: HostId) -> Result<Option<HostView>, StoreError> {
        self.query_opt(
            "SELECT host.id, host.team_id, host.site_id, host.state, presence.seen_at,
                    (SELECT max(host_key.created_at) FROM host_key
                      WHERE host_key.host_id = host.id AND host_key.state = 'active'),
                    EXISTS (SELECT 1 FROM secret
                             WHERE secret.team_id = host.team_id AND owner_kind = 'host' AND owner_id = $2),
                    (SELECT coalesce(newest.ended_by, '') FROM host_key AS newest
                      WHERE newest.host_id = host.id
                      ORDER BY newest.created_at DESC, coalesce(newest.ended_at, 0) LIMIT 1),
                    host.held_at
               FROM host
               LEFT JOIN presence ON presence.host_id = host.id
              WHERE host.id = $1",
            params![id, id.to_string()],
            read_view,
        )
    }
}

fn read_view(row: &Row<'_>) -> Result<HostView, StoreError> {
    let heard_at: Option<Timestamp> = row.get(4)?;
    let admitted_at: Option<Timestamp> = row.get(5)?;
    let ended_by: Option<String> = row.get(7)?;
    let by_person = ended_by.is_some_and(|actor| actor.starts_with(muster_ids::UserId::PREFIX));
    Ok(HostView {
        id: row.get(0)?,
        team_id: row.get(1)?,
        site_id: row.get(2)?,
        state: row.get::<Word<HostState>>(3)?.0,
        connected: false,
        seen_at: heard_at.max(admitted_at),
        ever_connected: heard_at.is_some(),
        holds_secret: row.get(6)?,
        selected_by_plan: false,
        last_key_revoked_by_person: by_person,
        held: row.get::<Option<Timestamp>>(8)?.is_some(),
    })
}

fn stored_host(host: &HostRow) -> Vec<Value> {
    let arrival = host.arrival.as_ref();
    let values: &[_] = params![
        host.id,
        host.team_id,
        host.site_id,
        Word(host.kind),
        host.name,
        Word(host.state),
        host.provider,
        host.zone,
        host.created_at,
        host.enrolled_at,
        host.retired_at,
        arrival.map(|arrival| arrival.door),
        arrival.map(|arrival| Word(arrival.disposition)),
        arrival.map(|arrival| arrival.ticket_id),
        arrival.map(|arrival| arrival.machine_uid),
        arrival.is_some_and(|arrival| arrival.owns_uid),
        arrival.map(|arrival| &arrival.hostname),
        arrival.map(|arrival| Json(&arrival.facts)),
        arrival.map(|arrival| Json(&arrival.labels)),
        host.ephemeral_hours.map(stored_count)
    ];
    values.to_vec()
}

pub(super) fn read_host(row: &Row<'_>) -> Result<HostRow, StoreError> {
    Ok(HostRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        site_id: row.get(2)?,
        kind: row.get::<Word<HostKind>>(3)?.0,
        name: row.get(4)?,
        state: row.get::<Word<HostState>>(5)?.0,
        provider: row.get(6)?,
        zone: row.get(7)?,
        created_at: row.get(8)?,
        enrolled_at: row.get(9)?,
        retired_at: row.get(10)?,
        ephemeral_hours: row.get(19)?,
        arrival: match row.get(11)? {
            Some(door) => Some(read_arrival(row, door)?),
            None => None,
        },
    })
}

fn read_arrival(row: &Row<'_>, door: u8) -> Result<Arrival, StoreError> {
    Ok(Arrival {
        door,
        disposition: row.get::<Word<Disposition>>(12)?.0,
        ticket_id: row.get(13)?,
        machine_uid: row.get(14)?,
        owns_uid: row.get(15)?,
        hostname: row.get(16)?,
        facts: row.get::<Json<Facts>>(17)?.0,
        labels: row.get::<Json<Labels>>(18)?.0,
    })
}
