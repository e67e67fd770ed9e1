//! Proofs of possession: what they must name, and which were used.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use muster_http::Problem;
use muster_ids::{KeyThumbprint, Timestamp};
use muster_proof::dpop::JTI_REMEMBERED_FOR;
use muster_proof::{HtuUrl, ProofError};

use crate::app::App;

/// The header of a proof (RFC 9449).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header in which the server offers a nonce (RFC 9449).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Most proofs remembered at once: past it new proofs are refused until older ones lapse.
const MAX_REMEMBERED: usize = 200_000;

/// Proofs that were used, for as long as they could be used again. Bounded; one node's own.
#[derive(Debug, Default)]
pub struct UsedProofs(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    known: HashSet<(KeyThumbprint, String)>,
    by_age: VecDeque<(Timestamp, (KeyThumbprint, String))>,
}

/// A proof cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used before.
    Used,
    /// More proofs are remembered than memory may hold.
    Full,
}

impl UsedProofs {
    /// Remembers a verified proof as used.
    pub fn take(&self, key: KeyThumbprint, jti: &str, now: Timestamp) -> Result<(), NotTaken> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((taken_at, _)) = memory.by_age.front()
            && now.since(*taken_at) > JTI_REMEMBERED_FOR
        {
            let lapsed = memory.by_age.pop_front().map(|(_, proof)| proof);
            if let Some(proof) = lapsed {
                memory.known.remove(&proof);
            }
        }
        let proof = (key, jti.to_owned());
        if memory.known.contains(&proof) {
            return Err(NotTaken::Used);
        }
        if memory.by_age.len() >= MAX_REMEMBERED {
            return Err(NotTaken::Full);
        }
        memory.known.insert(proof.clone());
        memory.by_age.push_back((now, proof));
        Ok(())
    }
}

/// Returns the URLs a proof for `path` may name: the configured ones, never what the Host header says.
pub fn accepted_urls(app: &App, path: &str) -> Vec<HtuUrl> {
    let public = app.installation.public_urls();
    let urls = public.iter().chain(&app.installation.loopback_urls);
    urls.filter_map(|url| HtuUrl::below(url.as_str(), path).ok()).collect()
}

/// Answers a proof that does not hold, with a nonce for the next one.
pub fn refused_proof(app: &App, error: ProofError, now: Timestamp) -> Problem {
    match error {
        ProofError::UseNonce => use_nonce(app, now),
        ProofError::Invalid(_) => {
            let problem = Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_dpop_proof",
                "the proof of possession does not hold",
            );
            with_nonce(app, problem, r#"DPoP error="invalid_dpop_proof", algs="ES256""#, now)
        }
    }
}

/// Asks for a proof with a fresh nonce.
pub fn use_nonce(app: &App, now: Timestamp) -> Problem {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "use_dpop_nonce",
        "the proof of possession must carry the nonce of this reply",
    );
    with_nonce(app, problem, r#"DPoP error="use_dpop_nonce", algs="ES256""#, now)
}

fn with_nonce(app: &App, problem: Problem, challenge: &'static str, now: Timestamp) -> Problem {
    let problem = problem.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    match HeaderValue::from_str(&app.keyring.nonce(now)) {
        Ok(nonce) => problem.header(DPOP_NONCE, nonce),
        Err(error) => Problem::internal(error),
    }
}
