//! A certificate ordered from an ACME directory (RFC 8555): what is wanted, how it goes, when the next attempt is due.
//!
//! The order itself is work of `reconcile::orders`; without the feature `acme` nobody does it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "acme")]
pub use muster_acme::LETS_ENCRYPT;
use muster_http::tls::{Challenges, Ordered};
use muster_ids::Timestamp;
use muster_wire::server_keys::CertificateOrder;
use tokio::sync::Notify;

/// The folder in the TLS folder with everything of the directory.
pub(crate) const ACME_DIR: &str = "acme";
const CERTIFICATE_FILE: &str = "certificate.pem";
const ACCOUNT_FILE: &str = "account.json";
/// Most characters of a name in DNS.
const MAX_NAME: usize = 253;
/// How long a directory may have the server wait: whatever it says, somebody looks once a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What is ordered, and where.
#[derive(Debug, Clone)]
pub struct AcmeOptions {
    /// The names, each as [`parse_name`] returned it.
    pub names: Vec<String>,
    /// Whom the directory writes to.
    pub contact: Option<String>,
    /// The address of the directory.
    pub directory: String,
    /// Certificates, in PEM, that vouch for the directory beside those of the platform.
    pub ca_file: Option<PathBuf>,
    /// How often is looked and tried.
    pub pace: AcmePace,
}

/// How often a certificate is looked at, and tried for again.
#[derive(Debug, Clone, Copy)]
pub struct AcmePace {
    /// From one look at what is kept to the next.
    pub look_every: Duration,
    /// From the first failure to the next attempt; doubled by each failure after it.
    pub retry_after: Duration,
    /// The longest of these.
    pub retry_most: Duration,
}

impl Default for AcmePace {
    /// Under what public directories allow: five failures an hour for one name.
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(60),
            retry_after: Duration::from_secs(5 * 60),
            retry_most: Duration::from_secs(6 * 3600),
        }
    }
}

/// Why no certificate is ordered for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name in DNS that a listener can prove: no address, no port, no wildcard")]
pub struct NameError;

/// Parses a name that certificates are ordered for: letters, digits and hyphens between dots.
pub fn parse_name(text: &str) -> Result<String, NameError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > MAX_NAME || is_address || !text.split('.').all(is_label) {
        return Err(NameError);
    }
    Ok(text.to_ascii_lowercase())
}

/// A certificate that is ordered, and how that goes.
pub struct Acme {
    /// What is ordered.
    pub options: AcmeOptions,
    /// Asks the directory.
    #[cfg(feature = "acme")]
    pub directory: muster_acme::Directory,
    /// The TLS folder.
    pub dir: PathBuf,
    /// What the listener answers to those who check names.
    pub challenges: Challenges,
    /// Brings the next look at once.
    pub nudge: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    failures: u32,
    problem: Option<String>,
    tried_at: Option<Timestamp>,
    next_try_at: Option<Timestamp>,
    /// Before then the directory does not want to be asked.
    not_before: Option<Timestamp>,
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Acme {
    /// Begins without an attempt. `dir`: the TLS folder.
    pub fn new(
        options: AcmeOptions,
        dir: PathBuf,
        #[cfg(feature = "acme")] directory: muster_acme::Directory,
    ) -> Self {
        Self {
            options,
            #[cfg(feature = "acme")]
            directory,
            dir,
            challenges: Challenges::default(),
            nudge: Notify::new(),
            progress: Mutex::default(),
        }
    }

    /// Where key and certificate are.
    pub fn certificate_file(&self) -> PathBuf {
        self.dir.join(ACME_DIR).join(CERTIFICATE_FILE)
    }

    /// Where the account is.
    pub fn account_file(&self) -> PathBuf {
        self.dir.join(ACME_DIR).join(ACCOUNT_FILE)
    }

    /// Tries again at once, unless the directory said when to come back.
    pub fn try_again(&self) {
        let mut progress = self.progress();
        progress.next_try_at = progress.not_before;
        drop(progress);
        self.nudge.notify_one();
    }

    /// Returns how many orders failed in a row.
    pub fn failures(&self) -> u32 {
        self.progress().failures
    }

    /// Tells how it goes; `shown` is what was ordered and is shown, as its dates.
    pub fn status(&self, shown: Option<(Timestamp, Timestamp)>) -> CertificateOrder {
        let progress = self.progress();
        CertificateOrder {
            directory: self.options.directory.clone(),
            names: self.options.names.clone(),
            temporary: shown.is_none(),
            renew_at: shown.map(|(not_before, not_after)| renew_at(not_before, not_after)),
            failures: progress.failures,
            problem: progress.problem.clone(),
            tried_at: progress.tried_at,
            next_try_at: progress.next_try_at,
        }
    }

    /// Whether an attempt may be made now.
    pub fn may_try(&self, now: Timestamp) -> bool {
        // No wait is longer: the clock was set back.
        let is_too_far = |at: Timestamp| at > now.plus(MAX_RETRY_AFTER);
        self.progress().next_try_at.is_none_or(|at| at <= now || is_too_far(at))
    }

    /// Whether what is kept must be followed by another certificate now.
    pub fn is_due(&self, kept: Option<&Ordered>, now: Timestamp) -> bool {
        let Some(Ordered { identity, from }) = kept else { return true };
        let present = identity.names();
        let is_named = |name: &String| present.iter().any(|present| present.eq_ignore_ascii_case(name));
        !self.options.names.iter().all(is_named)
            || *from != self.options.directory
            || renew_at(identity.not_before, identity.not_after) <= now
    }

    /// Notes that there is nothing to do, or nothing any more.
    pub fn succeeded(&self, tried_at: Option<Timestamp>) {
        let mut progress = self.progress();
        let tried_at = tried_at.or(progress.tried_at);
        *progress = Progress { tried_at, ..Progress::default() };
    }

    /// Notes a failure; returns how long the next attempt waits. `fraction`: of chance, in `[0, 1)`.
    pub fn failed(
        &self,
        why: String,
        retry_after: Option<Duration>,
        fraction: f64,
        now: Timestamp,
    ) -> Duration {
        let mut progress = self.progress();
        progress.failures = progress.failures.saturating_add(1);
        let retry_after = retry_after.map(|span| span.min(MAX_RETRY_AFTER));
        let wait = wait(progress.failures, self.options.pace, fraction).max(retry_after.unwrap_or_default());
        progress.problem = Some(why);
        progress.tried_at = Some(now);
        progress.next_try_at = Some(now.plus(wait));
        progress.not_before = retry_after.map(|span| now.plus(span));
        wait
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a third of the lifetime is left.
fn renew_at(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let lifetime = not_after.as_millis().saturating_sub(not_before.as_millis()).max(0);
    Timestamp::from_millis(not_after.as_millis().saturating_sub(lifetime / 3))
}

/// Returns how long to wait after so many failures: doubled by each, up to the most, and spread by a quarter either way.
fn wait(failures: u32, pace: AcmePace, fraction: f64) -> Duration {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = pace.retry_after.saturating_mul(doubled).min(pace.retry_most);
    wait.mul_f64(0.75 + fraction / 2.0)
}

#[cfg(all(test, feature = "acme"))]
mod tests;
