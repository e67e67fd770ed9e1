//! Tickets: what a machine presents at a door.

use muster_domain::ticket::{Rotation, Spent, Ticket};
use muster_ids::{HostId, KeyName, MachineUid, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::enroll::Disposition;
use muster_wire::page::Order;
use muster_wire::text::Tag;
use muster_wire::ticket::{TicketKind, TicketStatus};

use super::page_begins;
use crate::words::{Word, between_spaces};
use crate::{Json, Row, StoreError, Tx, params};

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// What the door judges.
    pub ticket: Ticket,
    /// The name its host will have.
    pub host_name: Option<String>,
    /// The tags its host will have.
    pub tags: Vec<Tag>,
    /// Hours without contact after which its hosts are retired.
    pub ephemeral_hours: Option<u64>,
    /// Keyed hash of the bearer string.
    pub verifier: Vec<u8>,
    /// Who minted it.
    pub created_by: String,
    /// When it was minted.
    pub created_at: Timestamp,
}

/// A ticket as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTicket {
    /// The ticket.
    pub row: TicketRow,
    /// Hosts it made or re-keyed.
    pub uses: u64,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// The host it last made or re-keyed.
    pub last_host_id: Option<HostId>,
    /// Names of the secrets it carries, in order.
    pub secrets: Vec<String>,
}

/// Which tickets a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// Only of this door.
    pub kind: Option<TicketKind>,
    /// Only those that stand at one of these; none: anywhere.
    pub statuses: Vec<TicketStatus>,
    /// Only those that lead to this site.
    pub site_id: Option<SiteId>,
}

/// A machine at the door, as far as it is asked whether anything is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnockRow {
    /// Its key.
    pub key: KeyName,
    /// The team it would come to.
    pub team_id: TeamId,
    /// The uid it reports.
    pub uid: MachineUid,
    /// The site it would come to.
    pub site_id: SiteId,
    /// What it presents.
    pub ticket_id: TicketId,
}

