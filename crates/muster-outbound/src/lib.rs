//! HTTP requests to addresses that somebody else chose: webhooks, chats, sign-in providers.
//!
//! Whoever may name an address must not reach with it what only this machine reaches (server-side request forgery). So
//! every address a name resolves to is judged by [`address`], and the connection goes to exactly the addresses that were
//! judged: a name that says something else a moment later changes nothing. Redirects are answers like any other, no
//! proxy is asked, one deadline stands over all of it. To make room for a receiver in a private network, list its
//! network in an [`Allowed`]; never weaken the rule.

pub mod address;
mod error;
mod resolve;
mod send;
mod target;
mod tls;

pub use address::{Allowed, Unreachable};
pub use error::OutboundError;
pub use muster_client::Response;
pub use send::{Options, Outbound};
pub use target::{address_of, check_url, parse_url};
