//! Tickets as the decision sees them.

use muster_ids::{HostId, KeyName, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::enroll::Disposition;
use muster_wire::ticket::{TicketKind, TicketStatus};

use crate::admission::Cause;

/// A ticket that exists and whose secret was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its public half.
    pub id: TicketId,
    /// Which door it opens.
    pub kind: TicketKind,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// The site it admits to.
    pub site_id: SiteId,
    /// The host it was made for, at door 2.
    pub host_id: Option<HostId>,
    /// Whether it re-keys an active host, at door 2.
    pub rejoin: bool,
    /// Whether the machine must hold a key pair.
    pub require_key: bool,
    /// When it lapses.
    pub expires_at: Option<Timestamp>,
    /// When a person revoked it or a newer one voided it.
    pub revoked_at: Option<Timestamp>,
    /// How many hosts it may make or re-key.
    pub max_uses: Option<u64>,
    /// Hosts it made or re-keyed.
    pub uses: u64,
    /// Who spent it: a permanent fact, whatever became of the host.
    pub spent: Option<Spent>,
    /// The key for which a waiting claim holds it.
    pub reserved_for: Option<KeyName>,
}

/// How a one-time ticket was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// By which key.
    pub by_key: KeyName,
    /// For which host.
    pub by_host: HostId,
    /// What the machine was told.
    pub disposition: Disposition,
}

impl Ticket {
    /// Whether it admits one machine only.
    pub fn is_one_time(&self) -> bool {
        self.kind != TicketKind::SiteKey
    }

    /// Judges whether the ticket opens its door for `key` now (DESIGN §4 step 3).
    pub fn admits_at(&self, key: &KeyName, now: Timestamp) -> Result<(), Cause> {
        if self.revoked_at.is_some() {
            return Err(Cause::Revoked);
        }
        if let Some(spent) = &self.spent {
            return if spent.by_key == *key { Ok(()) } else { Err(Cause::SpentByAnotherKey) };
        }
        match &self.reserved_for {
            Some(holder) if holder == key => return Ok(()),
            Some(_) => return Err(Cause::ReservedForAnotherKey),
            None => {}
        }
        if self.expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Err(Cause::Expired);
        }
        if self.is_used_up() {
            return Err(Cause::UsedUp);
        }
        Ok(())
    }

    /// Whether it made or re-keyed as many hosts as it may.
    pub fn is_used_up(&self) -> bool {
        self.max_uses.is_some_and(|max_uses| self.uses >= max_uses)
    }

    /// Names where the ticket stands, for operators.
    pub fn status(&self, now: Timestamp) -> TicketStatus {
        if self.spent.is_some() || self.is_used_up() {
            TicketStatus::Spent
        } else if self.revoked_at.is_some() {
            TicketStatus::Revoked
        } else if self.reserved_for.is_some() {
            TicketStatus::Reserved
        } else if self.expires_at.is_some_and(|expires_at| now >= expires_at) {
            TicketStatus::Expired
        } else {
            TicketStatus::Open
        }
    }
}
