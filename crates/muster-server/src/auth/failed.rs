//! Attempts that failed, at whatever door: counted in one place, answered as they would be or with 429.

use http::request::Parts;
use muster_http::{AddressBucket, ClientAddress, Problem};
use muster_ids::{PublicId, Timestamp};
use muster_proof::ProofError;

use super::proof::refused_proof;
use crate::app::App;
use crate::failed_attempts::{AttemptKind, Whom};
use crate::problems::too_many_failures;

/// Counts an attempt whose credential does not hold; `problem` is its answer unless there were too many.
///
/// Called after the credential was judged, never before. Whether `presented` exists makes no difference.
pub fn failed(
    app: &App,
    kind: AttemptKind,
    source: AddressBucket,
    presented: Option<PublicId>,
    problem: Problem,
) -> Problem {
    failed_of(app, kind, source, presented, None, problem)
}

/// Answers a proof that does not hold, and counts it. Who is asked for a nonce has not failed.
pub(crate) fn failed_proof(
    app: &App,
    kind: AttemptKind,
    source: AddressBucket,
    presented: Option<PublicId>,
    error: ProofError,
    now: Timestamp,
) -> Problem {
    let problem = refused_proof(app, error, now);
    match error {
        ProofError::UseNonce => problem,
        ProofError::Invalid(_) => failed(app, kind, source, presented, problem),
    }
}

/// Counts like [`failed`]; `whom`: the person whose account or credential was tried, if there is one.
pub(crate) fn failed_of(
    app: &App,
    kind: AttemptKind,
    source: AddressBucket,
    presented: Option<PublicId>,
    whom: Option<Whom>,
    problem: Problem,
) -> Problem {
    app.attempts.note(kind, source, whom, app.clock.now(), app.clock.monotonic());
    match app.limits.count(source, presented, app.clock.monotonic()) {
        Some(wait) => too_many_failures(wait),
        None => problem,
    }
}

/// Returns what failures of this request are counted by.
pub(super) fn bucket(parts: &Parts) -> AddressBucket {
    let address = parts.extensions.get::<ClientAddress>().copied();
    // Requests that came through no accept loop share one bucket: nobody is without a limit.
    address.unwrap_or(ClientAddress(std::net::Ipv6Addr::UNSPECIFIED.into())).bucket()
}
