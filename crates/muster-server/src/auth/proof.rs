//! Proofs of possession: how they are read, what they must name, how a bad one is answered.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use muster_http::Problem;
use muster_ids::Timestamp;
use muster_proof::ProofError::Invalid;
use muster_proof::{HtuUrl, ProofError};

use crate::app::App;

/// The header of a proof (RFC 9449).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header in which the server offers a nonce (RFC 9449).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Returns the value of the one `DPoP` header.
pub(super) fn the_one_proof(headers: &HeaderMap) -> Result<&str, ProofError> {
    let mut values = headers.get_all(DPOP).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| Invalid("not one line of text")),
        _ => Err(Invalid("not exactly one proof")),
    }
}

/// Returns the URLs a proof for `path` may name: the configured ones, never what the Host header says.
pub fn accepted_urls(app: &App, path: &str) -> Vec<HtuUrl> {
    let public = app.installation.public_urls();
    let urls = public.iter().chain(&app.installation.loopback_urls);
    urls.filter_map(|url| HtuUrl::below(url.as_str(), path).ok()).collect()
}

/// Answers a proof that does not hold, with a nonce for the next one.
pub(super) fn refused_proof(app: &App, error: ProofError, now: Timestamp) -> Problem {
    match error {
        ProofError::UseNonce => use_nonce(app, now),
        Invalid(_) => {
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
fn use_nonce(app: &App, now: Timestamp) -> Problem {
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
