//! How a directory is asked: over TLS, within a deadline, and nowhere that only this machine or its network reaches, but for the
//! directory itself, whose address is the operator's word.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use muster_ids::Timestamp;
use muster_outbound::{Allowed, Options, Outbound};
use rustls::pki_types::CertificateDer;

use crate::error::AcmeError;

/// One request, from the look at the name to the last byte of the answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// Largest answer: a chain of a few certificates is the largest there is.
const BODY_LIMIT: usize = 256 * 1024;

/// The longest wait that is heeded while an order is under way, which ends much sooner.
const LATEST: Duration = Duration::from_secs(24 * 3600);

/// When a directory wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    After(Duration),
    At(Timestamp),
}

impl Later {
    fn is_soon(self) -> bool {
        matches!(self, Self::At(_)) || matches!(self, Self::After(wait) if wait <= LATEST)
    }
}

/// Asks one directory. Clones share what it said of when to come back.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Outbound,
    directory: (String, u16),
    everywhere: Allowed,
    /// What the directory's answers may lead to beside itself and public addresses.
    allowed: Allowed,
    later: Arc<Mutex<Option<Later>>>,
}

impl Http {
    pub(crate) fn new(
        directory: &str,
        extra_roots: Vec<CertificateDer<'static>>,
        allowed: Allowed,
    ) -> Result<Self, AcmeError> {
        let uri: Uri = directory.parse().map_err(|_| AcmeError::Url)?;
        let directory = place(&uri).ok_or(AcmeError::Url)?;
        let options = Options { deadline: REQUEST_WITHIN, body_limit: BODY_LIMIT, extra_roots };
        let everywhere: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::default().into()];
        Ok(Self {
            client: Outbound::new(options),
            directory,
            everywhere: Allowed::networks(&everywhere),
            allowed,
            later: Arc::default(),
        })
    }

    /// Returns how long the last refusal said to wait, and forgets it.
    pub(crate) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let later = self.later.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(match later {
            Later::After(span) => span,
            Later::At(moment) => {
                Duration::from_millis(u64::try_from(moment.as_millis() - now.as_millis()).unwrap_or(0))
            }
        })
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, AcmeError> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        // Ours is set where it is missing.
        head.headers.remove(USER_AGENT);
        let place = place(&head.uri).ok_or(AcmeError::Plain)?;
        let allowed = if place == self.directory { &self.everywhere } else { &self.allowed };
        // The one request without a signature and with a body to read is the one for the directory's own document.
        let must_be_ok = head.method == Method::GET;
        let answer = self.client.send(Request::from_parts(head, body.to_bytes()), allowed).await?;
        let status = answer.status;
        let is_error = status.is_client_error() || status.is_server_error();
        if is_error {
            self.note(&answer.headers);
        }
        if (must_be_ok && status != StatusCode::OK) || (is_error && !is_object(&answer.body)) {
            return Err(AcmeError::Answered { status });
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        (parts.status, parts.headers) = (status, answer.headers);
        // The client adds it to the time it has: only what can be added is handed on.
        let later = parts.headers.get(RETRY_AFTER).and_then(|value| parse_later(value.to_str().ok()?));
        if !later.is_some_and(Later::is_soon) {
            parts.headers.remove(RETRY_AFTER);
        }
        Ok(BytesResponse { parts, body: Box::new(answer.body) })
    }

    fn note(&self, headers: &HeaderMap) {
        if let Some(later) = headers.get(RETRY_AFTER).and_then(|value| parse_later(value.to_str().ok()?)) {
            *self.later.lock().unwrap_or_else(PoisonError::into_inner) = Some(later);
        }
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move { http.exchange(request).await.map_err(|error| Error::Other(Box::new(error))) })
    }
}

/// Returns host and port of an https URL.
fn place(uri: &Uri) -> Option<(String, u16)> {
    let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTPS))?;
    Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(443)))
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn parse_later(text: &str) -> Option<Later> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Later::After(Duration::from_secs(seconds)));
    }
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Later::At(Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).ok()?)))
}

/// Whether a refusal may be a problem (RFC 9457).
fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_back_is_seconds_or_a_date() {
        assert_eq!(parse_later(" 120 "), Some(Later::After(Duration::from_secs(120))));
        // The client would add it to the time it has, and panic.
        let endless = parse_later(&u64::MAX.to_string()).unwrap();
        assert!(!endless.is_soon() && Later::After(LATEST).is_soon());
        let at = Timestamp::from_millis(784_111_777_000);
        assert_eq!(parse_later("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Later::At(at)));
        for bad in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(parse_later(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_that_passed_is_now() {
        let http =
            Http::new("https://acme.example/directory", Vec::new(), Allowed::public_only()).expect("made");
        *http.later.lock().expect("nobody panicked") = Some(Later::At(Timestamp::from_millis(1_000)));
        assert_eq!(http.retry_after(Timestamp::from_millis(5_000)), Some(Duration::ZERO));
        assert_eq!(http.retry_after(Timestamp::from_millis(5_000)), None, "it is said once");
    }

    #[test]
    fn a_directory_is_an_https_url() {
        for bad in ["http://acme.example/directory", "acme.example", "/directory", "ftp://acme.example/"] {
            let refused = Http::new(bad, Vec::new(), Allowed::public_only());
            assert!(matches!(refused, Err(AcmeError::Url)), "{bad}");
        }
    }

    #[test]
    fn a_place_is_the_same_however_it_is_written() {
        let place = |text: &'static str| place(&Uri::from_static(text));
        assert_eq!(place("https://CA.internal/a"), place("https://ca.internal:443/b"));
        assert_ne!(place("https://ca.internal/a"), place("https://ca.internal:9000/a"));
        assert_eq!(place("http://ca.internal/a"), None);
    }

    #[tokio::test]
    async fn b28_what_a_directory_names_is_judged_and_never_plain() {
        let http =
            Http::new("https://127.0.0.1:1/directory", Vec::new(), Allowed::public_only()).expect("made");
        let ask = async |url: &str| {
            let request = Request::get(url).body(BodyWrapper::default()).expect("a request");
            http.exchange(request).await.map(|_| ()).expect_err("refused")
        };
        assert!(matches!(ask("http://127.0.0.1:1/nonce").await, AcmeError::Plain));
        let foreign = ask("https://127.0.0.1:2/nonce").await;
        assert!(
            matches!(&foreign, AcmeError::Unreachable(inner) if inner.code() == "address_not_allowed"),
            "{foreign:?}"
        );
        let own = ask("https://127.0.0.1:1/nonce").await;
        assert!(matches!(&own, AcmeError::Unreachable(inner) if inner.code() == "cannot_connect"), "{own:?}");
    }
}
