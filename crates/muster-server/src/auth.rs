//! Who asks: the extractors that every handler holds as its proof of permission.
//!
//! [`Actor<P>`] is a person with permission `P` in a team; [`Agent`] is a host with its proved key; [`Door`] is a
//! machine with a ticket and, if it has one, a proved key. A route without one of them is public and says so in
//! the router's list.

mod actor;
mod agent;
mod door;
mod proof;

pub use actor::{Actor, Permit, permits};
pub(crate) use agent::KEY_NOT_ACTIVE;
pub use agent::{Agent, AgentJson};
pub use door::Door;
pub use proof::{DPOP, DPOP_NONCE, NotTaken, UsedProofs, accepted_urls, refused_proof, use_nonce};
