//! One socket: typed messages out with a deadline, typed messages in with a limit, and how it ends.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use muster_channel::server::Violation;
use muster_wire::Object;
use muster_wire::channel::{AgentMessage, MAX_FRAME_BEFORE_HELLO, ServerMessage, close};
use muster_wire::parting::GoodbyeReason;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

/// How long a peer may take to read one frame before it is dropped.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long a closed peer may take to read why: a revocation waits for it.
const LINGER: Duration = Duration::from_millis(50);
/// Most frames that carry no message between two pings of the server.
const MAX_CHATTER: u32 = 1000;

const ARE_YOU_THERE: &[u8] = b"are you there";

const PROTOCOL_ERROR: u16 = 1002;
const NOT_TEXT: u16 = 1003;
const NOT_UTF8: u16 = 1007;

/// How a channel ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The peer is gone, or the socket must be dropped at once.
    Gone,
    /// The key ended, or its host is not active: whoever ended it may say so with the signed statement.
    KeyEnded,
    /// The server closes, with a last message if there is one to say.
    Close {
        /// The WebSocket close code.
        code: u16,
        /// What the close frame says.
        reason: &'static str,
        /// The message before it.
        words: Option<Box<Words>>,
    },
    /// The peer left its role.
    Violation {
        /// The WebSocket close code.
        code: u16,
        /// What it did.
        what: &'static str,
    },
}

/// A last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Words {
    /// The signed statement that the key is void.
    Revoked(String),
    /// The server leaves; come back after that many seconds.
    Goodbye(GoodbyeReason, u32),
}

impl End {
    /// Closes without a last message.
    pub(super) const fn close(code: u16, reason: &'static str) -> Self {
        Self::Close { code, reason, words: None }
    }

    /// Says goodbye and closes.
    pub(super) fn goodbye(reason: GoodbyeReason, retry_after_secs: u32) -> Self {
        let words = Some(Box::new(Words::Goodbye(reason, retry_after_secs)));
        Self::Close { code: reason.close_code(), reason: reason.as_str(), words }
    }

    /// Closes for a message that is out of role.
    pub(super) const fn policy(what: &'static str) -> Self {
        Self::Violation { code: close::POLICY, what }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::policy(match violation {
            Violation::OutOfOrder => "message out of order",
            Violation::ForeignHost => "hello names another host",
            Violation::ForeignChallenge => "hello answers another challenge",
            Violation::ForeignServer => "hello was signed for another server",
            Violation::ForeignGeneration => "acknowledged another generation",
            Violation::ForeignConfig => "applied another configuration",
            Violation::TooLong => "text too long",
        })
    }
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message.
    Message(Box<AgentMessage>),
    /// The answer to a ping, with its payload.
    Pong(Bytes),
    /// A ping, which was answered.
    Ping,
}

/// One socket.
pub(super) struct Wire {
    /// Boxed: every future that a wire is handed to has room for it, and an idle channel is made of futures.
    socket: Box<WebSocket>,
    chatter: u32,
}

impl Wire {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket: Box::new(socket), chatter: 0 }
    }

    /// Sends a message; a peer that does not read it in time is dropped.
    pub(super) async fn say(&mut self, message: &ServerMessage) -> Result<(), End> {
        let text = serde_json::to_string(message).expect("messages are plain data with string keys");
        self.send(Message::Text(text.into())).await
    }

    /// Sends a ping and begins to count frames without a message anew.
    pub(super) async fn ping(&mut self, payload: Bytes) -> Result<(), End> {
        self.chatter = 0;
        self.send(Message::Ping(payload)).await
    }

    /// Whether the peer answers a ping within a time. Whatever else it says meanwhile ends it: it was told to wait.
    pub(super) async fn answers(&mut self, within: Duration) -> bool {
        if self.ping(Bytes::from_static(ARE_YOU_THERE)).await.is_err() {
            return false;
        }
        let answered = async {
            loop {
                match self.hear(MAX_FRAME_BEFORE_HELLO).await {
                    Ok(Heard::Pong(payload)) if payload == ARE_YOU_THERE => return true,
                    Ok(Heard::Pong(_) | Heard::Ping) => {}
                    Ok(Heard::Message(_)) | Err(_) => return false,
                }
            }
        };
        timeout(within, answered).await.unwrap_or(false)
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    /// Waits for the next frame, of at most `limit` bytes.
    pub(super) async fn hear(&mut self, limit: usize) -> Result<Heard, End> {
        let heard = match self.socket.recv().await {
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(broken(error)),
            Some(Ok(Message::Close(_))) => {
                // Reading on is what sends the answer to the peer's close frame.
                let _ = timeout(LINGER, self.socket.recv()).await;
                return Err(End::Gone);
            }
            Some(Ok(Message::Binary(_))) => {
                return Err(End::Violation { code: NOT_TEXT, what: "binary frame" });
            }
            Some(Ok(Message::Text(text))) => return parse(&text, limit),
            Some(Ok(Message::Ping(_))) => Heard::Ping,
            Some(Ok(Message::Pong(payload))) => Heard::Pong(payload),
        };
        self.chatter += 1;
        if self.chatter > MAX_CHATTER { Err(End::policy("too many empty frames")) } else { Ok(heard) }
    }

    /// Says the last words and closes.
    pub(super) async fn end(mut self, end: &End) {
        let (code, reason, words) = match end {
            End::Gone => return,
            End::Violation { code, what } => (*code, *what, None),
            End::KeyEnded => (close::REVOKED, "the key or its host is not active", None),
            End::Close { code, reason, words } => (*code, *reason, words.as_deref()),
        };
        let last = words.map(|words| match words {
            Words::Revoked(statement) => ServerMessage::Revoked { statement: statement.clone() },
            Words::Goodbye(reason, retry_after_secs) => {
                ServerMessage::Goodbye { reason: reason.line(), retry_after_secs: *retry_after_secs }
            }
        });
        if let Some(last) = last
            && self.say(&last).await.is_err()
        {
            return;
        }
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if self.send(Message::Close(Some(frame))).await.is_ok() {
            // A socket closed over unread bytes is reset, and a reset destroys the last words.
            let read_out = async { while let Some(Ok(_)) = self.socket.recv().await {} };
            let _ = timeout(LINGER, read_out).await;
        }
    }
}

fn parse(text: &Utf8Bytes, limit: usize) -> Result<Heard, End> {
    if text.len() > limit {
        return Err(End::Violation { code: close::TOO_BIG, what: "frame too big" });
    }
    match serde_json::from_str::<Object<AgentMessage>>(text.as_str()) {
        Ok(Object(message)) => Ok(Heard::Message(Box::new(message))),
        Err(_) => Err(End::policy("unknown or malformed message")),
    }
}

fn broken(error: axum::Error) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => {
            End::Violation { code: close::TOO_BIG, what: "frame too big" }
        }
        Some(tungstenite::Error::Utf8(_)) => End::Violation { code: NOT_UTF8, what: "text is not utf-8" },
        Some(tungstenite::Error::Protocol(what)) => match what {
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake => End::Gone,
            _ => End::Violation { code: PROTOCOL_ERROR, what: "malformed frame" },
        },
        _ => End::Gone,
    }
}
