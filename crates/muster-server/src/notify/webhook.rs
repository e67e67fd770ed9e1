//! Signed webhooks (Standard Webhooks 1.0): one POST of one event.

use std::fmt;

use bytes::Bytes;
use data_encoding::BASE64;
use http::Request;
use http::header::CONTENT_TYPE;
use muster_edge::Draw;
use muster_ids::Timestamp;
use muster_proof::digest::hmac_sha256;
use muster_store::rows::EventRow;
use muster_wire::endpoint::WebhookConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{OpenEndpoint, SendFailure, Sent, judge, post};
use crate::app::App;
use crate::events;

const PREFIX: &str = "whsec_";

/// What webhooks are signed with: `whsec_` and 32 random bytes in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct SigningSecret {
    text: String,
    /// Until when it is used beside a newer one.
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SigningSecret {
    /// Makes one of random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", BASE64.encode(bytes)), until: None }
    }

    /// Draws one.
    pub fn draw(draw: &mut Draw) -> Self {
        Self::new(&draw.bytes())
    }

    /// Returns its text, which is shown once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    fn is_used(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let encoded = self.text.strip_prefix(PREFIX).unwrap_or(&self.text);
        let key = zeroize::Zeroizing::new(BASE64.decode(encoded.as_bytes()).unwrap_or_default());
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1,{}", BASE64.encode(&hmac_sha256(&key, &signed)))
    }
}

/// Posts one event.
pub async fn send(
    app: &App,
    endpoint: &OpenEndpoint,
    config: &WebhookConfig,
    told: &[EventRow],
    now: Timestamp,
) -> Result<Sent, SendFailure> {
    let [event] = told else { return Err(SendFailure::new("a webhook carries one event")) };
    let url = config.url.expose();
    if url.scheme() != "https" {
        let host = url.host_str().unwrap_or_default();
        post::must_be_listed(&app.outbound, host, url.port_or_known_default().unwrap_or(80)).await?;
    }
    let request = request(endpoint, config, event, now)?;
    judge(app.outbound.send(request).await)
}

fn request(
    endpoint: &OpenEndpoint,
    config: &WebhookConfig,
    event: &EventRow,
    now: Timestamp,
) -> Result<Request<Bytes>, SendFailure> {
    let body = json!({
        "type": event.kind,
        "timestamp": event.at,
        "data": events::view(event.clone()),
    });
    let body = body.to_string().into_bytes();
    let (id, timestamp) = (event.id.to_string(), now.as_millis().div_euclid(1000));
    let used = endpoint.sealed.signing.iter().filter(|secret| secret.is_used(now));
    let signatures: Vec<String> = used.map(|secret| secret.sign(&id, timestamp, &body)).collect();
    Request::post(config.url.expose().as_str())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures.join(" "))
        .body(Bytes::from(body))
        .map_err(|_| SendFailure::new("the URL cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the specification (standard-webhooks, "Signature scheme").
        let secret = SigningSecret { text: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), until: None };
        let body = br#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", SigningSecret::new(&[7; 32])), "[redacted]");
    }
}
