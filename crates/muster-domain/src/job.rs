//! The life of a job: `queued → dispatched → running → succeeded | failed | cancelled | lost`.
//!
//! An attempt is fenced by (job, attempt, host) and the liveness of the host's key, which the transaction
//! checks; what an event of the latest attempt does to the state is decided here.

use muster_wire::job::{JobOutcome, JobState};

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
        (Succeeded | Failed | Cancelled | Lost, _) => JobStep::Stays,
        (Queued, _) => JobStep::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_recorded_once_and_a_late_one_says_so() {
        use JobState::{Failed, Lost, Queued, Running, Succeeded};
        let ended = JobEvent::Ended(JobOutcome::Succeeded);
        assert_eq!(step(Running, ended), JobStep::Goes { to: Succeeded, late: false });
        assert_eq!(step(Lost, ended), JobStep::Goes { to: Succeeded, late: true });
        assert_eq!(step(Succeeded, JobEvent::Ended(JobOutcome::Failed)), JobStep::Stays);
        assert_eq!(step(Failed, ended), JobStep::Stays);
        assert_eq!(step(Queued, ended), JobStep::Refused);
        assert_eq!(step(Succeeded, JobEvent::LeaseLapsed), JobStep::Stays);
    }
}
