//! The door: loads what is known, asks `muster_domain::admission`, records what it says.
//!
//! One transaction from the locks to the audit row. A refusal is an answer, not an error: what it leaves behind (the
//! count of its cause, the claim of a site conflict) is committed. Nothing here decides; to change who is admitted,
//! change `muster_domain::admission`.

mod apply;
mod arrivals;
pub mod changes;
pub mod claim;
pub(crate) mod copies;
pub mod fork;
pub mod hold;
pub mod keys;
mod known;
pub mod leak;
pub mod mint;
pub mod moving;
pub mod next_key;
mod recognise;
mod refuse;
pub mod retire;
mod strangers;
pub mod suspend;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_domain::admission::{Admission, Machine, Refusal, admit};
use muster_ids::{ClaimId, HostId, KeyName, TeamId, Timestamp};
use muster_proof::ProofError;
use muster_store::rows::TicketRow;
use muster_store::{Priority, StoreError};
use muster_wire::claim::ClaimReason;
use muster_wire::enroll::Disposition;
use muster_wire::host::HostState;
use muster_wire::parting::RevokedReason;
use muster_wire::refusal::RefusalCause;

pub use self::arrivals::Arrivals;
use self::known::{AtSite, must_be_alone};
use self::recognise::{Recognised, recognise};
pub use self::strangers::AtTheDoor;
pub use self::tally::Tally;
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
    /// Its ticket is a ticket; its proof of possession does not hold, or was used before.
    Unproved(ProofError),
    /// Its key, or its ticket, has as many proofs remembered as it may.
    TooManyProofs,
}

/// What is said to a key that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The team of its host.
    pub team_id: TeamId,
    /// Why it ended.
    pub reason: RevokedReason,
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
    /// Whether a bound of its site was so near that it begins again and counts alone.
    counts_alone: AtomicBool,
}

impl Knock {
    fn author(&self) -> Author {
        Author { actor: self.machine.key.to_string(), role: None, source: self.source.clone() }
    }
}

/// Answers a machine at the door.
pub async fn answer(app: &App, door: Door, request_id: String, now: Timestamp) -> Result<Outcome, Failure> {
    match recognise(app, door, request_id, now).await? {
        Recognised::Knock(knock) => {
            let knock = Arc::new(*knock);
            let outcome = enter(app, Arc::clone(&knock), now).await?;
            // Answered like a refusal every time it is asked; the claim itself is written once.
            if let Outcome::Waiting { reason: ClaimReason::SiteConflict, .. } = outcome {
                let (key, source) = (knock.machine.key, knock.source.clone());
                let (ticket_id, request_id) = (knock.ticket.ticket.id, knock.request_id.clone());
                app.tally.add(ticket_id, RefusalCause::SiteConflict, key, source, request_id, now);
            }
            Ok(outcome)
        }
        Recognised::Rejected(cause) => {
            Ok(Outcome::Refused { refusal: Refusal::Rejected(cause), revoked: None })
        }
        Recognised::Unproved(error) => Ok(Outcome::Unproved(error)),
        Recognised::TooManyProofs => Ok(Outcome::TooManyProofs),
    }
}

/// Runs the one transaction of a recognised machine, when it is its turn.
async fn enter(app: &App, knock: Arc<Knock>, now: Timestamp) -> Result<Outcome, Failure> {
    let ticket = &knock.ticket.ticket;
    let turn =
        if known::is_limited(ticket) { Some(app.budgets.tickets.take(ticket.id).await?) } else { None };
    let place = app.budgets.entering.take().await?;
    let (app, held) = (app.clone(), (turn, place));
    let entering = async move {
        match strangers::let_in(&app, &knock).await? {
            Some(outcome) => Ok(outcome),
            None => {
                let inner = app.clone();
                to_the_end(&app, held, now, move |unit| decide(unit, &inner, &knock)).await
            }
        }
    };
    // Also when the machine hangs up: turn and place end with the transaction.
    tokio::spawn(entering).await.map_err(Failure::internal)?
}

/// Runs the one transaction of a machine to its end, also when the machine hangs up; what is `held` ends with it.
async fn to_the_end<H, D>(app: &App, held: H, now: Timestamp, decide: D) -> Result<Outcome, Failure>
where
    H: Send + 'static,
    D: Fn(&mut Unit<'_, '_>) -> Result<Outcome, Failure> + Clone + Send + Sync + 'static,
{
    let app = app.clone();
    let entering = async move {
        let _held = held;
        match app.change(Priority::Normal, now, decide.clone()).await {
            // The commit may have happened: the same key asks again and gets the same answer.
            Err(Failure::Store(StoreError::CommitUnknown)) => app.change(Priority::Normal, now, decide).await,
            answered => answered,
        }
    };
    tokio::spawn(entering).await.map_err(Failure::internal)?
}

fn decide(unit: &mut Unit<'_, '_>, app: &App, knock: &Knock) -> Result<Outcome, Failure> {
    let machine = &knock.machine;
    let at_site = if knock.counts_alone.load(Ordering::Relaxed) { AtSite::Alone } else { AtSite::Shared };
    let candidates = known::lock(unit.tx, &knock.ticket.ticket, machine, None, at_site)?;
    known::let_lapsed_claims_go(unit, &knock.ticket.ticket, machine)?;
    let ticket = known::ticket(unit.tx, &knock.ticket.ticket.id)?;
    let site = known::site(unit.tx, &ticket.ticket)?;
    let known = known::load(unit, app, &ticket.ticket, machine, &candidates, &site.policy)?;
    let admission = match admit(&ticket.ticket, machine, &known, &site.policy, unit.now) {
        Ok(admission) => admission,
        Err(refusal) => return refuse::record(unit, knock, refusal),
    };
    if at_site == AtSite::Shared && must_be_alone(&ticket.ticket, &admission, &known, &site.policy) {
        knock.counts_alone.store(true, Ordering::Relaxed);
        return Err(StoreError::Conflict.into());
    }
    let author = knock.author();
    let arriving = apply::Arriving {
        app,
        entrance: apply::Entrance::Ticket(&ticket),
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
        Admission::Claim { reason, contested, supersedes } => {
            let opening = claim::Opening { reason, contested, supersedes };
            if reason != ClaimReason::SiteConflict {
                refuse::count(unit, knock, reason.into())?;
            }
            return claim::open(unit, &arriving, &knock.source, opening);
        }
        Admission::Reuse { host_id } => {
            apply::refresh(unit, &arriving, host_id)?;
            (host_id, Disposition::Reuse)
        }
        Admission::New { .. }
        | Admission::Register { .. }
        | Admission::Rejoin { .. }
        | Admission::Rekey { .. }
        | Admission::Replace { .. }
        | Admission::Move { .. } => apply::arrive(unit, &arriving, admission)?,
    };
    let key = machine.key;
    Ok(Outcome::Admitted { host_id, key, disposition, state: HostState::Active, replayed: false })
}
