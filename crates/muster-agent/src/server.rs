//! The server as this machine sees it over HTTP: its addresses in order, and requests with proofs.
//!
//! No redirect is followed, and a ticket goes to a server that holds a pinned key only.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use muster_client::{DialError, Dialer, Response, WebSocket, WsDialError};
use muster_ids::{Bearer, HostId};
use muster_proof::HostKey;
use muster_wire::channel::OFFERED_SUBPROTOCOLS;
use muster_wire::problem::ProblemBody;
use secrecy::ExposeSecret;
use url::Url;

use crate::error::{AgentError, Refusal, Unanswered};
use crate::machine::Machine;
use crate::proof::{Binding, DPOP, Prover};
use crate::state::IdentityState;
use crate::visible;

const CONNECT: &str = "v1/agent/connect";
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The server, and the key that speaks to it.
pub struct Server {
    urls: Vec<Url>,
    dialer: Dialer,
    prover: Prover,
}

/// A reply, and which address gave it.
pub struct Answer {
    /// The address, with its path.
    pub url: Url,
    /// The reply.
    pub response: Response,
}

impl Server {
    /// Makes the server of an identity, to be spoken to with `key`.
    pub fn of(identity: &IdentityState, key: Rc<HostKey>, machine: &Machine) -> Result<Self, AgentError> {
        let dialer = machine.dialer(&identity.pins)?;
        Ok(Self { urls: identity.urls.clone(), dialer, prover: Prover::new(key, machine.clock.clone()) })
    }

    /// Returns the addresses, best first.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// Returns the key that speaks.
    pub fn key(&self) -> &HostKey {
        self.prover.key()
    }

    /// Posts to the first address that answers, with a proof; once more where the server asks for its nonce.
    pub async fn post(
        &self,
        path: &str,
        body: Option<Bytes>,
        ticket: Option<&Bearer>,
        host_id: Option<HostId>,
    ) -> Result<Answer, Unanswered> {
        let mut causes = Vec::new();
        for base in &self.urls {
            let url = below(base, path);
            match self.post_to(&url, body.as_ref(), ticket, host_id).await {
                Ok(response) => return Ok(Answer { url, response }),
                Err(cause) => causes.push(cause),
            }
        }
        Err(Unanswered::of(causes))
    }

    async fn post_to(
        &self,
        url: &Url,
        body: Option<&Bytes>,
        ticket: Option<&Bearer>,
        host_id: Option<HostId>,
    ) -> Result<Response, DialError> {
        let response = self.dialer.request(self.request(url, body, ticket, host_id)?, url).await?;
        if self.prover.learn(&response.headers) && wants_nonce(&response) {
            let again = self.dialer.request(self.request(url, body, ticket, host_id)?, url).await?;
            self.prover.learn(&again.headers);
            return Ok(again);
        }
        Ok(response)
    }

    fn request(
        &self,
        url: &Url,
        body: Option<&Bytes>,
        ticket: Option<&Bearer>,
        host_id: Option<HostId>,
    ) -> Result<Request<Bytes>, DialError> {
        let bearer = ticket.map(Bearer::expose);
        let bearer = bearer.as_ref().map(ExposeSecret::expose_secret);
        let binding = Binding { method: "POST", bearer, body: body.map(AsRef::as_ref), host_id };
        let proof = self.prover.proof(url, binding).ok_or_else(|| unusable(url))?;
        let mut request = Request::new(body.cloned().unwrap_or_default());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.path().parse().map_err(|_| unusable(url))?;
        let headers = request.headers_mut();
        headers.insert(DPOP, proof);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {bearer}")).map_err(|_| unusable(url))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Opens the channel at `base`; once more where the server asks for its nonce.
    pub async fn connect(&self, base: &Url, host_id: HostId) -> Result<WebSocket, WsDialError> {
        let url = below(base, CONNECT);
        match self.upgrade(&url, host_id).await {
            Err(WsDialError::Refused(response)) if self.prover.learn(&response.headers) => {
                if !wants_nonce(&response) {
                    return Err(WsDialError::Refused(response));
                }
                self.upgrade(&url, host_id).await
            }
            outcome => outcome,
        }
    }

    async fn upgrade(&self, url: &Url, host_id: HostId) -> Result<WebSocket, WsDialError> {
        let binding = Binding { method: "GET", bearer: None, body: None, host_id: Some(host_id) };
        let proof = self.prover.proof(url, binding).ok_or_else(|| unusable(url))?;
        let headers = HeaderMap::from_iter([
            (DPOP, proof),
            (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(OFFERED_SUBPROTOCOLS)),
        ]);
        self.dialer.websocket(url, headers).await
    }
}

impl Answer {
    /// Names the address for people.
    pub fn authority(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// Puts `path` below an address, which may have a path of its own.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn unusable(url: &Url) -> DialError {
    DialError::Url { url: format!("{}://{}", url.scheme(), url.authority()) }
}

fn wants_nonce(response: &Response) -> bool {
    response.status == StatusCode::UNAUTHORIZED
        && problem(response).is_some_and(|problem| problem.code == "use_dpop_nonce")
}

/// Reads the problem of a reply, if it is one.
pub fn problem(response: &Response) -> Option<ProblemBody> {
    serde_json::from_slice(&response.body).ok()
}

/// Reads `Retry-After` in seconds, at most a day.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Puts a problem into words; `None`: the reply is none.
pub fn refusal(response: &Response, ticket: Option<&Bearer>) -> Option<Box<Refusal>> {
    let problem = problem(response)?;
    let shown = |text: &str| visible::line::<256>(text).map(|line| line.to_string());
    let request_id = problem.instance.strip_prefix("urn:muster:").and_then(shown);
    let fields = problem.errors.iter().take(8);
    let fields = fields.filter_map(|field| shown(&format!("{} {}", field.pointer, field.code)));
    Some(Box::new(Refusal {
        status: response.status,
        code: shown(&problem.code).unwrap_or_default(),
        detail: shown(&problem.detail).unwrap_or_default(),
        request_id,
        ticket: ticket.map(|ticket| ticket.id.to_string()),
        fields: fields.collect(),
        retry_after: retry_after(&response.headers),
    }))
}

/// Returns the signed statement that may come with a refusal.
pub fn revoked_statement(response: &Response) -> Option<String> {
    problem(response)?.extensions.get("revoked")?.as_str().map(str::to_owned)
}
