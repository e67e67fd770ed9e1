//! Reads what restic prints: JSON messages where it speaks JSON, plain lines elsewhere, both bounded.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use muster_wire::bounds::Whole;
use muster_wire::job::{JobResult, Progress};
use muster_wire::text::Line;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::repository::Repository;
use super::scrub::Scrub;
use super::{MAX_LOG_LINE_BYTES, ResticEvent};
use zeroize::Zeroizing;

/// A status names up to two files, each up to 4096 bytes that JSON may write six times as long.
const MAX_LINE_BYTES: usize = 64 * 1024;
const REMEMBERED_LINES: usize = 64;
const MAX_LOG_LINES: usize = 2000;
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// Splits a stream into lines; what exceeds the bound of a line is dropped.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { reader: BufReader::new(stream), line: Vec::new() }
    }

    /// Returns the next line, `None` at the end. Nothing is lost when the call is dropped half way.
    pub(super) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((!self.line.is_empty()).then(|| self.take()));
            }
            let (part, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end, true),
                None => (chunk.len(), false),
            };
            let room = MAX_LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&chunk[..part.min(room)]);
            self.reader.consume(part + usize::from(ended));
            if ended {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned()
    }
}

#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Message {
    Status {
        #[serde(default)]
        percent_done: f64,
        #[serde(default)]
        files_done: u64,
        #[serde(default)]
        bytes_done: u64,
        #[serde(default)]
        total_files: u64,
        #[serde(default)]
        total_bytes: u64,
    },
    Error {
        #[serde(default)]
        error: Cause,
        #[serde(default)]
        item: String,
    },
    Summary {
        snapshot_id: String,
        #[serde(default)]
        data_added: u64,
        #[serde(default)]
        total_bytes_processed: u64,
        #[serde(default)]
        total_files_processed: u64,
    },
    ExitError {
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Other,
}

/// What went wrong: restic 0.14 writes its own structure with an error number, newer ones write a message.
#[derive(Deserialize, Default)]
struct Cause {
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "Err")]
    number: Option<serde_json::Value>,
}

impl Cause {
    fn in_words(&self) -> String {
        let number = self
            .number
            .as_ref()
            .and_then(serde_json::Value::as_i64)
            .and_then(|number| i32::try_from(number).ok());
        match (&self.message, number) {
            (Some(message), _) => message.clone(),
            (None, Some(number)) => io::Error::from_raw_os_error(number).to_string(),
            (None, None) => "it cannot be read".to_owned(),
        }
    }
}

/// Whether something moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Yes,
    No,
}

/// Listens to one run of restic.
pub(super) struct Listener<'a> {
    scrub: &'a Scrub,
    events: Option<&'a mpsc::Sender<ResticEvent>>,
    said: VecDeque<Said>,
    logged: usize,
    counters: [u64; 4],
    summary: Option<JobResult>,
    first_error: Option<String>,
}

/// A line of restic: as it was, to be judged, and as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// As restic wrote it; may hold a credential, and a credential may look like restic's own words.
    pub(super) raw: Zeroizing<String>,
    /// Scrubbed.
    pub(super) shown: String,
}

/// What was heard of a run.
pub(super) struct Heard {
    /// The last lines that were no JSON.
    pub(super) said: Vec<Said>,
    /// The summary of a backup.
    pub(super) summary: Option<JobResult>,
    /// The first file that could not be saved, with the reason.
    pub(super) first_error: Option<String>,
}

impl<'a> Listener<'a> {
    /// Listens; lines go to `events` too, if given.
    pub(super) fn new(scrub: &'a Scrub, events: Option<&'a mpsc::Sender<ResticEvent>>) -> Self {
        Self {
            scrub,
            events,
            said: VecDeque::new(),
            logged: 0,
            counters: [0; 4],
            summary: None,
            first_error: None,
        }
    }

    /// Ends listening.
    pub(super) fn heard(self) -> Heard {
        Heard { said: self.said.into(), summary: self.summary, first_error: self.first_error }
    }

