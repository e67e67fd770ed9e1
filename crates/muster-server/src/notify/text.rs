//! What a notification says: a subject and plain lines in the words of people.
//!
//! Pure. Everything that somebody else chose — a host's name, a login that was tried — is shown as one quoted line
//! without invisible characters; a medium with markup escapes all of it once more.

mod words;

use muster_domain::quiet;
use muster_ids::{HostId, Timestamp};
use muster_wire::happening::Happening;
use muster_wire::text::shown;
use serde_json::Value;

/// Most characters of a subject.
const MAX_SUBJECT: usize = 150;
/// Most characters of what somebody else chose.
const MAX_FOREIGN: usize = 80;

/// An event with the names that its ids stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The word of what happened.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// To what.
    pub subject: String,
    /// What people call it, if it is a person or a site.
    pub subject_name: Option<String>,
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
    /// That host's name.
    pub host_name: Option<String>,
    /// Who did it: a name where there is one, else an id.
    pub actor: String,
    /// What else is known.
    pub details: Value,
}

/// A notification, whatever carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line that says what it is about.
    pub subject: String,
    /// One for each event, in their order.
    pub lines: Vec<Line>,
    /// How many events are not listed.
    pub more: usize,
    /// Where this server is.
    pub link: Option<String>,
    /// Whether something in it cannot wait.
    pub is_urgent: bool,
    /// Names the message, the same however often it is sent; `[A-Za-z0-9_-]`.
    pub key: String,
}

/// What a notification says of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub says: String,
    /// What can be done, if something can.
    pub next: Option<String>,
}

impl Message {
    /// Tells of events, in their order; of those after the first fifty only how many they are.
    pub fn of(events: &[Told], link: Option<String>, key: String) -> Self {
        let listed = &events[..events.len().min(quiet::MAX_PER_MESSAGE)];
        let lines: Vec<Line> = listed.iter().map(line).collect();
        let is_urgent = events.iter().any(cannot_wait);
        let urgent = if is_urgent { "URGENT: " } else { "" };
        let first = listed.iter().position(cannot_wait).unwrap_or_default();
        let about = match (lines.get(first), events.len()) {
            (None, _) => "nothing happened".to_owned(),
            (Some(line), 1) => line.says.clone(),
            (Some(line), count) => format!("{} (and {} more)", line.says, count - 1),
        };
        Self {
            subject: shown(&format!("[Muster] {urgent}{about}"), MAX_SUBJECT),
            more: events.len() - listed.len(),
            lines,
            link,
            is_urgent,
            key,
        }
    }

    /// A message that only shows that messages arrive.
    pub fn test(endpoint_name: &str, at: Timestamp, link: Option<String>, key: String) -> Self {
        let says = format!("This is a test of the endpoint {}. Nothing happened.", quoted(endpoint_name));
        Self {
            subject: shown(&format!("[Muster] test of the endpoint {}", quoted(endpoint_name)), MAX_SUBJECT),
            lines: vec![Line { at, says, next: None }],
            more: 0,
            link,
            is_urgent: false,
            key,
        }
    }

    /// Returns the message as plain text, without its subject.
    pub fn plain(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&format!("{}  {}\n", when(line.at), line.says));
            if let Some(next) = &line.next {
                text.push_str(&format!("    → {next}\n"));
            }
        }
        if let Some(rest) = self.rest() {
            text.push_str(&format!("{rest}\n"));
        }
        if let Some(link) = &self.link {
            text.push_str(&format!("\n{link}\n"));
        }
        text
    }

    /// Returns the message with at most `max_bytes` of lines, at least one: what is left out is counted.
    pub fn fitting(mut self, max_bytes: usize) -> Self {
        // A line takes its time, an arrow and line ends besides its words.
        let size = |line: &Line| line.says.len() + line.next.as_ref().map_or(0, String::len) + 40;
        let mut total = 0;
        let fits = self.lines.iter().take_while(|line| {
            total += size(line);
            total <= max_bytes
        });
        let kept = fits.count().max(1).min(self.lines.len());
        self.more += self.lines.len() - kept;
        self.lines.truncate(kept);
        self
    }

    /// Returns what is said of the events that are not listed.
    pub fn rest(&self) -> Option<String> {
        (self.more > 0).then(|| format!("and {} more: muster events", self.more))
    }
}

/// Returns a moment as people read it, to the second.
pub fn when(at: Timestamp) -> String {
    let text = at.to_string();
    let to_the_second = text.get(..19).unwrap_or(&text);
    format!("{} UTC", to_the_second.replace('T', " "))
}

/// Quotes what somebody else chose; the quotes cannot be closed from inside.
fn quoted(foreign: &str) -> String {
    format!("“{}”", shown(foreign, MAX_FOREIGN).replace(['“', '”'], "\""))
}

fn line(told: &Told) -> Line {
    let (says, next) = words::of(told);
    Line { at: told.at, says, next }
}

fn cannot_wait(told: &Told) -> bool {
    Happening::of_word(&told.kind).is_some_and(quiet::is_urgent)
}

#[cfg(test)]
mod tests;
