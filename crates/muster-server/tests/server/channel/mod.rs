//! The live channel as an agent and an attacker see it, on both databases.

mod agent_keys;
mod config;
mod copies;
mod expiry;
mod handshake;
mod idle;
mod limits;
mod presence;
mod restart;
mod revocation;
mod roles;
mod secrets;
mod upgrade;
mod work;

/// A repository secret.
fn repo() -> serde_json::Value {
    serde_json::json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } })
}
