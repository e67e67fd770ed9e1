//! The life of a job: `queued → dispatched → running → succeeded | failed | cancelled | lost`.
//!
//! An attempt is fenced by (job, attempt, host) and the liveness of the host's key, which the transaction
//! checks; what an agent may say of it, when it is sent, sent again or lost, and what an event does to its state is
//! decided here.

use std::time::Duration;

use muster_ids::{HostId, KeyName, Timestamp};
use muster_wire::job::{JobOutcome, JobState};

/// How long a job may go without a word of its agent before it counts as lost, and a dispatch may be begun.
pub const LEASE: Duration = Duration::from_secs(10 * 60);
/// Most attempts a host has in hand at once; further jobs wait.
pub const IN_HAND: usize = 4;

/// What the server knows of a job when it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobFacts {
    /// The host it is for.
    pub host_id: HostId,
    /// Where it stands.
    pub state: JobState,
    /// Counts its dispatches; 0 before the first.
    pub attempt: u32,
    /// The key its latest attempt was sent to.
    pub attempt_key: Option<KeyName>,
    /// The version of its secret that it needs.
    pub secret_version: i64,
    /// When the agent last said that it runs, or it was sent.
    pub renewed_at: Option<Timestamp>,
}

/// Who speaks of an attempt, or is to be given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker {
    /// The host.
    pub host_id: HostId,
    /// The key it proved.
    pub key: KeyName,
}

/// What an attempt that an agent names is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The latest one of its job, given to this very key: what is told of it counts.
    Latest,
    /// It was given to this host once; its end is known or no longer asked for.
    Former,
    /// It was never given to this host.
    Foreign,
}

/// Decides what an attempt that an agent names is.
pub fn standing(job: &JobFacts, speaker: &Speaker, attempt: u32) -> Standing {
    if job.host_id != speaker.host_id || attempt == 0 || attempt > job.attempt {
        return Standing::Foreign;
    }
    if attempt == job.attempt && job.attempt_key == Some(speaker.key) {
        Standing::Latest
    } else {
        Standing::Former
    }
}

/// What becomes of an open job of a host whose agent connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// Nothing: it waits for its turn, or its agent runs it, or holds its end and will tell it.
    Stays,
    /// It is sent again under the same number, for the agent to run it or to tell how it ended.
    SendAgain,
    /// It was given to a former key: nobody will tell of it.
    Lost,
}

/// Decides what becomes of an open job when its agent connected and listed what it runs.
///
/// An attempt that was said to have begun is never sent again: a genuine agent has it on its disk and tells its end;
/// one whose disk went back to before the beginning would run it a second time. Untold, it lapses.
pub fn resume(job: &JobFacts, key: &KeyName, is_listed: bool) -> Resumption {
    match job.state {
        _ if is_listed => Resumption::Stays,
        JobState::Dispatched | JobState::Running if job.attempt_key != Some(*key) => Resumption::Lost,
        JobState::Dispatched => Resumption::SendAgain,
        _ => Resumption::Stays,
    }
}

/// Whether a job is sent now: it waits, the agent has the secret it needs, and it has not too many in hand.
pub fn may_send(job: &JobFacts, applied: Option<i64>, in_hand: usize) -> bool {
    job.state == JobState::Queued
        && in_hand < IN_HAND
        && applied.is_some_and(|version| version >= job.secret_version)
}

/// Until when what is sent now may be begun: whoever records it can play it no longer than that.
pub fn sent_until(now: Timestamp) -> Timestamp {
    now.plus(LEASE)
}

/// Whether nobody heard of a job for as long as its lease lasts.
pub fn has_lapsed(job: &JobFacts, now: Timestamp) -> bool {
    !job.state.has_ended() && job.renewed_at.is_some_and(|at| at < now.minus(LEASE))
}

/// What happened to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// The agent said it runs.
    Started,
    /// The agent said how it ended.
    Ended(JobOutcome),
    /// Nobody heard of it for as long as its lease lasts.
    LeaseLapsed,
    /// Its host is no more.
    HostRetired,
    /// A person takes it back.
    TakenBack,
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStep {
    /// The job goes there.
    Goes {
        /// The new state.
        to: JobState,
        /// Whether the end became known only after the job was lost.
        late: bool,
    },
    /// Nothing changes: the event was told before.
    Stays,
    /// The event cannot follow: it is refused and audited.
    Refused,
}

/// Decides what an event of the latest attempt does to a job in `state`.
pub fn step(state: JobState, event: JobEvent) -> JobStep {
    use JobState::{Cancelled, Dispatched, Failed, Lost, Queued, Running, Succeeded};
    let goes = |to| JobStep::Goes { to, late: state == Lost };
    match (state, event) {
        (Dispatched, JobEvent::Started) => goes(Running),
        (Lost, JobEvent::Started) => JobStep::Goes { to: Running, late: false },
        (Running, JobEvent::Started) => JobStep::Stays,
        (Dispatched | Running | Lost, JobEvent::Ended(outcome)) => match outcome {
            JobOutcome::Succeeded => goes(Succeeded),
            JobOutcome::Failed => goes(Failed),
            JobOutcome::Lost if state == Lost => JobStep::Stays,
            JobOutcome::Lost => JobStep::Goes { to: Lost, late: false },
        },
        (Dispatched | Running, JobEvent::LeaseLapsed) => JobStep::Goes { to: Lost, late: false },
        (Queued, JobEvent::HostRetired) => JobStep::Goes { to: Cancelled, late: false },
        (Dispatched | Running, JobEvent::HostRetired) => JobStep::Goes { to: Lost, late: false },
        (Queued, JobEvent::TakenBack) => goes(Cancelled),
        // Its agent may have begun it, and the channel has no word to stop it.
        (Dispatched | Running, JobEvent::TakenBack) => JobStep::Refused,
        (Succeeded | Failed | Cancelled | Lost, _) => JobStep::Stays,
        (Queued, _) => JobStep::Refused,
    }
}

#[cfg(test)]
mod tests;
