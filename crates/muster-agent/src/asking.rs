//! How a machine that is not admitted yet asks again: for days if need be, without saying the same twice.

use std::time::Duration;

use muster_channel::backoff::Backoff;
use muster_edge::Entropy;

use crate::error::AgentError;
use crate::machine::Pace;
use crate::visible;

/// How long a machine waits that waits for a person, when the server does not say.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// One machine that asks until it is admitted.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    backoff: Backoff,
    said: Option<String>,
}

impl Asking {
    /// Says why it is not admitted yet and lets the time until the next question go by.
    pub(crate) async fn pause(&mut self, pace: &Pace, cause: &AgentError, hint: Option<Duration>) {
        self.backoff.ended(Duration::ZERO);
        let wait = match cause {
            AgentError::Waiting { .. } => pace.jittered(hint.unwrap_or(ASK_AGAIN_AFTER)),
            AgentError::Busy { retry_after, .. } => self.backoff.delay(Entropy.fraction(), *retry_after),
            AgentError::Unanswered(_) => self.backoff.delay(Entropy.fraction(), None),
            _ => pace.jittered(pace.refused_every),
        };
        let why = match cause {
            AgentError::Waiting { claim_id, reason } => {
                let reason = visible::word(reason);
                format!("waiting for a person: ask the operator to decide the claim {claim_id} ({reason})")
            }
            cause => format!("not admitted yet: {cause}"),
        };
        // A machine may wait for days: what was said is not said again.
        if self.said.as_ref() != Some(&why) {
            tracing::warn!(next_try_secs = rounded(wait), "{why}");
            self.said = Some(why);
        }
        pace.wait(wait).await;
    }
}

/// Rounds a wait up to whole seconds, for people.
pub(crate) fn rounded(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil() as u64
}
