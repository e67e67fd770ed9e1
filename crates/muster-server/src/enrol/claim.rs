//! Claims: opened by the door, decided by a person, shown with what the decision rests on.

use muster_domain::admission::{Admission, CLAIM_LIFE, Refusal, WaitingClaim, admit_with_verdict};
use muster_domain::claim::{Evidence, EvidenceOfHost, verdicts};
use muster_ids::{ClaimId, HostId, TeamId, Timestamp};
use muster_keyring::OwnerKind;
use muster_proof::digest::sha256_base64url;
use muster_store::rows::{self, ClaimEnd, ClaimRow, LapsedClaimRow, ShownHost, TicketRow};
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::claim::{ClaimReason, ClaimState, DecideClaim, Verdict};
use muster_wire::happening::Happening;
use serde_json::json;

use super::apply::{Arriving, Entrance, arrive};
use super::{Outcome, copies, keys, known, mint, retire};
use crate::app::App;
use crate::auth::Actor;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

const STALE: Failure =
    Failure::conflict("claim_stale", "what the decision rests on has changed; look at the claim again");
const NOT_WAITING: Failure =
    Failure::conflict("claim_not_waiting", "the claim waits for no decision any more");
const TICKET_UNUSABLE: Failure =
    Failure::conflict("ticket_unusable", "the ticket of this claim opens no door any more; reject the claim");

const KEY_REQUIRED: Failure = Failure::conflict(
    "key_pair_required",
    "only machines with a key pair are admitted here now; reject the claim",
);

const SECRETS_STAY: Failure = Failure::Forbidden {
    code: "forbidden",
    detail: "only who may manage secrets lets a machine have those of a host: ask an owner of the team, or decide \
             without them, which destroys them",
};

/// What the door said of a claim to open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// Why a person must decide.
    pub(super) reason: ClaimReason,
    /// The host it contests.
    pub(super) contested: Option<HostId>,
    /// The waiting claim of the same machine that it takes the place of.
    pub(super) supersedes: Option<ClaimId>,
}

/// Opens a claim and reserves its one-time ticket; the host it contests is not touched.
pub(super) fn open(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    source: &str,
    opening: Opening,
) -> Result<Outcome, Failure> {
    let Opening { reason, contested, supersedes } = opening;
    let Entrance::Ticket(TicketRow { ticket, .. }) = arriving.entrance else {
        return Err(Failure::internal("a claim of the door without a ticket"));
    };
    if let Some(earlier) = supersedes {
        close_and_free(unit, ticket.team_id, earlier, arriving.author)?;
    }
    let claim = ClaimRow {
        id: ClaimId::from_uuid(unit.draw.uuid(unit.now)),
        team_id: ticket.team_id,
        site_id: ticket.site_id,
        ticket_id: Some(ticket.id),
        host_id: contested,
        reason,
        state: ClaimState::Waiting,
        machine: arriving.machine.clone(),
        key_material: arriving.material.to_vec(),
        source_address: source.to_owned(),
        created_at: unit.now,
        expires_at: unit.now.plus(CLAIM_LIFE),
        decided_at: None,
        decided_by: None,
        result_host_id: None,
        former_key: None,
        boot_id: None,
        sighting: None,
    };
    if reason == ClaimReason::Surge {
        tell_surge(unit, &claim)?;
    }
    let reserved = !ticket.is_one_time() || unit.tx.ticket_reserve(&ticket.id, &claim.machine.key)?;
    if !reserved || !unit.tx.claim_insert(&claim)? {
        return Err(StoreError::Conflict.into());
    }
    tell_opened(unit, &claim, arriving.author);
    Ok(Outcome::Waiting { claim_id: claim.id, reason })
}

pub(super) fn tell_opened(unit: &mut Unit<'_, '_>, claim: &ClaimRow, author: &Author) {
    let details = json!({
        "reason": claim.reason,
        "site_id": claim.site_id,
        "ticket_id": claim.ticket_id,
        "key": claim.machine.key,
        "contested_host_id": claim.host_id,
    });
    let opened = Fact::new(Happening::ClaimOpened, claim.team_id, author, claim.id).details(details);
    unit.happened(about(opened, claim.host_id));
    if claim.reason == ClaimReason::SiteConflict {
        let details = json!({ "claim_id": claim.id, "contested_host_id": claim.host_id });
        let conflict =
            Fact::new(Happening::SiteConflict, claim.team_id, author, claim.site_id).details(details);
        unit.happened(about(conflict, claim.host_id));
    }
}

