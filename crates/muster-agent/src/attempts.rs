//! Which attempts of jobs were begun and how they ended: at most one run per attempt (DESIGN §7).
//!
//! A record is on disk before its job starts. What is recorded as begun when the agent starts is lost: jobs die with
//! the agent. A dispatch as old as one that was forgotten is not begun either: nobody knows any more that it was.

#[cfg(test)]
mod tests;

use muster_ids::Timestamp;
use muster_wire::channel::Attempt;
use muster_wire::job::{JobEnd, JobOutcome};
use serde::{Deserialize, Serialize};

use crate::state::{AttemptsRecord, StateDir, StateError, StateView};
use crate::visible;

/// How many attempts are remembered.
pub const REMEMBERED: usize = 200;
const LOST: &str = "the agent stopped while the job ran: start the job again";
const FORGOTTEN: &str =
    "the agent has forgotten jobs as old as this one and cannot tell whether it ran: start it again";

/// One attempt and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptRecord {
    attempt: Attempt,
    fate: Fate,
    /// When it was dispatched, if the server said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case", deny_unknown_fields)]
enum Fate {
    Started,
    Ended { end: JobEnd, recorded: bool },
}

/// An attempt without what it brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptOutline {
    /// Which one.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// How it ended; `None`: it runs, or ran when the agent died.
    pub outcome: Option<JobOutcome>,
    /// Whether the server recorded its end.
    pub recorded: bool,
}

impl AttemptOutline {
    /// Lists the attempts a state folder remembers, oldest first.
    pub fn all(view: &StateView) -> Result<Vec<Self>, StateError> {
        let outline = |record: &AttemptRecord| {
            let (outcome, recorded) = match &record.fate {
                Fate::Started => (None, false),
                Fate::Ended { end, recorded } => (Some(end.outcome), *recorded),
            };
            Self { attempt: record.attempt, outcome, recorded }
        };
        Ok(view.attempts()?.attempts.iter().map(outline).collect())
    }
}

/// Whether an attempt may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// It may, and its beginning is on disk.
    Run,
    /// It runs already.
    Running,
    /// It ended before; this is how.
    Ended(JobEnd),
    /// A later attempt of the same job is known.
    Superseded,
    /// It is as old as one that was forgotten: it may have run.
    Forgotten,
}

/// The attempts this machine knows, oldest first.
#[derive(Debug)]
pub struct Attempts {
    records: Vec<AttemptRecord>,
    forgotten_until: Option<Timestamp>,
}

impl Attempts {
    /// Reads the attempts when the agent starts; those that were running are lost, and on disk as such.
    pub fn load(state: &StateDir) -> Result<Self, StateError> {
        let AttemptsRecord { attempts: mut records, forgotten_until } = state.attempts()?;
        let mut any_lost = false;
        for record in records.iter_mut().filter(|record| record.fate == Fate::Started) {
            record.fate = Fate::Ended { end: lost(), recorded: false };
            any_lost = true;
        }
        let attempts = Self { records, forgotten_until };
        if any_lost {
            attempts.store(state)?;
        }
        Ok(attempts)
    }

