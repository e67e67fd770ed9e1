//! Why a command of the agent did not do what it should: one line with cause and next step, and an exit code.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use muster_client::DialError;
use muster_ids::{ClaimId, HostId};
use muster_wire::claim::ClaimReason;

use crate::state::StateError;
use crate::visible;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it should.
    Done = 0,
    /// It failed or was refused.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server cannot be reached, or cannot answer now.
    Unreachable = 3,
    /// A person must decide first.
    Waiting = 4,
    /// The key is void.
    Revoked = 5,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The proxy or the pins make no dialer.
    #[error("{}", in_full(.0))]
    Setting(DialError),
    /// No answer of the server.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The server cannot answer now.
    #[error(
        "the server cannot answer now ({status}): nothing is lost, run the same command again{}",
        after(*retry_after)
    )]
    Busy {
        /// Its status.
        status: StatusCode,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// What answers is no Muster server, or a newer one.
    #[error(
        "{authority} answers with {status}, which is no answer of a Muster server: check the address and the proxy in \
         front of it, then run the same command again"
    )]
    Unintelligible {
        /// Host and port.
        authority: String,
        /// The status.
        status: StatusCode,
    },
    /// The answer comes from another installation than the join string.
    #[error(
        "the server is another installation than the join string says (its instruction key differs): take a new join \
         string from the operator"
    )]
    ForeignServer,
    /// The join string is of another installation than the one this machine belongs to.
    #[error(
        "this machine belongs to another Muster installation: run `muster-agent leave` first, then run the same command \
         again"
    )]
    ForeignJoinString,
    /// The server knows this machine's key as another host.
    #[error(
        "the server answered with the host {got}, but this machine is {expected}: nothing was changed, ask the operator"
    )]
    OtherHost {
        /// The host in the state folder.
        expected: HostId,
        /// The host of the answer.
        got: HostId,
    },
    /// A person must decide.
    #[error(
        "waiting for a person: claim {claim_id} ({reason}). Ask the operator to decide it (`muster claim show \
         {claim_id}`), then start `muster-agent run`, or run the same command again",
        reason = visible::word(reason)
    )]
    Waiting {
        /// The claim.
        claim_id: ClaimId,
        /// Why.
        reason: ClaimReason,
    },
    /// The state is a copy or an older one.
    #[error(
        "this state folder is a copy of another machine's, or was restored from an older one: start `muster-agent run`, \
         which asks for an identity of its own, or run `muster-agent reset` and join again"
    )]
    Copied,
    /// The state is a copy, and a person refused it.
    #[error(
        "this state folder is a copy of another machine's, and a person refused it{}: run `muster-agent reset` and join \
         again with a new join string, or ask the operator to clear the claim",
        claim.map_or_else(String::new, |claim| format!(" (claim {claim})"))
    )]
    CopyRefused {
        /// The claim, if it is known.
        claim: Option<ClaimId>,
    },
    /// The key is void.
    #[error(
        "the server revoked this machine's key ({reason}): its key and secrets were removed; to join again, take a new \
         join string and run `muster-agent join`"
    )]
    Revoked {
        /// What the server said.
        reason: String,
    },
    /// The machine never joined.
    #[error("this machine has not joined: take a join string from the operator and run `muster-agent join`")]
    NotJoined,
    /// The key is gone, although the machine used one.
    #[error(
        "the host key is missing from the state folder {}: restore the folder from a copy, or run `muster-agent reset` \
         and join again with a new ticket",
        folder.display()
    )]
    KeyMissing {
        /// The state folder.
        folder: PathBuf,
    },
    /// The command was not confirmed.
    #[error("not confirmed: nothing was changed; run it with --yes to go without the question")]
    NotConfirmed,
    /// The command line does not say what to do.
    #[error("{0}")]
    Usage(String),
    /// Something of the operating system.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// What the system answered.
        cause: std::io::Error,
    },
}

impl AgentError {
    /// Returns how the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unanswered(unanswered) if !unanswered.is_foreign() => Exit::Unreachable,
            Self::Busy { .. } => Exit::Unreachable,
            Self::Waiting { .. } => Exit::Waiting,
            Self::Revoked { .. } => Exit::Revoked,
            _ => Exit::Failed,
        }
    }
}

