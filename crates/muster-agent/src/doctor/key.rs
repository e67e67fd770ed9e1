//! Whether the server takes this machine's key: an upgrade up to the challenge, which earns and changes nothing.

use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use muster_client::{Response, WebSocket, WsDialError};
use muster_ids::{HostId, Timestamp};
use muster_proof::HostKey;
use muster_wire::channel::ServerMessage;
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use super::{Check, Known, clock};
use crate::enroll;
use crate::error::in_full;
use crate::keys::Keys;
use crate::machine::Machine;
use crate::server::{self, Server};
use crate::state::IdentityState;

const KEY: &str = "key";
const CHALLENGE_WITHIN: Duration = Duration::from_secs(5);
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// Proves the key at `url`, whose server proved itself and answered as one; nothing on a machine that is no host.
pub(super) async fn check(machine: &Machine, known: &Known, url: &Url, about: &str) -> Vec<Check> {
    let Known { view: Some(view), identity: Some(identity) } = known else { return Vec::new() };
    let Some(host_id) = identity.host_id() else { return Vec::new() };
    // A key that is missing or damaged is told elsewhere.
    let Ok(keys) = Keys::of(view, identity) else { return Vec::new() };
    let key = keys.current();
    let server = match Server::of(identity, Rc::clone(&key), machine) {
        Ok(server) => server,
        Err(cause) => return vec![Check::fail(KEY, about, cause)],
    };
    match server.connect(url, host_id).await {
        Ok(socket) => challenged(machine, socket, about).await,
        Err(WsDialError::Refused(response)) => vec![refused(&response, identity, &key, host_id, about)],
        Err(cause) => vec![Check::fail(KEY, about, in_full(&cause))],
    }
}

async fn challenged(machine: &Machine, mut socket: WebSocket, about: &str) -> Vec<Check> {
    let first = tokio::time::timeout(CHALLENGE_WITHIN, socket.next()).await;
    let challenge = match first {
        Ok(Some(Ok(Message::Text(text)))) => server_time(&text),
        _ => None,
    };
    // Whether the server hears it or not, the socket is dropped.
    let _ = tokio::time::timeout(FAREWELL_WITHIN, async { socket.send(Message::Close(None)).await }).await;
    match challenge {
        Some(there) => vec![
            Check::ok(KEY, about, "the server takes this machine's key"),
            clock::check(about, machine.clock.now(), there),
        ],
        None => {
            let said = "the channel opened and the server said nothing: is a proxy in front of it that does not pass \
                        WebSockets on?";
            vec![Check::fail(KEY, about, said)]
        }
    }
}

fn server_time(text: &str) -> Option<Timestamp> {
    match serde_json::from_str(text).ok()? {
        ServerMessage::Challenge { server_time, .. } => Some(server_time),
        _ => None,
    }
}

fn refused(
    response: &Response,
    identity: &IdentityState,
    key: &HostKey,
    host_id: HostId,
    about: &str,
) -> Check {
    let genuine = server::revoked_statement(response)
        .and_then(|text| enroll::genuine(&text, identity, key, Some(host_id)));
    if genuine.is_some() {
        let said = "the server revoked this key, with its signature: `muster-agent run` removes it; to join again, take a \
                    new join string";
        return Check::fail(KEY, about, said);
    }
    let said = server::refusal(response, None).map(|refusal| refusal.to_string());
    let said = said.unwrap_or_else(|| {
        format!("the channel is refused with {}: check the proxy in front of the server", response.status)
    });
    let passes = response.status.is_server_error()
        || matches!(response.status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if passes { Check::warn(KEY, about, said) } else { Check::fail(KEY, about, said) }
}
