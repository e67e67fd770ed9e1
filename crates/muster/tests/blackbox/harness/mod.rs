//! What the scenarios stand on: a server, an installation on it, machines that speak the protocol, real agents.

#![allow(dead_code, reason = "each scenario uses its part")]

mod agent;
mod channel;
mod installation;
mod machine;
mod reply;
mod server;
mod wait;

pub(crate) use agent::Agent;
pub(crate) use channel::{Channel, Next};
pub(crate) use installation::Installation;
pub(crate) use machine::Machine;
pub(crate) use reply::Reply;
pub(crate) use server::{Backend, Server, dialer};
pub(crate) use wait::{is_soak, now, until};

/// Runs each function twice, as `name::sqlite` and `name::postgres`; it takes the database to use.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident: Backend) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn run($backend: Backend) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Backend::Sqlite).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Backend::Postgres).await;
            }
        }
    )+};
}

pub(crate) use both;
