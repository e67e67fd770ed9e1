//! A copy of a host that made itself a key of its own and asks for an identity: both keys prove themselves, then a person
//! decides (DESIGN §4, Fork).
//!
//! Nothing is written for who asks again: what is known is read first, and only what opens a claim, or gives one its
//! key, is a transaction. `muster_domain::clone` says how a copy is answered.

use std::sync::Arc;

use muster_domain::admission::{CLAIM_LIFE, CLAIMS_PER_SITE, Cause, Machine, Refusal};
use muster_domain::clone::{COPIES_PER_HOST, ForkAnswer, KnownFork, answer_fork};
use muster_domain::generation::Generation;
use muster_ids::{ClaimId, HostId, KeyName, KeyThumbprint, Timestamp};

use muster_proof::{ProofError, PublicKey, successor};
use muster_store::rows::{ForkedClaim, HostKeyRow, HostRow, KeyState};
use muster_store::{StoreError, Tx};
use muster_wire::claim::{ClaimReason, CopyCause};
use muster_wire::enroll::{Disposition, ForkClaims, ForkRequest};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use serde_json::json;

use super::copies::{self, Copy, Seen};
use super::{Outcome, known, refuse, to_the_end};
use crate::app::App;
use crate::auth::{Fork, NotTaken};
use crate::channel::FIRST_ANSWERS_WITHIN;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// A copy whose two keys have proved themselves.
#[derive(Debug)]
struct Forked {
    copy: Copy,
    machine: Machine,
    material: Vec<u8>,
}

/// What became of a copy before anything is looked up for it.
enum Recognised {
    Forked(Box<Forked>),
    Refused(Outcome),
}

const REJECTED: Outcome = Outcome::Refused { refusal: Refusal::Rejected(Cause::WrongSecret), revoked: None };

/// Answers a copy at the door.
pub async fn answer(app: &App, fork: Fork, now: Timestamp) -> Result<Outcome, Failure> {
    let forked = match recognise(app, fork).await? {
        Recognised::Forked(forked) => Arc::new(*forked),
        Recognised::Refused(outcome) => return Ok(outcome),
    };
    if forked.copy.cause == CopyCause::Fenced {
        // What is left of a connection that broke must not look like another machine.
        app.hub.first_answers(forked.copy.host_id, FIRST_ANSWERS_WITHIN).await;
    }
    let (inner, seen) = (app.clone(), Arc::clone(&forked));
    match app.look(move |tx| look(tx, &inner, &seen, now)).await? {
        Some(outcome) => Ok(outcome),
        None => enter(app, forked, now).await,
    }
}

/// Verifies both signatures and that they are about each other.
///
/// Whatever is wrong with the statement has one answer: who holds no key of a host learns of none.
async fn recognise(app: &App, fork: Fork) -> Result<Recognised, Failure> {
    let Fork { request, proof, source, .. } = fork;
    let _place = app.budgets.door.take().await?;
    let proof = match proof.verify_signature() {
        Ok(proof) => proof,
        Err(error) => return Ok(Recognised::Refused(Outcome::Unproved(error))),
    };
    let Ok(signer) = successor::fork_signer(request.statement.as_str()) else {
        return Ok(Recognised::Refused(REJECTED));
    };
    let found = app.look(move |tx| tx.host_key(&KeyName::Pair(signer))).await?;
    let vouched = found.and_then(|former| vouched(app, &request, former, proof.thumbprint));
    let Some((former, claims, shown)) = vouched else { return Ok(Recognised::Refused(REJECTED)) };
    match app.used_proofs.take_of_copy(&proof, signer, app.clock.monotonic()) {
        Ok(()) => {}
        Err(NotTaken::Used) => {
            let error = ProofError::Invalid("used before");
            return Ok(Recognised::Refused(Outcome::Unproved(error)));
        }
        Err(NotTaken::TooMany | NotTaken::Full) => return Ok(Recognised::Refused(Outcome::TooManyProofs)),
    }
    let ForkRequest { hostname, machine_uid, facts, labels, .. } = request;
    let machine = Machine { key: KeyName::Pair(proof.thumbprint), uid: machine_uid, hostname, facts, labels };
    let material = proof.key.as_bytes().to_vec();
    let copy = Copy {
        host_id: former.host_id,
        team_id: former.team_id,
        former_key: former.name,
        cause: claims.cause,
        shown,
        boot_id: claims.boot_id,
        source,
        own: Some((machine.clone(), material.clone())),
    };
    Ok(Recognised::Forked(Box::new(Forked { copy, machine, material })))
}

/// Returns what the former key says of the new one, if it is the key of the host that is named, and it says so.
fn vouched(
    app: &App,
    request: &ForkRequest,
    former: HostKeyRow,
    own: KeyThumbprint,
) -> Option<(HostKeyRow, ForkClaims, Option<Generation>)> {
    // A next key never opened a channel: no state was ever made with it.
    if former.host_id != request.host_id || former.state == KeyState::Next {
        return None;
    }
    let key = PublicKey::from_bytes(&former.material).ok()?;
    let claims = successor::verify_fork(request.statement.as_str(), &key).ok()?;
    if claims.host_id != request.host_id || claims.key != own || key.thumbprint() == own {
        return None;
    }
    let shown = match &claims.generation {
        None => None,
        Some(text) => Some(app.keyring.open_generation(former.host_id, &former.name, text)?),
    };
    Some((former, claims, shown))
}

/// Answers from what is there. `None`: something must be written.
fn look(tx: &mut Tx<'_>, app: &App, forked: &Forked, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
    match answer_fork(&known_fork(tx, app, forked)?) {
        Ok(ForkAnswer::Open | ForkAnswer::TakeOver(_)) => Ok(None),
        Err(Refusal::TooManyClaims) if !is_told_full(tx, forked, now)? => Ok(None),
        answered => said(tx, forked, answered, now).map(Some),
    }
}