/// No address of the server gave an answer.
#[derive(Debug)]
pub struct Unanswered {
    /// What went wrong at each address.
    pub causes: Vec<DialError>,
    /// Whether a request may have arrived, so that its reply was lost.
    pub may_have_arrived: bool,
}

impl Unanswered {
    /// Judges what went wrong.
    pub fn of(causes: Vec<DialError>) -> Self {
        let arrived = |cause: &DialError| match cause {
            DialError::Broken { .. } | DialError::NotHttp { .. } | DialError::TooLarge { .. } => true,
            DialError::TimedOut { step, .. } => *step == "answer",
            _ => false,
        };
        let may_have_arrived = causes.iter().any(arrived);
        Self { causes, may_have_arrived }
    }

    /// Whether an address is held by somebody who is not the server.
    pub fn is_foreign(&self) -> bool {
        self.causes.iter().any(|cause| matches!(cause, DialError::PinMismatch { .. }))
    }
}

impl Error for Unanswered {}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, cause) in self.causes.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{}", in_full(cause))?;
        }
        match (self.may_have_arrived, self.is_foreign()) {
            (true, _) => f.write_str(
                ". Nothing is lost: run the same command again, it goes on with the same key and ticket",
            ),
            (false, true) => Ok(()),
            (false, false) => f.write_str(". Nothing was sent: run the same command again"),
        }
    }
}

/// A refusal by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code, if there was one.
    pub code: String,
    /// What the server says.
    pub detail: String,
    /// What to quote.
    pub request_id: Option<String>,
    /// The ticket that was presented, by its public id.
    pub ticket: Option<String>,
    /// Fields at fault, each with its code.
    pub fields: Vec<String>,
    /// When to come back, if it said so.
    pub retry_after: Option<Duration>,
}

impl Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticket = self.ticket.as_deref().unwrap_or("<id>");
        match self.code.as_str() {
            "enrollment_rejected" => write!(
                f,
                "the server did not accept the ticket: ask the operator to run `muster ticket why {ticket}`, then run \
                 the same command with a good join string"
            ),
            "invalid_dpop_proof" => f.write_str(
                "the server did not accept this machine's proof: ask the operator whether the address in the join \
                 string is one of the server's public URLs",
            ),
            "key_in_use" => f.write_str(
                "this machine's key belongs to a host already: if its state folder is a copy of another machine's, run \
                 `muster-agent reset` and then the same command again",
            ),
            "not_a_copy" => f.write_str(
                "the server says that this state is no copy: somebody else said so; coming back with its key",
            ),
            "key_revoked" => f.write_str(
                "the server says that this machine's key is void, without its signature: the key is kept, ask the \
                 operator",
            ),
            "site_conflict" => f.write_str(
                "this machine is known at another site: ask the operator to decide the claim (`muster claim list`), \
                 then run the same command again",
            ),
            "claim_rejected" => f.write_str(
                "a person refused this machine: ask the operator to clear the claim (`muster claim list`), then run the \
                 same command again",
            ),
            "host_suspended" => f.write_str(
                "the host is suspended: ask the operator to resume it (`muster host resume`), then run the same command \
                 again",
            ),
            "host_held" => f.write_str(
                "a copy of this host showed itself and the server holds both back: ask the operator to decide which one is \
                 the copy (`muster claim list`); the key is kept",
            ),
            "validation" => write!(
                f,
                "the server does not accept what this machine reports ({}): correct it, or upgrade muster-agent",
                self.fields.join(", ")
            ),
            _ => write!(f, "the server refused ({}): {}", self.status, self.detail),
        }?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Writes an error with its causes, as one visible line.
pub fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        // Some errors repeat what caused them.
        if !text.contains(&said) {
            text.push_str(&format!(" ({said})"));
        }
        cause = inner.source();
    }
    visible::line::<1024>(&text).map_or_else(String::new, |line| line.to_string())
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(|| " later".to_owned(), |wait| format!(" in {} seconds", wait.as_secs().max(1)))
}