fn about(fact: Fact, host_id: Option<HostId>) -> Fact {
    match host_id {
        Some(host_id) => fact.of_host(host_id),
        None => fact,
    }
}

/// Closes a waiting claim that its machine needs no more, and frees the ticket it held.
pub(super) fn close_and_free(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    claim_id: ClaimId,
    author: &Author,
) -> Result<(), Failure> {
    let claim = unit.tx.claim(team_id, claim_id)?.ok_or(StoreError::Conflict)?;
    end(unit, &claim, ClaimState::Closed, None, author)?;
    if let Some(ticket_id) = &claim.ticket_id {
        unit.tx.ticket_free(ticket_id, &claim.machine.key)?;
    }
    Ok(())
}

/// Closes claims of one team whose ground fell away and frees the tickets they held: their machines may ask again, and
/// are judged anew.
pub(super) fn let_go(
    unit: &mut Unit<'_, '_>,
    claims: &[rows::WaitingClaim],
    author: &Author,
) -> Result<(), Failure> {
    close(unit, claims, author)?;
    let held = claims.iter().filter_map(|claim| Some((claim.ticket_id?, claim.key)));
    unit.tx.tickets_free(&held.collect::<Vec<_>>())?;
    Ok(())
}

/// Closes those of these claims of one team, whose ground fell away, that still wait.
pub(super) fn close(
    unit: &mut Unit<'_, '_>,
    claims: &[rows::WaitingClaim],
    author: &Author,
) -> Result<(), Failure> {
    let Some(team_id) = claims.first().map(|claim| claim.team_id) else { return Ok(()) };
    let end = ClaimEnd { from: ClaimState::Waiting, to: ClaimState::Closed, by: &author.actor, result: None };
    let ids: Vec<ClaimId> = claims.iter().map(|claim| claim.id).collect();
    let are_closed = unit.tx.claims_end(team_id, &ids, end, unit.now)?;
    for (claim, _) in claims.iter().zip(are_closed).filter(|(_, is_closed)| *is_closed) {
        tell_ended(unit, claim, ClaimState::Closed, None, author);
    }
    Ok(())
}

/// One event an hour, however many machines come.
fn tell_surge(unit: &mut Unit<'_, '_>, claim: &ClaimRow) -> Result<(), Failure> {
    let since = unit.now.minus(known::SURGE_WINDOW);
    if !unit.tx.claim_waits_since(claim.site_id, ClaimReason::Surge, since)? {
        let fact = Fact::new(Happening::SiteSurge, claim.team_id, &Author::system(), claim.site_id);
        unit.happened(fact.details(json!({ "claim_id": claim.id })));
    }
    Ok(())
}

/// A claim with everything that is shown of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownClaim {
    /// The claim.
    pub row: ClaimRow,
    /// The host it contests, or else the one that came to own its uid since.
    pub contested: Option<ShownHost>,
    /// The host that owns its uid now.
    pub owner_of_uid: Option<HostId>,
    /// Names of the secrets a replacement would receive, in order.
    pub secrets: Vec<String>,
}

impl ShownClaim {
    /// Whether it waits for a decision. A copy of a held host does for as long as it is held.
    pub fn waits(&self, now: Timestamp) -> bool {
        let holds = self.row.reason == ClaimReason::Clone
            && self.contested.as_ref().is_some_and(|host| host.held_at.is_some());
        self.row.state == ClaimState::Waiting && (holds || now < self.row.expires_at)
    }

