//! Why a command failed: one line with the cause, one with the next step, and an exit code.
//!
//! To add a next step for a code of the API, add a line to [`advice`].

mod advice;

use std::io;
use std::process::ExitCode;

use muster_client::{ApiError, DialError};
use muster_wire::problem::ProblemBody;

use crate::output::visible;

/// How a command ends; the numbers are documented in `muster --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nobody reads the output any more.
    ClosedPipe = 0,
    /// Refused, or tried and failed.
    Failed = 1,
    /// The command line does not hold.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// Neither done nor failed: somebody or something is waited for.
    Waiting = 4,
    /// The audit trail is not what was sealed.
    Broken = 5,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    code: Option<String>,
    cause: String,
    next_step: Option<String>,
}

impl Failure {
    fn new(exit: Exit, cause: impl Into<String>, next_step: Option<String>) -> Self {
        Self { exit, code: None, cause: cause.into(), next_step }
    }

    /// Refused, or tried and failed.
    pub(crate) fn failed(cause: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Failed, cause, Some(next_step.into()))
    }

    /// The command line, or a file it names, does not hold.
    pub(crate) fn usage(cause: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Usage, cause, Some(next_step.into()))
    }

    /// Neither done nor failed.
    pub(crate) fn waiting(cause: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Waiting, cause, Some(next_step.into()))
    }

    /// The audit trail is not what was sealed.
    pub(crate) fn broken(cause: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Broken, cause, Some(next_step.into()))
    }

    /// A failure whose text names the next step itself.
    pub(crate) fn plain(cause: impl Into<String>) -> Self {
        Self::new(Exit::Failed, cause, None)
    }

    /// Says `next_step` instead if the server refused with `code`.
    #[must_use]
    pub(crate) fn advise(mut self, code: &str, next_step: impl Into<String>) -> Self {
        if self.code.as_deref() == Some(code) {
            self.next_step = Some(next_step.into());
        }
        self
    }

    /// Says where it happened, and `next_step` instead of its own.
    #[must_use]
    pub(crate) fn at(mut self, place: &str, next_step: impl Into<String>) -> Self {
        self.cause = format!("{place}: {}", self.cause);
        self.next_step = Some(next_step.into());
        self
    }

    /// Returns the cause alone.
    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    /// Returns how the command ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the failure to the terminal and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.exit != Exit::ClosedPipe {
            eprintln!("{self}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {}", self.cause)?;
        match &self.next_step {
            Some(next_step) => write!(f, "\n next: {next_step}"),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::ClosedPipe, "", None),
            _ => Self::plain(format!("cannot write the output: {error}")),
        }
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let text = match &error {
            DialError::Refused { authority, .. } => format!(
                "cannot connect to {authority}; is `muster serve` running there? start it, or name another server with --url"
            ),
            DialError::PinMismatch { authority, source } => {
                format!(
                    "{authority} is not the server you know: {source}; if its key was replaced on purpose, log in again with the new --pin"
                )
            }
            DialError::Tls { authority, source } => format!(
                "no trusted TLS connection to {authority}: {source}; if its certificate is its own, give its key with --pin, as `muster serve` prints it"
            ),
            other => other.to_string(),
        };
        let exit = match error {
            DialError::Url { .. } | DialError::Pin { .. } | DialError::PlainHttp { .. } => Exit::Usage,
            _ => Exit::Unreachable,
        };
        // The texts of the dialer are `cause; next step`.
        match text.split_once("; ") {
            Some((cause, next_step)) => Self::new(exit, visible(cause), Some(visible(next_step))),
            None => Self::new(exit, visible(&text), None),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Dial(error) => error.into(),
            ApiError::Refused { problem: Some(problem), retry_after_secs, .. } => {
                of_problem(&problem, retry_after_secs)
            }
            ApiError::Refused { status, problem: None, .. } => Self::failed(
                format!("the server answered {status} without a reason"),
                "is this the address of a Muster server? check --url and any proxy in front of it",
            ),
            ApiError::Request => Self::plain("cannot write the request"),
            ApiError::Answer(_) => Self::failed(
                "the server answered with something this version does not understand",
                "compare `muster --version` with the server's, and check --url",
            ),
        }
    }
}

fn of_problem(problem: &ProblemBody, retry_after_secs: Option<u64>) -> Failure {
    let request_id = problem.instance.strip_prefix("urn:muster:").unwrap_or(&problem.instance);
    let mut cause = visible(&problem.detail);
    if !problem.errors.is_empty() {
        let fields: Vec<String> =
            problem.errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect();
        cause.push_str(&format!(": {}", visible(&fields.join(", "))));
    }
    cause.push_str(&format!(" [{}, {}]", visible(&problem.code), visible(request_id)));
    Failure {
        exit: Exit::Failed,
        code: Some(problem.code.clone()),
        cause,
        next_step: Some(advice::next_step(problem, request_id, retry_after_secs)),
    }
}

#[cfg(test)]
mod tests;
