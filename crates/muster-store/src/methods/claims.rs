//! Claims: enrolments that wait for a person.

use muster_domain::admission::{KnownClaim, Machine};
use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::claim::{ClaimReason, ClaimState, Sighting};
use muster_wire::enroll::{Facts, Labels};

use super::expiry::LapsedClaimRow;
use crate::words::Word;
use crate::{Json, Row, StoreError, Tx, params};

/// A claim.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRow {
    /// Names it.
    pub id: ClaimId,
    /// Its team.
    pub team_id: TeamId,
    /// The site whose door it stands at.
    pub site_id: SiteId,
    /// The ticket it showed; a copy shows none.
    pub ticket_id: Option<TicketId>,
    /// The host it contests.
    pub host_id: Option<HostId>,
    /// Why a person must decide.
    pub reason: ClaimReason,
    /// Where it stands.
    pub state: ClaimState,
    /// The machine that asks.
    pub machine: Machine,
    /// The SEC 1 point of its key pair, or the verifier of its agent key.
    pub key_material: Vec<u8>,
    /// The address it came from.
    pub source_address: String,
    /// When it first asked.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it ended.
    pub decided_at: Option<Timestamp>,
    /// Who ended it.
    pub decided_by: Option<String>,
    /// The host that came of it.
    pub result_host_id: Option<HostId>,
    /// Of a copy: the key it was copied with, the same as its own while it made itself no other.
    pub former_key: Option<KeyName>,
    /// Of a copy: the start of its machine.
    pub boot_id: Option<String>,
    /// Of a copy: what both sides showed.
    pub sighting: Option<Sighting>,
}

impl ClaimRow {
    /// Whether its machine proved a key that nobody else has: every one but a copy that made itself none.
    pub fn has_own_key(&self) -> bool {
        self.former_key != Some(self.machine.key)
    }
}

/// What must be let go when a waiting claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingClaim {
    /// Names it.
    pub id: ClaimId,
    /// Its team.
    pub team_id: TeamId,
    /// The ticket it holds, if it came with one and that is a one-time one.
    pub ticket_id: Option<TicketId>,
    /// The key that waits.
    pub key: KeyName,
    /// The host it contests.
    pub host_id: Option<HostId>,
    /// Why it waits.
    pub reason: ClaimReason,
}

/// How a claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimEnd<'a> {
    /// Where it stood.
    pub from: ClaimState,
    /// Where it stands from now on.
    pub to: ClaimState,
    /// Who ended it.
    pub by: &'a str,
    /// The host that came of it.
    pub result: Option<HostId>,
}

/// Which claims a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClaimFilter {
    /// Only those that stand here.
    pub state: Option<ClaimState>,
    /// Only those at this site.
    pub site_id: Option<SiteId>,
    /// Only those that wait for this.
    pub reason: Option<ClaimReason>,
    /// Only those that contest this host.
    pub host_id: Option<HostId>,
}

