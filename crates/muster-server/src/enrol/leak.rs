//! *This key leaked*: the ticket is revoked, and what it admitted is suspended.
//!
//! One transaction takes the ticket away, whatever becomes of the hosts. The next one suspends the first of them and, where
//! there are more, leaves a row by which the others follow in chunks: before the reply as far as that goes, by a
//! reconciler after it, so that nothing that was reported can be lost. No transaction reads more hosts than it
//! suspends: what the person saw is compared in a read between the two, when the ticket admits nobody any more. A
//! rotated site key stands for itself: the keys before
//! and after it have secrets of their own, which did not leak with it.

use std::time::Duration;

use muster_ids::{HostId, TeamId, TicketId, Timestamp};
use muster_proof::digest::sha256_base64url;
use muster_store::rows::{AdmittedRow, LeakRow};
use muster_store::{Lock, LockKey, Priority, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::leak::ReportLeak;
use serde_json::json;

use super::mint::{CLAIMS, revoke_unused};
use super::suspend::suspend;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// Hosts that one transaction suspends: what a commit bears.
pub const AT_ONCE: i64 = 100;
/// Hosts of which a preview names each one; beyond that it counts them.
const NAMED: i64 = 500;
/// How long the reply to a report waits for the chunks after the first.
const WAITED_FOR: Duration = Duration::from_secs(8);
const REASON: &str = "ticket_leaked";
const STALE: Failure = Failure::conflict(
    "preview_stale",
    "the ticket is revoked; what it admitted, or how that stands, has changed: look at the preview again",
);

/// What a ticket admitted since a time, as one snapshot shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    counts: Vec<(HostState, u64)>,
    waiting_claims: u64,
    digest: String,
}

impl Admitted {
    /// Reads it.
    pub fn load(
        tx: &mut Tx<'_>,
        team_id: TeamId,
        ticket_id: &TicketId,
        since: Option<Timestamp>,
    ) -> Result<Self, StoreError> {
        let counts = tx.admitted_counts(team_id, ticket_id, start(since))?;
        let named = tx.hosts_admitted(team_id, ticket_id, start(since), None, NAMED)?;
        let named: Vec<_> = named.iter().map(|row| (row.host_id, row.state, row.admitted_at)).collect();
        let waiting_claims = tx.claims_with_ticket(team_id, ticket_id, CLAIMS)?.len() as u64;
        let text =
            json!({ "ticket": ticket_id, "since": since, "counts": counts, "named": named }).to_string();
        Ok(Self { counts, waiting_claims, digest: sha256_base64url(text.as_bytes()) })
    }

    /// Counts the hosts, whatever became of them.
    pub fn hosts(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Counts those that are active.
    pub fn active(&self) -> u64 {
        self.counts.iter().filter(|(state, _)| *state == HostState::Active).map(|(_, count)| count).sum()
    }

    /// Counts the claims that wait with the ticket.
    pub fn waiting_claims(&self) -> u64 {
        self.waiting_claims
    }

    /// Names what was read.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Returns since when a ticket's hosts are meant.
pub fn start(since: Option<Timestamp>) -> Timestamp {
    since.unwrap_or(Timestamp::from_millis(0))
}

/// What was done in the transaction of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Hosts that are suspended.
    pub suspended: u64,
    /// Hosts that follow.
    pub remaining: u64,
}

/// Revokes a leaked ticket, and begins to suspend what it admitted if that is what the person saw.
///
/// Revoked first, in a transaction of its own: it stays so, whatever becomes of the rest, and admits nobody meanwhile.
pub async fn report(
    app: &App,
    actor: Actor<permits::ManageSiteKeys>,
    ticket_id: TicketId,
    asked: ReportLeak,
) -> Result<Done, Failure> {
    let (team_id, since, now) = (actor.team_id, asked.since, app.clock.now());
    let revoked = actor
        .clone()
        .change(app, now, move |unit, actor| revoke(unit, actor.team_id, &ticket_id, &actor.author()));
    revoked.await?;
    let seen = app.look(move |tx| Admitted::load(tx, team_id, &ticket_id, since)).await?;
    if seen.digest() != asked.preview.as_str() {
        return Err(STALE);
    }
    let begun = actor.change(app, now, move |unit, actor| {
        begin(unit, actor.team_id, &ticket_id, &asked, &seen, &actor.author())
    });
    begun.await
}

fn revoke(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    ticket_id: &TicketId,
    author: &Author,
) -> Result<(), Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(*ticket_id))])?;
    let ticket = unit.tx.ticket_by_id(ticket_id)?.filter(|row| row.ticket.team_id == team_id);
    ticket.ok_or(Failure::NotFound)?;
    revoke_unused(unit, team_id, ticket_id, author).map(drop)
}

