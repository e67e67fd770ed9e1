//! `muster-agent run`: joins to the end, then keeps one channel for as long as the process lives.
//!
//! Whatever the server answers, the credential is kept, with one exception: a `revoked` signed by the pinned
//! instruction key about this very key.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use muster_channel::backoff::Backoff;
use muster_client::{Response, WsDialError};
use muster_edge::Entropy;
use muster_ids::HostId;
use muster_proof::HostKey;
use muster_wire::channel::close;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::enroll::{self, Decision};
use crate::error::{self, AgentError};
use crate::join;
use crate::machine::{Machine, Pace};
use crate::server::{self, Server};
use crate::session::{self, End, Session};
use crate::state::{IdentityState, Membership, StateDir};
use crate::visible;
use crate::work::Jobs;

/// How long a suspended host waits when the server does not say.
const SUSPENDED_FOR: Duration = Duration::from_secs(30);

/// A host at work.
pub(crate) struct Agent {
    pub(crate) machine: Machine,
    pub(crate) state: Rc<StateDir>,
    pub(crate) identity: IdentityState,
    pub(crate) host_id: HostId,
    pub(crate) key: Rc<HostKey>,
    pub(crate) jobs: Jobs,
}

/// How one round of dialling ended.
enum Round {
    Held(End, Duration),
    Refused(Box<Response>),
    Unreachable(String),
}

/// Runs until `stop`, or until the key is void.
pub async fn run(machine: &Machine, folder: &Path, stop: &CancellationToken) -> Result<(), AgentError> {
    LocalSet::new().run_until(serve(machine, folder, stop)).await
}

async fn serve(machine: &Machine, folder: &Path, stop: &CancellationToken) -> Result<(), AgentError> {
    let state = Rc::new(StateDir::open(folder)?);
    let identity = state.identity()?.ok_or(AgentError::NotJoined)?;
    if let Membership::Revoked { reason, .. } = &identity.membership {
        return Err(AgentError::Revoked { reason: reason.clone() });
    }
    state.probe_writable()?;
    let key = enroll::kept_key(&state)?;
    let admitted = stop.run_until_cancelled(admitted(machine, &state, identity, &key)).await;
    let Some(identity) = admitted.transpose()? else { return Ok(()) };
    let host_id = identity.host_id().ok_or(AgentError::NotJoined)?;
    let jobs = Jobs::start(machine, &state, host_id)?;
    let agent = Agent { machine: machine.clone(), state, identity, host_id, key, jobs };
    agent.keep_channel(stop).await
}

/// Asks, with the same key, until the machine is a host.
async fn admitted(
    machine: &Machine,
    state: &StateDir,
    mut identity: IdentityState,
    key: &Rc<HostKey>,
) -> Result<IdentityState, AgentError> {
    let server = Server::of(&identity, Rc::clone(key), machine)?;
    let mut backoff = Backoff::default();
    let mut said = None;
    loop {
        let Membership::Joining { ticket, .. } = &identity.membership else { return Ok(identity) };
        let facts = machine.facts(state).await;
        let asked = enroll::enroll(&server, &identity, ticket, machine.hostname(&identity), facts).await;
        let ask_again_after = match &asked {
            Ok(Decision::Waiting(waiting)) => Some(enroll::ask_again_after(waiting)),
            _ => None,
        };
        let outcome = asked.and_then(|decision| join::settle(state, identity.clone(), decision));
        let cause = match outcome {
            Ok(admitted) => {
                tracing::info!(host.id = admitted.host_id().map(tracing::field::display), "admitted");
                return Ok(admitted);
            }
            Err(cause @ (AgentError::Revoked { .. } | AgentError::State(_))) => return Err(cause),
            Err(cause) => cause,
        };
        identity = state.identity()?.unwrap_or(identity);
        backoff.ended(Duration::ZERO);
        let wait = match &cause {
            AgentError::Waiting { .. } => machine.pace.jittered(ask_again_after.unwrap_or(SUSPENDED_FOR)),
            AgentError::Busy { retry_after, .. } => backoff.delay(Entropy.fraction(), *retry_after),
            AgentError::Unanswered(_) => backoff.delay(Entropy.fraction(), None),
            _ => machine.pace.jittered(machine.pace.refused_every),
        };
        let why = match &cause {
            AgentError::Waiting { claim_id, reason } => {
                let reason = visible::word(reason);
                format!("waiting for a person: ask the operator to decide the claim {claim_id} ({reason})")
            }
            cause => format!("not admitted yet: {cause}"),
        };
        // A machine may wait for days: what was said is not said again.
        if said.as_ref() != Some(&why) {
            tracing::warn!(next_try_secs = rounded(wait), "{why}");
            said = Some(why);
        }
        machine.pace.wait(wait).await;
    }
}