impl Tx<'_> {
    /// Stores a claim. `false`: the key has a waiting or rejected one at this site.
    pub fn claim_insert(&mut self, claim: &ClaimRow) -> Result<bool, StoreError> {
        let machine = &claim.machine;
        let changed = self.execute(
            "INSERT INTO claim (id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material,
                                machine_uid, hostname, facts, labels, source_address, created_at, expires_at,
                                former_key, boot_id, sighting)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             ON CONFLICT DO NOTHING",
            params![
                claim.id, claim.team_id, claim.site_id, claim.ticket_id, claim.host_id, Word(claim.reason),
                Word(claim.state), machine.key, claim.key_material, machine.uid, machine.hostname,
                Json(&machine.facts), Json(&machine.labels), claim.source_address, claim.created_at,
                claim.expires_at, claim.former_key, claim.boot_id, claim.sighting.as_ref().map(Json)
            ],
        )?;
        Ok(changed == 1)
    }

    /// Returns a claim of a team.
    pub fn claim(&mut self, team_id: TeamId, id: ClaimId) -> Result<Option<ClaimRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid,
                    hostname, facts, labels, source_address, created_at, expires_at, decided_at, decided_by,
                    result_host_id, former_key, boot_id, sighting
               FROM claim WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_claim,
        )
    }

    /// Returns claims of a team in the order they were opened, after `after`.
    pub fn claims(
        &mut self,
        team_id: TeamId,
        filter: ClaimFilter,
        after: Option<ClaimId>,
        limit: i64,
    ) -> Result<Vec<ClaimRow>, StoreError> {
        let after = after.unwrap_or(ClaimId::from_uuid(uuid::Uuid::nil()));
        self.query(
            "SELECT id, team_id, site_id, ticket_id, host_id, reason, state, key_name, key_material, machine_uid,
                    hostname, facts, labels, source_address, created_at, expires_at, decided_at, decided_by,
                    result_host_id, former_key, boot_id, sighting
               FROM claim
              WHERE team_id = $1 AND id > $2 AND (CAST($3 AS TEXT) IS NULL OR state = $3)
                AND (CAST($4 AS UUID_T) IS NULL OR site_id = $4)
                AND (CAST($5 AS TEXT) IS NULL OR reason = $5)
                AND (CAST($6 AS UUID_T) IS NULL OR host_id = $6)
              ORDER BY id LIMIT $7",
            params![
                team_id, after, filter.state.map(Word), filter.site_id, filter.reason.map(Word), filter.host_id, limit
            ],
            read_claim,
        )
    }

    /// Returns the waiting or rejected claim of a key at a site. A copy that made itself no key has none: the key is its
    /// host's.
    pub fn claim_of_key(&mut self, site_id: SiteId, key: &KeyName) -> Result<Option<KnownClaim>, StoreError> {
        self.query_opt(
            "SELECT id, ticket_id, reason, state FROM claim
              WHERE site_id = $1 AND key_name = $2 AND state IN ('waiting', 'rejected')
                AND (former_key IS NULL OR former_key <> key_name)",
            params![site_id, key],
            read_known,
        )
    }

    /// Returns how many claims wait at a site, at most `limit`.
    pub fn claims_at_site(&mut self, site_id: SiteId, limit: u32) -> Result<u32, StoreError> {
        self.query_one(
            "SELECT count(*) FROM
                (SELECT 1 AS one FROM claim WHERE site_id = $1 AND state = 'waiting' LIMIT $2) AS waiting",
            params![site_id, i64::from(limit)],
            |row| row.get(0),
        )
    }

    /// Whether a claim of this reason, opened after `since`, waits at a site.
    pub fn claim_waits_since(
        &mut self,
        site_id: SiteId,
        reason: ClaimReason,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = self.query(
            "SELECT 1 FROM claim
              WHERE site_id = $1 AND state = 'waiting' AND reason = $2 AND created_at > $3 LIMIT 1",
            params![site_id, Word(reason), since],
            |row| row.get::<i64>(0),
        )?;
        Ok(!found.is_empty())
    }

    /// Returns the claims that contest a host.
    ///
    /// At its own site at most as many as may contest one host; at each other site of the team, all that may wait there.
    pub fn claims_on_host(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
    ) -> Result<Vec<WaitingClaim>, StoreError> {
        Ok(self.claims_on_hosts(team_id, &[host_id])?.pop().unwrap_or_default())
    }

    /// Returns the claims that contest each of these hosts, as [`Tx::claims_on_host`] does of one.
    pub fn claims_on_hosts(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
    ) -> Result<Vec<Vec<WaitingClaim>>, StoreError> {
        self.query_each(
            "SELECT id, team_id, ticket_id, key_name, host_id, reason FROM claim
              WHERE team_id = $1 AND host_id = $2 AND state = 'waiting' ORDER BY id",
            &hosts.iter().map(|host_id| params![team_id, host_id].to_vec()).collect::<Vec<_>>(),
            read_waiting,
        )
    }

    /// Counts the claims on a host that wait at its own site, but for those of copies: they have a bound of their own.
    pub fn claims_on_host_of_its_site(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
    ) -> Result<u32, StoreError> {
        self.query_one(
            "SELECT count(*) FROM claim JOIN host ON host.id = claim.host_id AND host.site_id = claim.site_id
              WHERE claim.team_id = $1 AND claim.host_id = $2 AND claim.state = 'waiting'
                AND claim.reason <> 'clone'",
            params![team_id, host_id],
            |row| row.get(0),
        )
    }

    /// Returns the claims that wait with a ticket, at most `limit`.
    pub fn claims_with_ticket(
        &mut self,
        team_id: TeamId,
        ticket_id: &TicketId,
        limit: i64,
    ) -> Result<Vec<WaitingClaim>, StoreError> {
        let found = self.claims_with_tickets(team_id, std::slice::from_ref(ticket_id), limit)?.pop();
        Ok(found.unwrap_or_default())
    }

    /// Returns the claims that wait with each of these tickets, at most `limit` with each.
    pub fn claims_with_tickets(
        &mut self,
        team_id: TeamId,
        tickets: &[TicketId],
        limit: i64,
    ) -> Result<Vec<Vec<WaitingClaim>>, StoreError> {
        self.query_each(
            "SELECT id, team_id, ticket_id, key_name, host_id, reason FROM claim
              WHERE team_id = $1 AND ticket_id = $2 AND state = 'waiting' ORDER BY id LIMIT $3",
            &tickets.iter().map(|id| params![team_id, id, limit].to_vec()).collect::<Vec<_>>(),
            read_waiting,
        )
    }

    /// Returns the lapsed claims that stand in the way of this key or this ticket.
    pub fn claims_lapsed_at(
        &mut self,
        site_id: SiteId,
        key: &KeyName,
        ticket_id: &TicketId,
        now: Timestamp,
    ) -> Result<Vec<LapsedClaimRow>, StoreError> {
        self.query(
            "SELECT id, team_id, site_id, ticket_id, key_name, host_id FROM claim
              WHERE state = 'waiting' AND expires_at <= $1 AND reason <> 'clone'
                AND (ticket_id = $2 OR (site_id = $3 AND key_name = $4)) ORDER BY id LIMIT 100",
            params![now, ticket_id, site_id, key],
            |row| {
                Ok(LapsedClaimRow {
                    id: row.get(0)?,
                    team_id: row.get(1)?,
                    site_id: row.get(2)?,
                    ticket_id: row.get(3)?,
                    key: row.get(4)?,
                    host_id: row.get(5)?,
                })
            },
        )
    }

    /// Ends a claim. `false`: it does not stand where the end begins.
    pub fn claim_end(
        &mut self,
        team_id: TeamId,
        id: ClaimId,
        end: ClaimEnd<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.claims_end(team_id, &[id], end, now)? == [true])
    }

    /// Ends claims, as [`Tx::claim_end`] does one.
    pub fn claims_end(
        &mut self,
        team_id: TeamId,
        ids: &[ClaimId],
        end: ClaimEnd<'_>,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let ended = |id: &ClaimId| {
            params![Word(end.to), now, end.by, end.result, team_id, id, Word(end.from)].to_vec()
        };
        let changed = self.execute_each(
            "UPDATE claim SET state = $1, decided_at = $2, decided_by = $3, result_host_id = $4
              WHERE team_id = $5 AND id = $6 AND state = $7",
            &ids.iter().map(ended).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }
}