    /// Returns what may be decided.
    pub fn verdicts(&self) -> &'static [Verdict] {
        verdicts(self.row.reason, self.row.has_own_key())
    }

    /// Reads what is shown of a claim.
    pub fn load(tx: &mut Tx<'_>, row: ClaimRow) -> Result<Self, StoreError> {
        let owner_of_uid = tx.owner_of_uid(row.team_id, &row.machine.uid)?;
        let contested = match row.host_id.or(owner_of_uid) {
            Some(host_id) => tx.host_shown(row.team_id, host_id)?,
            None => None,
        };
        let mut secrets = Vec::new();
        if let Some(host) = &contested {
            let owner_id = host.row.id.to_string();
            let owned = tx.secrets_owned(row.team_id, OwnerKind::Host.as_str(), &owner_id)?;
            secrets.extend(owned.into_iter().map(|secret| secret.name));
        }
        Ok(Self { row, contested, owner_of_uid, secrets })
    }

    /// Names what a decision on this claim rests on.
    pub fn evidence_version(&self) -> String {
        let evidence = Evidence {
            reason: self.row.reason,
            key: self.row.machine.key,
            source_address: &self.row.source_address,
            hostname: self.row.machine.hostname.as_str(),
            facts: &self.row.machine.facts,
            contested: self.contested.as_ref().map(|host| EvidenceOfHost {
                id: host.row.id,
                state: host.row.state,
                site_id: host.row.site_id,
                keys: &host.keys,
                secrets: &self.secrets,
            }),
            owner_of_uid: self.owner_of_uid,
        };
        sha256_base64url(evidence.canonical_text().as_bytes())
    }
}

