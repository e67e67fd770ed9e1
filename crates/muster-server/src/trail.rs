//! The audit trail behind its rows: where the chain begins and ends, and whether it holds.
//!
//! Whoever can write to the database can change every row of it and put back a head that the server kept earlier. What
//! they cannot do is make a link, so a change is found by [`verify`]; and a trail that ends earlier than it did is found
//! by the running server, which remembers, and by whoever kept a head elsewhere.

mod begin;
pub mod offline;
pub mod verify;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_keyring::{AuditEnd, Keyring};
use muster_store::rows::ChainHead;
use muster_store::{Lock, LockKey, StoreError, Tx};

pub(crate) use begin::begin;

/// Between two looks whether the head is where it was left, while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// One sealer at a time, for as long as its transaction.
pub(crate) const fn sealer_lock() -> Lock {
    Lock::exclusive(LockKey::Named("sealer"))
}

/// An end of the chain as the database holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing is kept.
    Nothing,
    /// What is kept was not kept by this server.
    Forged,
    /// The link.
    Link(ChainHead),
}

impl Kept {
    fn of(keyring: &Keyring, end: AuditEnd, kept: Option<&[u8]>) -> Self {
        let Some(kept) = kept else { return Self::Nothing };
        match keyring.open_audit_end(end, kept) {
            Some((position, mac)) => Self::Link(ChainHead { position, mac }),
            None => Self::Forged,
        }
    }
}

/// Returns where the chain ends.
pub fn head(tx: &mut Tx<'_>, keyring: &Keyring) -> Result<Kept, StoreError> {
    Ok(Kept::of(keyring, AuditEnd::Head, tx.audit_head()?.as_deref()))
}

/// Returns the last link that was dropped: what is kept begins after it.
pub fn tail(tx: &mut Tx<'_>, keyring: &Keyring) -> Result<Kept, StoreError> {
    Ok(Kept::of(keyring, AuditEnd::Tail, tx.audit_tail()?.as_deref()))
}

/// Keeps where the chain ends.
pub fn keep_head(tx: &mut Tx<'_>, keyring: &Keyring, link: &ChainHead) -> Result<(), StoreError> {
    tx.audit_head_keep(&keyring.keep_audit_end(AuditEnd::Head, link.position, &link.mac))
}

/// Keeps the last link that was dropped.
pub fn keep_tail(tx: &mut Tx<'_>, keyring: &Keyring, link: &ChainHead) -> Result<(), StoreError> {
    tx.audit_tail_keep(&keyring.keep_audit_end(AuditEnd::Tail, link.position, &link.mac))
}

/// What this process knows of the trail without asking the database.
#[derive(Debug, Default)]
pub struct Trail(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    head: Option<ChainHead>,
    look_at: Duration,
    blocked_told: bool,
}

impl Trail {
    /// Returns the last head this process saw.
    pub fn head(&self) -> Option<ChainHead> {
        self.lock().head
    }

    /// Remembers a head after its commit; never an earlier one.
    pub fn remember(&self, head: ChainHead) {
        let mut known = self.lock();
        if known.head.is_none_or(|before| before.position <= head.position) {
            known.head = Some(head);
        }
    }

    /// Whether it is time to look at the head though nothing is written.
    pub(crate) fn look_is_due(&self, now: Duration) -> bool {
        let mut known = self.lock();
        let is_due = known.look_at <= now;
        if is_due {
            known.look_at = now + LOOK_EVERY;
        }
        is_due
    }

    /// Whether nobody was told yet that rows cannot be dropped.
    pub(crate) fn tells_that_it_is_blocked(&self) -> bool {
        !std::mem::replace(&mut self.lock().blocked_told, true)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
