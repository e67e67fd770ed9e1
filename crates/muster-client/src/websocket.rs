//! The agent's channel: an upgrade whose refusal is read whole, then a bounded WebSocket.

use std::pin::pin;

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use muster_edge::Entropy;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use crate::dialer::{self, Dialer, MOST, Target};
use crate::error::{DialError, WsDialError};
use crate::exchange::{self, Response};
use crate::stream::Stream;

/// Largest message of the channel, in bytes.
pub const MESSAGE_LIMIT: usize = 1024 * 1024;
const READ_BUFFER: usize = 4 * 1024;
const WRITE_BUFFER_LIMIT: usize = 2 * MESSAGE_LIMIT;

/// A channel to the server.
pub type WebSocket = WebSocketStream<Stream>;

impl Dialer {
    /// Opens a WebSocket to `url` with these headers on the upgrade.
    ///
    /// An HTTP answer other than 101 comes back whole, as [`WsDialError::Refused`]: a 401 may carry a signed `revoked`.
    pub async fn websocket(&self, url: &Url, headers: HeaderMap) -> Result<WebSocket, WsDialError> {
        let stream = self.connect(url).await?;
        let authority = Target::of(url)?.authority();
        let key = BASE64.encode(&Entropy.bytes::<16>());
        let request = upgrade_request(url, headers, &key)?;
        let upgrade = self.within(self.timeouts().response, &authority, "open the channel", async {
            upgrade(stream, request, &authority).await
        });
        let (stream, early) = match upgrade.await? {
            Answer::Switched { headers, stream, early } if is_accepted(&headers, &key) => (stream, early),
            Answer::Switched { .. } => return Err(WsDialError::NotWebSocket { authority }),
            Answer::Other(response) if response.status.is_success() => {
                return Err(WsDialError::NotWebSocket { authority });
            }
            Answer::Other(response) => return Err(WsDialError::Refused(response)),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_LIMIT)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        Ok(WebSocketStream::from_partially_read(stream, early.to_vec(), Role::Client, Some(config)).await)
    }
}

enum Answer {
    Switched { headers: HeaderMap, stream: Stream, early: Bytes },
    Other(Box<Response>),
}

fn upgrade_request(url: &Url, headers: HeaderMap, key: &str) -> Result<Request<Full<Bytes>>, DialError> {
    let mut request = Request::new(Full::new(Bytes::new()));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    *request.uri_mut() = target
        .parse()
        .map_err(|_| DialError::Url { url: format!("{}://{}", url.scheme(), url.authority()) })?;
    *request.headers_mut() = headers;
    dialer::prepare(&mut request, url)?;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(key).expect("base64 is a valid header value"));
    Ok(request)
}

async fn upgrade(
    stream: Stream,
    request: Request<Full<Bytes>>,
    authority: &str,
) -> Result<Answer, DialError> {
    let (mut sender, connection) =
        exchange::begin(stream, MOST).await.map_err(|error| dialer::hyper_error(authority, error))?;
    let mut connection = pin!(connection.without_shutdown());
    let mut sent = pin!(sender.send_request(request));
    let mut parts = None;
    let response = tokio::select! {
        biased;
        response = sent.as_mut() => response,
        ended = connection.as_mut() => {
            parts = ended.ok();
            sent.await
        }
    };
    let response = response.map_err(|error| dialer::hyper_error(authority, error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let mut answer = pin!(exchange::read(response, MOST));
        let whole = match parts {
            Some(_) => answer.await,
            None => tokio::select! {
                biased;
                answer = answer.as_mut() => answer,
                _ = connection.as_mut() => answer.await,
            },
        };
        return match whole {
            Ok(response) => Ok(Answer::Other(Box::new(response))),
            Err(error) => Err(dialer::no_answer(authority, error)),
        };
    }
    let headers = response.headers().clone();
    let parts = match parts {
        Some(parts) => parts,
        None => connection.await.map_err(|error| dialer::hyper_error(authority, error))?,
    };
    Ok(Answer::Switched { headers, stream: parts.io.into_inner(), early: parts.read_buf })
}

fn is_accepted(headers: &HeaderMap, key: &str) -> bool {
    let says = |name, wanted: &str| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    says(UPGRADE, "websocket")
        && says(CONNECTION, "upgrade")
        && accept == Some(derive_accept_key(key.as_bytes()).as_bytes())
}
