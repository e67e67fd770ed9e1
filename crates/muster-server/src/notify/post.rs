//! One JSON request to a chat or push server.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use serde_json::Value;
use url::Url;

use super::{SendFailure, Sent, judge};
use crate::outbound::Gate;

/// Longest time a receiver may ask to be left alone.
const MOST_PATIENCE: Duration = Duration::from_secs(3600);

/// Sends JSON; anything but success is a failure.
pub(super) async fn send(
    gate: &Gate,
    method: Method,
    url: &Url,
    token: Option<&str>,
    body: &Value,
) -> Result<Sent, SendFailure> {
    if url.scheme() != "https" {
        let host = url.host_str().unwrap_or_default();
        must_be_listed(gate, host, url.port_or_known_default().unwrap_or(80)).await?;
    }
    let mut request = Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|_| SendFailure::new("the URL cannot be used"))?;
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| SendFailure::new("the token cannot be sent"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    judge(gate.send(request).await).map_err(|failure| SendFailure {
        retry_after: failure.retry_after.map(|asked| asked.min(MOST_PATIENCE)),
        ..failure
    })
}

/// Refuses what is not encrypted, except to addresses that the one who runs this server listed.
pub(super) async fn must_be_listed(gate: &Gate, host: &str, port: u16) -> Result<(), SendFailure> {
    let addresses = gate.resolve(host, port).await?;
    if addresses.iter().all(|address| gate.allowed.covers(address.ip())) {
        return Ok(());
    }
    Err(SendFailure::new(format!("{host} would be spoken to without encryption, which is not allowed")))
}
