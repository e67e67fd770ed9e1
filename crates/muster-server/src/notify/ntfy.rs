//! A topic of ntfy: one JSON document to the root of its server.

use http::Method;
use muster_wire::notification::NtfyConfig;
use serde_json::{Value, json};

use super::text::Message;
use super::{SendFailure, Sent, post};
use crate::outbound::Gate;

/// Longer messages become attachments.
const MAX_BYTES: usize = 3500;
/// Breaks through the quiet hours of a phone.
const URGENT: u8 = 5;
/// The usual.
const USUAL: u8 = 3;

/// Publishes a message.
pub async fn send(gate: &Gate, config: &NtfyConfig, message: &Message) -> Result<Sent, SendFailure> {
    let token = config.token.as_ref().map(|token| token.expose());
    post::send(gate, Method::POST, config.url.expose(), token, &body(config, message)).await
}

fn body(config: &NtfyConfig, message: &Message) -> Value {
    let mut body = json!({
        "topic": config.topic,
        "title": message.subject,
        "message": message.clone().fitting(MAX_BYTES).plain(),
        "priority": if message.is_urgent { URGENT } else { USUAL },
    });
    if let Some(link) = &message.link {
        body["click"] = json!(link);
    }
    body
}
