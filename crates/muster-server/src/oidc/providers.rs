//! What is known of providers: discovery documents and keys, believed for a while, fetched by one at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use muster_domain::oidc::{METADATA_FOR, MOST_PROVIDERS, REFETCH_EVERY};
use muster_ids::Timestamp;
use muster_outbound::OutboundError;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use url::{Host, Url};

use super::{Metadata, Unavailable};
use crate::app::App;

/// Most bytes of a provider's answer.
const ANSWER_LIMIT: usize = 512 * 1024;
/// How long a provider may take for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// How long it is not asked again after it did not answer: nobody makes this server knock all the time.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Most sign-ins that are remembered as answered; past that the one that lapses first is forgotten.
const MOST_ANSWERED: usize = 4096;
/// How often it is said why somebody was refused: a stranger can be refused all the time.
const SAY_WHY_EVERY: Duration = Duration::from_secs(10);

/// How new the documents must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As new as documents are believed.
    Believed,
    /// A token names a key that is not among them: newer ones, if they were not just fetched.
    NewKeys,
    /// Fetched now, for an operator who wants to know.
    Now,
}

#[derive(Default)]
struct Slot {
    metadata: Option<Arc<Metadata>>,
    fetched_at: Duration,
    failed: Option<(Duration, Unavailable)>,
}

/// The documents of every provider this node asked.
#[derive(Default)]
pub struct Providers {
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    answered: Mutex<Answered>,
    said: Mutex<Said>,
}

/// The sign-ins whose code was taken to the provider, until they lapse.
#[derive(Default)]
struct Answered(BTreeSet<(Timestamp, String)>);

/// When it was last said in the log why somebody was refused.
#[derive(Default)]
struct Said {
    next_at: Duration,
    unsaid: u64,
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Providers")
    }
}

impl Providers {
    /// Takes a pending sign-in into use. `false`: it was; whoever kept a copy of it gets nowhere.
    pub(super) fn is_first_answer(&self, state: &str, expires_at: Timestamp, now: Timestamp) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        while answered.0.first().is_some_and(|(at, _)| *at <= now) || answered.0.len() >= MOST_ANSWERED {
            answered.0.pop_first();
        }
        answered.0.insert((expires_at, state.to_owned()))
    }

    /// Whether it is to be said in the log why somebody was refused, and how often it was not said since the last time.
    pub(crate) fn says_why(&self, now: Duration) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if now < said.next_at {
            said.unsaid = said.unsaid.saturating_add(1);
            return None;
        }
        said.next_at = now + SAY_WHY_EVERY;
        Some(std::mem::take(&mut said.unsaid))
    }

    /// Returns the documents of an issuer.
    pub async fn metadata(
        &self,
        app: &App,
        issuer: &str,
        freshness: Freshness,
    ) -> Result<Arc<Metadata>, Unavailable> {
        let slot = self.slot(issuer);
        // Whoever waits here finds what the first one fetched.
        let mut slot = slot.lock().await;
        let now = app.clock.monotonic();
        if let Some(metadata) = &slot.metadata {
            let believed_for = match freshness {
                Freshness::Believed => METADATA_FOR,
                Freshness::NewKeys => REFETCH_EVERY,
                Freshness::Now => Duration::ZERO,
            };
            if now.saturating_sub(slot.fetched_at) < believed_for {
                return Ok(metadata.clone());
            }
        }
        if let Some((failed_at, why)) = &slot.failed
            && freshness != Freshness::Now
            && now.saturating_sub(*failed_at) < RETRY_EVERY
        {
            return Err(why.clone());
        }
        match discover(app, issuer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *slot = Slot { metadata: Some(metadata.clone()), fetched_at: now, failed: None };
                Ok(metadata)
            }
            Err(why) => {
                tracing::warn!(issuer, why = %why.0.escape_debug(), "a sign-in provider does not answer");
                slot.failed = Some((now, why.clone()));
                Err(why)
            }
        }
    }

    /// Forgets what is known of an issuer.
    pub fn forget(&self, issuer: &str) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(issuer);
    }

    fn slot(&self, issuer: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= 2 * MOST_PROVIDERS && !slots.contains_key(issuer) {
            // Only issuers of providers come here; those that were set anew since are not worth their place.
            slots.clear();
        }
        slots.entry(issuer.to_owned()).or_default().clone()
    }
}

/// Whether a provider is spoken to at a URL: over TLS, or without leaving this machine.
pub fn is_spoken_to(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    url.username().is_empty()
        && url.password().is_none()
        && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

/// Sends one request of the library. Nothing but [`muster_outbound`] ever does.
pub(super) async fn call(app: App, request: HttpRequest) -> Result<HttpResponse, OutboundError> {
    let client = app.outbound.client.with_body_limit(ANSWER_LIMIT).with_deadline(ANSWER_WITHIN);
    let answer = client.send(request.map(Bytes::from), &app.outbound.allowed).await?;
    let mut response = HttpResponse::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

async fn discover(app: &App, issuer: &str) -> Result<Metadata, Unavailable> {
    let issuer =
        IssuerUrl::new(issuer.to_owned()).map_err(|_| Unavailable("the issuer is no URL".to_owned()))?;
    let http = |request| call(app.clone(), request);
    let metadata = Metadata::discover_async(issuer, &http).await.map_err(words)?;
    let endpoints = [
        Some(metadata.authorization_endpoint().url()),
        metadata.token_endpoint().map(|endpoint| endpoint.url()),
        metadata.userinfo_endpoint().map(|endpoint| endpoint.url()),
        Some(metadata.jwks_uri().url()),
    ];
    if endpoints.into_iter().flatten().all(is_spoken_to) {
        return Ok(metadata);
    }
    let why = "the discovery document names an address that is neither https nor on loopback";
    Err(Unavailable(why.to_owned()))
}

/// Says what failed without repeating what the provider sent.
fn words(error: DiscoveryError<OutboundError>) -> Unavailable {
    const DISCOVERY: &str = "the discovery document (issuer + /.well-known/openid-configuration) or its keys";
    match error {
        DiscoveryError::Request(error) => Unavailable::outbound("the provider cannot be asked", &error),
        DiscoveryError::Response(status, _, _) if status != http::StatusCode::OK => {
            Unavailable(format!("{DISCOVERY}: answered with status {status}"))
        }
        DiscoveryError::Response(..) => Unavailable(format!("{DISCOVERY}: not JSON")),
        DiscoveryError::Parse(error) => Unavailable(format!("{DISCOVERY}: cannot be read at {}", error.path())),
        DiscoveryError::Validation(_) => Unavailable(
            "the discovery document names another issuer: they must be equal to the letter, with or without a slash at \
             the end"
                .to_owned(),
        ),
        _ => Unavailable(format!("{DISCOVERY}: cannot be used")),
    }
}
