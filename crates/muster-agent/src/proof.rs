//! Proves that this machine holds its key, in each request (DESIGN §3).

use std::cell::RefCell;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue};
use muster_edge::{Clock, Entropy};
use muster_ids::HostId;
use muster_proof::{HostKey, HtuUrl, dpop};
use url::Url;

/// The header of a proof (RFC 9449).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const MAX_NONCE_CHARS: usize = 512;

/// Makes proofs, each for one request, with the nonce the server gave last: so a wrong clock does not matter.
pub struct Prover {
    key: Rc<HostKey>,
    clock: Clock,
    nonce: RefCell<Option<String>>,
}

/// What a proof is bound to besides its URL.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The method.
    pub method: &'a str,
    /// The bearer string that goes with it.
    pub bearer: Option<&'a str>,
    /// The body, if there is one.
    pub body: Option<&'a [u8]>,
    /// The identity that speaks, once there is one.
    pub host_id: Option<HostId>,
}

impl Prover {
    /// Begins without a nonce.
    pub fn new(key: Rc<HostKey>, clock: Clock) -> Self {
        Self { key, clock, nonce: RefCell::new(None) }
    }

    /// Returns the key that signs.
    pub fn key(&self) -> &HostKey {
        &self.key
    }

    /// Makes the proof of one request; `None` for a URL no proof can name.
    pub fn proof(&self, url: &Url, binding: Binding<'_>) -> Option<HeaderValue> {
        let url = HtuUrl::parse(url.as_str()).ok()?;
        let mut claims = dpop::Claims::new(binding.method, &url, self.clock.now(), Entropy.bytes::<16>());
        if let Some(bearer) = binding.bearer {
            claims = claims.bearer(bearer);
        }
        if let Some(body) = binding.body {
            claims = claims.body(body);
        }
        if let Some(nonce) = self.nonce.borrow().as_ref() {
            claims = claims.nonce(nonce);
        }
        if let Some(host_id) = binding.host_id {
            claims = claims.host(host_id);
        }
        HeaderValue::from_str(&dpop::prove(&self.key, &claims)).ok()
    }

    /// Keeps the nonce of a reply for the next proof; returns whether there was one.
    pub fn learn(&self, headers: &HeaderMap) -> bool {
        let nonce = headers.get(DPOP_NONCE).and_then(|value| value.to_str().ok());
        let Some(nonce) = nonce.filter(|nonce| nonce.len() <= MAX_NONCE_CHARS) else { return false };
        self.nonce.replace(Some(nonce.to_owned()));
        true
    }
}
