//! The HTTP plumbing of the server: accept loop, TLS, limits, strict JSON, `application/problem+json`.
//!
//! Knows nothing of the product: no store, no domain rule, no route. A request that is malformed, too large, too slow
//! or ambiguous is answered here, always with a problem (RFC 9457), and never reaches a handler.
//! To add an extractor, answer its failures with [`Problem`] and give it an `OperationInput`, so that the OpenAPI
//! document says the same as the code.

mod body;
mod client_address;
mod connection;
mod edge;
mod framing;
mod listener;
mod origin;
mod path;
mod problem;
mod query;
mod reply;
mod request;
mod see_other;
mod sources;
pub mod tls;

pub use body::{
    BODY_LIMIT, BODY_WITHIN, MAX_DEPTH, RawJson, StrictJson, parse_json, read_json_bytes,
    read_json_bytes_within,
};
pub use client_address::{AddressBucket, ClientAddress, ParseProxiesError, TrustedProxies};
pub use edge::{Edge, protect};
pub use listener::{Limits, Server, serve};
pub use origin::{SameOrigin, same_origin};
pub use path::StrictPath;
pub use problem::Problem;
pub use query::{StrictQuery, parse_query};
pub use reply::{Accepted, Created, Reply};
pub use request::{ConnectInfo, CurrentRequest, ListenerKind, Unattended, to_the_end};
pub use see_other::SeeOther;