impl Tx<'_> {
    /// Stores a ticket.
    pub fn ticket_insert(&mut self, row: &TicketRow) -> Result<(), StoreError> {
        let ticket = &row.ticket;
        self.execute(
            "INSERT INTO ticket (id, team_id, kind, site_id, host_id, rejoin, require_key, host_name, tags, verifier,
                                 created_by, created_at, expires_at, revoked_at, max_uses, uses, ephemeral_hours)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            params![
                ticket.id, ticket.team_id, Word(ticket.kind), ticket.site_id, ticket.host_id, ticket.rejoin,
                ticket.require_key, row.host_name, Json(&row.tags), row.verifier, row.created_by, row.created_at,
                ticket.expires_at, ticket.revoked_at, ticket.max_uses.map(stored_count), stored_count(ticket.uses),
                row.ephemeral_hours.map(stored_count)
            ],
        )?;
        Ok(())
    }

    /// Returns a ticket of any team: for the door, which knows it by its secret.
    pub fn ticket_by_id(&mut self, id: &TicketId) -> Result<Option<TicketRow>, StoreError> {
        Ok(self.tickets_by_id(std::slice::from_ref(id))?.pop().flatten())
    }

    /// Returns tickets of any team, in the order of their ids here.
    pub fn tickets_by_id(&mut self, ids: &[TicketId]) -> Result<Vec<Option<TicketRow>>, StoreError> {
        let found = self.query_each(
            "SELECT id, team_id, kind, site_id, host_id, rejoin, require_key, expires_at, revoked_at, max_uses, uses,
                    spent_by_key, spent_by_host, spent_disposition, reserved_for, host_name, tags, verifier,
                    created_by, created_at, rotated_to, rotated_at, rotated_out_at, ephemeral_hours
               FROM ticket WHERE id = $1",
            &ids.iter().map(|id| params![id].to_vec()).collect::<Vec<_>>(),
            read_ticket,
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Says of each knock whether nothing is known of its machine, and nothing waits for it or for its ticket: no key, no
    /// host that has or had its uid, no claim.
    pub fn are_strangers(&mut self, knocks: &[KnockRow], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let set = |knock: &KnockRow| {
            let KnockRow { key, team_id, uid, site_id, ticket_id } = knock;
            params![key, team_id, uid, site_id, ticket_id, now].to_vec()
        };
        let found = self.query_each(
            "SELECT NOT (EXISTS (SELECT 1 FROM host_key WHERE name = $1)
                 OR EXISTS (SELECT 1 FROM host WHERE team_id = $2 AND machine_uid = $3 AND owns_uid = 1)
                 OR EXISTS (SELECT 1 FROM host
                             WHERE team_id = $2 AND machine_uid = $3 AND released_uid_at IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM claim
                             WHERE site_id = $4 AND key_name = $1 AND state IN ('waiting', 'rejected'))
                 OR EXISTS (SELECT 1 FROM claim
                             WHERE ticket_id = $5 AND state = 'waiting' AND expires_at <= $6))",
            &knocks.iter().map(set).collect::<Vec<_>>(),
            |row| row.get::<bool>(0),
        )?;
        Ok(found.into_iter().map(|rows| rows == [true]).collect())
    }

    /// Returns a ticket of a team as operators see it.
    pub fn ticket_shown(
        &mut self,
        team_id: TeamId,
        id: &TicketId,
    ) -> Result<Option<ShownTicket>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, kind, site_id, host_id, rejoin, require_key, expires_at, revoked_at, max_uses, uses,
                    spent_by_key, spent_by_host, spent_disposition, reserved_for, host_name, tags, verifier,
                    created_by, created_at, rotated_to, rotated_at, rotated_out_at, ephemeral_hours,
                    (SELECT count(*) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT max(host_key.created_at) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT host_key.host_id FROM host_key WHERE host_key.ticket_id = ticket.id
                      ORDER BY host_key.created_at DESC LIMIT 1),
                    (SELECT string_agg(secret.name, ' ') FROM secret
                      WHERE secret.team_id = ticket.team_id AND owner_kind = 'ticket' AND owner_id = ticket.id)
               FROM ticket WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_shown,
        )
    }

    /// Returns tickets of a team in the order they were minted or the other way round, after `after` in that order.
    pub fn tickets_shown(
        &mut self,
        team_id: TeamId,
        filter: &TicketFilter,
        order: Order,
        after: Option<(Timestamp, TicketId)>,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<ShownTicket>, StoreError> {
        let (after_at, after_id) = page_begins(order, after);
        let (kind, statuses) = (filter.kind.map(Word), between_spaces(&filter.statuses));
        let page = params![team_id, after_at, after_id, kind, statuses, now, limit, filter.site_id];
        self.query(of_a_team(order), page, read_shown)
    }

    /// Returns the tickets made for a host that could still be used.
    pub fn tickets_of_host(&mut self, team_id: TeamId, host_id: HostId) -> Result<Vec<TicketId>, StoreError> {
        Ok(self.tickets_of_hosts(team_id, &[host_id])?.pop().unwrap_or_default())
    }

    /// Returns the tickets made for each of these hosts that could still be used.
    pub fn tickets_of_hosts(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
    ) -> Result<Vec<Vec<TicketId>>, StoreError> {
        self.query_each(
            "SELECT id FROM ticket
              WHERE team_id = $1 AND host_id = $2 AND spent_by_key IS NULL AND revoked_at IS NULL ORDER BY id",
            &hosts.iter().map(|host_id| params![team_id, host_id].to_vec()).collect::<Vec<_>>(),
            |row| row.get(0),
        )
    }

    /// Spends a one-time ticket for `key`, for ever. `false`: it was revoked, or another key spent or holds it.
    pub fn ticket_spend(&mut self, id: &TicketId, spent: &Spent) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE ticket
                SET spent_by_key = $1, spent_by_host = $2, spent_disposition = $3, uses = uses + 1, reserved_for = NULL
              WHERE id = $4 AND spent_by_key IS NULL AND revoked_at IS NULL
                AND (reserved_for IS NULL OR reserved_for = $1)",
            params![spent.by_key, spent.by_host, Word(spent.disposition), id],
        )?;
        Ok(changed == 1)
    }

    /// Counts a use of a ticket that may be used a number of times; a claim may be decided after its time. `false`: it was
    /// revoked or is used up.
    pub fn ticket_count_use(&mut self, id: &TicketId) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE ticket SET uses = uses + 1
              WHERE id = $1 AND (revoked_at IS NULL OR revoked_at = expires_at OR revoked_at = rotated_out_at)
                AND max_uses IS NOT NULL AND uses < max_uses",
            params![id],
        )?;
        Ok(changed == 1)
    }

    /// Reserves a one-time ticket for the key of a claim. `false`: it was spent, or another key holds it.
    pub fn ticket_reserve(&mut self, id: &TicketId, key: &KeyName) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE ticket SET reserved_for = $1
              WHERE id = $2 AND spent_by_key IS NULL AND (reserved_for IS NULL OR reserved_for = $1)",
            params![key, id],
        )?;
        Ok(changed == 1)
    }

    /// Rotates a site key. `false`: the team has none of that id, or it was rotated or revoked before.
    pub fn ticket_rotate(
        &mut self,
        team_id: TeamId,
        id: &TicketId,
        rotation: &Rotation,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE ticket SET rotated_to = $1, rotated_at = $2, rotated_out_at = $3
              WHERE team_id = $4 AND id = $5 AND kind = 'site_key' AND rotated_to IS NULL
                AND (revoked_at IS NULL OR revoked_at = expires_at)",
            params![rotation.to, rotation.at, rotation.ends_at, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Revokes a ticket. `false`: the team has none of that id, or it was revoked before.
    pub fn ticket_revoke(
        &mut self,
        team_id: TeamId,
        id: &TicketId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.tickets_revoke(team_id, std::slice::from_ref(id), now)? == [true])
    }

    /// Revokes tickets, as [`Tx::ticket_revoke`] does one.
    pub fn tickets_revoke(
        &mut self,
        team_id: TeamId,
        ids: &[TicketId],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "UPDATE ticket SET revoked_at = $1, reserved_for = NULL
              WHERE team_id = $2 AND id = $3
                AND (revoked_at IS NULL OR revoked_at IN (expires_at, rotated_out_at))",
            &ids.iter().map(|id| params![now, team_id, id].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }
}

const fn of_a_team(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, kind, site_id, host_id, rejoin, require_key, expires_at, revoked_at, max_uses, uses,
                    spent_by_key, spent_by_host, spent_disposition, reserved_for, host_name, tags, verifier,
                    created_by, created_at, rotated_to, rotated_at, rotated_out_at, ephemeral_hours,
                    (SELECT count(*) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT max(host_key.created_at) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT host_key.host_id FROM host_key WHERE host_key.ticket_id = ticket.id
                      ORDER BY host_key.created_at DESC LIMIT 1),
                    (SELECT string_agg(secret.name, ' ') FROM secret
                      WHERE secret.team_id = ticket.team_id AND owner_kind = 'ticket' AND owner_id = ticket.id)
               FROM ticket
              WHERE team_id = $1 AND (created_at, id) > ($2, $3)
                AND (CAST($4 AS TEXT) IS NULL OR kind = $4)
                AND (CAST($5 AS TEXT) IS NULL OR replace($5, ' ' ||
                     CASE WHEN spent_by_key IS NOT NULL THEN 'spent'
                          WHEN revoked_at = rotated_out_at THEN 'rotated_out'
                          WHEN revoked_at = expires_at THEN 'expired'
                          WHEN revoked_at IS NOT NULL THEN 'revoked'
                          WHEN reserved_for IS NOT NULL THEN 'reserved'
                          WHEN rotated_out_at <= $6 THEN 'rotated_out'
                          WHEN expires_at <= $6 THEN 'expired'
                          WHEN uses >= max_uses THEN 'used_up'
                          WHEN rotated_to IS NOT NULL THEN 'rotated'
                          ELSE 'open' END || ' ', '') <> $5)
                AND (CAST($8 AS UUID_T) IS NULL OR site_id = $8)
              ORDER BY created_at, id LIMIT $7"
        }
        Order::Desc => {
            "SELECT id, team_id, kind, site_id, host_id, rejoin, require_key, expires_at, revoked_at, max_uses, uses,
                    spent_by_key, spent_by_host, spent_disposition, reserved_for, host_name, tags, verifier,
                    created_by, created_at, rotated_to, rotated_at, rotated_out_at, ephemeral_hours,
                    (SELECT count(*) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT max(host_key.created_at) FROM host_key WHERE host_key.ticket_id = ticket.id),
                    (SELECT host_key.host_id FROM host_key WHERE host_key.ticket_id = ticket.id
                      ORDER BY host_key.created_at DESC LIMIT 1),
                    (SELECT string_agg(secret.name, ' ') FROM secret
                      WHERE secret.team_id = ticket.team_id AND owner_kind = 'ticket' AND owner_id = ticket.id)
               FROM ticket
              WHERE team_id = $1 AND (created_at, id) < ($2, $3)
                AND (CAST($4 AS TEXT) IS NULL OR kind = $4)
                AND (CAST($5 AS TEXT) IS NULL OR replace($5, ' ' ||
                     CASE WHEN spent_by_key IS NOT NULL THEN 'spent'
                          WHEN revoked_at = rotated_out_at THEN 'rotated_out'
                          WHEN revoked_at = expires_at THEN 'expired'
                          WHEN revoked_at IS NOT NULL THEN 'revoked'
                          WHEN reserved_for IS NOT NULL THEN 'reserved'
                          WHEN rotated_out_at <= $6 THEN 'rotated_out'
                          WHEN expires_at <= $6 THEN 'expired'
                          WHEN uses >= max_uses THEN 'used_up'
                          WHEN rotated_to IS NOT NULL THEN 'rotated'
                          ELSE 'open' END || ' ', '') <> $5)
                AND (CAST($8 AS UUID_T) IS NULL OR site_id = $8)
              ORDER BY created_at DESC, id DESC LIMIT $7"
        }
    }
}