    /// Takes one line in. A status that repeats the former one is no sign of progress: restic prints it by the clock.
    pub(super) async fn hear(&mut self, line: &str) -> Moved {
        if !line.starts_with('{') {
            self.say(line).await;
            return Moved::Yes;
        }
        match serde_json::from_str(line) {
            Ok(Message::Status { percent_done, files_done, bytes_done, total_files, total_bytes }) => {
                self.status(percent_done, bytes_done, total_bytes);
                let before =
                    std::mem::replace(&mut self.counters, [files_done, bytes_done, total_files, total_bytes]);
                if before == self.counters { Moved::No } else { Moved::Yes }
            }
            Ok(Message::Error { error, item }) => {
                let text = self.scrub.clean(&format!("{item}: {}", error.in_words()), MAX_LOG_LINE_BYTES);
                self.first_error.get_or_insert_with(|| text.clone());
                self.log(text).await;
                Moved::Yes
            }
            Ok(Message::Summary {
                snapshot_id,
                data_added,
                total_bytes_processed,
                total_files_processed,
            }) => {
                self.summary = Line::parse(&snapshot_id).ok().map(|snapshot_id| JobResult {
                    snapshot_id,
                    bytes_processed: total_bytes_processed,
                    bytes_added: data_added,
                    files: total_files_processed,
                });
                if let Some(result) = self.summary.clone() {
                    self.send(ResticEvent::Summary(result)).await;
                }
                Moved::Yes
            }
            Ok(Message::ExitError { message }) => {
                self.say(&message).await;
                Moved::Yes
            }
            Ok(Message::Other) | Err(_) => Moved::No,
        }
    }

    fn status(&self, percent_done: f64, bytes_done: u64, bytes_total: u64) {
        let percent = Whole::clamped((percent_done * 100.0) as u64);
        if let Some(events) = self.events {
            // Without room the receiver is behind anyway; the next status is a better one.
            let _ = events.try_send(ResticEvent::Progress(Progress { percent, bytes_done, bytes_total }));
        }
    }

    async fn say(&mut self, line: &str) {
        let text = self.scrub.clean(line, MAX_LOG_LINE_BYTES);
        if text.is_empty() {
            return;
        }
        if self.said.len() == REMEMBERED_LINES {
            self.said.pop_front();
        }
        self.said.push_back(Said { raw: Zeroizing::new(line.to_owned()), shown: text.clone() });
        self.log(text).await;
    }

    async fn log(&mut self, text: String) {
        self.logged += 1;
        match self.logged {
            1..=MAX_LOG_LINES => self.send(ResticEvent::Log(text)).await,
            n if n == MAX_LOG_LINES + 1 => {
                self.send(ResticEvent::Log("further lines of restic are not kept".to_owned())).await;
            }
            _ => {}
        }
    }

    async fn send(&self, event: ResticEvent) {
        if let Some(events) = self.events {
            tell(events, event).await;
        }
    }
}

/// What a run of restic left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overheard {
    /// What was told while it ran.
    pub events: Vec<ResticEvent>,
    /// The last lines that were no JSON, as they may be shown.
    pub said: Vec<String>,
    /// The summary of a backup.
    pub summary: Option<JobResult>,
    /// The first file that could not be saved, with the reason.
    pub first_error: Option<String>,
}

/// Reads everything that was printed, as a backup to `repository` would, without running anything.
pub async fn overhear(printed: &[u8], repository: &Repository) -> Overheard {
    // Room for what each line may tell: nobody listens before the end.
    let room = printed.iter().filter(|byte| **byte == b'\n').count() + 2;
    let (sender, mut receiver) = mpsc::channel(room);
    let scrub = Scrub::of(repository);
    let mut listener = Listener::new(&scrub, Some(&sender));
    let mut lines = Lines::new(printed);
    while let Ok(Some(line)) = lines.next().await {
        listener.hear(&line).await;
    }
    let Heard { said, summary, first_error } = listener.heard();
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    Overheard { events, said: said.into_iter().map(|said| said.shown).collect(), summary, first_error }
}

/// Sends an event; a receiver that is gone or stuck does not stop a backup.
pub(super) async fn tell(events: &mpsc::Sender<ResticEvent>, event: ResticEvent) {
    // What cannot be told within the time is left out: the backup matters more than its log.
    let _ = events.send_timeout(event, LOG_PATIENCE).await;
}
