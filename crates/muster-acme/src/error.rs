//! Why there is no certificate.

use std::time::Duration;

use http::StatusCode;
use instant_acme::{Error, Problem};
use muster_outbound::OutboundError;
use muster_wire::text::shown;

/// Most characters that a directory may say in an error.
const MAX_SAID: usize = 300;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The address of the directory is none.
    #[error("the address of the directory is not an https URL")]
    Url,
    /// The directory gave an address that is not asked.
    #[error("the directory gives an address that is not an https URL")]
    Plain,
    /// Nobody answers.
    #[error("the directory does not answer")]
    Unreachable(#[from] OutboundError),
    /// It answers without saying why.
    #[error("the directory answered {status}")]
    Answered {
        /// The status.
        status: StatusCode,
    },
    /// It refused and said why.
    #[error("the directory refused: {said}")]
    Refused {
        /// The kind of the refusal: the last word of its type (RFC 8555, section 6.7).
        kind: String,
        /// What it said.
        said: String,
    },
    /// It looked at the listener and did not find what it must.
    #[error("the directory could not verify {name}: {said}")]
    NotVerified {
        /// The name.
        name: String,
        /// What it said.
        said: String,
    },
    /// It asks for another proof than can be given.
    #[error("the directory does not offer tls-alpn-01 for {name}")]
    NoChallenge {
        /// The name.
        name: String,
    },
    /// It asks for a proof of another name than was ordered.
    #[error("the directory asks about another name than was ordered")]
    OtherName,
    /// It does not get done.
    #[error("the directory did not finish the order in time")]
    Unfinished {
        /// How long it said to wait, from when this error came.
        retry_after: Option<Duration>,
    },
    /// It gave up the order without a word.
    #[error("the directory gave the order up")]
    Invalid,
    /// It does not speak the protocol.
    #[error("the directory does not speak RFC 8555: {said}")]
    Unreadable {
        /// What is wrong.
        said: String,
    },
    /// The account that was kept cannot be read.
    #[error("the account of the directory that was kept cannot be read")]
    Credentials,
    /// The listener cannot show what the directory asks for.
    #[error("the proof cannot be shown")]
    NotShown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No key or request can be made for these names.
    #[error("cannot make a key and a request for the names")]
    Request(#[source] rcgen::Error),
    /// It took longer than may be.
    #[error("the order took longer than {} s", within.as_secs())]
    TimedOut {
        /// How long it may take.
        within: Duration,
    },
}

impl AcmeError {
    /// Whether the directory does not know the account: another one must be made.
    pub fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == "accountDoesNotExist")
    }

    /// Returns how long the directory said to wait, where that is part of the error.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unfinished { retry_after } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn refused(problem: &Problem) -> Self {
        Self::Refused { kind: kind(problem), said: said(problem) }
    }
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::refused(&problem),
            Error::Timeout(next) => Self::Unfinished {
                retry_after: next.map(|next| {
                    tokio::time::Instant::from_std(next).duration_since(tokio::time::Instant::now())
                }),
            },
            Error::Other(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Unreadable { said: shown(&other.to_string(), MAX_SAID) },
            },
            error => Self::Unreadable { said: shown(&error.to_string(), MAX_SAID) },
        }
    }
}

/// Returns what a problem says, as one line.
pub(crate) fn said(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_default();
    for subproblem in &problem.subproblems {
        if let Some(detail) = &subproblem.detail {
            text.push_str("; ");
            text.push_str(detail);
        }
    }
    format!("{} ({})", shown(&text, MAX_SAID), kind(problem))
}

fn kind(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("no type");
    shown(kind.rsplit(':').next().unwrap_or(kind), 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b08_what_a_directory_says_is_one_short_line() {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "type": "urn:ietf:params:acme:error:unauthorized",
            "detail": format!("line\r\nand \u{1b}[2Jmore \u{202e}{}", "x".repeat(5000)),
        }))
        .expect("a problem");
        let text = AcmeError::from(Error::Api(problem)).to_string();
        assert!(text.starts_with("the directory refused: line"), "{text}");
        assert!(text.ends_with("… (unauthorized)") && text.chars().count() < 400, "{text}");
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    }

    #[test]
    fn an_account_the_directory_forgot_is_told_from_every_other_refusal() {
        let refusal = |kind: &str| AcmeError::Refused { kind: kind.to_owned(), said: String::new() };
        assert!(refusal("accountDoesNotExist").is_unknown_account());
        assert!(!refusal("rateLimited").is_unknown_account() && !AcmeError::Invalid.is_unknown_account());
    }
}