pub(super) fn read_known(row: &Row<'_>) -> Result<KnownClaim, StoreError> {
    Ok(KnownClaim {
        id: row.get(0)?,
        ticket_id: row.get(1)?,
        reason: row.get::<Word<ClaimReason>>(2)?.0,
        state: row.get::<Word<ClaimState>>(3)?.0,
    })
}

fn read_waiting(row: &Row<'_>) -> Result<WaitingClaim, StoreError> {
    Ok(WaitingClaim {
        id: row.get(0)?,
        team_id: row.get(1)?,
        ticket_id: row.get(2)?,
        key: row.get(3)?,
        host_id: row.get(4)?,
        reason: row.get::<Word<ClaimReason>>(5)?.0,
    })
}

fn read_claim(row: &Row<'_>) -> Result<ClaimRow, StoreError> {
    Ok(ClaimRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        site_id: row.get(2)?,
        ticket_id: row.get(3)?,
        host_id: row.get(4)?,
        reason: row.get::<Word<ClaimReason>>(5)?.0,
        state: row.get::<Word<ClaimState>>(6)?.0,
        key_material: row.get(8)?,
        machine: Machine {
            key: row.get(7)?,
            uid: row.get(9)?,
            hostname: row.get(10)?,
            facts: row.get::<Json<Facts>>(11)?.0,
            labels: row.get::<Json<Labels>>(12)?.0,
        },
        source_address: row.get(13)?,
        created_at: row.get(14)?,
        expires_at: row.get(15)?,
        decided_at: row.get(16)?,
        decided_by: row.get(17)?,
        result_host_id: row.get(18)?,
        former_key: row.get(19)?,
        boot_id: row.get(20)?,
        sighting: row.get::<Option<Json<Sighting>>>(21)?.map(|Json(sighting)| sighting),
    })
}
