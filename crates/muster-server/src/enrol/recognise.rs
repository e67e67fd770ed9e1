//! Who stands at the door: first the ticket, then the signature, with the same work whatever is presented.
//!
//! A wrong ticket costs the same reads, the same hash and the same signature as one that opens nothing any more, so
//! that time tells neither apart; what it showed is never remembered. A ticket that can only be refused is refused
//! here, without its lock: a flood of it keeps nobody waiting. Whoever may be admitted is judged in the transaction.

use std::sync::atomic::AtomicBool;

use muster_domain::admission::{Cause, Machine};
use muster_ids::{AgentKeyId, Bearer, BearerKind, KeyName, PublicId, SiteId, TicketId, Timestamp};
use muster_proof::ProofError;
use muster_proof::dpop::{JudgedProof, VerifiedProof};
use muster_store::rows::TicketRow;
use muster_store::{StoreError, Tx};
use muster_wire::enroll::EnrollRequest;
use muster_wire::refusal::RefusalCause;
use uuid::Uuid;

use super::Knock;
use super::mint::bearer_kind;
use crate::app::App;
use crate::auth::{Door, NotTaken};
use crate::failure::Failure;

/// What became of a machine before the transaction.
pub(super) enum Recognised {
    /// Its ticket may admit it.
    Knock(Box<Knock>),
    /// Its ticket is none, or opens nothing for it.
    Rejected(Cause),
    /// Its ticket is a ticket; its proof does not hold.
    Unproved(ProofError),
    /// Its key or its ticket has too many proofs remembered.
    TooManyProofs,
}

/// What a machine identifies itself with.
enum Credential {
    Pair(Box<JudgedProof>),
    Secret { id: AgentKeyId, verifier: Vec<u8> },
}

impl Credential {
    /// Takes the proof or the secret: exactly one of them.
    fn of(app: &App, request: &EnrollRequest, proof: Option<JudgedProof>) -> Result<Self, Failure> {
        match (proof, &request.agent_secret) {
            (Some(proof), None) => Ok(Self::Pair(Box::new(proof))),
            (None, Some(secret)) => {
                let bearer = app.keyring.agent_key(secret.expose());
                let verifier = app.keyring.verifier(&bearer).to_vec();
                Ok(Self::Secret { id: AgentKeyId::new(bearer.id), verifier })
            }
            (None, None) => Err(Failure::invalid("/agent_secret", "missing")),
            (Some(_), Some(_)) => Err(Failure::invalid("/agent_secret", "not_with_key_pair")),
        }
    }

    fn key(&self) -> KeyName {
        match self {
            Self::Pair(proof) => KeyName::Pair(proof.thumbprint()),
            Self::Secret { id, .. } => KeyName::Agent(*id),
        }
    }

    /// Verifies the signature; returns what is stored of the key, and the proof that is to be remembered.
    fn verify(self) -> Result<(Vec<u8>, Option<VerifiedProof>), ProofError> {
        match self {
            Self::Pair(proof) => {
                let proof = proof.verify_signature()?;
                Ok((proof.key.as_bytes().to_vec(), Some(proof)))
            }
            Self::Secret { verifier, .. } => Ok((verifier, None)),
        }
    }
}

/// Judges ticket and signature.
pub(super) async fn recognise(
    app: &App,
    door: Door,
    request_id: String,
    now: Timestamp,
) -> Result<Recognised, Failure> {
    let Door { request, bearer, proof, source, .. } = door;
    let credential = Credential::of(app, &request, proof)?;
    let key = credential.key();
    let _place = app.budgets.door.take().await?;
    let bearer = bearer
        .unwrap_or_else(|| Bearer::new(BearerKind::EnrolmentToken, PublicId::from_entropy([0; 16]), [0; 32]));
    let ticket_id = TicketId::new(bearer.id);
    let found = app.at_the_door.ticket(app, ticket_id).await?;
    let kind = found.as_ref().map(|row| row.ticket.kind);
    let secret_is_right = app.keyring.verify(&bearer, found.as_ref().map(|row| row.verifier.as_slice()));
    let ticket = found.filter(|_| secret_is_right);
    let verified = credential.verify();
    let is_open = ticket.as_ref().is_some_and(|row| row.ticket.admits_at(&key, now).is_ok());
    let hopeless = match is_open {
        true => None,
        false => app.look(move |tx| why_hopeless(tx, &ticket_id, &key, now)).await?,
    };
    let Some(ticket) = ticket else {
        let is_of_kind = kind.is_none_or(|kind| bearer_kind(kind) == bearer.kind);
        let cause = if is_of_kind { Cause::WrongSecret } else { Cause::WrongKind };
        // What names no ticket is not written down at all: it would be anybody's to fill the disk with.
        if kind.is_some() {
            app.tally.add(ticket_id, cause.word(), key, source, request_id, now);
        }
        return Ok(Recognised::Rejected(cause));
    };
    let (material, proof) = match verified {
        Ok(verified) => verified,
        Err(error) => {
            app.tally.add(ticket_id, RefusalCause::InvalidProof, key, source, request_id, now);
            return Ok(Recognised::Unproved(error));
        }
    };
    if let Some(cause) = hopeless {
        app.tally.add(ticket_id, cause.word(), key, source, request_id, now);
        return Ok(Recognised::Rejected(cause));
    }
    if let Some(proof) = proof {
        match app.used_proofs.take_at_door(&proof, ticket_id, app.clock.monotonic()) {
            Ok(()) => {}
            Err(NotTaken::Used) => return Ok(Recognised::Unproved(ProofError::Invalid("used before"))),
            Err(NotTaken::TooMany | NotTaken::Full) => return Ok(Recognised::TooManyProofs),
        }
    }
    let EnrollRequest { hostname, machine_uid, facts, labels, .. } = request;
    let machine = Machine { key, uid: machine_uid, hostname, facts, labels };
    let counts_alone = AtomicBool::new(false);
    Ok(Recognised::Knock(Box::new(Knock { machine, material, ticket, source, request_id, counts_alone })))
}

/// Says why a ticket can do nothing for a key, on one snapshot. `None`: only the transaction can tell.
///
/// Replay, a host that comes home and an answer from a claim all rest on something that is known of the key; a lapsed
/// claim may still free the ticket. Without any of these, what the ticket says is all there is to say.
fn why_hopeless(
    tx: &mut Tx<'_>,
    ticket_id: &TicketId,
    key: &KeyName,
    now: Timestamp,
) -> Result<Option<Cause>, StoreError> {
    let ticket = tx.ticket_by_id(ticket_id)?.map(|row: TicketRow| row.ticket);
    let site_id = ticket.as_ref().map_or(SiteId::from_uuid(Uuid::nil()), |ticket| ticket.site_id);
    let known = tx.host_key(key)?.is_some();
    let waits = tx.claim_of_key(site_id, key)?.is_some();
    let may_be_freed = !tx.claims_lapsed_at(site_id, key, ticket_id, now)?.is_empty();
    let cause = ticket.and_then(|ticket| ticket.admits_at(key, now).err());
    Ok(cause.filter(|_| !known && !waits && !may_be_freed))
}