pub(super) fn stored_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn read_ticket(row: &Row<'_>) -> Result<TicketRow, StoreError> {
    let by_key: Option<KeyName> = row.get(11)?;
    let by_host: Option<HostId> = row.get(12)?;
    let disposition: Option<Word<Disposition>> = row.get(13)?;
    let spent = match (by_key, by_host, disposition) {
        (Some(by_key), Some(by_host), Some(Word(disposition))) => {
            Some(Spent { by_key, by_host, disposition })
        }
        (None, None, None) => None,
        _ => return Err(StoreError::corrupt("a ticket is half spent")),
    };
    let rotation = match (row.get(20)?, row.get(21)?, row.get(22)?) {
        (Some(to), Some(at), Some(ends_at)) => Some(Rotation { to, at, ends_at }),
        (None::<TicketId>, None::<Timestamp>, None::<Timestamp>) => None,
        _ => return Err(StoreError::corrupt("a ticket is half rotated")),
    };
    Ok(TicketRow {
        ticket: Ticket {
            id: row.get(0)?,
            team_id: row.get(1)?,
            kind: row.get::<Word<TicketKind>>(2)?.0,
            site_id: row.get(3)?,
            host_id: row.get(4)?,
            rejoin: row.get(5)?,
            require_key: row.get(6)?,
            expires_at: row.get(7)?,
            revoked_at: row.get(8)?,
            rotation,
            max_uses: row.get(9)?,
            uses: row.get(10)?,
            spent,
            reserved_for: row.get(14)?,
        },
        host_name: row.get(15)?,
        tags: row.get::<Json<Vec<Tag>>>(16)?.0,
        verifier: row.get(17)?,
        created_by: row.get(18)?,
        created_at: row.get(19)?,
        ephemeral_hours: row.get(23)?,
    })
}

fn read_shown(row: &Row<'_>) -> Result<ShownTicket, StoreError> {
    Ok(ShownTicket {
        uses: row.get(24)?,
        last_used_at: row.get(25)?,
        last_host_id: row.get(26)?,
        secrets: super::words_in_order(row.get(27)?),
        row: read_ticket(row)?,
    })
}
