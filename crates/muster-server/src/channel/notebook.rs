//! What an agent tells of its running attempts, gathered so that it costs the database one write a second.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_wire::channel::Attempt;
use muster_wire::job::Progress;
use tokio::time::Instant;

use crate::jobs::Note;

const WRITE_AFTER: Duration = Duration::from_secs(1);
const MAX_LINES: usize = 128;
const MAX_BYTES: usize = 128 * 1024;

/// Notes on their way to the database.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    notes: BTreeMap<Attempt, Note>,
    lines: usize,
    bytes: usize,
    due_at: Option<Instant>,
}

impl Notebook {
    /// Notes how far an attempt is: the latest word wins.
    pub(super) fn progress(&mut self, attempt: Attempt, progress: Progress) {
        self.note(attempt).progress = Some(progress);
    }

    /// Notes a line of an attempt's log.
    pub(super) fn line(&mut self, attempt: Attempt, line: String) {
        self.lines += 1;
        self.bytes += line.len();
        self.note(attempt).lines.push(line);
    }

    /// When the notes are to be written at the latest.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Whether the notes are to be written before anything more is heard.
    pub(super) fn is_full(&self) -> bool {
        self.lines >= MAX_LINES || self.bytes >= MAX_BYTES || self.notes.len() >= MAX_LINES
    }

    /// Takes the notes.
    pub(super) fn take(&mut self) -> BTreeMap<Attempt, Note> {
        std::mem::take(self).notes
    }

    fn note(&mut self, attempt: Attempt) -> &mut Note {
        self.due_at.get_or_insert_with(|| Instant::now() + WRITE_AFTER);
        self.notes.entry(attempt).or_default()
    }
}