/// Decides a waiting claim as a person says, if they saw what it rests on.
pub fn decide<P>(
    unit: &mut Unit<'_, '_>,
    app: &App,
    actor: &Actor<P>,
    claim_id: ClaimId,
    decision: &DecideClaim,
) -> Result<(), Failure> {
    let team_id = actor.team_id;
    let claim = unit.tx.claim(team_id, claim_id)?.ok_or(Failure::NotFound)?;
    let Some(ticket_id) = claim.ticket_id else {
        return copies::decide(unit, app, actor, &claim, decision);
    };
    let before = known::ticket(unit.tx, &ticket_id)?;
    let candidates =
        known::lock(unit.tx, &before.ticket, &claim.machine, claim.host_id, known::AtSite::Shared)?;
    let claim = seen(unit, team_id, claim_id, decision)?.row;
    let ticket = known::ticket(unit.tx, &ticket_id)?;
    let site = known::site(unit.tx, &ticket.ticket)?;
    let known = known::load(unit, app, &ticket.ticket, &claim.machine, &candidates, &site.policy)?;
    let waiting = WaitingClaim { reason: claim.reason, contested: claim.host_id, key: claim.machine.key };
    match admit_with_verdict(&waiting, &ticket.ticket, &known, &site.policy, decision.verdict) {
        Ok(None) => reject(unit, &claim, &ticket, &actor.author()),
        Ok(Some(admission)) => {
            let entrance = Entrance::Ticket(&ticket);
            admit(unit, app, actor, &claim, entrance, admission, decision)
        }
        Err(Refusal::Rejected(_)) => Err(TICKET_UNUSABLE),
        Err(Refusal::HostSuspended) => Err(retire::NOT_POSSIBLE),
        Err(Refusal::KeyRequired) => Err(KEY_REQUIRED),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Returns a claim that waits, if it is still what the person saw; its locks are held.
pub(super) fn seen(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    claim_id: ClaimId,
    decision: &DecideClaim,
) -> Result<ShownClaim, Failure> {
    let claim = unit.tx.claim(team_id, claim_id)?.ok_or(Failure::NotFound)?;
    let shown = ShownClaim::load(unit.tx, claim)?;
    if !shown.waits(unit.now) {
        return Err(NOT_WAITING);
    }
    if shown.evidence_version() != decision.evidence_version.as_str() {
        return Err(STALE);
    }
    Ok(shown)
}

/// Admits the machine of a claim as a person decided; every lock is held.
pub(super) fn admit<P>(
    unit: &mut Unit<'_, '_>,
    app: &App,
    actor: &Actor<P>,
    claim: &ClaimRow,
    entrance: Entrance<'_>,
    admission: Admission,
    decision: &DecideClaim,
) -> Result<(), Failure> {
    if let Admission::Replace { host_id } | Admission::Move { host_id } = admission
        && decision.with_secrets
    {
        may_give_secrets(unit, actor, host_id)?;
    }
    let author = &actor.author();
    let arriving = Arriving {
        app,
        entrance,
        machine: &claim.machine,
        material: &claim.key_material,
        author,
        keeps_secrets: decision.with_secrets,
        decided: Some(claim.id),
    };
    let (host_id, _) = arrive(unit, &arriving, admission)?;
    let to = match admission {
        Admission::Replace { .. } => ClaimState::Replaced,
        Admission::Move { .. } => ClaimState::Moved,
        _ => ClaimState::New,
    };
    end(unit, claim, to, Some(host_id), author)
}

/// Whoever takes a host over with its secrets receives them like whoever gets a key of it made.
fn may_give_secrets<P>(unit: &mut Unit<'_, '_>, actor: &Actor<P>, host_id: HostId) -> Result<(), Failure> {
    keys::may_reach_secrets(unit, actor, host_id).map_err(|failure| match failure {
        Failure::Forbidden { .. } => SECRETS_STAY,
        other => other,
    })
}

/// A rejected one-time ticket is burnt: whoever holds it was refused by a person.
fn reject(
    unit: &mut Unit<'_, '_>,
    claim: &ClaimRow,
    ticket: &TicketRow,
    author: &Author,
) -> Result<(), Failure> {
    end(unit, claim, ClaimState::Rejected, None, author)?;
    if ticket.ticket.is_one_time() {
        mint::revoke_unused(unit, claim.team_id, &ticket.ticket.id, author)?;
    }
    Ok(())
}

/// Ends a claim nobody decided in time, and frees the ticket it holds.
pub fn lapse(unit: &mut Unit<'_, '_>, claim: &LapsedClaimRow) -> Result<(), StoreError> {
    if !unit.tx.claim_lapse(claim, unit.now)? {
        return Ok(());
    }
    if let Some(ticket_id) = &claim.ticket_id {
        unit.tx.ticket_free(ticket_id, &claim.key)?;
    }
    let details = json!({ "ticket_id": claim.ticket_id, "key": claim.key });
    let fact = Fact::new(Happening::ClaimExpired, claim.team_id, &Author::system(), claim.id);
    unit.happened(about(fact, claim.host_id).details(details));
    Ok(())
}

/// Closes a rejected claim, so that its machine may ask again.
pub fn clear(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    claim_id: ClaimId,
    author: &Author,
) -> Result<(), Failure> {
    let claim = unit.tx.claim(team_id, claim_id)?.ok_or(Failure::NotFound)?;
    unit.tx.lock(&[Lock::exclusive(LockKey::Key(claim.machine.key))])?;
    let end =
        ClaimEnd { from: ClaimState::Rejected, to: ClaimState::Closed, by: &author.actor, result: None };
    if !unit.tx.claim_end(team_id, claim_id, end, unit.now)? {
        return Err(Failure::conflict("claim_not_rejected", "only a rejected claim can be cleared"));
    }
    let fact = Fact::new(Happening::ClaimCleared, team_id, author, claim_id);
    unit.happened(about(fact, claim.host_id).details(json!({ "key": claim.machine.key })));
    Ok(())
}

pub(super) fn end(
    unit: &mut Unit<'_, '_>,
    claim: &ClaimRow,
    to: ClaimState,
    result: Option<HostId>,
    author: &Author,
) -> Result<(), Failure> {
    let end = ClaimEnd { from: ClaimState::Waiting, to, by: &author.actor, result };
    if !unit.tx.claim_end(claim.team_id, claim.id, end, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    let waiting = rows::WaitingClaim {
        id: claim.id,
        team_id: claim.team_id,
        ticket_id: claim.ticket_id,
        key: claim.machine.key,
        host_id: claim.host_id,
        reason: claim.reason,
    };
    tell_ended(unit, &waiting, to, result, author);
    Ok(())
}

fn tell_ended(
    unit: &mut Unit<'_, '_>,
    claim: &rows::WaitingClaim,
    to: ClaimState,
    result: Option<HostId>,
    author: &Author,
) {
    let details = json!({
        "verdict": to,
        "reason": claim.reason,
        "key": claim.key,
        "ticket_id": claim.ticket_id,
        "contested_host_id": claim.host_id,
        "host_id": result,
    });
    let fact = Fact::new(Happening::ClaimDecided, claim.team_id, author, claim.id).details(details);
    unit.happened(about(fact, claim.host_id.or(result)));
}
