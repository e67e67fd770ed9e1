//! The door: loads what is known, asks `muster_domain::admission`, records what it says.
//!
//! One transaction from the locks to the audit row. A refusal is an answer, not an error: what it leaves behind (the
//! count of its cause, the claim of a site conflict) is committed. Nothing here decides; to change who is admitted,
//! change `muster_domain::admission`.

mod apply;
pub mod claim;
mod known;
pub mod mint;
mod refuse;
pub mod retire;

use std::sync::Arc;

use muster_domain::admission::{Admission, Cause, Machine, Refusal, admit};
use muster_ids::{Bearer, BearerKind, ClaimId, HostId, KeyName, PublicId, TicketId, Timestamp};
use muster_proof::PublicKey;
use muster_store::rows::TicketRow;
use muster_store::{Priority, StoreError};
use muster_wire::claim::ClaimReason;
use muster_wire::enroll::{Disposition, EnrollRequest};
use muster_wire::host::HostState;

use crate::app::App;
use crate::auth::Door;
use crate::failure::Failure;
use crate::unit::{Author, Unit};

/// How a machine at the door was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is a host.
    Admitted {
        /// Which.
        host_id: HostId,
        /// The key it proved.
        key: KeyName,
        /// How it came to be.
        disposition: Disposition,
        /// Where it stands in its life.
        state: HostState,
        /// Whether this is the first answer again.
        replayed: bool,
    },
    /// A person must decide.
    Waiting {
        /// The claim.
        claim_id: ClaimId,
        /// Why.
        reason: ClaimReason,
    },
    /// It was turned away.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What the signed statement says, when its key was revoked.
        revoked: Option<Revoked>,
    },
}

/// What is said to a key that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Why it ended.
    pub reason: &'static str,
    /// When.
    pub at: Timestamp,
}

/// A machine whose ticket was recognised, ready for the transaction.
#[derive(Debug)]
pub struct Knock {
    machine: Machine,
    /// The SEC 1 point of its key pair, or the verifier of its agent key.
    material: Vec<u8>,
    /// The ticket as it was when its secret was judged: only what never changes may be relied on.
    ticket: TicketRow,
    source: String,
    request_id: String,
}

impl Knock {
    fn author(&self) -> Author {
        Author { actor: self.machine.key.to_string(), source: self.source.clone() }
    }
}

/// Answers a machine at the door.
pub async fn answer(app: &App, door: Door, request_id: String, now: Timestamp) -> Result<Outcome, Failure> {
    let (machine, material) = machine(app, door.request, door.key.as_ref())?;
    let ticket = match recognise(app, door.bearer).await? {
        Ok(ticket) => ticket,
        Err(known) => {
            if let Some(ticket_id) = known {
                refuse::note_wrong_secret(app, ticket_id, door.source, request_id, now);
            }
            return Ok(Outcome::Refused { refusal: Refusal::Rejected(Cause::WrongSecret), revoked: None });
        }
    };
    let knock = Arc::new(Knock { machine, material, ticket, source: door.source, request_id });
    enter(app, knock, now).await
}

/// Runs the one transaction of a recognised machine.
async fn enter(app: &App, knock: Arc<Knock>, now: Timestamp) -> Result<Outcome, Failure> {
    let closure = || {
        let (app, knock) = (app.clone(), Arc::clone(&knock));
        move |unit: &mut Unit<'_, '_>| decide(unit, &app, &knock)
    };
    match app.change(Priority::Normal, now, closure()).await {
        // The commit may have happened: the same key asks again and gets the same host.
        Err(Failure::Store(StoreError::CommitUnknown)) => app.change(Priority::Normal, now, closure()).await,
        answered => answered,
    }
}

/// Takes the key the machine proved or the secret it sent: exactly one of them.
fn machine(
    app: &App,
    request: EnrollRequest,
    key: Option<&PublicKey>,
) -> Result<(Machine, Vec<u8>), Failure> {
    let (key, material) = match (key, &request.agent_secret) {
        (Some(key), None) => (KeyName::Pair(key.thumbprint()), key.as_bytes().to_vec()),
        (None, Some(secret)) => {
            let bearer = app.keyring.agent_key(secret.expose());
            (
                KeyName::Agent(app.keyring.agent_key_id(secret.expose())),
                app.keyring.verifier(&bearer).to_vec(),
            )
        }
        (None, None) => return Err(Failure::invalid("/agent_secret", "missing")),
        (Some(_), Some(_)) => return Err(Failure::invalid("/agent_secret", "not_with_key_pair")),
    };
    let EnrollRequest { hostname, machine_uid, facts, labels, .. } = request;
    Ok((Machine { key, uid: machine_uid, hostname, facts, labels }, material))
}

/// Looks up a ticket and compares its secret: the same reads and the same hash whatever is presented.
///
/// `Err(Some)`: the ticket exists, its secret is another one.
async fn recognise(
    app: &App,
    bearer: Option<Bearer>,
) -> Result<Result<TicketRow, Option<TicketId>>, Failure> {
    let bearer = bearer
        .unwrap_or_else(|| Bearer::new(BearerKind::EnrolmentToken, PublicId::from_entropy([0; 16]), [0; 32]));
    let ticket_id = TicketId::new(bearer.id);
    let found = app.look(move |tx| tx.ticket_by_id(&ticket_id)).await?;
    let proved = app.keyring.verify(&bearer, found.as_ref().map(|row| row.verifier.as_slice()));
    Ok(match found {
        Some(row) if proved => Ok(row),
        found => Err(found.map(|_| ticket_id)),
    })
}

fn decide(unit: &mut Unit<'_, '_>, app: &App, knock: &Knock) -> Result<Outcome, Failure> {
    let machine = &knock.machine;
    let candidates = known::lock(unit.tx, &knock.ticket.ticket, machine, None)?;
    known::let_lapsed_claims_go(unit, &knock.ticket.ticket, machine)?;
    let ticket = known::ticket(unit.tx, &knock.ticket.ticket.id)?;
    let site = known::site(unit.tx, &ticket.ticket)?;
    let known = known::load(unit, app, &ticket.ticket, machine, &candidates, &site.policy)?;
    let admission = match admit(&ticket.ticket, machine, &known, &site.policy, unit.now) {
        Ok(admission) => admission,
        Err(refusal) => return refuse::record(unit, knock, refusal),
    };
    let author = knock.author();
    let arriving = apply::Arriving {
        app,
        ticket: &ticket,
        machine,
        material: &knock.material,
        author: &author,
        keeps_secrets: true,
        decided: None,
    };
    let (host_id, disposition) = match admission {
        Admission::Replay { host_id, disposition } => {
            let key = machine.key;
            return Ok(Outcome::Admitted {
                host_id,
                key,
                disposition,
                state: HostState::Active,
                replayed: true,
            });
        }
        Admission::Wait { claim_id, reason } => return Ok(Outcome::Waiting { claim_id, reason }),
        Admission::Claim { reason, contested } => {
            return claim::open(unit, &arriving, &knock.source, reason, contested);
        }
        Admission::Reuse { host_id } => {
            apply::refresh(unit, &arriving, host_id)?;
            (host_id, Disposition::Reuse)
        }
        Admission::New { .. }
        | Admission::Register { .. }
        | Admission::Rejoin { .. }
        | Admission::Rekey { .. }
        | Admission::Replace { .. } => apply::arrive(unit, &arriving, admission)?,
    };
    let key = machine.key;
    Ok(Outcome::Admitted { host_id, key, disposition, state: HostState::Active, replayed: false })
}
