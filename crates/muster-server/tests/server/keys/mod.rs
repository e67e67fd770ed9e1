//! Keys of hosts and where hosts stand: minted, revoked, rotated, moved; on both databases, by attack.

mod agent_keys;
mod facts;
mod former;
mod host_rotation;
mod moving;
mod revoke;
mod rotation;
pub(crate) mod scene;
mod server_keys;
mod verdict;
