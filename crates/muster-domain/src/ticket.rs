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
    /// When it was ended: by a person, by a newer one, or, when it is the very moment at which it lapsed, by time. So
    /// what lapsed once stays so, whatever the clock says later.
    pub revoked_at: Option<Timestamp>,
    /// What took its place, if it is a rotated site key.
    pub rotation: Option<Rotation>,
    /// How many hosts it may make or re-key.
    pub max_uses: Option<u64>,
    /// Hosts it made or re-keyed.
    pub uses: u64,
    /// Who spent it: a permanent fact, whatever became of the host.
    pub spent: Option<Spent>,
    /// The key for which a waiting claim holds it.
    pub reserved_for: Option<KeyName>,
}

/// How a site key was rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The key that took its place.
    pub to: TicketId,
    /// When.
    pub at: Timestamp,
    /// Until when it still admits.
    pub ends_at: Timestamp,
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
        if self.is_revoked() {
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
        if self.is_rotated_out(now) {
            return Err(Cause::RotatedOut);
        }
        if self.has_expired(now) {
            return Err(Cause::Expired);
        }
        if self.is_used_up() {
            return Err(Cause::UsedUp);
        }
        Ok(())
    }

    fn is_rotated_out(&self, now: Timestamp) -> bool {
        self.rotation.is_some_and(|rotation| self.is_over(rotation.ends_at, now))
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| self.is_over(expires_at, now))
    }

    fn is_over(&self, ends_at: Timestamp, now: Timestamp) -> bool {
        now >= ends_at || self.revoked_at == Some(ends_at)
    }

    /// Whether somebody ended it before its time.
    pub(crate) fn is_revoked(&self) -> bool {
        let ends_at = self.rotation.map(|rotation| rotation.ends_at);
        self.revoked_at.is_some() && self.revoked_at != self.expires_at && self.revoked_at != ends_at
    }

    /// Returns when it opens its door no more by itself.
    pub fn lapses_at(&self) -> Option<Timestamp> {
        let ends_at = self.rotation.map(|rotation| rotation.ends_at);
        [self.expires_at, ends_at].into_iter().flatten().min()
    }

    /// Whether it made or re-keyed as many hosts as it may.
    pub fn is_used_up(&self) -> bool {
        self.max_uses.is_some_and(|max_uses| self.uses >= max_uses)
    }

    /// Names where the ticket stands, for operators: as [`admits_at`](Self::admits_at) judges it.
    pub fn status(&self, now: Timestamp) -> TicketStatus {
        if self.spent.is_some() {
            TicketStatus::Spent
        } else if self.is_revoked() {
            TicketStatus::Revoked
        } else if self.reserved_for.is_some() {
            TicketStatus::Reserved
        } else if self.is_rotated_out(now) {
            TicketStatus::RotatedOut
        } else if self.has_expired(now) {
            TicketStatus::Expired
        } else if self.is_used_up() {
            TicketStatus::UsedUp
        } else if self.rotation.is_some() {
            TicketStatus::Rotated
        } else {
            TicketStatus::Open
        }
    }

    /// Judges whether the key may be rotated: only the newest of a chain has no successor.
    pub fn may_rotate(&self) -> Result<(), NotRotatable> {
        if self.is_revoked() {
            return Err(NotRotatable::Revoked);
        }
        if self.rotation.is_some() {
            return Err(NotRotatable::Rotated);
        }
        Ok(())
    }
}

/// Why a site key cannot be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRotatable {
    /// A person revoked it: nothing may come of it.
    #[error("revoked")]
    Revoked,
    /// Another key took its place: rotate that one.
    #[error("rotated before")]
    Rotated,
}
