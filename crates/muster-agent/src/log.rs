//! The agent's log: to standard error, as lines for people or as JSON. Holds no secret; escapes what others said.

use std::io::{self, IsTerminal};

use tracing::Level;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Begins to log; `level` and above are written.
pub fn begin(format: Format, level: Level) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        // The words about a line that was not written would go to the same full disk, and end the thread that wrote it.
        .log_internal_errors(false);
    // A second call, as in tests, keeps the first log.
    let _ = match format {
        Format::Human => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
}
