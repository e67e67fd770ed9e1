//! The commands, one file per noun: arguments, examples, `run`.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod events;
pub(crate) mod host;
pub(crate) mod instruction_key;
pub(crate) mod invitation;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod notify;
pub(crate) mod oidc;
pub(crate) mod overview;
pub(crate) mod people;
mod place;
pub(crate) mod restore;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod site;
pub(crate) mod support;
pub(crate) mod team;
pub(crate) mod ticket;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod view;
pub(crate) mod webhook;
pub(crate) mod whoami;

use clap::Args;
use muster_wire::server_keys::HostsInformed;

/// Says how many hosts know something.
pub(crate) fn informed(hosts: HostsInformed, what: &str) -> String {
    format!("{} of {} {what}", hosts.informed, hosts.hosts)
}

/// How much of a list.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Most {
    /// Show at most this many; all when not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}
