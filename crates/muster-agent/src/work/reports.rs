//! What is to be told of jobs, bounded: a server that is away for long costs log lines, never an end.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use muster_wire::channel::{AgentMessage, Attempt};
use muster_wire::job::{JobEnd, Progress};

const MAX_LINES: usize = 512;
/// At most two a second.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Reports {
    lines: VecDeque<AgentMessage>,
    left_out: usize,
    progress: Option<(Attempt, Progress)>,
    progress_at: Option<Duration>,
    told: BTreeSet<Attempt>,
}

impl Reports {
    /// Adds a message; log lines without room are counted and named once there is room again.
    pub(super) fn say(&mut self, message: AgentMessage) {
        let AgentMessage::JobLog { attempt, .. } = message else {
            self.lines.push_back(message);
            return;
        };
        if self.lines.len() >= MAX_LINES {
            self.left_out += 1;
            return;
        }
        if self.left_out > 0 {
            let text = format!("{} lines were left out while the server could not be reached", self.left_out);
            self.lines.push_back(AgentMessage::JobLog { attempt, text });
            self.left_out = 0;
        }
        self.lines.push_back(message);
    }

    /// Keeps how far an attempt is; `false`: too soon after the last one.
    pub(super) fn progress(&mut self, attempt: Attempt, progress: Progress, now: Duration) -> bool {
        if self.progress_at.is_some_and(|at| now.saturating_sub(at) < PROGRESS_EVERY) {
            return false;
        }
        self.progress = Some((attempt, progress));
        self.progress_at = Some(now);
        true
    }

    /// Forgets how far an attempt was: it ended.
    pub(super) fn forget_progress(&mut self, attempt: Attempt) {
        self.progress.take_if(|(known, _)| *known == attempt);
    }

    /// Begins anew: nothing was told yet on this channel.
    pub(super) fn begin_telling(&mut self) {
        self.told.clear();
    }

    /// Returns the next message: what was said, how far it is, then every end that is not recorded yet, once.
    pub(super) fn next(&mut self, untold: Vec<(Attempt, JobEnd)>) -> Option<AgentMessage> {
        if let Some(message) = self.lines.pop_front() {
            return Some(message);
        }
        if let Some((attempt, progress)) = self.progress.take() {
            return Some(AgentMessage::JobProgress { attempt, progress });
        }
        let (attempt, end) = untold.into_iter().find(|(attempt, _)| !self.told.contains(attempt))?;
        self.told.insert(attempt);
        Some(AgentMessage::JobFinished { attempt, end })
    }
}
