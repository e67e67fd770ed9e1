//! Who asks: the extractors that every handler holds as its proof of permission.
//!
//! [`Actor<P>`] is a person with permission `P` in a team; [`Agent`] is a host with its proved key; [`Door`] is a
//! machine with a ticket and, if it has a key pair, a proof that fits the request. A route without one of them is public and says so in
//! the router's list.

mod actor;
mod agent;
mod credentials;
mod door;
mod failed;
mod fork;
mod invited;
mod proof;
mod used_proofs;
mod visitor;
pub mod web_session;

pub(crate) use actor::TEAM_HEADER;
pub use actor::{Actor, Credential, Permit, permits};
pub(crate) use agent::may_act;
pub use agent::{Agent, AgentJson, Beat, BeatJson, Connecting};
pub use credentials::{Credentials, Interest, Known};
pub use door::Door;
pub use failed::failed;
pub(crate) use failed::{failed_of, failed_proof};
pub use fork::Fork;
pub use invited::Invited;
pub use proof::{DPOP, DPOP_NONCE, accepted_urls};
pub use used_proofs::{NotTaken, UsedProofs};
pub use visitor::Visitor;