fn is_told_full(tx: &mut Tx<'_>, forked: &Forked, now: Timestamp) -> Result<bool, StoreError> {
    match tx.host(forked.copy.team_id, forked.copy.host_id)? {
        Some(host) => copies::is_full_and_told(tx, &host, now),
        None => Ok(true),
    }
}

fn known_fork(tx: &mut Tx<'_>, app: &App, forked: &Forked) -> Result<KnownFork, StoreError> {
    let Copy { host_id, team_id, former_key, boot_id, .. } = &forked.copy;
    let key = forked.machine.key;
    let gone = || StoreError::corrupt("the host of a key is gone");
    let host = tx.host(*team_id, *host_id)?.ok_or_else(gone)?;
    let former = tx.host_key(former_key)?;
    Ok(KnownFork {
        host_id: *host_id,
        former_key: *former_key,
        former_is_active: former.is_some_and(|former| former.state == KeyState::Active),
        cause: forked.copy.cause,
        is_current: !copies::is_older(tx, app, &forked.copy)?,
        host_is_connected: app.hub.is_connected(*host_id),
        key,
        history: known::key_history(tx, app, &key)?,
        came_of_claim: tx.host_of_copy(*host_id, &key)?,
        claim: tx.claim_of_key(host.site_id, &key)?,
        of_this_start: tx.claim_without_key(*host_id, former_key, boot_id)?,
        copies_of_host: tx.copies_waiting(*team_id, *host_id, COPIES_PER_HOST)?,
        claims_at_site: tx.claims_at_site(host.site_id, CLAIMS_PER_SITE)?,
    })
}

/// Puts an answer that writes nothing into words.
fn said(
    tx: &mut Tx<'_>,
    forked: &Forked,
    answered: Result<ForkAnswer, Refusal>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    match answered {
        Ok(ForkAnswer::Host(host_id)) => admitted(tx, forked, host_id),
        Ok(ForkAnswer::Wait { claim_id, reason }) => Ok(Outcome::Waiting { claim_id, reason }),
        Ok(ForkAnswer::Open | ForkAnswer::TakeOver(_)) => {
            Err(StoreError::corrupt("an answer that writes, where nothing is written"))
        }
        Err(refusal) => Ok(Outcome::Refused { refusal, revoked: refuse::revoked(tx, now, &refusal)? }),
    }
}

/// The decision of a person, as often as it is asked for: a lost reply costs nothing.
fn admitted(tx: &mut Tx<'_>, forked: &Forked, host_id: HostId) -> Result<Outcome, StoreError> {
    let arrival = tx.host(forked.copy.team_id, host_id)?.and_then(|host| host.arrival);
    Ok(Outcome::Admitted {
        host_id,
        key: forked.machine.key,
        disposition: arrival.map_or(Disposition::Reuse, |arrival| arrival.disposition),
        state: HostState::Active,
        replayed: true,
    })
}

/// Runs the one transaction of a copy.
async fn enter(app: &App, forked: Arc<Forked>, now: Timestamp) -> Result<Outcome, Failure> {
    let place = app.budgets.entering.take().await?;
    let inner = app.clone();
    to_the_end(app, place, now, move |unit| decide(unit, &inner, &forked)).await
}

fn decide(unit: &mut Unit<'_, '_>, app: &App, forked: &Forked) -> Result<Outcome, Failure> {
    let copy = &forked.copy;
    let place = (copy.team_id, copy.host_id);
    let host = copies::lock(unit, place, &[copy.former_key, forked.machine.key])?;
    let full = Outcome::Refused { refusal: Refusal::TooManyClaims, revoked: None };
    match answer_fork(&known_fork(unit.tx, app, forked)?) {
        Ok(ForkAnswer::Open) => Ok(match copies::open(unit, app, &host, copy)? {
            Some(claim) => Outcome::Waiting { claim_id: claim.id, reason: claim.reason },
            None => full,
        }),
        Ok(ForkAnswer::TakeOver(claim_id)) => take_over(unit, app, &host, forked, claim_id),
        Err(Refusal::TooManyClaims) => {
            copies::tell_full(unit, &host, copy)?;
            Ok(full)
        }
        answered => Ok(said(unit.tx, forked, answered, unit.now)?),
    }
}

/// The machine that was sent away at this start made itself a key: its claim is no longer one of a bare copy.
///
/// Two machines may say the same start, and the one that asks need not be the one that was sent away: from now on the
/// claim shows where the key came from, and what came with it.
fn take_over(
    unit: &mut Unit<'_, '_>,
    app: &App,
    host: &HostRow,
    forked: &Forked,
    claim_id: ClaimId,
) -> Result<Outcome, Failure> {
    let (copy, machine) = (&forked.copy, &forked.machine);
    let sighting = copies::sighted(unit, app, host, copy, Seen::Again)?;
    let forked = ForkedClaim {
        machine,
        key_material: &forked.material,
        source_address: &copy.source,
        sighting: &sighting,
        expires_at: unit.now.plus(CLAIM_LIFE),
    };
    if !unit.tx.claim_fork(claim_id, &forked)? {
        return Err(StoreError::Conflict.into());
    }
    let author = Author { actor: machine.key.to_string(), role: None, source: copy.source.clone() };
    let fact = Fact::new(Happening::ClaimForked, copy.team_id, &author, claim_id).of_host(copy.host_id);
    let details = json!({ "key": machine.key, "former_key": copy.former_key, "sighting": sighting });
    unit.happened(fact.changed(["key"]).details(details));
    Ok(Outcome::Waiting { claim_id, reason: ClaimReason::Clone })
}
