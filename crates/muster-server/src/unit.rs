//! A unit of work: one transaction, its values, and what must be written last in it.

use muster_edge::{Draw, Seed};
use muster_ids::{AuditId, EventId, TeamId, Timestamp};
use muster_store::{StoreError, Tx};
use serde_json::Value;

use crate::effects::Effects;

/// Who acts, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// `user_…`, `host_…`, `jkt:…`, `agk:…` or `system`.
    pub actor: String,
    /// The address they came from; `-` when there is none.
    pub source: String,
}

impl Author {
    /// The server itself.
    pub fn system() -> Self {
        Self { actor: "system".to_owned(), source: "-".to_owned() }
    }
}

/// An audit record before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The team it belongs to.
    pub team_id: TeamId,
    /// Who acts.
    pub author: Author,
    /// What was done: `host.enrolled`, `claim.decided`, …
    pub action: &'static str,
    /// On what.
    pub target: String,
    /// `ok` or the code of the refusal.
    pub outcome: &'static str,
    /// Details that are not secret.
    pub details: Value,
}

/// An event before it is written to the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The team it belongs to.
    pub team_id: TeamId,
    /// What happened: `host.enrolled`, `claim.opened`, …
    pub kind: &'static str,
    /// To what.
    pub subject: String,
    /// Details that are not secret.
    pub payload: Value,
}

/// One run of a transaction's closure.
pub struct Unit<'u, 'tx> {
    /// The transaction.
    pub tx: &'u mut Tx<'tx>,
    /// The one `now` of the request.
    pub now: Timestamp,
    /// Ids and nonces: the same ones in every run of the closure.
    pub draw: Draw,
    /// What follows the commit.
    pub effects: Effects,
    entries: Vec<Entry>,
    events: Vec<Event>,
}

impl<'u, 'tx> Unit<'u, 'tx> {
    pub(crate) fn new(tx: &'u mut Tx<'tx>, now: Timestamp, seed: &Seed) -> Self {
        Self {
            tx,
            now,
            draw: seed.draw(),
            effects: Effects::default(),
            entries: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Records something in the audit trail, last in the transaction.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Tells an event, last in the transaction.
    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Writes audit and outbox rows, and returns what follows the commit.
    pub(crate) fn finish(mut self) -> Result<Effects, StoreError> {
        for entry in std::mem::take(&mut self.entries) {
            let id = AuditId::from_uuid(self.draw.uuid(self.now));
            self.tx.audit_insert(&muster_store::rows::AuditRow {
                id,
                team_id: entry.team_id,
                at: self.now,
                actor: entry.author.actor,
                source: entry.author.source,
                action: entry.action.to_owned(),
                target: entry.target,
                outcome: entry.outcome.to_owned(),
                details: entry.details.to_string(),
            })?;
        }
        for event in std::mem::take(&mut self.events) {
            let id = EventId::from_uuid(self.draw.uuid(self.now));
            self.tx.outbox_insert(&muster_store::rows::OutboxRow {
                id,
                team_id: event.team_id,
                at: self.now,
                kind: event.kind.to_owned(),
                subject: event.subject,
                payload: event.payload,
            })?;
        }
        Ok(self.effects)
    }
}