    /// Begins an attempt, unless it was begun before; on disk when this returns [`Beginning::Run`].
    ///
    /// What was issued after `now`, the time by the server's clock, tells nothing about age: that clock was ahead then.
    pub fn begin(
        &mut self,
        state: &StateDir,
        attempt: Attempt,
        issued_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Beginning, StateError> {
        if let Some(known) = self.records.iter().find(|record| record.attempt == attempt) {
            return Ok(match &known.fate {
                Fate::Started => Beginning::Running,
                Fate::Ended { end, .. } => Beginning::Ended(end.clone()),
            });
        }
        let is_later = |record: &AttemptRecord| {
            record.attempt.job_id == attempt.job_id && record.attempt.attempt > attempt.attempt
        };
        if self.records.iter().any(is_later) {
            return Ok(Beginning::Superseded);
        }
        let forgotten_until = self.forgotten_until.filter(|until| *until <= now);
        if issued_at.is_some_and(|issued_at| forgotten_until.is_some_and(|until| issued_at <= until)) {
            return Ok(Beginning::Forgotten);
        }
        let before = (self.records.clone(), self.forgotten_until);
        self.records.push(AttemptRecord { attempt, fate: Fate::Started, issued_at });
        self.forgotten_until = forgotten_until;
        self.forget_oldest(now);
        self.store_or(state, before)?;
        Ok(Beginning::Run)
    }

    /// Records how an attempt ended; the first end counts.
    pub fn end(&mut self, state: &StateDir, attempt: Attempt, end: JobEnd) -> Result<(), StateError> {
        self.change(state, attempt, |fate| match fate {
            Fate::Started => Some(Fate::Ended { end, recorded: false }),
            Fate::Ended { .. } => None,
        })
    }

    /// Takes the server's word that it recorded the end: it need not be told again.
    pub fn recorded(&mut self, state: &StateDir, attempt: Attempt) -> Result<(), StateError> {
        self.change(state, attempt, |fate| match fate {
            Fate::Ended { end, recorded: false } => Some(Fate::Ended { end: end.clone(), recorded: true }),
            Fate::Started | Fate::Ended { .. } => None,
        })
    }

    /// Returns the attempts that run.
    pub fn running(&self) -> Vec<Attempt> {
        self.records
            .iter()
            .filter(|record| record.fate == Fate::Started)
            .map(|record| record.attempt)
            .collect()
    }

    /// Returns the ends the server has not recorded yet, oldest first.
    pub fn untold(&self) -> Vec<(Attempt, JobEnd)> {
        let untold = |record: &AttemptRecord| match &record.fate {
            Fate::Ended { end, recorded: false } => Some((record.attempt, end.clone())),
            Fate::Started | Fate::Ended { .. } => None,
        };
        self.records.iter().filter_map(untold).collect()
    }

    fn change(
        &mut self,
        state: &StateDir,
        attempt: Attempt,
        to: impl FnOnce(&Fate) -> Option<Fate>,
    ) -> Result<(), StateError> {
        let before = (self.records.clone(), self.forgotten_until);
        let Some(record) = self.records.iter_mut().find(|record| record.attempt == attempt) else {
            return Ok(());
        };
        let Some(fate) = to(&record.fate) else { return Ok(()) };
        record.fate = fate;
        self.store_or(state, before)
    }

    /// Makes room: ends that are told go first, then untold ones; what runs stays.
    fn forget_oldest(&mut self, now: Timestamp) {
        while self.records.len() > REMEMBERED {
            let told = |record: &AttemptRecord| matches!(record.fate, Fate::Ended { recorded: true, .. });
            let ended = |record: &AttemptRecord| matches!(record.fate, Fate::Ended { .. });
            let Some(oldest) =
                self.records.iter().position(told).or_else(|| self.records.iter().position(ended))
            else {
                return;
            };
            let forgotten = self.records.remove(oldest);
            self.forgotten_until = self.forgotten_until.max(forgotten.issued_at.filter(|at| *at <= now));
        }
    }

    /// Stores, or goes back to `before`: memory never knows more than the disk.
    fn store_or(
        &mut self,
        state: &StateDir,
        before: (Vec<AttemptRecord>, Option<Timestamp>),
    ) -> Result<(), StateError> {
        self.store(state).inspect_err(|_| (self.records, self.forgotten_until) = before)
    }

    fn store(&self, state: &StateDir) -> Result<(), StateError> {
        let Self { records, forgotten_until } = self;
        state.store_attempts(&AttemptsRecord { attempts: records.clone(), forgotten_until: *forgotten_until })
    }
}

/// How an attempt ends that may have run, by what is known here.
pub(crate) fn forgotten() -> JobEnd {
    JobEnd { failure: visible::line(FORGOTTEN), ..lost() }
}

fn lost() -> JobEnd {
    JobEnd { outcome: JobOutcome::Lost, result: None, failure: visible::line(LOST) }
}
