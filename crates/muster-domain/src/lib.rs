//! Every decision Muster makes, as pure functions over facts that somebody else loaded.
//!
//! Pure: no clock, no randomness, no I/O; `now` and ids come in as values. The store loads, a function here
//! decides, the store records. To add a rule, add a function `decide(facts, now) -> Result<Decision, Refusal>`
//! and a table test beside it.

pub mod admission;
pub mod agent_key;
pub mod claim;
pub mod clone;
pub mod delivery;
pub mod ephemeral;
pub mod explain;
pub mod generation;
pub mod host_change;
pub mod host_config;
pub mod host_key_rotation;
pub mod host_life;
pub mod job;
pub mod login;
pub mod membership;
pub mod oidc;
pub mod operator_token;
pub mod password;
pub mod permission;
pub mod presence;
pub mod presence_history;
pub mod quiet;
pub mod retention;
pub mod revocation;
pub mod secret;
pub mod server_keys;
pub mod ticket;
pub mod web_session;