impl Agent {
    async fn keep_channel(self, stop: &CancellationToken) -> Result<(), AgentError> {
        let server = Server::of(&self.identity, Rc::clone(&self.key), &self.machine)?;
        let mut backoff = Backoff::default();
        loop {
            let round = self.judged(self.round(&server, stop).await);
            match &round {
                Round::Held(End::Stopped, _) => {
                    self.jobs.stop().await;
                    tracing::info!("stopped");
                    return Ok(());
                }
                Round::Held(End::Revoked(revoked), _) => {
                    self.jobs.give_up().await;
                    return Err(enroll::give_up(&self.state, self.identity, revoked));
                }
                _ => {}
            }
            let wait = pause(&round, &mut backoff, Entropy.fraction(), &self.machine.pace);
            tracing::warn!(next_try_secs = rounded(wait), "{}", in_words(&round));
            stop.run_until_cancelled(self.machine.pace.wait(wait)).await;
        }
    }

    /// Tries the addresses in order until one answers.
    async fn round(&self, server: &Server, stop: &CancellationToken) -> Round {
        let Some(report) = stop.run_until_cancelled(session::report(self)).await else {
            return Round::Held(End::Stopped, Duration::ZERO);
        };
        let mut causes = Vec::new();
        for url in server.urls() {
            match stop.run_until_cancelled(server.connect(url, self.host_id)).await {
                None => return Round::Held(End::Stopped, Duration::ZERO),
                Some(Ok(socket)) => {
                    let session = match Session::open(self, url, socket, report) {
                        Ok(session) => session,
                        Err(cause) => return Round::Held(End::State(cause), Duration::ZERO),
                    };
                    let (end, held_for) = session.hold(stop).await;
                    return Round::Held(end, held_for);
                }
                Some(Err(WsDialError::Refused(response))) => return Round::Refused(response),
                Some(Err(cause)) => causes.push(error::in_full(&cause)),
            }
        }
        Round::Unreachable(causes.join("; "))
    }

    /// Looks for the one statement in a refusal that counts.
    fn judged(&self, round: Round) -> Round {
        let Round::Refused(response) = &round else { return round };
        let statement = server::revoked_statement(response);
        let genuine =
            statement.and_then(|text| enroll::genuine(&text, &self.identity, &self.key, Some(self.host_id)));
        match genuine {
            Some(revoked) => Round::Held(End::Revoked(Box::new(revoked)), Duration::ZERO),
            None => round,
        }
    }
}

fn rounded(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil() as u64
}

/// How long to wait before the next round. Pure.
fn pause(round: &Round, backoff: &mut Backoff, fraction: f64, pace: &Pace) -> Duration {
    let held_for = match round {
        Round::Held(_, held_for) => *held_for,
        _ => Duration::ZERO,
    };
    backoff.ended(held_for);
    let contested = pace.contested_every + pace.contested_every.mul_f64(fraction / 2.0);
    match round {
        Round::Held(End::Left { reason, retry_after }, _) => match reason.as_str() {
            "generation_stale" | "fenced" => contested.max(*retry_after),
            _ => backoff.delay(fraction, Some(*retry_after)),
        },
        Round::Held(End::Closed { code: close::GENERATION_STALE | close::FENCED }, _) => contested,
        Round::Refused(response) => {
            let suspended = (response.status == StatusCode::FORBIDDEN).then_some(SUSPENDED_FOR);
            backoff.delay(fraction, server::retry_after(&response.headers).or(suspended))
        }
        _ => backoff.delay(fraction, None),
    }
}

fn in_words(round: &Round) -> String {
    const STALE: &str = "the server knows a newer state of this host than this machine holds: its state folder is a copy, \
        or was restored from one. It gets nothing: if this machine is the copy, run `muster-agent reset` and join again, \
        otherwise ask the operator";
    const FENCED: &str = "another agent is connected as this host and answers: if this state folder is a copy, run \
        `muster-agent reset` here and join again, otherwise ask the operator to look for the copy";
    match round {
        Round::Held(End::Left { reason, .. }, _) => match reason.as_str() {
            "generation_stale" => STALE.to_owned(),
            "fenced" => FENCED.to_owned(),
            "restart" => "the server restarts".to_owned(),
            "suspended" => "the host is suspended: it goes on when the operator resumes it".to_owned(),
            reason => format!("the server said goodbye: {reason}"),
        },
        Round::Held(End::Closed { code: close::GENERATION_STALE }, _) => STALE.to_owned(),
        Round::Held(End::Closed { code: close::FENCED }, _) => FENCED.to_owned(),
        Round::Held(End::Closed { code }, _) => format!("the server closed the channel with code {code}"),
        Round::Held(End::Lost(cause), _) => format!("the channel broke: {cause}"),
        Round::Held(End::Violation(cause), _) => {
            format!("closed the channel: {cause}; is this agent older than the server?")
        }
        Round::Held(End::State(cause), _) => cause.to_string(),
        Round::Held(End::Stopped | End::Revoked(_), _) => String::new(),
        Round::Refused(response) => {
            let refusal = server::refusal(response, None).map(|refusal| refusal.to_string());
            let said =
                refusal.unwrap_or_else(|| format!("the server refused the channel with {}", response.status));
            format!("{said}; the key is kept")
        }
        Round::Unreachable(causes) => causes.clone(),
    }
}

#[cfg(test)]
mod tests;
