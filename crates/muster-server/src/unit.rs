//! A unit of work: one transaction, its values, and what must be written last in it.

use std::fmt;

use muster_edge::{Draw, Seed};
use muster_ids::{AuditId, EventId, HostId, TeamId, Timestamp};
use muster_keyring::Keyring;
use muster_store::rows::{AuditRow, OutboxRow};
use muster_store::{StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::people::Role;
use serde_json::{Value, json};

use crate::effects::{Effects, Ended};

/// Who acts, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// `user_…`, `host_…`, `jkt:…`, `agk:…` or `system`.
    pub actor: String,
    /// The role they act in; machines and the server have none.
    pub role: Option<Role>,
    /// The address they came from; `-` when there is none.
    pub source: String,
}

impl Author {
    /// The server itself.
    pub fn system() -> Self {
        Self { actor: "system".to_owned(), role: None, source: "-".to_owned() }
    }
}

/// Something that happened: one audit row, one event, or both, as its [`Happening`] says.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a fact that is not handed to the unit is forgotten"]
pub struct Fact {
    what: Happening,
    team_id: TeamId,
    author: Author,
    subject: String,
    host_id: Option<HostId>,
    outcome: &'static str,
    changed: Vec<String>,
    details: Value,
}

impl Fact {
    /// Says what happened, in which team, by whom, to what.
    pub fn new(what: Happening, team_id: TeamId, author: &Author, subject: impl fmt::Display) -> Self {
        Self {
            what,
            team_id,
            author: author.clone(),
            subject: subject.to_string(),
            host_id: None,
            outcome: "ok",
            changed: Vec::new(),
            details: json!({}),
        }
    }

    /// Says which host it is about: events about one host are delivered in their order.
    pub fn of_host(mut self, host_id: HostId) -> Self {
        self.host_id = Some(host_id);
        self
    }

    /// Says how it ended, if not well: the code of the refusal.
    pub fn outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = outcome;
        self
    }

    /// Names the fields that were changed; never their values where these are secret.
    pub fn changed(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.changed = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Adds details that are not secret: a JSON object.
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
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
    facts: Vec<Fact>,
}

impl<'u, 'tx> Unit<'u, 'tx> {
    pub(crate) fn new(tx: &'u mut Tx<'tx>, now: Timestamp, seed: &Seed) -> Self {
        Self { tx, now, draw: seed.draw(), effects: Effects::default(), facts: Vec::new() }
    }

    /// Says that somebody's right ended or shrank: logged for every node, and followed here after the commit. Whatever
    /// takes a right away goes through here.
    pub fn end(&mut self, team_id: TeamId, ended: Ended, reason: &str) -> Result<(), StoreError> {
        self.end_all(team_id, &[ended], reason)
    }

    /// Says of each what [`Unit::end`] says of one.
    pub fn end_all(&mut self, team_id: TeamId, ended: &[Ended], reason: &str) -> Result<(), StoreError> {
        let subjects: Vec<String> = ended.iter().map(Ended::to_string).collect();
        let numbers = self.tx.revocations_insert(team_id, &subjects, reason, self.now)?;
        self.effects.logged.extend(numbers);
        self.effects.ended.extend(ended);
        Ok(())
    }

    /// Says that something happened: written to the audit trail and the outbox last in the transaction.
    pub fn happened(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Writes audit and outbox rows, and returns what follows the commit.
    pub(crate) fn finish(mut self, keyring: &Keyring) -> Result<Effects, StoreError> {
        let facts = std::mem::take(&mut self.facts);
        let mut trail = Vec::with_capacity(facts.len());
        for fact in facts.iter().filter(|fact| fact.what.is_audited()) {
            let row = audit_row(AuditId::from_uuid(self.draw.uuid(self.now)), fact, self.now);
            let written = keyring.audit_written(&row.chained_text()).to_vec();
            trail.push((row, written));
        }
        let mut told = Vec::with_capacity(facts.len());
        for fact in facts.into_iter().filter(|fact| fact.what.is_told()) {
            told.push(outbox_row(EventId::from_uuid(self.draw.uuid(self.now)), fact, self.now));
        }
        self.tx.audit_insert_all(&trail)?;
        self.tx.outbox_insert_all(&told)?;
        Ok(self.effects)
    }
}

fn audit_row(id: AuditId, fact: &Fact, at: Timestamp) -> AuditRow {
    AuditRow {
        id,
        team_id: fact.team_id,
        at,
        actor: fact.author.actor.clone(),
        role: Some(fact.author.role.map_or("", Role::as_str).to_owned()),
        source: fact.author.source.clone(),
        action: fact.what.as_str().to_owned(),
        target: fact.subject.clone(),
        outcome: fact.outcome.to_owned(),
        changed: Some(json!(fact.changed).to_string()),
        host_id: fact
            .host_id
            .or_else(|| fact.subject.parse().ok())
            .or_else(|| fact.author.actor.parse().ok()),
        details: fact.details.to_string(),
    }
}

fn outbox_row(id: EventId, fact: Fact, at: Timestamp) -> OutboxRow {
    OutboxRow {
        id,
        team_id: fact.team_id,
        at,
        kind: fact.what.as_str().to_owned(),
        subject: fact.subject,
        host_id: fact.host_id,
        actor: fact.author.actor,
        payload: fact.details,
    }
}
