//! Dials a Muster server: pinned TLS, `HTTPS_PROXY`, one request, one WebSocket; and the operator API.
//!
//! Nothing is sent to a server that has not proved it holds the pinned key, no redirect is followed and no option
//! turns a check off. Used by the agent and the CLI; holds no server crate.

pub mod api;
mod dialer;
mod download;
mod error;
mod exchange;
mod look;
mod pins;
mod proxy;
mod stream;
mod websocket;

pub use api::{ApiError, OperatorClient};
pub use dialer::{Dialer, Endpoint, RESPONSE_LIMIT, Timeouts};
pub use download::Download;
pub use error::{DialError, WsDialError};
pub use exchange::{ExchangeError, Most, Response, exchange};
pub use look::{Certificate, Way};
pub use pins::{PinMismatch, Pins};
pub use proxy::{Proxy, ProxyError, ProxyRules};
pub use stream::Stream;
pub use websocket::{MESSAGE_LIMIT, WebSocket};