/// Writes down that a revoked ticket leaked, and suspends the first of the hosts that were seen.
pub fn begin(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    ticket_id: &TicketId,
    asked: &ReportLeak,
    seen: &Admitted,
    author: &Author,
) -> Result<Done, Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(*ticket_id))])?;
    let mut leak = LeakRow {
        ticket_id: *ticket_id,
        team_id,
        since: start(asked.since),
        actor: author.actor.clone(),
        role: author.role,
        source: author.source.clone(),
        reported_at: unit.now,
        after_host: None,
    };
    let first = if asked.suspend { locked(unit, &leak)? } else { Vec::new() };
    let suspended = suspend_each(unit, &leak, &first, author)?;
    let remaining = if asked.suspend { seen.active().saturating_sub(suspended) } else { 0 };
    if remaining > 0 {
        leak.after_host = first.last().map(|row| row.host_id);
        unit.tx.leak_insert(&leak)?;
    }
    let details = json!({
        "since": asked.since,
        "hosts": seen.hosts(),
        "suspended": suspended,
        "remaining": remaining,
    });
    unit.happened(Fact::new(Happening::TicketLeaked, team_id, author, ticket_id).details(details));
    Ok(Done { suspended, remaining })
}

/// Suspends the rest before the reply, as long as a person would wait; what is left is the reconciler's.
pub async fn follow(app: &App, ticket_id: TicketId, mut done: Done) -> Done {
    let begun_at = app.clock.monotonic();
    while done.remaining > 0 && app.clock.monotonic().saturating_sub(begun_at) < WAITED_FOR {
        let now = app.clock.now();
        match app.change(Priority::Urgent, now, move |unit| go_on(unit, &ticket_id)).await {
            Ok(chunk) => {
                done.suspended += chunk.suspended;
                done.remaining = done.remaining.saturating_sub(chunk.suspended);
                if !chunk.is_more {
                    done.remaining = 0;
                }
            }
            Err(failure) => {
                tracing::warn!(ticket.id = %ticket_id, %failure, "hosts of a leaked ticket follow later");
                break;
            }
        }
    }
    done
}

/// What became of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Hosts that are suspended.
    pub suspended: u64,
    /// Whether there may be more.
    pub is_more: bool,
}

/// Suspends the next hosts of a leaked ticket.
pub fn go_on(unit: &mut Unit<'_, '_>, ticket_id: &TicketId) -> Result<Chunk, Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(*ticket_id))])?;
    let Some(leak) = unit.tx.leak_open(ticket_id)? else {
        return Ok(Chunk { suspended: 0, is_more: false });
    };
    let author = Author { actor: leak.actor.clone(), role: leak.role, source: leak.source.clone() };
    let next = locked(unit, &leak)?;
    let suspended = suspend_each(unit, &leak, &next, &author)?;
    let is_more = i64::try_from(next.len()).is_ok_and(|found| found == AT_ONCE);
    let after_host = next.last().map(|row| row.host_id).or(leak.after_host);
    unit.tx.leak_went_on(ticket_id, after_host, (!is_more).then_some(unit.now))?;
    Ok(Chunk { suspended, is_more })
}

/// Locks the next hosts and reads them. Their ticket is locked: it admits nobody meanwhile.
fn locked(unit: &mut Unit<'_, '_>, leak: &LeakRow) -> Result<Vec<AdmittedRow>, Failure> {
    let read = |tx: &mut Tx<'_>| {
        tx.hosts_admitted(leak.team_id, &leak.ticket_id, leak.since, leak.after_host, AT_ONCE)
    };
    let found: Vec<HostId> = read(unit.tx)?.iter().map(|row| row.host_id).collect();
    let locks: Vec<Lock> = found.iter().map(|id| Lock::exclusive(LockKey::Host(*id))).collect();
    unit.tx.lock(&locks)?;
    Ok(read(unit.tx)?)
}

fn suspend_each(
    unit: &mut Unit<'_, '_>,
    leak: &LeakRow,
    hosts: &[AdmittedRow],
    author: &Author,
) -> Result<u64, Failure> {
    let active = hosts.iter().filter(|row| row.state == HostState::Active);
    let mut suspended = 0;
    for row in active {
        suspend(unit, (leak.team_id, row.host_id), row.state, author, Some(REASON))?;
        suspended += 1;
    }
    Ok(suspended)
}
