//! `GET /v1/agent/connect`: the upgrade of a host's channel.

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::header::{ORIGIN, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use muster_http::Problem;
use muster_wire::channel::{MAX_FRAME, Protocol};

use crate::app::App;
use crate::auth::Connecting;
use crate::channel::{self, Hub};

/// Every socket costs its buffers for as long as it is open.
const READ_BUFFER: usize = 1024;
const MAX_WRITE_BUFFER: usize = 2 * MAX_FRAME;

/// An upgrade to the channel: not from a browser, and in the channel's own subprotocol.
pub struct ChannelUpgrade(WebSocketUpgrade, Protocol);

impl<S: Send + Sync> FromRequestParts<S> for ChannelUpgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.headers.contains_key(ORIGIN) {
            let detail = "the channel is for agents: a request with an origin comes from a browser";
            return Err(Problem::new(StatusCode::FORBIDDEN, "browser_refused", detail));
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let upgrade = upgrade.map_err(|rejection| Problem::of_status(rejection.into_response().status()))?;
        if !has_key(&parts.headers) {
            return Err(Problem::of_status(StatusCode::BAD_REQUEST));
        }
        let upgrade = upgrade.protocols(Protocol::ALL.map(Protocol::subprotocol));
        let selected = upgrade.selected_protocol().and_then(|selected| selected.to_str().ok());
        let Some(protocol) = selected.and_then(Protocol::of_subprotocol) else {
            let detail = "the channel speaks the subprotocols muster.channel.v2 and muster.channel.v1 only";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown_subprotocol", detail));
        };
        Ok(Self(upgrade, protocol))
    }
}

/// The key of an upgrade is 16 bytes in base64 (RFC 6455, section 4.1).
fn has_key(headers: &HeaderMap) -> bool {
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| BASE64.decode(key.as_bytes()).ok());
    key.is_some_and(|key| key.len() == 16)
}

impl aide::OperationInput for ChannelUpgrade {
    fn operation_input(_: &mut GenContext, _: &mut Operation) {}
}

/// `GET /v1/agent/connect`
pub async fn get(
    State(app): State<App>,
    Connecting(agent): Connecting,
    ChannelUpgrade(upgrade, protocol): ChannelUpgrade,
) -> Result<Response, Problem> {
    let Some(waiting) = Hub::await_hello(&app, agent.host_id) else {
        return Err(Problem::of_status(StatusCode::TOO_MANY_REQUESTS));
    };
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_FRAME);
    Ok(upgrade.on_upgrade(move |socket| channel::run(app, agent, protocol, socket, waiting)))
}
